"""Messages on one reference arrive in order while promises shorten, under many schedules of the network."""

from __future__ import annotations

import pytest

from captp.peer import order
from captp.sim.script import as_test, own_garbage
from captp.vat import settling, vat
from tests.sim.order_cases import (
    Case,
    Failure,
    Play,
    Program,
    link,
    owner,
    play_one,
    promise_at,
    resolve,
    root_of,
    something_of,
    talk,
    what_broke,
)

A, B, C, D = range(4)

SCHEDULES = 50
#: How many of them the default run tries.
FEW = 5
#: Schedules within which order is lost where it is not kept, in one mix at least.
LATEST = 40
MIXES = ("n", "s", "c", "mixed")


def own_object(play: Play) -> Program:
    """A promise of B's becomes an object of A, who sends on it."""
    if play.chance(0.3):
        far = yield from root_of(play, A, B)
        own = yield from something_of(play, A, A)
        play.spawn(talk(play, A, play.send(A, far, "give_back", own)))
        return
    promise = yield from promise_at(play, A, B)
    play.spawn(talk(play, A, promise), owner(play, B, promise, A))


def callees_object(play: Play) -> Program:
    """A promise of B's becomes an object of B, on the straight way or by way of A."""
    promise = yield from promise_at(play, A, B)
    play.spawn(talk(play, A, promise), owner(play, B, promise, B, (A,)))


def awaited(play: Play) -> Program:
    """A sends on a promise, awaits it, and sends on what it gave; the promise is gone by then."""
    promise = yield from promise_at(play, A, B)
    where = play.random.choice((A, B))
    play.spawn(talk(play, A, promise, taken=True), owner(play, B, promise, where, (A, B)))


def chain(play: Play) -> Program:
    """A promise of B's becomes an object of C."""
    promise = yield from promise_at(play, A, B)
    play.spawn(talk(play, A, promise, taken=play.chance(0.5)), owner(play, B, promise, C, (A, B, C)))


def long_chain(play: Play) -> Program:
    """A promise of B's becomes one of C's, which becomes one of D's, which becomes an object of some vat."""
    promise = yield from promise_at(play, A, B)
    where = play.random.choice((A, B, C, D, D))

    def at_c(third: int) -> Program:
        return link(play, C, third, D, lambda last: owner(play, D, last, where))

    play.spawn(talk(play, A, promise), link(play, B, promise, C, at_c))


def tribble(play: Play) -> Program:
    """A promise of B's becomes one of C's, which becomes an object of D."""
    promise = yield from promise_at(play, A, B)
    play.spawn(
        talk(play, A, promise, taken=play.chance(0.3)),
        link(play, B, promise, C, lambda second: owner(play, C, second, D)),
    )


def first_is_slow(_kind: str, one: int, other: int) -> float:
    return 0.05 if other == A else 1.0


def others_are_slow(_kind: str, one: int, other: int) -> float:
    return 1.0 if A in (one, other) else 0.05


def passed_on(play: Play) -> Program:
    """A promise of B's goes from A to C, and both send on it while it settles."""
    promise = yield from promise_at(play, A, B)
    third = yield from root_of(play, A, C)
    keep = play.send(A, third, "keep", promise)
    play.spawn(talk(play, A, promise), owner(play, B, promise, play.random.choice((A, B, C)), (A, C)))
    if play.chance(0.3):
        play.send(A, third, play.chases, promise)
    yield lambda: play.world.shadow.has_arrived(keep)
    kept = play.number()
    play.do("find", C, kept)
    play.spawn(talk(play, C, kept))


def any_way(play: Play) -> Program:
    """One of the programs above."""
    return play.random.choice((own_object, awaited, chain, passed_on))(play)


def queue(play: Play) -> Program:
    """Gets whose results come with later puts on the same reference, whose promise settles meanwhile."""
    where = play.random.choice((A, B, C))
    if play.chance(0.5):
        q = yield from something_of(play, A, where, (B, C))
    else:
        q = yield from promise_at(play, A, B)
        play.spawn(owner(play, B, q, where, (A, C)))
    pairs: list[tuple[int, int]] = []
    hids = [q]
    for _ in range(play.random.randint(2, 5)):
        given = play.number()
        if len(hids) == 1 and play.do("hold", A, given, q):
            hids.append(given)
        get = play.send(A, play.random.choice(hids), play.random.choice(("get", "get_slowly")))
        if play.chance(0.5):
            play.do("park", A, q)
        for _ in range(play.random.choice((0, 1, 5, 20))):
            yield None
        pairs.append((get, play.send(A, play.random.choice(hids), "put")))
    for get, put in pairs:
        yield from play.until(A, get)
        play.world.nodes[A].handles[get].value = put


def broken(play: Play) -> Program:
    """A promise that is broken in the end, or becomes data, at one vat or one after it."""
    promise = yield from promise_at(play, A, B)
    how = play.random.choice(("break", "data"))

    def end(node: int, last: int) -> Program:
        return resolve(play, node, last, how)

    if play.chance(0.5):
        play.spawn(end(B, promise))
    else:
        play.spawn(link(play, B, promise, C, lambda second: end(C, second), talks=False))
    into, said = [], []
    play.do("park", A, promise)
    for _ in range(play.random.randint(3, 10)):
        draw = play.random.random()
        if draw < 0.3:
            into.append(play.number())
            play.do("select", A, into[-1], promise, "get")
        elif draw < 0.5:
            play.send(A, promise, "only", lost=True)
        else:
            said.append(play.send(A, promise, "ping", lost=True))
        for _ in range(play.random.choice((0, 0, 5))):
            yield None
    for hid in (promise, *into, *said):
        yield from play.until(A, hid)
    for hid in said:
        assert what_broke(play, A, hid) == ("on purpose" if how == "break" else "not-callable")
    for hid in (promise, *into):
        assert what_broke(play, A, hid) == ("on purpose" if how == "break" else "")


CASES = {
    "own object": Case(2, own_object),
    "callee's object": Case(2, callees_object),
    "awaited": Case(2, awaited),
    "chain": Case(3, chain),
    "long chain": Case(4, long_chain),
    "tribble": Case(4, tribble),
    "tribble, A last": Case(4, tribble, slow=first_is_slow),
    "tribble, A first": Case(4, tribble, slow=others_are_slow),
    "passed on": Case(3, passed_on),
    "only": Case(3, chain, only=0.7),
}

#: Cases that immediate shortening does not break.
MORE = {
    "dropped": Case(3, any_way, drops=0.5),
    "queue": Case(3, queue),
    "broken": Case(3, broken),
}


def first_failure(case: Case, mix: str, count: int = SCHEDULES) -> Failure | None:
    with own_garbage():
        found = (play_one(case, mix, seed) for seed in range(count))
        return next((f for f in found if f is not None), None)


def holds(case: Case, mix: str, count: int) -> None:
    failure = first_failure(case, mix, count)
    if failure is not None:
        pytest.fail(as_test(failure.seed, failure.kinds, failure.steps, failure.problem))


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("name", [*CASES, *MORE])
def test_order_holds(name: str, mix: str) -> None:
    holds((CASES | MORE)[name], mix, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("name", [*CASES, *MORE])
def test_order_holds_under_many_schedules(name: str, mix: str) -> None:
    holds((CASES | MORE)[name], mix, SCHEDULES)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_without_the_old_route_order_is_lost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "_keeps_old_route", lambda _promise: False)
    for module in (vat, settling):
        monkeypatch.setattr(module, "is_under_way", lambda _promise: False)

    found = [(mix, first_failure(CASES[name], mix, LATEST)) for mix in MIXES]
    lost = next(
        ((m, f.seed) for m, f in found if f is not None and "after a later one" in str(f.problem)), None
    )

    assert lost is not None
    print(f"{name}: {lost}")


@pytest.mark.parametrize("mix", MIXES)
def test_order_holds_for_what_is_kept_in_a_field(mix: str) -> None:
    holds(Case(2, own_object, chases="befriend"), mix, FEW)
