"""What is declared is asked before the body runs; what needs context does not become a reference."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

import pytest
import trio

import captp
from captp import Arena
from tests.context.people import People, Person, Words, line, two
from tests.support import Solo

T = TypeVar("T")
ran: list[str] = []


@captp.needs(People.mut, Words.ref)
def enter(name: str) -> str:
    """Enter somebody."""
    ran.append(name)
    with People.mut() as people:
        people.insert(Person(name))
    return name + Words.get()[0]


@captp.needs(Words.mut)
async def later() -> None:
    with Words.mut() as words:
        words.append("later")


def test_a_missing_need_is_told_before_the_body_runs() -> None:
    ran.clear()
    with captp.bind(Words.ref(["!"])):
        with pytest.raises(captp.MissingContext, match=f"People.mut is needed at .*:{line('# calls it')}"):
            enter("eve")  # calls it
        with captp.bind(People.ref(two()[0])), pytest.raises(captp.MissingContext, match="read only"):
            enter("eve")
        with captp.bind(People.mut(two()[0])):
            assert enter("eve") == "eve!"

    assert ran == ["eve"]
    assert (enter.__name__, enter.__doc__) == ("enter", "Enter somebody.")


async def test_an_async_function_declares_too() -> None:
    with pytest.raises(captp.MissingContext):
        await later()
    words: list[str] = []
    with captp.bind(Words.mut(words)):
        await later()

    assert words == ["later"]


async def test_a_need_is_told_before_an_async_body_runs_and_of_each_mark() -> None:
    ran.clear()

    @captp.needs(Words.ref)
    @captp.needs(People.ref)
    async def both() -> None:
        ran.append("both")

    for given in (captp.bind(Words.ref([])), captp.bind(People.ref(Arena()))):
        with given, pytest.raises(captp.MissingContext):
            await both()
    with captp.bind(Words.ref([]), People.ref(Arena())):
        await both()

    assert ran == ["both"]


async def test_a_child_task_is_told_before_the_body_runs() -> None:
    ran.clear()

    async def child() -> None:
        with pytest.raises(captp.MissingContext, match="by another task"):
            enter("eve")

    with captp.bind(People.mut(Arena()), Words.ref(["!"])):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    assert ran == []


def test_what_needs_context_is_no_reference() -> None:
    class CannotBeUnsized(captp.Object):
        @captp.method
        @captp.needs(People.ref)
        def do_something(self) -> int:
            return len(People.get())

    with pytest.raises(captp.UnsizeError, match=r"do_something\(\) needs People.ref"):
        _export(CannotBeUnsized())
    with captp.bind(People.ref(two()[0])):
        assert CannotBeUnsized().do_something() == 2
        with pytest.raises(captp.UnsizeError):
            _export(CannotBeUnsized())


def test_what_binds_its_needs_itself_becomes_a_reference() -> None:
    class CanBeUnsized(captp.Object):
        @captp.method
        def do_something(self) -> int:
            with captp.bind(People.mut(Arena())):
                return len(People.get())

    _export(CanBeUnsized())


def _export(obj: captp.Object) -> Any:
    return Solo().vat.reference(obj)


def test_the_order_of_the_marks() -> None:
    with pytest.raises(captp.UsageError, match=r"put @captp\.needs below @captp\.method"):

        class Wrong(captp.Object):
            @captp.needs(People.ref)
            @captp.method
            def do_something(self) -> int:
                return 1


def test_a_capability_has_one_type() -> None:
    class Silent(Protocol): ...

    @runtime_checkable
    class Loud(Protocol):
        def shout(self) -> None: ...

    for wrong, why in (
        (Arena[T], "stands for any type"),  # type: ignore[valid-type]
        (Any, "takes a class"),
        (Silent, "make it a captp.Interface"),
    ):
        with pytest.raises(captp.UsageError, match=why):
            captp.Cap("Wrong", wrong)  # type: ignore[type-abstract]
    captp.Cap("Right", Loud)  # type: ignore[type-abstract]
    with pytest.raises(captp.UsageError, match="the name of the variable"):
        captp.Cap("not a name", int)


class TestTie:
    """Results that are good as long as what is bound."""

    @staticmethod
    @captp.tie(People.ref)
    def somebody(at: Any) -> Person:
        with People.ref() as people:
            return people[at]

    @staticmethod
    @captp.tie(People.ref)
    def whole(people: Arena[Person]) -> Arena[Person]:
        return people

    @staticmethod
    @captp.tie(People.mut)
    def to_change(at: Any) -> captp.Borrow[Person]:
        return People.mut().map(lambda people: people[at])

    @staticmethod
    @captp.tie(People.mut)
    def wrong() -> int:
        return 3

    def test_tied_value_expires(self) -> None:
        people, ann, _bob = two()
        with captp.bind(People.mut(people)):
            person, all_of_them = self.somebody(ann), self.whole(people)
            assert (person.name, len(all_of_them)) == ("ann", 2)
            with pytest.raises(captp.BorrowConflict):
                all_of_them[ann].rename("x")
            with self.to_change(ann) as changed:
                changed.rename("anna")
            for late in (lambda: person.name, lambda: len(all_of_them)):
                with pytest.raises(captp.BorrowConflict, match="used too late"):
                    late()
            again = self.somebody(ann)

        with pytest.raises(captp.MissingContext):
            again.name  # noqa: B018

    def test_what_is_tied_to_a_change_is_a_borrow(self) -> None:
        with (
            captp.bind(People.mut(two()[0])),
            pytest.raises(captp.UsageError, match=r"is tied to People\.mut"),
        ):
            self.wrong()
