"""What ends more than a call leaves a border empty; no class can have its exceptions leave whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp import Capsule
from captp.model.interrupts import emptied
from tests.custody.graph import reaches

#: What must not leave.
SECRET: list[Any] = [object()]


class Out(BaseException):
    """Ends more than a call."""

    kept: Any = None


class Slotted(BaseException):
    __slots__ = ("kept",)

    kept: Any


class OddDict(dict[str, Any]):
    """Has room for more."""


def with_args() -> BaseException:
    return Out(SECRET)


def with_attribute() -> BaseException:
    problem = Out()
    problem.kept = SECRET
    return problem


def with_slot() -> BaseException:
    problem = Slotted()
    problem.kept = SECRET
    return problem


def with_note() -> BaseException:
    problem = Out()
    problem.__notes__ = [SECRET]  # type: ignore[list-item]
    return problem


def with_cause() -> BaseException:
    problem = Out()
    problem.__cause__ = Out(SECRET)
    return problem


def with_odd_names() -> BaseException:
    problem = Out()
    names = OddDict(a=1)
    names.kept = SECRET  # type: ignore[attr-defined]
    problem.__dict__ = names
    return problem


def with_group() -> BaseException:
    return BaseExceptionGroup("both", [Out(SECRET), KeyboardInterrupt()])


def with_code() -> BaseException:
    return SystemExit(SECRET)


WAYS = [with_args, with_attribute, with_slot, with_note, with_cause, with_odd_names, with_group, with_code]


def fly(_: Any, way: Callable[[], BaseException]) -> None:
    local = SECRET
    assert local
    raise way()


@pytest.mark.parametrize("way", WAYS)
def test_what_ends_more_than_a_call_works_where_nothing_is_taken_from_it(
    way: Callable[[], BaseException],
) -> None:
    assert reaches(way(), (SECRET,))


@pytest.mark.parametrize("way", WAYS)
def test_what_ends_more_than_a_call_leaves_an_access_empty(way: Callable[[], BaseException]) -> None:
    key = Capsule.create()

    with pytest.raises(type(way())) as raised:
        key.access(fly, way)

    assert reaches(raised.value, (SECRET,), (key,)) == ""
    key.access(lambda _: None)


@pytest.mark.parametrize("way", WAYS)
async def test_what_ends_more_than_a_call_leaves_a_trustee_empty(way: Callable[[], BaseException]) -> None:
    async with captp.open_vat() as vat:
        trust = vat.entrust([])
        with pytest.raises(type(way())) as raised:
            await trust.apply(fly, way)
        with pytest.raises(type(way())) as at_once:
            trust.apply_now(fly, way)

        assert reaches(raised.value, (SECRET,), (trust, vat)) == ""
        assert reaches(at_once.value, (SECRET,), (trust, vat)) == ""
        assert await trust.apply(len) == 0


def test_plain_data_and_the_exception_itself_stay() -> None:
    problem = Out(0, "text", [1])
    problem.kept, problem.zero = "reason", 0  # type: ignore[attr-defined]

    assert emptied(problem) is problem
    assert problem.args == (0, "text", (1,))
    assert (problem.kept, problem.zero) == ("reason", 0)  # type: ignore[attr-defined]
    assert emptied(SystemExit(3)).code == 3  # type: ignore[attr-defined]


class RefusesNotes(Exception):
    def add_note(self, _note: str) -> None:
        raise ValueError("no notes")


class OddNotes(Exception):
    __notes__ = 5  # type: ignore[assignment]


class HidesFrames(Exception):
    @property
    def __traceback__(self) -> Any:
        raise ValueError("no frames")


class OddCause(Exception):
    @property
    def __cause__(self) -> Any:
        return 5


class HidesAll(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise KeyError(name)


class HidesGroup(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> Any:
        raise ValueError("no members")


class EndsAll(Exception):
    def __str__(self) -> str:
        raise Out(SECRET)


@pytest.mark.parametrize(
    "cls", [RefusesNotes, OddNotes, HidesFrames, OddCause, HidesAll, HidesGroup, EndsAll]
)
def test_no_class_keeps_its_exceptions_from_staying_inside(cls: type[Exception]) -> None:
    def raises(_: Any) -> None:
        local = SECRET
        assert local
        raise cls("both", [ValueError(1)]) if cls is HidesGroup else cls(SECRET)

    key = Capsule.create()
    with pytest.raises(captp.Encapsulated) as raised:
        key.access(raises)

    assert reaches(raised.value, (SECRET,), (key,)) == ""
    assert key.access(lambda access: type(access.open(raised.value)) is cls)[0]
