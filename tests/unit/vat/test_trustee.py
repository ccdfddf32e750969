"""The trustee: who may write when, what steps a turn enters and leaves, and adoption."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest

import captp
from captp.errors import InvariantBroken, NotInTurn
from tests.support import Solo


class Cell(captp.Object):
    value: int = 0
    log: captp.List[int]

    @captp.method
    def put(self, value: int) -> int:
        self.value = value
        self.log.append(value)
        return value

    @captp.method
    def fail(self) -> None:
        self.value = 99
        raise captp.Refused("no")

    @captp.method
    async def pause(self, promise: captp.Promise[Any]) -> int:
        self.value += 1
        await promise
        self.value += 1
        return self.value


class Recorder:
    """A step that notes when it is entered and left."""

    def __init__(self, name: str, log: list[Any], breaks: str = "") -> None:
        self.name = name
        self.log = log
        self.breaks = breaks

    def enter(self, obj: Any, row: Any) -> None:
        if self.breaks == "enter":
            raise captp.Refused(f"{self.name} lets nobody in")
        self.log.append((self.name, "enter", type(obj).__name__, row.name))

    def leave(self, obj: Any, row: Any, *, committed: bool) -> None:
        self.log.append((self.name, "leave", row.name, committed))
        if self.breaks == "leave" and committed:
            raise captp.Refused(f"{self.name} lets nobody out")


def with_steps(*breaks: str) -> tuple[Solo, Cell, Any, list[Any]]:
    solo, cell, log = Solo(), Cell(), []  # type: ignore[var-annotated]
    ref = solo.ref(cell)
    names = "abc"
    solo.vat.trustee.steps = tuple(Recorder(names[i], log, b) for i, b in enumerate(breaks))
    return solo, cell, ref, log


def test_a_turn_enters_each_step_and_leaves_them_last_first() -> None:
    solo, _cell, ref, log = with_steps("", "")

    solo.value(ref.put(1))

    assert log == [
        ("a", "enter", "Cell", "put"),
        ("b", "enter", "Cell", "put"),
        ("b", "leave", "put", True),
        ("a", "leave", "put", True),
    ]


def test_a_turn_that_fails_leaves_its_steps_as_not_committed() -> None:
    solo, cell, ref, log = with_steps("")

    with pytest.raises(captp.Refused):
        solo.value(ref.fail())

    assert log[-1] == ("a", "leave", "fail", False)
    assert cell.value == 0


def test_a_step_that_lets_nobody_in_breaks_the_call_before_its_body_runs() -> None:
    solo, cell, ref, log = with_steps("", "enter", "")

    with pytest.raises(captp.Refused, match="b lets nobody in"):
        solo.value(ref.put(1))

    assert cell.value == 0
    assert log == [("a", "enter", "Cell", "put"), ("a", "leave", "put", False)]
    solo.peer.check()


def test_a_step_that_lets_nobody_out_rolls_the_turn_back_and_every_other_is_left_once() -> None:
    solo, cell, ref, log = with_steps("", "leave", "")

    with pytest.raises(captp.Refused, match="b lets nobody out"):
        solo.value(ref.put(1))

    assert cell.value == 0
    left = [entry[0] for entry in log if entry[1] == "leave"]
    assert sorted(left) == ["a", "b", "c"]
    solo.peer.check()


def test_each_step_of_a_fiber_is_entered_and_left_by_itself() -> None:
    solo, cell, ref, log = with_steps("")
    promise, resolver = solo.promise()

    running = ref.pause(promise)
    solo.run()
    resolver.fulfill(None)

    assert solo.value(running) == 2
    assert [(entry[1], entry[-1]) for entry in log] == [
        ("enter", "pause"),
        ("leave", True),
        ("enter", "pause"),
        ("leave", True),
    ]
    assert cell.value == 2


def test_a_step_that_lets_no_fiber_in_breaks_the_call_and_leaves_no_coroutine_behind() -> None:
    solo, cell, ref, _log = with_steps("enter")
    promise, _resolver = solo.promise()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(captp.Refused, match="a lets nobody in"):
            solo.value(ref.pause(promise))
        gc.collect()

    assert caught == []
    assert cell.value == 0
    assert solo.vat.dump()["fibers"] == []
    solo.peer.check()


def test_nothing_is_writable_between_turns_whatever_the_last_one_did() -> None:
    solo, cell = Solo(), Cell()
    ref = solo.ref(cell)
    promise, _resolver = solo.promise()

    for act in (lambda: ref.put(1), ref.fail, lambda: ref.pause(promise), lambda: ref.put.only(5)):
        kept = act()
        solo.run()
        with pytest.raises(NotInTurn):
            cell.value = 7
        with pytest.raises(NotInTurn):
            cell.log.append(7)
        del kept


def test_an_object_of_another_vat_is_not_writable_in_this_one_s_turn() -> None:
    here, there, cell = Solo(), Solo(seed=1), Cell()
    there.ref(cell)

    with pytest.raises(NotInTurn):
        here.turn(lambda: setattr(cell, "value", 7))

    assert cell.value == 0


def test_an_object_made_in_a_turn_that_fails_can_still_be_used() -> None:
    solo, cell = Solo(), Cell()
    made: list[Any] = []

    def body() -> None:
        made.append(solo.ref(cell))
        cell.value = 5
        raise captp.Refused("no")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert cell.value == 0
    assert solo.value(made[0].put(3)) == 3
    solo.peer.check()


def test_the_check_finds_a_turn_that_was_left_open() -> None:
    solo = Solo()
    solo.vat.trustee.in_turn = Cell()

    with pytest.raises(InvariantBroken, match="a turn was left open"):
        solo.peer.check()
