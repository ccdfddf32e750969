"""What is so at one point of a function: variables, bindings, borrows, what has moved and what is over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from attrs import define, field, frozen

from captp.check.finding import Step
from captp.check.values import Id, Value, bounded

__all__ = ["Bind", "Held", "Moved", "State", "join"]

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
class Moved:
    """Where a unique reference went, and what was known of variables there."""

    trail: Trail
    facts: tuple[tuple[tuple[str, str], bool], ...]


@define(eq=False)
class State:
    """Copied where the flow parts, joined where it meets."""

    env: dict[str, Value] = field(factory=dict)
    bound: tuple[Bind, ...] = ()
    held: tuple[Held, ...] = ()
    moved: dict[Id, Moved] = field(factory=dict)
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
        if self.moved:
            for id, moved in self.moved.items():
                if any(key[0] == name for key, _ in moved.facts):
                    kept = tuple(item for item in moved.facts if item[0][0] != name)
                    self.moved[id] = Moved(moved.trail, kept)

    def contradicts(self, moved: Moved) -> bool:
        """Tell whether what is known here rules out the way on which something moved."""
        return any(self.facts.get(key, holds) is not holds for key, holds in moved.facts)


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
    moved: dict[Id, Moved] = {}
    for mine_state, other_state in ((one, other), (other, one)) if one.moved or other.moved else ():
        for id, entry in mine_state.moved.items():
            against = other_state.moved.get(id)
            if against is None:
                known = {**dict(entry.facts), **mine_state.facts}
                moved[id] = Moved(entry.trail, tuple(sorted(known.items())))
            elif id not in moved:
                both = tuple(item for item in entry.facts if item in against.facts)
                moved[id] = Moved(entry.trail, both)
    fresh: dict[Id, tuple[str, int]] = {}
    if one.fresh or other.fresh:
        fresh = {k: v for k, v in one.fresh.items() if k in other.fresh or v not in other.changed}
        fresh.update({k: v for k, v in other.fresh.items() if k in one.fresh or v not in one.changed})
    longest: Any = one if len(one.bound) >= len(other.bound) else other
    return State(
        env,
        longest.bound,
        one.held if len(one.held) <= len(other.held) else other.held,
        moved,
        {**other.changed, **one.changed},
        fresh,
        {**other.ended, **one.ended},
        facts,
    )
