"""Nothing hangs over from a failed turn, wherever it was interrupted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import captp
from tests.support import Solo, outcome


class Box(captp.Object):
    items: captp.List[int]
    table: captp.Map[str, int]
    tags: captp.Set[int]
    count: int = 0


WRITES: list[Callable[[Box], Any]] = [
    lambda b: b.items.append(9),
    lambda b: b.items.insert(1, 9),
    lambda b: b.items.pop(0),
    lambda b: b.items.reverse(),
    lambda b: b.items.__setitem__(0, 9),
    lambda b: b.items.extend([8, 9]),
    lambda b: b.items.sort(),
    lambda b: b.table.__setitem__("new", 9),
    lambda b: b.table.__setitem__("a", 9),
    lambda b: b.table.pop("a"),
    lambda b: b.table.clear(),
    lambda b: b.tags.add(9),
    lambda b: b.tags.discard(1),
    lambda b: b.tags.clear(),
    lambda b: setattr(b, "items", [9]),
]


@pytest.mark.parametrize("write", WRITES)
def test_an_interrupt_between_any_two_lines_of_a_write_leaves_no_half_of_it(
    write: Callable[[Box], Any],
) -> None:
    def interrupted_at(line: int) -> bool:
        """Interrupt the write at its n-th line; return whether it had that many."""
        solo, box = Solo(), Box(items=[3, 1, 2], table={"a": 1, "b": 2}, tags={1, 2})
        solo.ref(box)
        left = line

        def trace(frame: Any, event: str, arg: object) -> Any:
            nonlocal left
            inside = frame.f_code.co_filename.endswith("containers.py")
            if event == "line" and inside:
                left -= 1
                if left == 0:
                    sys.settrace(None)
                    raise KeyboardInterrupt
            return trace

        def body() -> None:
            before = sys.gettrace()
            sys.settrace(trace)
            try:
                write(box)
            finally:
                sys.settrace(before)
            raise captp.Refused("roll back")

        with pytest.raises((KeyboardInterrupt, captp.Refused)):
            solo.turn(body)
        assert (list(box.items), dict(box.table), set(box.tags)) == ([3, 1, 2], {"a": 1, "b": 2}, {1, 2})
        return left == 0

    line = 1
    while interrupted_at(line):
        line += 1
    assert line < 100


class Account(captp.Interface):
    @captp.method
    def deposit(self, amount: int) -> int: ...


class Purse(captp.Object, Account):
    total: int = 0
    log: captp.List[str]

    @captp.method
    def deposit(self, amount: int) -> int:
        self.total += amount
        self.log.append(f"+{amount}")
        return self.total

    @captp.method
    def transfer(self, other: Account, amount: int, fails_with: int) -> None:
        target = captp.near(other, Purse)
        self.total -= amount
        self.log.append("sent")
        target.deposit(amount)
        other.deposit.only(1_000)
        error = ERRORS[fails_with]
        if error is not None:
            raise error


ERRORS: list[BaseException | None] = [
    None,
    captp.Refused("no"),
    ValueError("no"),
    MemoryError(),
    RecursionError("no"),
    StopIteration("no"),
    AssertionError("no"),
    ExceptionGroup("no", [ValueError("inner")]),
    KeyboardInterrupt(),
    SystemExit(3),
    GeneratorExit(),
]


@pytest.mark.parametrize("index", range(1, len(ERRORS)), ids=[type(e).__name__ for e in ERRORS[1:]])
def test_a_transfer_that_raises_midway_changes_neither_account_and_sends_nothing(index: int) -> None:
    solo, one, other = Solo(), Purse(total=10), Purse(total=1)
    ref, target = solo.ref(one), solo.ref(other, Account)
    error = ERRORS[index]

    promise = ref.transfer(target, 5, index)
    if isinstance(error, Exception):
        solo.run()
        with pytest.raises(captp.Broken):
            outcome(promise)
    else:
        with pytest.raises(type(error)):
            solo.run()
        solo.run()

    assert (one.total, list(one.log)) == (10, [])
    assert (other.total, list(other.log)) == (1, [])
    solo.peer.check()


def test_a_transfer_that_succeeds_changes_both_and_sends_after_it() -> None:
    solo, one, other = Solo(), Purse(total=10), Purse(total=1)
    ref, target = solo.ref(one), solo.ref(other, Account)

    solo.value(ref.transfer(target, 5, 0))

    assert (one.total, list(one.log)) == (5, ["sent"])
    assert (other.total, list(other.log)) == (1_006, ["+5", "+1000"])


def test_after_an_interrupt_went_up_the_messages_behind_it_still_run() -> None:
    solo, one, other = Solo(), Purse(total=10), Purse()
    ref, target = solo.ref(one), solo.ref(other, Account)
    ref.transfer.only(target, 5, ERRORS.index(next(e for e in ERRORS if type(e) is KeyboardInterrupt)))
    behind = ref.deposit(3)

    with pytest.raises(KeyboardInterrupt):
        solo.run()

    assert solo.value(behind) == 13
    assert solo.value(ref.deposit(1)) == 14
    solo.peer.check()


def test_an_endless_recursion_rolls_back_and_breaks_only_its_own_promise() -> None:
    class Deep(captp.Object):
        count: int = 0

        @captp.method
        def dive(self) -> int:
            self.count += 1
            return self.dive()

    solo, deep = Solo(), Deep()
    ref = solo.ref(deep)

    with pytest.raises(captp.RemoteFault) as fault:
        solo.value(ref.dive())

    assert fault.value.class_name == "RecursionError"
    assert deep.count == 0
    solo.peer.check()
