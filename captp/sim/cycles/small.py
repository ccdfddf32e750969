"""Every order in which things can happen in a very small world, with a bounded number of free choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import define, field, frozen

from captp.sim.cycles import build, inbound, outbound, owner, program, rest
from captp.sim.cycles.oracle import Violation
from captp.sim.cycles.twin import state, twin
from captp.sim.cycles.values import Far, Own, Ref
from captp.sim.cycles.vat import Vat
from captp.sim.cycles.world import World

Move = tuple[Any, ...]


@define(eq=False)
class Small:
    """A world, how many free choices its programs have left, and who may still begin a trace."""

    world: World
    choices: int
    starters: set[int] = field(factory=set)


@frozen
class Explored:
    """What was seen; ``path`` leads to ``violation`` when there is one."""

    states: int
    moves: int
    cuts: int
    is_whole: bool
    violation: str = ""
    path: tuple[Move, ...] = ()


def two(choices: int) -> Small:
    """Make a ring of two vats, with a root at the second; both may begin a trace."""
    world = World(2)
    ring = build.ring(world, [0, 1])
    world.vats[1].roots.append(ring[1])
    build.meet(world)
    return Small(world, choices, {0, 1})


def three(choices: int) -> Small:
    """Make a ring of three vats, with a root at the last; the first may begin a trace."""
    world = World(3)
    ring = build.ring(world, [0, 1, 2])
    world.vats[2].roots.append(ring[2])
    build.meet(world)
    return Small(world, choices, {0})


def third(choices: int) -> Small:
    """Make a ring of two vats, of which a third has an end as a root, which it is handing to the first."""
    world = World(3)
    build.ring(world, [0, 1])
    holder = world.vats[2]
    keeper = world.vats[0].new()
    world.vats[0].roots.append(keeper)
    held = build.refer(world, holder, world.vats[1], Own(1))
    known = build.refer(world, holder, world.vats[0], keeper)
    holder.roots += [held, known]
    build.meet(world)
    assert type(known) is Far
    outbound.deliver(world, holder, known, [held])
    return Small(world, choices, {0})


def explore(small: Small, most: int) -> Explored:
    """Go through all that can happen, breadth first, up to so many states."""
    seen = {hash(_state(small))}
    waiting: list[tuple[Small, tuple[Move, ...]]] = [(small, ())]
    moves = cuts = 0
    while waiting:
        following: list[tuple[Small, tuple[Move, ...]]] = []
        for at, path in waiting:
            for move in list(_moves(at)):
                moves += 1
                after = _twin(at)
                try:
                    _MOVES[move[0]](after, *move[1:])
                except Violation as problem:
                    return Explored(len(seen), moves, cuts, False, str(problem), (*path, move))
                name = hash(_state(after))
                if name not in seen:
                    if len(seen) >= most:
                        return Explored(len(seen), moves, cuts, False)
                    seen.add(name)
                    cuts += after.world.counts["cut"] > at.world.counts["cut"]
                    following.append((after, (*path, move)))
        waiting = following
    return Explored(len(seen), moves, cuts, True)


def _twin(small: Small) -> Small:
    for vat in small.world.vats:
        vat.ground.begin()
    made: Small = twin(small, {})
    return made


def _state(small: Small) -> Any:
    return state(small)


def _moves(small: Small) -> Iterator[Move]:
    world = small.world
    for number, to in world.busy():
        yield "arrive", number, to
    for vat in world.vats:
        if vat.turns:
            for way in ("keep", "root", "forward", "drop") if small.choices else ("keep", "root", "drop"):
                yield "turn", vat.index, way
        if small.choices:
            keys, imports = vat.reach(vat.roots)
            known: list[Ref] = [*map(Own, sorted(keys)), *sorted(imports)]
            for target in imports:
                for what in known:
                    yield "send", vat.index, target, what
            for place in range(len(vat.roots)):
                yield "unroot", vat.index, place
        if vat.index in small.starters:
            yield "start", vat.index
        if _has_garbage(vat):
            yield "sweep", vat.index


def _has_garbage(vat: Vat) -> bool:
    keys, imports = vat.reach([*vat.root_refs(), *map(Own, vat.exports())])
    held = sum(len(table.imports) for table in vat.tables.values())
    return len(keys) < len(vat.objects) or len(imports) < held


def _arrive(small: Small, number: int, to: int) -> None:
    inbound.move(small.world, number, to)


def _turn(small: Small, index: int, way: str) -> None:
    vat = small.world.vats[index]
    turn = vat.turns.popleft()
    program.look(small.world, vat, turn)
    if type(turn.target) is not Own or turn.target.key not in vat.objects:
        return
    mine = vat.objects[turn.target.key]
    far = [ref for ref in mine if type(ref) is Far]
    if way == "keep":
        mine += turn.args
    elif way == "root":
        vat.roots += far[:1] or turn.args
    elif way == "forward" and far:
        small.choices -= 1
        outbound.deliver(small.world, vat, far[0], turn.args or [turn.target])


def _send(small: Small, index: int, target: Far, what: Ref) -> None:
    small.choices -= 1
    outbound.deliver(small.world, small.world.vats[index], target, [what])


def _unroot(small: Small, index: int, place: int) -> None:
    small.choices -= 1
    small.world.vats[index].roots.pop(place)


def _start(small: Small, index: int) -> None:
    small.starters.discard(index)
    vat = small.world.vats[index]
    if suspects := owner.suspects(small.world, vat):
        owner.start(small.world, vat, suspects)


def _sweep(small: Small, index: int) -> None:
    rest.sweep(small.world, small.world.vats[index])


_MOVES: dict[str, Callable[..., None]] = {
    "arrive": _arrive,
    "turn": _turn,
    "send": _send,
    "unroot": _unroot,
    "start": _start,
    "sweep": _sweep,
}
