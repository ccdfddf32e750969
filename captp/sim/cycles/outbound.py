"""What a vat says: references become positions, counts and stamps grow, all in the step that sends."""

from __future__ import annotations

from collections.abc import Sequence

from captp.sim.cycles.values import (
    Certificate,
    Deliver,
    Deposit,
    Far,
    Forget,
    Given,
    Mine,
    Own,
    Ref,
    Release,
    Result,
    Side,
    Wired,
    Yours,
)
from captp.sim.cycles.vat import Vat
from captp.sim.cycles.world import World


def wire(world: World, vat: Vat, side: Side, ref: Ref) -> Wired:
    """Return a reference as it travels on a session; one to a third vat is deposited there."""
    if type(ref) is Own:
        stamp = vat.given[ref.key] = vat.tick()
        return Mine(vat.tables[side].export(ref.key, stamp))
    if type(ref) is not Far or ref.side not in vat.tables:
        return None
    vat.tables[ref.side].imports[ref.position].touched = vat.tick()
    if ref.side.peer == side.peer:
        # The same vat on an older session knows the position under that session only.
        return Yours(ref.position) if ref.side == side else None
    gift = (vat.index, vat.number())
    world.send(vat, ref.side, Deposit(gift, side.peer, ref.position))
    return Certificate(ref.side.peer, gift)


def deliver(world: World, vat: Vat, target: Far, args: Sequence[Ref], *, ask: bool = False) -> int | None:
    """Send a message; return the number of its question, if it is one."""
    side = target.side
    if side not in vat.tables:
        return None
    number = vat.number() if ask else None
    if number is not None:
        vat.questions.append((side, number))
    to = wire(world, vat, side, target)
    world.send(vat, side, Deliver(to, tuple(wire(world, vat, side, ref) for ref in args), number))
    return number


def follow(world: World, vat: Vat, question: tuple[Side, int], args: Sequence[Ref]) -> None:
    """Send a message to the result of a question."""
    side, number = question
    args_ = tuple(wire(world, vat, side, ref) for ref in args)
    world.send(vat, side, Deliver(Result(number), args_, None))


def forget(world: World, vat: Vat, question: tuple[Side, int]) -> None:
    """Release an answer."""
    vat.questions.remove(question)
    world.send(vat, question[0], Forget(question[1]))


def hand(world: World, vat: Vat, caller: tuple[Side, int], ref: Ref) -> None:
    """Give what was left for somebody."""
    side, number = caller
    if side in vat.tables:
        world.send(vat, side, Given(number, wire(world, vat, side, ref)))


def collect(world: World, vat: Vat) -> set[int]:
    """Free what nothing here holds, release what nothing here reaches; return what is freed."""
    exported = vat.exports()
    keys, imports = vat.reach([*vat.root_refs(), *map(Own, exported)])
    freed = vat.objects.keys() - keys
    for key in freed:
        del vat.objects[key]
        vat.given.pop(key, None)
    for side, table in vat.tables.items():
        gone = [(at, entry.wire) for at, entry in table.imports.items() if Far(side, at) not in imports]
        for position, _ in gone:
            del table.imports[position]
        if gone:
            world.send(vat, side, Release(tuple(gone)))
    return freed
