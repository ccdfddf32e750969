"""Messages on one reference arrive in the order sent, also while a promise takes a shorter way."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.errors import Disconnected
from captp.model.promise import Reference
from captp.model.send import E
from tests.unit.peer.pair import Counter, Host, Net, Shop, outcome, pair


@define
class Party:
    """Hosts that the first one knows; ``refs[i]`` is its reference to the thing of host i."""

    net: Net
    hosts: list[Host]
    things: list[Counter]
    refs: list[Any]


def nothing_under_way(host: Any) -> bool:
    """Say whether no promise of a host keeps an old route any more."""
    tables = [link.session.tables for link in host.sessions]
    return not any(q.unanswered for t in tables for q in t.questions.values())


def party(count: int) -> Party:
    net = Net()
    hosts = [net.host(seed) for seed in range(1, count + 1)]
    things = [Counter() for _ in hosts]
    sturdyrefs = [host.mint(thing) for host, thing in zip(hosts, things, strict=True)]
    refs = [hosts[0].want(hosts[0].enliven(s, Shop)) for s in sturdyrefs]
    net.rest()
    return Party(net, hosts, things, [outcome(r) for r in refs])


def through(it: Party, way: list[int], target: Any) -> Any:
    """Return a promise for ``target`` that each host on the way hands back, the last one first."""
    for stop in reversed(way):
        target = E(it.refs[stop]).give_back(target)
    return target


WAYS = {
    "two-party": (2, [1], 1),
    "two-party, back home": (2, [1], 0),
    "chain": (3, [1], 2),
    "chain, there and back": (3, [1, 2], 1),
    "chain, back home": (3, [1, 2], 0),
    "four-party": (4, [1, 2, 3], 3),
    "four-party, target in the middle": (4, [1, 3, 2], 1),
    "four-party, all the way home": (4, [1, 2, 3], 0),
}


@pytest.mark.parametrize("case", WAYS)
def test_what_was_sent_before_and_after_a_promise_settled_arrives_in_order(case: str) -> None:
    count, way, target = WAYS[case]
    it = party(count)
    a = it.hosts[0]
    p = a.want(through(it, way, it.refs[target]))

    sent = 0
    for _ in range(60):
        E(p).add(sent)
        sent += 1
        for host in it.hosts:
            host.run()
        for wire in it.net.wires:
            wire.near.deliver(30)
            wire.far.deliver(30)
    it.net.rest()

    assert p.settled
    assert list(it.things[target].seen) == list(range(sent))


@pytest.mark.parametrize("case", WAYS)
@pytest.mark.parametrize("only", [False, True])
def test_send_on_a_promise_await_it_send_on_the_result(case: str, only: bool) -> None:
    count, way, target = WAYS[case]
    it = party(count)
    a = it.hosts[0]
    p = a.want(through(it, way, it.refs[target]))
    for i in range(3):
        E(p).add.only(i) if only else E(p).add(i)

    while not p.settled:
        assert _step(it)
    result = outcome(p)
    for i in range(3, 6):
        E(result).add(i)
    E(p).add(6)
    it.net.rest()

    assert list(it.things[target].seen) == list(range(7))


def _step(it: Party) -> bool:
    """Move as little as possible; return whether anything moved."""
    for host in it.hosts:
        if host.vat.has_work or host.peer.touched or host.peer.outputs:
            host.run()
            return True
    return any(end.deliver(20) for wire in it.net.wires for end in (wire.near, wire.far))


@pytest.mark.parametrize("case", WAYS)
def test_the_old_way_ends_once_all_has_arrived(case: str) -> None:
    count, way, target = WAYS[case]
    it = party(count)
    p = it.hosts[0].want(through(it, way, it.refs[target]))
    E(p).add(1)
    it.net.rest()

    E(p).add(2)
    it.net.rest()

    assert list(it.things[target].seen) == [1, 2]
    for host in it.hosts:
        assert nothing_under_way(host)


def test_the_old_way_ends_also_when_nobody_waits_for_what_was_sent_on_it() -> None:
    it = party(2)
    a = it.hosts[0]
    p = a.want(it.refs[1].me())
    unheard = [p.me() for _ in range(3)]
    it.net.rest()

    E(p).add(1)
    it.net.rest()

    assert len(unheard) == 3
    assert nothing_under_way(a)
    assert list(it.things[1].seen) == [1]


def test_a_settled_promise_sends_straight_to_its_target_afterwards() -> None:
    it = party(3)
    a, b = it.hosts[:2]
    p = a.want(through(it, [1], it.refs[2]))
    it.net.rest()
    heard = it.net.link(b, a).session.received

    E(p).add(1)
    it.net.rest()

    assert list(it.things[2].seen) == [1]
    assert it.net.link(b, a).session.received == heard


def test_an_awaited_reference_equals_any_other_to_its_target() -> None:
    it = party(2)
    a = it.hosts[0]
    p = a.want(through(it, [1], it.refs[1]))
    E(p).add(1)

    while not p.settled:
        assert _step(it)

    assert outcome(p) == it.refs[1]
    assert captp.same(outcome(p), it.refs[1])


# A queue: who waits for an item must not keep the item from coming.


class Queue(captp.Interface):
    @captp.method
    def get(self) -> Shop: ...

    @captp.method
    def put(self, item: Any) -> None: ...


class Fifo(captp.Object, Queue):
    """Gives promises to who comes before the items."""

    __slots__ = ("_new",)

    resolvers: captp.List[Any]

    def __init__(self, new: Callable[[], Any]) -> None:
        self._new = new
        WAITING.clear()

    @captp.method
    def get(self) -> Shop:
        promise, resolver = self._new()
        WAITING.append(resolver)
        return promise  # type: ignore[no-any-return]

    @captp.method
    def put(self, item: Any) -> None:
        WAITING.pop(0).fulfill(item)


WAITING: list[Any] = []


@pytest.mark.parametrize("stops", [0, 1, 2])
def test_a_get_followed_by_a_put_does_not_deadlock(stops: int) -> None:
    it = party(3)
    a, b = it.hosts[:2]
    fetched = a.want(a.enliven(b.mint(Fifo(b.vat.promise)), Queue))
    it.net.rest()
    queue: Any = a.want(through(it, [2, 1][:stops], outcome(fetched)))

    item = E(queue).get()
    first = a.want(E(item).add(1))
    E(queue).put(it.refs[1])
    second = a.want(E(item).add(2))
    it.net.wait(1)

    assert outcome(first) == 1
    assert outcome(second) == 2
    assert list(it.things[1].seen) == [1, 2]


def test_a_put_before_its_get_was_awaited_reaches_who_awaits_it() -> None:
    it = pair()
    fetched = it.a.want(it.a.enliven(it.b.mint(Fifo(it.b.vat.promise)), Queue))
    it.net.rest()
    queue = outcome(fetched)

    item = it.a.want(queue.get())
    it.net.rest()
    before = item.settled
    queue.put(it.ref)
    it.net.rest()

    assert not before
    assert outcome(item) == it.ref


def test_sends_on_a_promise_that_never_settles_hold_nothing_else_up() -> None:
    it = party(3)
    p = E(it.refs[1]).never()
    E(p).add(1)

    E(it.refs[2]).add(2)
    it.net.rest()

    assert list(it.things[2].seen) == [2]


def test_a_lost_connection_on_the_old_way_breaks_what_was_on_it_and_frees_the_new_way() -> None:
    it = party(3)
    a, b = it.hosts[:2]
    p = a.want(through(it, [1], it.refs[2]))
    (to_b,) = [wire for wire in it.net.wires if wire.far.host is b]
    on_the_way = a.want(E(p).add(1))
    while not p.settled:
        assert _step(it)
    late = a.want(E(outcome(p)).add(2))
    a.run()

    to_b.cut()
    it.net.rest()
    after = a.want(E(outcome(p)).add(3))
    it.net.rest()

    assert on_the_way.settled
    with pytest.raises(Disconnected):
        outcome(late)
    assert outcome(after) == 3
    assert nothing_under_way(a)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.booleans(), st.booleans()),
        st.tuples(st.just("run"), st.integers(0, 3), st.integers(1, 50)),
        st.tuples(st.just("move"), st.integers(0, 5), st.sampled_from([5, 40, 1000])),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 3), STEPS)
def test_order_holds_whatever_the_way_and_whatever_moves_when(
    way: list[int], target: int, steps: list[tuple[str, Any, Any]]
) -> None:
    it = party(4)
    a = it.hosts[0]
    p = a.want(through(it, way, it.refs[target]))
    holds: Reference = p
    ends = [end for wire in it.net.wires for end in (wire.near, wire.far)]
    sent = 0

    for what, one, other in steps:
        if what == "run":
            it.hosts[one].run(other)
        elif what == "move":
            ends[one].deliver(other)
        else:
            if one and p.settled:
                holds = outcome(p)
            E(holds).add.only(sent) if other else E(holds).add(sent)
            sent += 1
    it.net.rest()

    assert list(it.things[target].seen) == list(range(sent))
