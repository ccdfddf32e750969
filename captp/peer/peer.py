"""One vat on the network minus I/O: inputs in, one drained batch of outputs out.

It joins the vat with its sessions. No other room calls it back: what the vat sends collects in its
outbox, what sessions receive comes back as effects, and ``run`` moves both until nothing is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from attrs import evolve

from captp.cycles import Cycles
from captp.errors import Disconnected
from captp.limits import Limits
from captp.model.idents import ConnId
from captp.model.interface import promise_class
from captp.model.keys import PrivateKey, PublicKey, derive
from captp.model.locator import PeerLocator, SturdyRef, announcing
from captp.model.object import Object
from captp.model.own import Hold
from captp.model.promise import Message, Promise, Settlement
from captp.model.ref import Ref
from captp.model.swiss import mint
from captp.peer import bootstrap, care, pressure, routing
from captp.peer.enliven import enliven
from captp.peer.handoff.exporter import Exporter
from captp.peer.handoff.gifter import introduce
from captp.peer.handoff.receiver import left, overdue
from captp.peer.outputs import Batch, Dial, Hangup, Trace, Woken, Write
from captp.peer.registry import Registration, Registry
from captp.peer.router import Attempt, Link, Router
from captp.peer.timers import Timers
from captp.session.handshake import RUN, Channel
from captp.session.session import ALL, DGC, DUR, Session
from captp.vat.effects import Enliven
from captp.vat.vat import Vat

if TYPE_CHECKING:
    from captp.peer.cycles.keeper import Keeper
    from captp.peer.durable.stored import Image, Stored


class Peer:
    """The pure machine of one vat: see the input methods, ``run`` and ``drain``."""

    def __init__(
        self,
        *,
        key: PrivateKey,
        entropy: Callable[[int], bytes],
        limits: Limits | None = None,
        cycles: Cycles | None = None,
        durable: Image | None = None,
    ) -> None:
        self.key = key
        self.limits = limits or Limits()
        self.vat = Vat(self.limits, is_durable=durable is not None)
        #: What is stored, in a durable vat.
        self.stored: Stored | None = None
        self.registry = Registry(derive(key.seed(), b"captp swiss index"))
        if durable is not None:
            from captp.peer.durable.opening import open_stored  # noqa: PLC0415 - most vats need none of it

            self.stored, self.registry = open_stored(self, durable)
        self.router = Router(entropy)
        self.exporter = Exporter(self.limits, key.public.designator)
        #: By name: who handles calls of a control target; any other is silent.
        self.controls: dict[str, Callable[[Peer, Link, Message], None]] = {"bootstrap": bootstrap.handle}
        self.locations: dict[str, PeerLocator] = {}
        self.now = 0.0
        self.outputs: list[Any] = []
        self.touched: dict[Session, None] = {}
        self.links: dict[Session, Link] = {}
        #: Whose calls wait because their results do.
        self.held: dict[Link, None] = {}
        self.timers = Timers()
        self.entropy = entropy
        self.cycle_settings = cycles or Cycles()
        #: Whether something is frozen or held back, so that what comes has to be looked at.
        self.is_holding = False
        #: When there first was anybody who might have garbage in common with this vat.
        self._met_at = math.inf
        self._batches = 0

    @cached_property
    def cycles(self) -> Keeper:
        """What finds garbage that loops through other vats; it comes when there are any."""
        from captp.peer.cycles.keeper import Keeper  # noqa: PLC0415 - a vat that starts needs none of it

        return Keeper(self, self.cycle_settings)

    @property
    def designator(self) -> str:
        """The vat's name: its public key in base32."""
        return self.key.public.designator

    def location(self, transport: str) -> PeerLocator:
        """Return where peers find this vat on a transport, as far as it listens there."""
        known = self.locations.get(transport)
        if known is None:
            known = PeerLocator.make(transport, self.designator, announcing("mp1"))
        return known

    def _also(self) -> tuple[str, ...]:
        """Return the extensions that not every vat has."""
        durable = () if self.stored is None else (DUR, f"{RUN}{self.stored.incarnation}")
        return (DGC,) * self.cycle_settings.enabled + durable

    # Inputs.

    def connected(
        self, conn: ConnId, channel: Channel, now: float, dialled: PeerLocator | None = None
    ) -> None:
        """Take over a new connection; ``dialled`` is whom we wanted, None when they dialled us."""
        self.now = now
        if dialled is not None and dialled.peer in self.router.live:
            # The peer was faster, and whoever waited has its session.
            self.outputs.append(Hangup(conn, "not-needed"))
            return
        if dialled is not None and channel.proved is not None:
            proved = PublicKey.parse(channel.proved).designator
            attempt = self.router.dialled(conn)
            if proved != dialled.designator and attempt is not None:
                self.router.failed(attempt, routing.wrong_peer(dialled), now)
                self.outputs.append(Hangup(conn, "identity"))
                return
        limits = self.limits
        if dialled is None and len(self.router.links) >= limits.sessions + limits.handshake_pending:
            self.trace("warning", "connection refused", conn=conn, code="too-many-sessions")
            self.outputs.append(Hangup(conn, "too-many-sessions"))
            return
        native = None
        if dialled is not None:
            if channel.framed is None:
                channel = evolve(channel, framed=self.router.framings.get(channel.transport, True))
            native = "mp1" in dialled.extensions
        session = Session(
            home=self.vat,
            key=PrivateKey.from_seed(self.entropy(32)),
            location=self.location(channel.transport),
            channel=channel,
            limits=self.limits,
            native=native,
            introduce=partial(introduce, self),
            also=self._also(),
        )
        link = Link(conn, session, dialled, now, now, self.vat.queues.open(f"c{conn}"))
        link.is_anonymous = dialled is None and channel.is_one_sided
        self.router.links[conn] = link
        self.links[session] = link
        session.start()
        self.touched[session] = None

    def received(self, conn: ConnId, data: bytes, now: float, most: int = ALL) -> bool:
        """Take bytes of a connection, in order of arrival, and of what they say ``most`` operations.

        Returns whether there are more, which are taken when this is called again, with no bytes.
        """
        self.now = now
        link = self.router.links.get(conn)
        if link is None:
            return False
        link.heard_at = now
        link.doubted_at = None
        session = link.session
        self.touched[session] = None
        try:
            effects = session.receive(data, most)
        except Exception as problem:
            # A mistake of ours, and a peer has found it: the other sessions must not pay for it.
            self.outputs.append(Trace("error", "session failed", {}, problem))
            session.abort("internal", "please report this")
            effects = session.take_effects()
        frozen = session.tables.frozen
        size, frozen.came = session.took + frozen.came, 0
        if self.is_holding:
            effects = self.cycles.hold_back(link, effects, size)
        self.apply(link, effects, size)
        if session.rest is None:
            return False
        # It has been let in, and there was more behind its hello.
        return most != ALL or self.received(conn, b"", now)

    def apply(self, link: Link, effects: list[Any], size: int = 0) -> None:
        """Do what came out of a session, in order; ``size`` is how many bytes it was."""
        session, source = link.session, link.source
        arrived, before = source.messages.append, len(source.messages)
        settle_now, forwarded = self.vat.settle_now, self.vat.settling.forwarded
        for effect in effects:
            kind = type(effect)
            if kind is Message:
                arrived(effect)
            elif kind is Settlement:
                settle_now(effect.promise, effect.state, effect.value)
                if forwarded:
                    routing.forward(self)
            else:
                routing.SESSION_EFFECTS[kind](self, link, effect)
                if session not in self.links:
                    break
        count = len(source.messages) - before
        codec = session.codec
        if link.burden.came(size, count, is_mid_message=codec is not None and codec.is_mid_message):
            pressure.weigh(self, link, count)
        if count > 0:
            self.vat.admitted(source)

    def is_opening(self, conn: ConnId) -> bool:
        """Say whether a connection is there whose session is not open yet."""
        link = self.router.links.get(conn)
        return link is not None and not link.session.is_open

    def disconnected(self, conn: ConnId, why: str, now: float) -> None:
        """Take note that a connection is gone."""
        self.now = now
        link = self.router.links.get(conn)
        if link is not None:
            self.end(link, f"the connection is gone ({why})", code="disconnected", by="the network")

    def given_up(self, conn: ConnId, why: str, now: float) -> None:
        """Take note that the driver gave a connection up; ``why`` begins with a code."""
        self.now = now
        link = self.router.links.get(conn)
        if link is not None:
            self.end(link, why)

    def dial_failed(self, conn: ConnId, error: Disconnected, now: float) -> None:
        """Take note that a dial brought no connection."""
        self.now = now
        attempt = self.router.dialled(conn)
        if attempt is not None:
            self.router.failed(attempt, error, now)

    def tick(self, now: float) -> None:
        """Let time pass: due timers and dials, heartbeats, releases of quiet sessions."""
        self.now = now
        self.vat.outbox += self.timers.due(now)
        for attempt in self.router.due(now):
            self.dial(attempt)
        for settlement in (*self.exporter.expire(now), *overdue(self)):
            routing.settle(self, settlement)
        for link in list(self.router.links.values()):
            care.care(self, link)
        if self.stored is not None:
            self.stored.tick(now)
        if self.links or self.is_holding or self.stored is not None:
            self._met_at = min(self._met_at, now)
            if self._met_at + self.cycle_settings.tick <= now:
                # A vat that starts answers first: only then is there time to load it.
                self.cycles.tick(now)

    # What the driver's users ask for.

    def enliven(
        self, sturdyref: SturdyRef, interface: type | None = None, *, retry_for: float = 0.0
    ) -> Promise[Any]:
        """Return a promise for what a sturdyref names; dial its peer if there is no session.

        Dials again, with growing and jittered rests, while less than ``retry_for`` seconds have passed.
        """
        promise: Promise[Any] = (Promise if interface is None else promise_class(interface))(self.vat)
        enliven(self, Enliven(promise, sturdyref, retry_for))
        if not self.vat.awake:
            self.vat.ring()
        return promise

    def mint(
        self,
        target: Object | Ref,
        transport: str,
        *,
        label: str = "",
        swiss: bytes | None = None,
        expires: float | None = None,
        uses: int | None = None,
    ) -> SturdyRef:
        """Return a sturdyref to an object; ``expires`` is a time of the driver's clock."""
        ref = self.vat.reference(target) if isinstance(target, Object) else target
        if isinstance(ref._home, Hold):
            raise ref._home.stored("mint()")
        number = mint(self.entropy) if swiss is None else swiss
        self.registry.register(number, Registration(ref, label, expires, uses))
        return SturdyRef(self.location(transport), number)

    # The engine's step.

    def run(self, budget: int) -> None:
        """Move messages and settlements until nothing is left, or ``budget`` deliveries ran."""
        vat = self.vat
        vat.awake = vat.runs = True
        try:
            if vat.outbox or vat.ahead:
                routing.route(self)
            while budget > 0 and vat.has_work:
                budget -= max(vat.run(budget), 1)
                vat.cancel_dropped()
                if routing.route(self) >= self.limits.send_buffer // 2:
                    # Whether their peers read large results is known when those are written.
                    break
        finally:
            vat.runs = False

    def drain(self) -> Batch:
        """Return everything that may leave now, once."""
        vat, outputs = self.vat, self.outputs
        for session in self.touched:
            data = session.take_output()
            if data:
                outputs.append(Write(self.links[session].conn, data))
        self.touched.clear()
        if self.held:
            pressure.go_on(self)
        if vat.settling.woken:
            outputs.append(Woken(vat.settling.woken))
            vat.settling.woken = []
        faults = vat.turns.faults
        if faults:
            for where, problem, number in faults:
                # The number is all that a caller can say of what he was not told.
                fields = {"method": where} if number is None else {"method": where, "fault": number}
                outputs.append(Trace("error", "turn failed", fields, problem))
            faults.clear()
        vat.heap.sweep()
        self._batches += 1
        commit = None if self.stored is None else self.stored.collect(self._batches, outputs)
        self.outputs = []
        vat.awake = False
        wake_at = self.wake_at() if self.timers.waiting or self.router.attempts else None
        return Batch(self._batches, commit, outputs, wake_at, vat.has_work or bool(self.touched))

    def wake_at(self) -> float | None:
        """Return when a timer or a dial is due next; heartbeats follow the driver's own beat."""
        times = (self.timers.next_at, self.router.next_at)
        return min((t for t in times if t is not None), default=None)

    # What the rooms beside this file use.

    def dial(self, attempt: Attempt) -> None:
        """Ask the driver for a connection."""
        attempt.conn = self.router.new_conn()
        self.outputs.append(Dial(attempt.conn, attempt.locator))

    def trace(self, level: str, event: str, **fields: Any) -> None:
        """Leave a line for people."""
        self.outputs.append(Trace(level, event, fields))

    def end(self, link: Link, why: str, *, code: str = "", by: str = "this side") -> None:
        """End a link: write what it still says, hang up, break all that depended on it."""
        session = link.session
        level = "warning" if by == "this side" else "info"
        self.trace(level, "session ended", conn=link.conn, code=code or why.partition(":")[0], by=by)
        data = session.take_output()
        if data:
            self.outputs.append(Write(link.conn, data))
        self.outputs.append(Hangup(link.conn, why))
        self.router.ended(link, self.now)
        self.touched.pop(session, None)
        self.links.pop(session, None)
        pressure.let_go(self, link)
        self.vat.queues.close(link.source)
        reason, unknown = routing.gone(session.hello, why)
        for answer in list(session.tables.answers.values()):
            self.vat.settling.release(answer)
        for settlement in (*session.end(reason, unknown), *self.exporter.ended(session), *left(link)):
            routing.settle(self, settlement)
        if "cycles" in self.__dict__:
            # By now what was imported over it is broken, and nothing that it leads to is asked about.
            for settlement in self.cycles.closed(link, reason):
                routing.settle(self, settlement)
        for fiber in self.vat.turns.tied():
            # A peer may have tied them by what it resolved; now it can never wake them.
            self.vat.cancel(fiber)
        attempt = self.router.dialled(link.conn)
        if attempt is not None:
            self.router.failed(attempt, reason, self.now)

    def check(self) -> None:
        """Raise InvariantBroken when a counted invariant does not hold anywhere in this vat."""
        self.vat.check()
        self.exporter.check()
        if "cycles" in self.__dict__:
            self.cycles.check()
        for link in self.router.links.values():
            link.session.check()

    def dump(self) -> dict[str, Any]:
        """Return the tables of every session and the queues, as text."""
        return {
            "vat": self.vat.dump(),
            "gifts": self.exporter.dump(),
            "cycles": self.cycles.dump(),
            "sessions": {f"c{c}": link.session.dump() for c, link in self.router.links.items()},
        }
