"""What a vat hears: decoded at once and in order, tables and stamps first, run later."""

from __future__ import annotations

from captp.sim.cycles import held, outbound, owner
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
    Said,
    Side,
    Wired,
    Withdraw,
    Yours,
)
from captp.sim.cycles.vat import Answer, Gift, Turn, Vat
from captp.sim.cycles.world import World


def move(world: World, number: int, to: int) -> None:
    """Let the next message of a session arrive at one of its ends."""
    link = world.links[number]
    message = link.queues[to].popleft()
    (sender,) = (end for end in link.queues if end != to)
    hear(world, world.vats[to], Side(sender, number), message)


def hear(world: World, vat: Vat, side: Side, message: object) -> None:
    """Take a message; a side that this vat has given up says nothing any more."""
    table = vat.tables.get(side)
    if table is None:
        return
    match message:
        case Said():
            owner.heard(world, vat, side, message)
        case Deliver():
            _delivered(world, vat, side, message)
        case Deposit(gift, receiver, position):
            ref = _decode(vat, side, Yours(position))
            names = frozenset({ref.key}) if type(ref) is Own else frozenset()
            held.admit(world, vat, Gift(gift, side, receiver, ref, names))
        case Withdraw(gift, question):
            if gift in vat.gifts:
                outbound.hand(world, vat, (side, question), vat.gifts.pop(gift).ref)
            elif vat.side(gift[0]) is None:
                outbound.hand(world, vat, (side, question), None)
            else:
                vat.callers[gift] = (side, question)
        case Given(question, what):
            ref = _decode(vat, side, what)
            if (side, question) in vat.pending:
                held.withdrawn(world, vat, (side, question), ref)
        case Release(entries):
            for position, count in entries:
                table.release(position, count)
        case Forget(question):
            vat.answers.pop((side, question), None)


def _delivered(world: World, vat: Vat, side: Side, message: Deliver) -> None:
    on = message.target.number if type(message.target) is Result else None
    target = None if on is not None else _decode(vat, side, message.target)
    args = [_decode(vat, side, arg) for arg in message.args]
    named = [target, *(ref for ref, arg in zip(args, message.args, strict=True) if type(arg) is Yours)]
    names = frozenset(ref.key for ref in named if type(ref) is Own)
    left = [(place, arg) for place, arg in enumerate(message.args) if type(arg) is Certificate]
    if message.question is not None:
        vat.answers[side, message.question] = Answer()
    held.withdraw(world, vat, Turn(side, target, args, message.question, on, names, left))


def _decode(vat: Vat, side: Side, wired: Wired) -> Ref:
    """Return what a reference comes to here, and stamp its entry."""
    table = vat.tables[side]
    if type(wired) is Mine:
        table.receive(wired.position, vat.tick())
        return Far(side, wired.position)
    if type(wired) is Yours:
        entry = table.exports.get(wired.position)
        if entry is not None:
            entry.touched = vat.tick()
            return None if entry.key is None else Own(entry.key)
    return None
