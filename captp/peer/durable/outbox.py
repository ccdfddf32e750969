"""Durable calls of this vat: each is stored until its answer is, and is sent again in every new session.

stored --there is a session--> sent --answered--> forgotten; sent --the session ends--> stored; stored
--too old--> dead. Calls to one peer have numbers that grow by one, and go in their order.
Invariant: the rows of ``outbox`` are the letters of all channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from attrs import define, field

from captp.errors import Broken, Disconnected, NotDurable, Overloaded, Timeout
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.promise import BROKEN, FULFILLED, Message, Promise
from captp.model.ref import Ref, view
from captp.model.values import FrozenMap
from captp.peer.bootstrap import DONE, SEND
from captp.peer.durable.inbox import Inbox, letter_key
from captp.peer.durable.promises import Promises
from captp.peer.durable.saving import Saver
from captp.peer.router import Link, Waiter
from captp.peer.rows import Change, Verb, packed, unpacked
from captp.session.session import DUR, Session
from captp.vat.effects import SendDurable
from captp.vat.lasting import Lasting

if TYPE_CHECKING:
    from captp.peer.durable.stored import Image
    from captp.peer.peer import Peer

__all__ = ["CHANNEL_OUT", "Outbox", "Reply"]

#: What the keys of sending channels begin with, in the table ``channel``.
CHANNEL_OUT: Final = b"out:"
#: Calls to one peer that are sent and not answered.
WINDOW: Final = 256
#: Seconds between two looks at what is too old, and until a peer that had no room is asked again.
LOOK_S: Final = 60.0
AGAIN_S: Final = 1.0


@define(eq=False)
class Letter:
    """One durable call on its way; ``made`` is a time of the wall clock."""

    number: int
    incarnation: int
    made: float
    sturdyref: SturdyRef
    method: str
    args: tuple[Any, ...]
    kwargs: FrozenMap | None
    promise: Lasting
    size: int = 0
    has_edges: bool = False
    reply: Reply | None = None


class Reply(Promise[Any]):
    """The answer to one sending of a letter, over one link; None where it goes to this vat itself."""

    __slots__ = ("channel", "letter", "link")

    _reported: ClassVar[bool] = True

    def __init__(self, home: Any, channel: Channel, letter: Letter, link: Link | None) -> None:
        super().__init__(home)
        self.channel = channel
        self.letter = letter
        self.link = link


@define(eq=False)
class Channel:
    """The way to one peer: its letters by number, the number of the next, and the session if there is one."""

    peer: str
    next: int = 1
    has_row: bool = False
    letters: dict[int, Letter] = field(factory=dict)
    size: int = 0
    sent: int = 0
    link: Link | None = None
    #: Whether a session is wanted, and is to come.
    waits: bool = False
    #: When to send again what the peer had no room for.
    again_at: float = math.inf


class Outbox:
    """All durable calls of one vat that are not answered."""

    def __init__(
        self,
        peer: Peer,
        saver: Saver,
        promises: Promises,
        inbox: Inbox,
        image: Image,
    ) -> None:
        self._peer = peer
        self._saver = saver
        self._promises = promises
        self._inbox = inbox
        self._incarnation = image.incarnation
        self._wall_ahead = image.wall_ahead
        self._channels: dict[str, Channel] = {}
        self._look_at = LOOK_S
        #: Why this vat makes no durable calls, where it cannot.
        self.refusal = ""

    def restore(self, channels: Iterable[tuple[bytes, bytes]], rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take what was stored; it is sent when ``begin`` is called."""
        for key, value in channels:
            name = key[len(CHANNEL_OUT) :].decode()
            (following,) = unpacked(value, 1)
            self._channels[name] = Channel(name, following, has_row=True)
        for key, value in rows:
            has_edges, data = unpacked(value, 2)
            incarnation, made, *what, holder = self._saver.codec.unpack(data)
            sturdyref, method, args, kwargs = what
            number, promise = int.from_bytes(key[-8:], "big"), self._promises.restored(holder)
            letter = Letter(number, incarnation, made, sturdyref, method, args, kwargs, promise)
            letter.size, letter.has_edges = len(value), has_edges
            channel = self._channels[key[:-8].decode()]
            channel.letters[number] = letter
            channel.size += letter.size
            letter.promise.decider = partial(self._keep, channel, letter)

    def begin(self) -> None:
        """Send what was left from before."""
        for channel in self._channels.values():
            self._go(channel)

    def add(self, effect: SendDurable) -> None:
        """Store a call, and send it as soon as it can be."""
        if self.refusal:
            self._peer.vat.settle_now(effect.promise, BROKEN, NotDurable(self.refusal))
            return
        name = effect.sturdyref.peer.designator
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name)
        limits = self._peer.limits
        if len(channel.letters) >= limits.outbox_messages or channel.size >= limits.outbox_bytes:
            text = f"outbox-full: {len(channel.letters)} durable calls wait for this peer; try again later"
            self._peer.vat.settle_now(effect.promise, BROKEN, Overloaded(text))
            return
        kwargs = None if effect.kwargs is None else FrozenMap(effect.kwargs)
        what = (effect.sturdyref, effect.method, effect.args, kwargs)
        made = self._peer.now + self._wall_ahead
        letter = Letter(channel.next, self._incarnation, made, *what, effect.promise)
        channel.next += 1
        letter.size = self._store(Verb.INSERT, channel, letter)
        channel.letters[letter.number] = letter
        channel.size += letter.size
        letter.promise.decider = partial(self._keep, channel, letter)
        self._store_channel(channel)
        self._go(channel)

    def _store(self, verb: Verb, channel: Channel, letter: Letter) -> int:
        """Write the row of a letter; return its size in bytes."""
        obj = letter.promise.holder
        holder = None if obj is None else self._peer.vat.reference(obj)
        what = (letter.sturdyref, letter.method, letter.args, letter.kwargs)
        parts = [letter.incarnation, letter.made, *what, holder]
        key = letter_key(channel.peer, letter.number)
        letter.has_edges = self._saver.letter(verb, "outbox", key, parts, had_edges=letter.has_edges)
        return len(self._saver.changes[-1 - letter.has_edges].value)

    def _keep(self, channel: Channel, letter: Letter, _promise: Lasting) -> None:
        """Say in the row of a letter what stands for its promise."""
        if letter.number in channel.letters:
            self._store(Verb.REPLACE, channel, letter)

    # Sending.

    def _go(self, channel: Channel) -> None:
        """Send what can be sent; have a session opened if there is none."""
        link = channel.link
        if link is not None and link.session not in self._peer.links:
            channel.link = link = None
        if not channel.letters:
            return
        if channel.peer == self._peer.designator:
            self._send_to_self(channel)
        elif link is not None:
            self._send_over(channel, link)
        else:
            letter = next(iter(channel.letters.values()))
            self._want(channel, letter.sturdyref.peer)

    def _want(self, channel: Channel, locator: PeerLocator) -> None:
        """Have a session opened, soon if one was wanted before."""

        def ready(link: Link) -> None:
            channel.waits, channel.link = False, link
            self._go(channel)

        def failed(_problem: Disconnected) -> None:
            channel.waits = False

        router, now = self._peer.router, self._peer.now
        if channel.waits:
            attempt = router.hurry(locator.peer, now)
        else:
            channel.waits = True
            attempt = router.want(locator, now, Waiter(ready, failed, math.inf))
        if attempt is not None:
            self._peer.dial(attempt)

    def _send_over(self, channel: Channel, link: Link) -> None:
        session, vat = link.session, self._peer.vat
        bootstrap = view(vat, session.bootstrap, Ref)
        if not session.native or DUR not in session.extensions:
            self._send_once(channel, bootstrap)
            return
        low = next(iter(channel.letters))
        for letter in channel.letters.values():
            if channel.sent >= WINDOW:
                break
            if letter.reply is None:
                letter.reply = Reply(vat, channel, letter, link)
                channel.sent += 1
                what = (letter.sturdyref.swiss, letter.method, letter.args, letter.kwargs)
                args = (low, letter.incarnation, letter.number, *what)
                vat.outbox.append(Message(bootstrap, SEND, args, None, letter.reply))

    def _send_once(self, channel: Channel, bootstrap: Ref) -> None:
        """Send to a peer that knows no durable calls: at most once, so that each is forgotten first."""
        vat = self._peer.vat
        self._peer.trace("warning", "durable calls sent at most once", peer=channel.peer)
        for letter in list(channel.letters.values()):
            self._forget(channel, letter)
            target: Promise[Any] = Promise(vat)
            vat.outbox.append(Message(bootstrap, "fetch", (letter.sturdyref.swiss,), None, target))
            kwargs = None if letter.kwargs is None else dict(letter.kwargs)
            vat.outbox.append(Message(target, letter.method, letter.args, kwargs, letter.promise))

    def _send_to_self(self, channel: Channel) -> None:
        low = next(iter(channel.letters))
        for letter in list(channel.letters.values()):
            if letter.reply is None:
                letter.reply = reply = Reply(self._peer.vat, channel, letter, None)
                channel.sent += 1
                what = (letter.sturdyref.swiss, letter.method, letter.args, letter.kwargs)
                try:
                    result = self._inbox.came(channel.peer, low, letter.incarnation, letter.number, what)
                except Broken as problem:
                    self._peer.vat.settle_now(reply, BROKEN, problem)
                else:
                    self._peer.vat.settle_now(reply, FULFILLED, result)

    # What comes of it.

    def answered(self, reply: Reply) -> None:
        """Take the answer to a letter, or that its session has ended."""
        channel, letter, link = reply.channel, reply.letter, reply.link
        if letter.reply is not reply:
            return
        letter.reply = None
        channel.sent -= 1
        value = reply._value
        if reply._state == BROKEN and link is not None and link.session not in self._peer.links:
            # No answer: whether it ran is not known here, and the peer knows it when it comes again.
            self._go(channel)
        elif isinstance(value, Overloaded) and str(value).startswith("inbox-full"):
            channel.again_at = self._peer.now + AGAIN_S
        else:
            self._forget(channel, letter)
            self._peer.vat.settle_now(letter.promise, reply._state, value)
            self._go_on(channel)

    def _go_on(self, channel: Channel) -> None:
        if channel.letters:
            self._go(channel)
        elif channel.peer == self._peer.designator:
            self._inbox.done(channel.peer, channel.next)
        elif channel.link is not None and channel.link.session in self._peer.links:
            self._say_done(channel, channel.link.session)

    def met(self, session: Session) -> None:
        """Take note of a new session: what said to its peer that all results are here may have been lost."""
        assert session.hello is not None
        channel = self._channels.get(session.hello.location.designator)
        if channel is not None and not channel.letters and DUR in session.extensions:
            self._say_done(channel, session)

    def _say_done(self, channel: Channel, session: Session) -> None:
        bootstrap = view(self._peer.vat, session.bootstrap, Ref)
        self._peer.vat.outbox.append(Message(bootstrap, DONE, (channel.next,), None, None))

    def _forget(self, channel: Channel, letter: Letter) -> None:
        del channel.letters[letter.number]
        channel.size -= letter.size
        key = letter_key(channel.peer, letter.number)
        self._saver.forget("outbox", key, had_edges=letter.has_edges)
        self._peer.vat.ring()

    def _store_channel(self, channel: Channel) -> None:
        verb = Verb.REPLACE if channel.has_row else Verb.INSERT
        channel.has_row = True
        key = CHANNEL_OUT + channel.peer.encode()
        self._saver.changes.append(Change(verb, "channel", key, packed(channel.next)))

    def tick(self, now: float) -> None:
        """Send again what a peer had no room for; bury what is too old."""
        for channel in self._channels.values():
            if channel.again_at <= now:
                channel.again_at = math.inf
                self._go(channel)
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            for channel in self._channels.values():
                self._bury(channel, now + self._wall_ahead - self._peer.limits.outbox_age_s)

    def _bury(self, channel: Channel, oldest: float) -> None:
        for letter in list(channel.letters.values()):
            if letter.made >= oldest:
                break
            if letter.reply is None:
                key = letter_key(channel.peer, letter.number)
                value = packed(letter.made, letter.method)
                self._saver.changes.append(Change(Verb.INSERT, "dead", key, value))
                self._forget(channel, letter)
                text = "dead-letter: nobody took this durable call in the time that it had"
                self._peer.vat.settle_now(letter.promise, BROKEN, Timeout(text))
                self._peer.trace("warning", "durable call dead", peer=channel.peer, number=letter.number)
