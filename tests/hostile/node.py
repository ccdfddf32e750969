"""One node with eight well-behaved sessions that call steadily, and the other end of a hostile one."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

import captp
from captp.errors import DecodeError, LimitExceeded
from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.values import Symbol
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsNetlayer, TlsPort
from captp.wire.dialect import SyrupCodec
from captp.wire.native import NativeCodec
from captp.wire.ops import ABORT, BREAK, DELIVER, LISTEN, RESOLVE, START, Desc
from tests.hostile.spell import RESOLVERS, SPEAKERS, Claim, Speaker, Sym
from tests.hostile.wire import LOOPBACK, Wire, connect, greet
from tests.names import Names

CALLERS = 8
PACE_S = 0.02
#: How long anything here may take, on a machine that has much else to do.
PATIENCE_S = 20.0
SWISS = b"the swiss number of the one door"
#: Stands in what hostile peers send; no log may show it.
MARK = "zq7-payload"
PAGE = os.sysconf("SC_PAGE_SIZE")


class Counter(captp.Object):
    """What a well-behaved peer calls: a lost call or a doubled one shows in the count."""

    count: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.count += amount
        return self.count


class Door(captp.Object):
    """What a stranger finds."""

    ran: int = 0

    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    def number(self, number: int) -> int:
        self.ran += 1
        return number

    @captp.method
    def runs(self) -> int:
        return self.ran

    @captp.method
    def data(self) -> dict[str, Any]:
        return {"list": [1, 2], "name": "door"}

    @captp.method
    def bulk(self, size: int) -> bytes:
        return bytes(size)

    @captp.method
    def make(self) -> Door:
        return Door()

    @captp.method(latch=False)
    async def wait(self, what: Any) -> Any:
        return await what

    @captp.method
    async def hold(self, what: Any) -> Any:
        return await what

    @captp.method(latch=False)
    async def greet(self, guest: Any) -> Any:
        return await captp.E(guest).ping()

    @captp.method
    async def host(self, guest: Any) -> Any:
        return await captp.E(guest).ping()


def resident() -> int:
    """Return the bytes of memory that this process has in use."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE


def trim() -> None:
    """Give freed memory back, or it would hide what is taken next."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


class Log(logging.Handler):
    """Keeps what one vat logs."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.vat = ""
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if fields_of(record).get("vat") == self.vat:
            self.records.append(record)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what the node says beside the event."""
    fields: dict[str, Any] = getattr(record, "captp", {})
    return fields


class Node:
    """The node under attack and what is known of its well-behaved callers."""

    def __init__(self, vat: captp.LiveVat, netlayer: str, log: Log) -> None:
        self.vat = vat
        self.netlayer = netlayer
        self.port = int(vat.locators[0].hint("port") or 0)
        self.log = log
        self.made = [0] * CALLERS
        self.done = [0] * CALLERS
        self.lost: list[str] = []
        self.callers: list[captp.LiveVat] = []
        self.peak = 0
        self.hurry = trio.Event()
        self.patience = PATIENCE_S

    async def call_steadily(self, number: int, counter: Any) -> None:
        """Call until cancelled; note every result that is not the one due."""
        while True:
            self.made[number] += 1
            try:
                count = await captp.E(counter).add(1)
            except captp.Error as problem:
                self.lost.append(f"caller {number}: {type(problem).__name__}: {problem}")
                return
            self.done[number] += 1
            if count != self.done[number]:
                self.lost.append(f"caller {number}: call {self.done[number]} gave {count}")
                return
            self.peak = max(self.peak, resident())
            with trio.move_on_after(PACE_S):
                await self.hurry.wait()

    async def everybody_is_served(self) -> bool:
        """Wait until each caller has had a call that was made after now."""
        goal = [count + 1 for count in self.made]
        self.hurry.set()
        self.hurry = trio.Event()
        with trio.move_on_after(PATIENCE_S):
            while not self.lost and any(d < g for d, g in zip(self.done, goal, strict=True)):
                await trio.sleep(0.001)
            return not self.lost
        return False

    async def until(self, condition: Callable[[], bool]) -> bool:
        """Wait for something to be so; False when it takes too long."""
        with trio.move_on_after(self.patience):
            while not condition():
                await trio.sleep(0.001)
            return True
        return False

    @asynccontextmanager
    async def hostile(
        self, codec: str, key: PrivateKey | None = None, *, bare: bool = False, source: str = LOOPBACK
    ) -> AsyncIterator[Hostile]:
        """Connect, with TLS where the netlayer has it unless ``bare``; nothing is said yet."""
        key = key or PrivateKey.from_seed(os.urandom(32))
        sock = await connect(self.port, source)
        wire = Wire(sock) if bare else await greet(sock, self.netlayer, self.vat.designator, key)
        try:
            yield Hostile(self, SPEAKERS[codec], wire, key)
        finally:
            wire.close()


def ears(codec: str) -> NativeCodec | SyrupCodec:
    """Make what reads the node's messages."""
    return NativeCodec(Names(), Limits()) if codec == "native" else SyrupCodec(Names(), Limits(), None)


class Hostile:
    """The far end of one connection: says what a test spells, notes what the node says.

    ``heard`` has ``(what, position, value)``: ``start``, ``abort``, ``result``, ``broken``, ``listen``,
    ``call``, or ``other`` with the operation.
    """

    def __init__(self, node: Node, speaker: Speaker, wire: Wire, key: PrivateKey) -> None:
        self.node = node
        self.says = speaker
        self.wire = wire
        self.key = key
        self.session_key = PrivateKey.from_seed(os.urandom(32))
        self.heard: list[tuple[str, Any, Any]] = []
        self.is_over = False
        #: The node's session key, once it has said hello.
        self.theirs = b""
        self.patience = PATIENCE_S
        self.ears = ears(speaker.name)

    def claim(self, **changes: Any) -> Claim:
        """Return what an honest hello says, with changes."""
        honest: dict[str, Any] = {
            "session_key": self.session_key,
            "transport": self.node.netlayer,
            "designator": self.key.public.designator,
            "binding": self.wire.binding,
        }
        return Claim(**(honest | changes))

    def hello(self, **changes: Any) -> bytes:
        return self.says.preface + self.says.hello(self.claim(**changes))

    async def open(self, **changes: Any) -> None:
        """Shake hands honestly, and fetch the door: it is export 1."""
        await self.wire.send(self.hello(**changes))
        await self.hears("start")
        # An OCapN call without a resolver shows the dialect; the node then needs none either.
        await self.wire.send(self.says.call(0, "captp:ping"))
        await self.wire.send(self.says.call(0, "fetch", SWISS, at=0))
        assert (await self.result(0)).position == 1
        await self.wire.send(self.says.gc_answers([0]))
        self.heard.clear()

    async def listen_more(self, most: int = 65536) -> bool:
        """Take in what came next; False at the end."""
        data = await self.wire.receive(most)
        if not data:
            self.is_over = True
            return False
        try:
            self.heard += [self._named(op) for op in self.ears.feed(data)]
        except (DecodeError, LimitExceeded) as problem:
            raise AssertionError(f"the node does not speak {self.says.name}: {problem}") from None
        return True

    def _named(self, op: Any) -> tuple[str, Any, Any]:
        match op:
            case (code, _, theirs, *_) if code == START:
                self.theirs = theirs
                return ("start", None, None)
            case (code, reason) if code == ABORT:
                return ("abort", None, reason)
            case (code, position, value) if code in (RESOLVE, BREAK):
                return ("result" if code == RESOLVE else "broken", position, value)
            case (code, to, listener, *_) if code == LISTEN:
                # Its news go to where the node wants them.
                question = to.position if listener is True else getattr(listener, "position", listener)
                return ("listen", to.position, question)
            case (code, Desc(position=to), (Symbol(name=word), value), *_) if code == DELIVER:
                if to >= RESOLVERS and word in ("fulfill", "break"):
                    return ("result" if word == "fulfill" else "broken", to - RESOLVERS, value)
        return ("other", None, op)

    async def hears(self, what: str, position: Any = None) -> Any:
        """Wait for something and return its value; raises AssertionError when something else ends it."""
        with trio.move_on_after(self.patience):
            while True:
                for word, at, value in self.heard:
                    if word == what and at == position:
                        return value
                if self.is_over or not await self.listen_more():
                    raise AssertionError(f"no {what} {position or ''}, but an end after {self.heard!r:.300}")
        raise AssertionError(f"no {what} {position or ''} in time, only {self.heard!r:.300}")

    async def result(self, at: int) -> Any:
        """Wait for the result of the call at an answer position."""
        return await self.hears("result", at)

    async def end(self) -> bool:
        """Listen until the node closes; False when it does not."""
        with trio.move_on_after(self.patience):
            while not self.is_over:
                await self.listen_more()
            return True
        return False

    async def send(self, *messages: bytes) -> None:
        """Send messages as one write."""
        await self.wire.send(b"".join(messages))

    async def lives(self) -> bool:
        """Say whether the session still serves; answer position 900 is for this."""
        await self.send(self.says.call(1, "number", 41, at=900))
        try:
            return bool(await self.result(900) == 41)
        except AssertionError:
            return False

    async def goodbye(self) -> None:
        await self.send(self.says.abort())
        await self.end()


@asynccontextmanager
async def a_busy_node(netlayer: str, limits: Limits) -> AsyncIterator[Node]:
    """Open a node with its callers; none of them may notice anything."""
    key = PrivateKey.from_seed(os.urandom(32))
    layer: Any = TcpNetlayer(limits=limits)
    if netlayer == "tls":
        layer = TlsNetlayer(key, TlsPort(limits=limits), limits=limits)
    logger, log = logging.getLogger("captp"), Log()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(log)
    try:
        async with captp.open_vat(key=key, listen=[layer], limits=limits) as vat:
            log.vat = vat.designator[:12]
            node = Node(vat, netlayer, log)
            vat.mint(Door(), swiss=SWISS)
            async with trio.open_nursery() as nursery:
                for number in range(CALLERS):
                    nursery.start_soon(_be_a_caller, node, number, vat.mint(Counter()))
                assert await node.until(lambda: all(node.done)), f"no calm start: {node.lost}"
                yield node
                nursery.cancel_scope.cancel()
    finally:
        logger.removeHandler(log)
        logger.setLevel(level)


async def _be_a_caller(node: Node, number: int, sturdyref: captp.SturdyRef) -> None:
    async with captp.open_vat() as vat:
        node.callers.append(vat)
        await node.call_steadily(number, vat.enliven(sturdyref))


__all__ = ["MARK", "SWISS", "Door", "Hostile", "Node", "Sym", "a_busy_node", "fields_of", "resident", "trim"]
