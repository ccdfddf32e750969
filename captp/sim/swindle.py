"""Attacks on handoffs: three rogues at one node try to have a gift twice, or somebody else's.

OCapN CapTP draft, Third-Party Handoffs. Each swindle first does what is right, or has it ready, and then
what must be refused; the oracle is the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define

from captp.model.keys import PrivateKey
from captp.peer.handoff.certificates import parse_give, sign, write_give, write_receive
from captp.sim.rogue import Rogue, Wire
from captp.sim.shadow import Violation
from captp.sim.world import World
from captp.wire.canonical import location_record
from captp.wire.ops import RESOLVE, Desc, Kind
from captp.wire.syrup import encode


@define(eq=False)
class Cast:
    """Who takes part: a gifter with something to give, a receiver and a thief, all at one node."""

    node: int
    gifter: Rogue
    receiver: Rogue
    thief: Rogue
    gift: Desc
    #: The key that the receiver has in its session with the gifter.
    key: PrivateKey
    gift_id: bytes

    def wire(self, who: Rogue) -> Wire:
        """Return the connection of one of them to the node."""
        return who.wires[self.node]

    def deposit(self) -> None:
        """Let the gifter deposit the gift."""
        self.gifter.ask(self.node, "deposit-gift", self.gift_id, self.gift)

    def give(self, *, signer: PrivateKey | None = None, side: bytes | None = None) -> bytes:
        """Return the gifter's certificate, or one that is like it."""
        wire = self.wire(self.gifter)
        place = self.gifter.world.nodes[self.node].sturdyref.peer
        signed = write_give(
            receiver=self.key.public,
            exporter=encode(location_record(place.transport, place.designator, dict(place.hints))),
            session=wire.session,
            gifter_side=side or wire.side,
            gift_id=self.gift_id,
        )
        return sign(signed, signer or wire.key)

    def receive(self, give: bytes, count: int, *, by: Rogue, key: PrivateKey | None = None) -> Desc:
        """Return the certificate of whoever withdraws."""
        wire = self.wire(by)
        signed = write_receive(session=wire.session, side=wire.side, count=count, give=parse_give(give))
        return Desc(Kind.CERTIFICATE, sign(signed, key or self.key))

    def succeeds(self, who: Rogue, envelope: Desc) -> bool:
        """Say whether a withdrawal is answered with something."""
        result = who.ask(self.node, "withdraw-gift", envelope)
        return result is not None and result[0] == RESOLVE

    def refused(self, who: Rogue, envelope: Desc, what: str) -> None:
        """Raise Violation when a withdrawal succeeds."""
        if self.succeeds(who, envelope):
            raise Violation(f"{what} was let through")


def same_receive_twice(cast: Cast) -> None:
    """Withdraw, have another gift deposited under the same id, and withdraw with the same words."""
    cast.deposit()
    receive = cast.receive(cast.give(), 0, by=cast.receiver)
    cast.succeeds(cast.receiver, receive)
    cast.deposit()
    cast.refused(cast.receiver, receive, "a count that was used")


def one_gift_twice(cast: Cast) -> None:
    """Withdraw one gift with two counts."""
    cast.deposit()
    give = cast.give()
    cast.succeeds(cast.receiver, cast.receive(give, 1, by=cast.receiver))
    cast.refused(cast.receiver, cast.receive(give, 2, by=cast.receiver), "a gift that was taken")


def stolen_receive(cast: Cast) -> None:
    """Present what the receiver signed, as somebody else."""
    cast.deposit()
    cast.refused(cast.thief, cast.receive(cast.give(), 3, by=cast.receiver), "a stolen receive")


def stolen_give(cast: Cast) -> None:
    """Use somebody else's give with a key of one's own."""
    cast.deposit()
    key = cast.wire(cast.thief).key
    cast.refused(cast.thief, cast.receive(cast.give(), 4, by=cast.thief, key=key), "a stolen give")


def forged_give(cast: Cast) -> None:
    """Make up a give of a gift that is there."""
    cast.deposit()
    give = cast.give(signer=cast.wire(cast.thief).key)
    cast.refused(cast.receiver, cast.receive(give, 5, by=cast.receiver), "a forged give")


def foreign_side(cast: Cast) -> None:
    """Give in the name of another session's side."""
    cast.deposit()
    give = cast.give(side=cast.wire(cast.thief).side)
    cast.refused(cast.receiver, cast.receive(give, 6, by=cast.receiver), "a give of another side")


def no_gift(cast: Cast) -> None:
    """Withdraw what was never deposited, and leave it waiting."""
    cast.refused(cast.receiver, cast.receive(cast.give(), 7, by=cast.receiver), "a gift from nowhere")


SWINDLES: Final[tuple[Callable[[Cast], None], ...]] = (
    same_receive_twice, one_gift_twice, stolen_receive, stolen_give, forged_give, foreign_side, no_gift,
)  # fmt: skip


def swindle(world: World, number: int, seed: int) -> bool:
    """Let the three rogues try one swindle at the first node; False when one of them cannot get in."""
    node = 0
    gifter, receiver, thief = world.rogues
    for index, rogue in enumerate(world.rogues):
        rogue.hang_up(node)
        rogue.dial(node, "native", seed + index)
        world.run(node, 1_000)
        if rogue.wires[node].theirs is None or not rogue.wires[node].is_open:
            return False
    result = gifter.fetch(node)
    if result is None or result[0] != RESOLVE:
        return False
    world.faults["swindle"] += 1
    key = PrivateKey.from_seed((seed + 3).to_bytes(32, "big"))
    gift = Desc(Kind.EXPORT, result[2].position)
    gift_id = b"gift" + seed.to_bytes(8, "big")
    SWINDLES[number % len(SWINDLES)](Cast(node, gifter, receiver, thief, gift, key, gift_id))
    return True
