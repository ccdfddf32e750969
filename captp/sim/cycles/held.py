"""What a vat holds back while what it names is frozen, and how it cuts what was proved to be garbage."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from captp.sim.cycles import oracle, outbound
from captp.sim.cycles.oracle import Violation
from captp.sim.cycles.values import Ref, Side, Withdraw
from captp.sim.cycles.vat import Gift, Turn, Vat
from captp.sim.cycles.world import World


def admit(world: World, vat: Vat, come: Turn | Gift) -> None:
    """Let a turn or a gift go on, unless it names what is frozen, or follows something that does."""
    frozen = vat.collector.frozen
    if vat.liar is None and (vat.held.get(come.side) or (frozen and come.names.intersection(frozen))):
        vat.held.setdefault(come.side, deque()).append(come)
        world.counts["held"] += 1
    else:
        _go_on(world, vat, come)


def thaw(world: World, vat: Vat) -> None:
    """Let go on what names nothing that is frozen, in order."""
    for side, queue in list(vat.held.items()):
        while queue and not queue[0].names.intersection(vat.collector.frozen):
            _go_on(world, vat, queue.popleft())
        if not queue:
            del vat.held[side]


def _go_on(world: World, vat: Vat, come: Turn | Gift) -> None:
    if type(come) is Gift:
        caller = vat.callers.pop(come.name, None)
        if caller is not None:
            outbound.hand(world, vat, caller, come.ref)
        elif come.side in vat.tables:
            vat.gifts[come.name] = come
        return
    assert type(come) is Turn
    if come.on is not None:
        answer = vat.answers.get((come.side, come.on))
        if answer is None:
            return
        if not answer.is_settled:
            answer.waiting.append(come)
            return
        come.target = answer.value
    vat.turns.append(come)


def cut(world: World, vat: Vat, keys: Collection[int], trace: bytes) -> None:
    """Let nobody name some exports any more: neither their holders, nor what they have said already."""
    world.counts["cut"] += len(keys)
    if vat.liar is None:
        oracle.check_cut(world, vat, keys, trace)
    for table in vat.tables.values():
        for key in keys:
            table.cut(key)
    for kept in vat.kept():
        if kept.replace(keys) and not world.has_liars:
            raise Violation(f"vat {vat.index} breaks what vat {kept.side.peer} has said")


def closed(world: World, vat: Vat, side: Side) -> None:
    """Break what went over a session that is lost, and answer those who wait for what will not come."""
    vat.forget_side(side)
    for at in [at for at in vat.pending if at[0] == side]:
        withdrawn(world, vat, at, None)
    vat.gifts = {
        name: gift for name, gift in vat.gifts.items() if gift.side != side and gift.receiver != side.peer
    }
    for name, caller in list(vat.callers.items()):
        if caller[0] == side or name[0] == side.peer:
            del vat.callers[name]
            outbound.hand(world, vat, caller, None)


def withdraw(world: World, vat: Vat, turn: Turn) -> None:
    """Let a turn go on when what was left for it elsewhere is here."""
    while turn.certificates:
        place, (exporter, gift) = turn.certificates[0]
        if exporter != vat.index and world.is_up(exporter):
            side = world.session(vat, exporter)
            number = vat.number()
            vat.pending[side, number] = turn
            world.send(vat, side, Withdraw(gift, number))
            return
        turn.args[place] = None
        del turn.certificates[0]
    admit(world, vat, turn)


def withdrawn(world: World, vat: Vat, at: tuple[Side, int], ref: Ref) -> None:
    """Take what was left for a turn."""
    turn = vat.pending.pop(at)
    place, _ = turn.certificates.pop(0)
    turn.args[place] = ref
    withdraw(world, vat, turn)
