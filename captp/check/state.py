"""What is so at one point of a function: variables, bindings, borrows, what has moved and what is over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from attrs import define, field, frozen

from captp.check.finding import Step
from captp.check.values import Id, Value, bounded

__all__ = ["Bind", "Event", "Held", "State", "join"]

Trail: TypeAlias = tuple[Step, ...]
#: What tests and constants say of variables: a name and an aspect, and whether it holds.
Facts: TypeAlias = dict[tuple[str, str], bool]


@frozen
class Bind:
    """A capability that is bound; ``*`` stands for those that are not known."""

    cap: str
    mode: str
    step: Step


@frozen
class Held:
    """A borrow that is held: ``number`` is that of its binding, -1 for one that callers have."""

    cap: str
    mode: str
    step: Step
    number: int


@frozen
class Event:
    """Where a unique reference came to be or went, and what was known of variables there."""

    trail: Trail
    facts: tuple[tuple[tuple[str, str], bool], ...]


@define(eq=False)
class State:
    """Copied where the flow parts, joined where it meets."""

    env: dict[str, Value] = field(factory=dict)
    bound: tuple[Bind, ...] = ()
    held: tuple[Held, ...] = ()
    moved: dict[Id, Event] = field(factory=dict)
    #: Unique references that must be used, and are not yet.
    owed: dict[Id, Event] = field(factory=dict)
    #: Bindings that were borrowed to be changed, by capability and number, and the views made since.
    changed: dict[tuple[str, int], Trail] = field(factory=dict)
    fresh: dict[Id, tuple[str, int]] = field(factory=dict)
    #: Views whose block is over.
    ended: dict[Id, Step] = field(factory=dict)
    facts: Facts = field(factory=dict)
    is_alive: bool = True

    def copy(self) -> State:
        return State(
            dict(self.env),
            self.bound,
            self.held,
            dict(self.moved),
            dict(self.owed),
            dict(self.changed),
            dict(self.fresh),
            dict(self.ended),
            dict(self.facts),
            self.is_alive,
        )

    def forget(self, name: str) -> None:
        """Drop what is known of a variable that gets another value."""
        if self.facts:
            for key in [key for key in self.facts if key[0] == name]:
                del self.facts[key]
        for events in (self.moved, self.owed):
            for id, event in events.items():
                if any(key[0] == name for key, _ in event.facts):
                    kept = tuple(item for item in event.facts if item[0][0] != name)
                    events[id] = Event(event.trail, kept)

    def contradicts(self, event: Event) -> bool:
        """Tell whether what is known here rules out the way on which something happened."""
        return any(self.facts.get(key, holds) is not holds for key, holds in event.facts)


def join(states: Iterable[State]) -> State:
    """Return what is so where several flows meet; none of them alive is dead."""
    alive = [state for state in states if state.is_alive]
    if not alive:
        return State(is_alive=False)
    first = alive[0]
    for other in alive[1:]:
        first = _two(first, other)
    return first


def _two(one: State, other: State) -> State:
    env = dict(one.env)
    for name, value in other.env.items():
        mine = env.get(name)
        if mine is None:
            env[name] = value
        elif mine is not value and mine != value:
            env[name] = bounded(mine | value)
    facts = {k: v for k, v in one.facts.items() if other.facts.get(k) is v} if one.facts else {}
    fresh: dict[Id, tuple[str, int]] = {}
    if one.fresh or other.fresh:
        fresh = {k: v for k, v in one.fresh.items() if k in other.fresh or v not in other.changed}
        fresh.update({k: v for k, v in other.fresh.items() if k in one.fresh or v not in one.changed})
    longest: Any = one if len(one.bound) >= len(other.bound) else other
    return State(
        env,
        longest.bound,
        one.held if len(one.held) <= len(other.held) else other.held,
        _events(one, one.moved, other, other.moved),
        _events(one, one.owed, other, other.owed),
        {**other.changed, **one.changed},
        fresh,
        {**other.ended, **one.ended},
        facts,
    )


def _events(one: State, of_one: dict[Id, Event], other: State, of_other: dict[Id, Event]) -> dict[Id, Event]:
    """Return what may have happened on either of two ways, with what is known of each."""
    found: dict[Id, Event] = {}
    for state, mine, others in ((one, of_one, of_other), (other, of_other, of_one)):
        for id, event in mine.items():
            against = others.get(id)
            if against is not None:
                facts = tuple(item for item in event.facts if item in against.facts)
                found.setdefault(id, Event(event.trail, facts))
            elif not state.contradicts(event):
                known = {**dict(event.facts), **state.facts}
                found[id] = Event(event.trail, tuple(sorted(known.items())))
    return found
