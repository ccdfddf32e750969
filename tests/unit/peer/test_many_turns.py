"""The calls of a batch are turns like any other, whether they are all of one method or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest

import captp
from captp.limits import Limits
from captp.model.current import CAPS
from captp.model.faults import from_wire
from captp.model.plan import MANY
from captp.model.promise import Promise
from tests.support import Solo

WORD: ContextVar[str] = ContextVar("word", default="")


class Log(captp.Object):
    seen: captp.List[Any]

    @captp.method
    def note(self, what: Any) -> None:
        self.seen.append(what)


class Actor(captp.Object):
    face: Any
    count: int = 0

    @captp.method
    def act(self, times: int, fails: bool) -> int:
        """Count, and tell the log so often."""
        self.count += 1
        for _ in range(times):
            captp.E(self.face).note.only(self.count)
        if fails:
            raise captp.Refused("no")
        return self.count

    @captp.method
    def give(self, what: str, _: bool) -> Any:
        return {"text": what, "list": [1], "me": self, "none": None}[what]

    @captp.method
    def leave(self, word: str, _: bool) -> str:
        before = WORD.get()
        WORD.set(word)
        return before


class Steps:
    """What a turn enters and leaves."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def enter(self, obj: Any, row: Any) -> None:
        self.told.append("in")

    def leave(self, obj: Any, row: Any, *, committed: bool) -> None:
        self.told.append(committed)


class Scene:
    """An actor, its log, and batches for it."""

    def __init__(self, many_names: bool, limits: Limits | None = None) -> None:
        self.solo, self.log = Solo(limits), Log()
        self.actor = Actor(face=self.solo.ref(self.log))
        self.ref = self.solo.ref(self.actor)
        self.many_names = many_names

    def ask(self, name: str, *calls: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[int, Exception]]:
        """Return what a batch of calls gave, and by their numbers what broke some of them."""
        names = (name,) * len(calls) if self.many_names else name
        batch = (names, 2, tuple([arg for call in calls for arg in call]))
        values, broken = self.solo.value(self.solo.vat.send(self.ref, MANY, batch, None, Promise))
        self.solo.peer.check()
        return values, {at: from_wire(fault) for at, fault in broken}


@pytest.fixture(params=[False, True], ids=["one-name", "many-names"])
def many_names(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def caps() -> Iterator[None]:
    """A program with a contextual capability."""
    CAPS.add("Test")
    yield
    CAPS.remove("Test")


def test_a_call_that_raises_is_undone_alone(many_names: bool) -> None:
    scene = Scene(many_names)

    values, broken = scene.ask("act", (1, False), (2, True), (1, False), (1, True))

    assert values == (1, None, 2, None)
    assert {at: type(problem) for at, problem in broken.items()} == {1: captp.Refused, 3: captp.Refused}
    assert scene.actor.count == 2
    assert list(scene.log.seen) == [1, 2]


@pytest.mark.parametrize("limit", [1, 3])
def test_each_call_may_send_as_much_as_a_turn_and_one_more_undoes_it(limit: int, many_names: bool) -> None:
    scene = Scene(many_names, Limits(turn_sends=limit))

    values, broken = scene.ask("act", (limit, False), (limit + 1, False), (limit, False))

    assert values == (1, None, 2)
    assert {at: type(problem) for at, problem in broken.items()} == {1: captp.Overloaded}
    assert list(scene.log.seen) == [1] * limit + [2] * limit


def test_results_are_what_a_turn_gives(many_names: bool) -> None:
    scene = Scene(many_names)

    values, broken = scene.ask("give", ("none", False), ("text", False), ("list", False), ("me", False))

    assert values == (None, "text", (1,), scene.ref)
    assert not broken


def test_each_call_counts_as_a_turn(many_names: bool) -> None:
    scene = Scene(many_names)
    before = scene.solo.vat.turns.count

    scene.ask("act", (0, False), (0, True), (0, False))

    assert scene.solo.vat.turns.count == before + 3


def test_no_turn_is_open_behind_a_batch(many_names: bool) -> None:
    scene = Scene(many_names)

    scene.ask("act", (0, False), (0, True))

    with pytest.raises(captp.NotInTurn):
        scene.actor.count = 7


def test_each_call_enters_and_leaves_the_steps_of_a_turn(many_names: bool) -> None:
    scene, steps = Scene(many_names), Steps()
    scene.solo.vat.trustee.steps = (steps,)

    scene.ask("act", (0, False), (0, True), (0, False))

    assert steps.told == ["in", True, "in", False, "in", True]


@pytest.mark.usefixtures("caps")
def test_a_call_finds_nothing_that_the_one_before_has_left_in_the_context(many_names: bool) -> None:
    values, _ = Scene(many_names).ask("leave", ("one", False), ("two", False))

    assert values == ("", "")
    assert not WORD.get()


def test_a_method_that_cannot_be_compiled_breaks_each_call(many_names: bool) -> None:
    class Odd(captp.Object):
        @captp.method
        def never(self, what: NoSuchName, _: bool) -> None:  # type: ignore[name-defined] # noqa: F821
            """Do nothing."""

    scene = Scene(many_names)
    scene.ref = scene.solo.ref(Odd())

    values, broken = scene.ask("never", (1, False), (2, False))

    assert values == (None, None)
    assert list(broken) == [0, 1]
