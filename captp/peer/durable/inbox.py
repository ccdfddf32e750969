"""Durable calls of peers: each runs once, and its result is kept until the caller has it.

A call is known by its sender's key and its number, which grows by one. new --came--> waiting --its turn
begins--> begun, with a row --settled--> done; done --the sender says that it has it--> forgotten.
A call that was not begun when the vat stopped comes again. One that was begun and not done is broken then:
that it ran is known, and what came of it is lost.
A number that should have come before, or that somebody else had, says that one of both vats was restored
from an older copy: that is told, and what comes from then on is new.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from captp.errors import Broken, Disconnected, NotFound, Overloaded
from captp.model.faults import from_wire, portable, to_wire
from captp.model.promise import BROKEN, FULFILLED, PENDING, Message, Promise
from captp.model.ref import Ref
from captp.peer.durable.saving import Saver
from captp.peer.rows import Change, Verb, packed, unpacked
from captp.vat.arrivals import DURABLE, Arrival

if TYPE_CHECKING:
    from captp.peer.peer import Peer

__all__ = ["CHANNEL_IN", "Inbox", "letter_key"]

#: What the keys of receiving channels begin with, in the table ``channel``.
CHANNEL_IN: Final = b"in:"

LOST: Final = "the call ran, and its vat stopped before the result was there"


def letter_key(peer: str, number: int) -> bytes:
    """Return the key of one durable call in its table."""
    return peer.encode() + number.to_bytes(8, "big")


@define(eq=False)
class Call:
    """One durable call that came; ``incarnation`` is the sender's that made it."""

    peer: str
    incarnation: int
    number: int
    result: Promise[Any]
    has_row: bool = False
    has_edges: bool = False


@define(eq=False)
class Channel:
    """What is known of one sender: which number comes next, and the lowest whose result it may not have."""

    next: int
    floor: int
    has_row: bool = False
    calls: dict[int, Call] = field(factory=dict)
    source: Any = None
    #: Whether it was said that one of both was rolled back.
    is_told: bool = False


class Inbox:
    """All durable calls that came to one vat and are not forgotten."""

    needs_room: Final = False

    def __init__(self, peer: Peer, saver: Saver) -> None:
        self._peer = peer
        self._saver = saver
        self._channels: dict[str, Channel] = {}

    def restore(self, channels: Iterable[tuple[bytes, bytes]], rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take what was stored."""
        for key, value in channels:
            following, floor = unpacked(value, 2)
            self._channels[key[len(CHANNEL_IN) :].decode()] = Channel(following, floor, has_row=True)
        for key, value in rows:
            name, number = key[:-8].decode(), int.from_bytes(key[-8:], "big")
            has_edges, data = unpacked(value, 2)
            incarnation, state, result = self._saver.codec.unpack(data)
            promise: Promise[Any] = Promise(self._peer.vat)
            promise._state = FULFILLED if state == FULFILLED else BROKEN
            promise._value = result if state == FULFILLED else Disconnected(LOST)
            if state == BROKEN:
                promise._value = from_wire(result)
            call = Call(name, incarnation, number, promise, has_row=True, has_edges=has_edges)
            self._channels[name].calls[number] = call

    def came(self, peer: str, low: int, incarnation: int, number: int, call: tuple[Any, ...]) -> Promise[Any]:
        """Return the result of a call, which runs unless it has; raises Broken when it is refused.

        ``low`` is the lowest number whose result the sender does not have.
        """
        channel = self._channels.get(peer)
        if channel is None:
            if len(self._channels) >= self._peer.limits.durable_peers:
                raise Overloaded("inbox-full: too many peers have sent durable calls here")
            channel = self._channels[peer] = Channel(low, low)
        # The sender has results that were never made here.
        was_ahead = low > channel.next
        self.done(peer, low)
        known = channel.calls.get(number)
        if known is not None and known.incarnation == incarnation:
            return known.result
        if was_ahead or known is not None or number < channel.floor:
            raise self._out_of_step(peer, channel, number)
        if number > channel.next or len(channel.calls) >= self._peer.limits.durable_results:
            # One that is put off is not overtaken by those after it.
            raise Overloaded("inbox-full: too many results wait for you to say that you have them")
        channel.next = max(channel.next, number + 1)
        return self._run(Call(peer, incarnation, number, Promise(self._peer.vat)), channel, call)

    def _out_of_step(self, peer: str, channel: Channel, number: int) -> Broken:
        if not channel.is_told:
            # Once in a run: a peer may make as many such calls as it likes.
            channel.is_told = True
            self._peer.trace("error", "peer rolled back", peer=peer, expected=channel.next, came=number)
        text = f"peer-rolled-back: call {number} came, and {channel.next} was to be next"
        if number >= channel.next:
            channel.next = number + 1
            self._store_channel(peer, channel)
        return Broken(f"{text}; one of both vats was restored from an older copy")

    def _run(self, call: Call, channel: Channel, what: tuple[Any, ...]) -> Promise[Any]:
        swiss, method, args, kwargs = what
        vat = self._peer.vat
        call.result = result = Arrival(vat, self, call)
        channel.calls[call.number] = call
        try:
            target: Ref = self._peer.registry.fetch(swiss, self._peer.now)
        except NotFound as problem:
            vat.settle_now(result, BROKEN, portable(problem))
            return result
        if channel.source is None:
            # Of its own: what it sent still runs when its session has ended.
            channel.source = vat.queues.open(f"durable {call.peer[:12]}")
        message = Message(target, DURABLE, (method, args), kwargs or None, result, sender=self)
        vat.admit(channel.source, message)
        return result

    def begun(self, arrival: Arrival) -> None:
        """Store that a call has run, with what it did."""
        call: Call = arrival.call
        # Its sender may have said that it has the result already, and then nothing would forget it.
        if not call.has_row and self._channels[call.peer].calls.get(call.number) is call:
            self._store(call, PENDING, None)

    def settled(self, arrival: Arrival) -> None:
        """Store the result of a call."""
        call: Call = arrival.call
        if self._channels[call.peer].calls.get(call.number) is call:
            state, value = arrival._state, arrival._value
            self._store(call, state, value if state == FULFILLED else to_wire(value))

    def done(self, peer: str, low: int) -> None:
        """Forget the results below a number: their sender has them."""
        channel = self._channels.get(peer)
        if channel is None or low <= channel.floor:
            return
        channel.floor = low
        channel.next = max(channel.next, low)
        while channel.calls:
            number = next(iter(channel.calls))
            if number >= low:
                break
            call, key = channel.calls.pop(number), letter_key(peer, number)
            if call.has_row:
                self._saver.forget("inbox", key, had_edges=call.has_edges)
        self._store_channel(peer, channel)

    def _store(self, call: Call, state: int, value: Any) -> None:
        verb = Verb.REPLACE if call.has_row else Verb.INSERT
        parts = [call.incarnation, state, value]
        key = letter_key(call.peer, call.number)
        call.has_edges = self._saver.letter(verb, "inbox", key, parts, had_edges=call.has_edges)
        if not call.has_row:
            call.has_row = True
            self._store_channel(call.peer, self._channels[call.peer])

    def _store_channel(self, peer: str, channel: Channel) -> None:
        verb = Verb.REPLACE if channel.has_row else Verb.INSERT
        channel.has_row = True
        value = packed(channel.next, channel.floor)
        self._saver.changes.append(Change(verb, "channel", CHANNEL_IN + peer.encode(), value))
        self._peer.vat.ring()
