"""What lives, seen by somebody who sees everything: what honest vats reach from their roots."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from captp.sim.cycles.values import Deliver, Deposit, Far, Given, Mine, Own, Ref, Side, Wired, Yours

if TYPE_CHECKING:
    from captp.sim.cycles.vat import Vat
    from captp.sim.cycles.world import World


class Violation(AssertionError):
    """Something that honest vats reach has been lost, or something that nobody reaches stays."""


@frozen
class Reached:
    """Objects by vat and key, and imports by vat and reference."""

    objects: set[tuple[int, int]]
    imports: set[tuple[int, Far]]


def reached(world: World, *, with_stock: bool = False) -> Reached:
    """Return what honest vats reach; ``with_stock`` lets whatever a stock vat holds live."""
    found = Reached(set(), set())
    waiting: list[tuple[int, Ref]] = []
    for vat in world.vats:
        if vat.liar is None:
            waiting += ((vat.index, ref) for ref in _held(world, vat))
            if with_stock and vat.is_stock:
                far = (Far(side, at) for side, table in vat.tables.items() for at in table.imports)
                waiting += ((vat.index, ref) for ref in far)
    waiting += _under_way(world)
    vats, links = world.vats, world.links
    objects, imports = found.objects, found.imports
    while waiting:
        at, ref = waiting.pop()
        if type(ref) is Own:
            place = (at, ref.key)
            if place not in objects and ref.key in vats[at].objects:
                objects.add(place)
                waiting += [(at, to) for to in vats[at].objects[ref.key]]
        elif type(ref) is Far and (at, ref) not in imports:
            peer = vats[ref.side.peer]
            if ref.side.number not in links or peer.liar is not None:
                continue
            imports.add((at, ref))
            table = peer.tables.get(Side(at, ref.side.number))
            entry = None if table is None else table.exports.get(ref.position)
            if entry is not None and entry.key is not None:
                waiting.append((peer.index, Own(entry.key)))
    return found


def _held(world: World, vat: Vat) -> Iterator[Ref]:
    """Yield the roots of an honest vat, without what is held back of a liar's."""
    for kept in vat.kept():
        if world.is_liars(kept.side):
            break
    else:
        yield from vat.root_refs()
        return
    yield from vat.root_refs(but=vat.exports())
    for kept in vat.kept():
        if kept.names and not world.is_liars(kept.side):
            yield from kept.refs()


def _under_way(world: World) -> Iterator[tuple[int, Ref]]:
    """Yield what honest vats are about to receive of honest ones."""
    for number, to in world.busy():
        link = world.links[number]
        receiver = world.vats[to]
        (sender,) = (world.vats[end] for end in link.queues if end != to)
        if sender.liar is not None or receiver.liar is not None:
            continue
        for message in link.queues[to]:
            wired: tuple[Wired, ...]
            match message:
                case Deliver(target, args, _):
                    wired = (target, *args)
                case Given(_, what):
                    wired = (what,)
                case Deposit(_, _, position):
                    wired = (Yours(position),)
                case _:
                    continue
            for part in wired:
                if type(part) is Mine:
                    yield to, Far(Side(sender.index, number), part.position)
                elif type(part) is Yours:
                    yield sender.index, Far(Side(to, number), part.position)


def check_cut(world: World, vat: Vat, keys: Collection[int], trace: bytes) -> None:
    """Raise Violation when an honest vat reaches an edge that is about to be cut.

    Where vats lie, one of them may use what it denied to hold once others have lost patience; what
    it makes live after the instant that was agreed upon counts as damage that comes late.
    """
    lives = reached(world)
    then = world.instants.get((trace, vat.agreed.get(trace, b"")))
    for side, table in vat.tables.items():
        for key in keys:
            position = table.index.get(key)
            if position is None:
                continue
            edge = (side.peer, Far(Side(vat.index, side.number), position))
            if edge in lives.imports:
                if then is None or edge in then.imports or not world.has_liars:
                    raise Violation(f"vat {vat.index} cuts {key}, which vat {side.peer} reaches")
                world.counts["late"] += 1
