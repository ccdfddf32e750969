"""Real peers joined by hand: dials connect, bytes move and time passes only when a test says so."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import gc
import hashlib
from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen

import captp
from captp.errors import Disconnected, Unreachable
from captp.limits import Limits
from captp.model.current import CURRENT_VAT
from captp.model.idents import ConnId
from captp.model.keys import PrivateKey, side_id
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.promise import Promise, add_waiter
from captp.peer.outputs import Batch, Call, Dial, Hangup, Trace, Woken, Write
from captp.peer.peer import Peer
from captp.peer.router import Link
from captp.session.handshake import Channel
from captp.vat.effects import Watch

TRANSPORT = "sim"

#: Seconds between two looks of the driver at its connections.
BEAT = 0.25

#: Seconds that bytes take to the other end.
LATENCY = 0.001


@frozen(eq=False)
class Task:
    """Somebody who waits for a promise."""

    name: str


class Host:
    """One peer, its driver, and what the driver was told to do."""

    def __init__(self, net: Net, seed: int, limits: Limits | None, life: int = 0) -> None:
        self.net = net
        self.seed = seed
        #: What the next draws of 32 and of 2 bytes give: seeds of session keys, and the jitter of rests.
        self.keys: deque[bytes] = deque()
        self.jitter = b"\x80\x00"
        self._draws = 0
        self._life = life
        self.peer = Peer(key=PrivateKey.from_seed(bytes([seed]) * 32), entropy=self._entropy, limits=limits)
        self.vat = self.peer.vat
        self.dials: dict[ConnId, PeerLocator] = {}
        #: Every dial that was asked for, with the time.
        self.dialled: list[float] = []
        self.hangups: list[str] = []
        self.traces: list[Trace] = []
        #: Whether methods of its objects may raise what is logged.
        self.has_faults = False
        self.woken: list[str] = []
        self.calls: list[Call] = []
        self.batches: list[Batch] = []
        self.ends: dict[ConnId, End] = {}

    def _entropy(self, size: int) -> bytes:
        if size == 2:
            return self.jitter
        if self.keys:
            return self.keys.popleft()
        self._draws += 1
        return hashlib.shake_128(f"{self.seed}/{self._life}/{self._draws}".encode()).digest(size)

    # What a program does.

    def mint(self, obj: Any, **options: Any) -> SturdyRef:
        return self.peer.mint(obj, TRANSPORT, **options)

    def enliven(self, sturdyref: SturdyRef, interface: type | None = None, *, retry_for: float = 0.0) -> Any:
        self.peer.now = self.net.now
        return self.peer.enliven(sturdyref, interface, retry_for=retry_for)

    def want(self, promise: Any, task: str = "") -> Any:
        """Wait for a promise, as a task of that name would; it is woken when that is settled."""
        if isinstance(promise, Promise) and not promise.settled:
            self.vat.want(promise)
            add_waiter(promise, Task(task))
        return promise

    def get(self, promise: Any) -> Any:
        """Let everything come to rest, and return what a promise was fulfilled with."""
        promise = self.want(promise)
        self.net.rest()
        return outcome(promise)

    def when_broken(self, reference: Any) -> Promise[Any]:
        promise: Promise[Any] = Promise(self.vat)
        self.vat.emit(Watch(promise, reference))
        return promise

    # The driver.

    def run(self, budget: int = 1_000_000) -> Batch:
        """Run the engine once and carry out what it drained."""
        self.peer.now = self.net.now
        token = CURRENT_VAT.set(self.vat)
        try:
            self.peer.run(budget)
        finally:
            CURRENT_VAT.reset(token)
        batch = self.peer.drain()
        self.batches.append(batch)
        for output in batch.outputs:
            self.act(output)
        self.peer.check()
        return batch

    def act(self, output: Any) -> None:
        kind = type(output)
        if kind is Write:
            end = self.ends.get(output.conn)
            if end is not None:
                end.other.hear(output.data)
        elif kind is Dial:
            self.dials[output.conn] = output.locator
            self.dialled.append(self.net.now)
        elif kind is Hangup:
            self.hangups.append(output.reason)
            end = self.ends.pop(output.conn, None)
            if end is not None:
                end.is_open = False
                end.inbox.clear()
                end.other.is_last = True
        elif kind is Trace:
            self.traces.append(output)
            assert output.error is None or self.has_faults, output
        elif kind is Woken:
            assert all(type(w) is Task for w in output.waiters), output.waiters
            self.woken += [task.name for task in output.waiters]
        else:
            assert kind is Call, output
            self.calls.append(output)

    # What a test looks at.

    @property
    def sessions(self) -> list[Link]:
        """The connections whose sessions are open."""
        return [link for link in self.peer.router.links.values() if link.session.is_open]

    @property
    def log(self) -> list[tuple[str, Any]]:
        """What was traced, with the code if there is one."""
        return [(t.event, t.fields.get("code")) for t in self.traces]


@define(eq=False)
class End:
    """One end of a wire: whose it is, and the bytes on their way to it."""

    host: Host
    conn: ConnId
    other: End = None  # type: ignore[assignment]
    inbox: bytearray = field(factory=bytearray)
    is_open: bool = True
    is_last: bool = False
    #: A silent end hears nothing, and not that there is nothing to hear.
    is_deaf: bool = False

    def hear(self, data: bytes) -> None:
        if self.is_open and not self.is_last:
            self.inbox += data

    def deliver(self, size: int | None = None) -> bool:
        """Bring bytes to this end, or the news that there will be no more."""
        if not self.is_open or self.is_deaf or not (self.inbox or self.is_last):
            return False
        now = self.host.net.now
        if self.inbox:
            data = bytes(self.inbox[:size])
            del self.inbox[: len(data)]
            self.host.peer.received(self.conn, data, now)
        else:
            self.is_open = False
            self.other.is_last = True
            self.host.ends.pop(self.conn, None)
            self.host.peer.disconnected(self.conn, "the other end is gone", now)
        return True


class Wire:
    """One connection: ``near`` is the end of who dialled."""

    def __init__(self, dialler: Host, conn: ConnId, answerer: Host) -> None:
        self.near = End(dialler, conn)
        self.far = End(answerer, answerer.peer.router.new_conn(), self.near)
        self.near.other = self.far
        for end in (self.near, self.far):
            end.host.ends[end.conn] = end

    def cut(self) -> None:
        """Lose what is in flight; each end hears of it when its news is delivered."""
        for end in (self.near, self.far):
            end.inbox.clear()
            end.is_last = True

    def stall(self) -> None:
        """Let neither end hear anything any more."""
        self.near.is_deaf = self.far.is_deaf = True


class Net:
    """All hosts, all wires, one clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.hosts: list[Host] = []
        self.wires: list[Wire] = []

    def host(self, seed: int, limits: Limits | None = None, life: int = 0) -> Host:
        """Add a vat whose identity follows from ``seed``; another ``life`` is the same vat, restarted."""
        made = Host(self, seed, limits, life)
        made.peer.now = self.now
        self.hosts.append(made)
        return made

    def kill(self, host: Host) -> None:
        """Let a vat die; the others hear nothing of it."""
        self.hosts.remove(host)
        for end in host.ends.values():
            end.is_open = False
        host.ends.clear()

    def connect(self, dialler: Host, answerer: Host | None = None) -> Wire:
        """Let the oldest dial of a host succeed, at whom it wanted or at somebody else."""
        conn, locator = next(iter(dialler.dials.items()))
        del dialler.dials[conn]
        if answerer is None:
            answerer = self._at(locator)
            assert answerer is not None
        wire = Wire(dialler, conn, answerer)
        self.wires.append(wire)
        ours, theirs = dialler.peer.key.public.raw, answerer.peer.key.public.raw
        dialler.peer.connected(conn, Channel(theirs, b"", TRANSPORT), self.now, locator)
        answerer.peer.connected(wire.far.conn, Channel(ours, b"", TRANSPORT), self.now)
        return wire

    def _at(self, locator: PeerLocator) -> Host | None:
        return next((h for h in self.hosts if h.peer.designator == locator.designator), None)

    def refuse(self, dialler: Host, error: Disconnected | None = None) -> None:
        """Let the oldest dial of a host fail."""
        conn = next(iter(dialler.dials))
        del dialler.dials[conn]
        dialler.peer.dial_failed(conn, error or Unreachable("nobody listens there"), self.now)

    def rest(self, *, dials: bool = True) -> None:
        """Run everything and move everything until nothing moves; ``dials`` lets dials succeed or fail."""
        for _ in range(500):
            moved = False
            for host in self.hosts:
                vat = host.vat
                moved |= bool(vat.has_work or host.peer.touched or host.peer.outputs or vat.settling.woken)
                host.run()
                while dials and host.dials:
                    moved = True
                    if self._at(next(iter(host.dials.values()))) is None:
                        self.refuse(host)
                    else:
                        self.connect(host)
                    host.run()
            for wire in self.wires:
                moved |= wire.near.deliver()
                moved |= wire.far.deliver()
            if not moved:
                return
            self.now += LATENCY
        raise AssertionError("this network never comes to rest")

    def tick(self) -> None:
        for host in self.hosts:
            host.peer.tick(self.now)

    def wait(self, seconds: float, *, dials: bool = True) -> None:
        """Let time pass, beat by beat, with everything at rest after each."""
        end = self.now + seconds
        while self.now < end:
            self.now = max(self.now, min(self.now + BEAT, end))
            self.tick()
            self.rest(dials=dials)

    def link(self, host: Host, other: Host) -> Link:
        """Return the live link of one host to another."""
        return host.peer.router.live[TRANSPORT, other.peer.designator]


def seeds_by_side(count: int = 2) -> list[bytes]:
    """Return seeds of session keys, the lowest side id first."""
    seeds = [bytes([i]) * 32 for i in range(200, 200 + count)]
    return sorted(seeds, key=lambda s: side_id(PrivateKey.from_seed(s).public.raw))


def outcome(promise: Any) -> Any:
    """Return what a settled promise was fulfilled with, or raise what broke it."""
    assert getattr(promise, "settled", True), f"{promise!r} was never settled"
    try:
        next(promise.__await__())
    except StopIteration as done:
        return done.value
    raise AssertionError("a settled promise suspended its awaiter")


class Shop(captp.Interface):
    """What the hosts of these tests share."""

    @captp.method
    def add(self, number: int) -> int: ...

    @captp.method
    def me(self) -> Shop: ...

    @captp.method
    def give_back(self, what: Any) -> Any: ...

    @captp.method
    def keep(self, what: Any) -> None: ...

    @captp.method
    def never(self) -> Any: ...


class Counter(captp.Object, Shop):
    """A Shop that remembers what it was told, in order."""

    __slots__ = ("on_add",)

    seen: captp.List[int]
    kept: captp.List[Any]

    def __init__(self, on_add: Callable[[int], None] | None = None) -> None:
        self.on_add = on_add

    @captp.method
    def add(self, number: int) -> int:
        self.seen.append(number)
        if self.on_add is not None:
            self.on_add(number)
        return number

    @captp.method
    def me(self) -> Shop:
        return self

    @captp.method
    def give_back(self, what: Any) -> Any:
        return what

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept.append(what)

    @captp.method
    async def never(self) -> Any:
        await captp.sleep(1e9)


@define
class Pair:
    """Two hosts, one session, dialled by ``a``; ``ref`` is a's reference to b's ``counter``."""

    net: Net
    a: Host
    b: Host
    counter: Counter
    sturdyref: SturdyRef
    ref: Any
    wire: Wire


def pair(limits: Limits | None = None, theirs: Limits | None = None) -> Pair:
    """Return two hosts in session."""
    net = Net()
    a, b = net.host(1, limits), net.host(2, theirs)
    counter = Counter()
    sturdyref = b.mint(counter)
    ref = a.get(a.enliven(sturdyref, Shop))
    return Pair(net, a, b, counter, sturdyref, ref, net.wires[0])


def collect(net: Net, seconds: float = 1) -> None:
    """Let garbage be found and reported."""
    gc.collect()
    net.wait(seconds)
