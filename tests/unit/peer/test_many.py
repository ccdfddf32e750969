"""Batches of calls as a peer may send them: each part is checked, and a limit holds at N and N+1."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.limits import Limits
from captp.model.faults import from_wire
from captp.model.plan import MANY
from captp.model.promise import Promise
from tests.support import Solo
from tests.unit.peer.pair import Counter, outcome, pair


def ask(*batch: Any, limits: Limits | None = None) -> Any:
    it = pair(theirs=limits)
    counter = it.a.want(it.a.enliven(it.b.mint(Counter())))
    promise = it.a.want(it.a.vat.send(counter, MANY, batch, None, Promise))
    it.net.rest()
    it.a.peer.check()
    it.b.peer.check()
    return outcome(promise)


@pytest.mark.parametrize(
    "batch",
    [
        (),
        (1,),
        ("add", 1),
        ("add", 1, 2),
        ("add", 0, ()),
        ("add", -1, (1,)),
        ("add", True, (1,)),
        ("add", (1, "x"), (1,)),
        ("add", (1, True), (1, 2)),
        ("add", (2, -1), (1,)),
        ("add", 2, (1, 2, 3)),
        ("add", (1, 1), (1,)),
        ("add", (1,), (1, 2)),
        (("add", "add"), (1,), (1,)),
        (("add", 7), 1, (1, 2)),
        (7, 1, (1,)),
        (("add",), 1, (1,), ()),
        (("add",), 0, (), (7,)),
        (("add",), 0, (), 7),
        (("add",), 1, (1,), (None,), ()),
    ],
)
def test_what_is_no_batch_is_refused_whole(batch: tuple[Any, ...]) -> None:
    with pytest.raises(captp.BadArguments):
        ask(*batch)


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("add", ("x",), captp.BadArguments),
        ("add", (), captp.BadArguments),
        ("", (1,), captp.NoSuchMethod),
        ("_on_add", (), captp.NoSuchMethod),
        ("captp:plan", (((), 1),), captp.NoSuchMethod),
        ("captp:many", ((), ()), captp.NoSuchMethod),
        ("never", (), captp.Broken),
    ],
)
def test_a_call_that_does_not_fit_breaks_alone(name: Any, args: Any, error: type) -> None:
    values, broken = ask(("add", name, "add"), (1, len(args), 1), (1, *args, 2))

    assert values == (1, None, 2)
    assert [at for at, _fault in broken] == [1]
    assert isinstance(from_wire(broken[0][1]), error)


@pytest.mark.parametrize("count", [4, 5])
def test_a_batch_has_a_limit(count: int) -> None:
    batch = ("add", 1, (1,) * count)

    if count == 4:
        assert len(ask(*batch, limits=Limits(plan_steps=4))[0]) == 4
    else:
        with pytest.raises(captp.BadArguments):
            ask(*batch, limits=Limits(plan_steps=4))


def test_keyword_arguments_are_checked() -> None:
    values, broken = ask("add", 0, (), ({"number": 2}, {"other": 2}))

    assert values == (2, None)
    assert [at for at, _fault in broken] == [1]


@pytest.mark.parametrize("names", ["add", ("add", "add")])
@pytest.mark.parametrize("counts", [1, (1, 1)])
def test_what_all_calls_have_may_be_said_once(names: Any, counts: Any) -> None:
    assert ask(names, counts, (1, 2)) == ((1, 2), ())


def test_a_batch_of_no_calls_does_nothing() -> None:
    assert ask((), (), ()) == ((), ())


def test_each_call_of_a_batch_counts_as_a_delivery_so_that_others_have_their_go() -> None:
    solo, counter = Solo(), Counter()
    ref = solo.ref(counter)
    for _ in range(3):
        solo.vat.send(ref, MANY, ("add", 1, (1,) * 8), None, Promise)

    solo.run(8)
    assert len(counter.seen) == 8
    solo.run()
    assert len(counter.seen) == 24
