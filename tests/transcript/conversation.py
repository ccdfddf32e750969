"""Two real peers and the wire between them, moved one operation at a time; it knows no socket and no clock.

What a peer writes is cut into its operations, noted as a line each, and waits until it is told to arrive:
``A>B op:call e1.echo(7) q2 wanted`` names an export of the receiver and a question of the sender. Values
show references from the sender's side: ``object e1`` and ``promise e1`` are exports of the sender,
``your e1`` one of the receiver's, ``q1`` the answer to a question of the sender's. ``op:resolve`` and
``op:break`` name a question of the receiver's. Releases are sets, and shown in order of position.
"""

from __future__ import annotations

import gc
import hashlib
from collections import deque
from typing import Any

import msgpack

from captp.limits import Limits
from captp.model.current import CURRENT_VAT
from captp.model.idents import ConnId
from captp.model.keys import PrivateKey
from captp.model.object import Object
from captp.model.promise import Promise, add_waiter
from captp.model.values import Fault, Symbol, Tagged
from captp.peer.outputs import Call, Dial, Hangup, Trace, Write
from captp.peer.peer import Peer
from captp.peer.view import SessionView, view_of
from captp.session.handshake import Channel
from captp.vat.effects import Watch
from captp.wire import ops
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import Desc, Kind, Op
from tests.names import Names

BEAT_S = 0.25


class Side:
    """One peer, the bytes on their way to it, and what it drained besides bytes."""

    def __init__(self, talk: Conversation, name: str, root: Object | None, limits: Limits | None) -> None:
        count = iter(range(1 << 32))

        def entropy(size: int) -> bytes:
            return hashlib.shake_128(f"{name}/{next(count)}".encode()).digest(size)

        self.talk = talk
        self.name = name
        self.conn = ConnId(0)
        self.peer = Peer(key=PrivateKey.from_seed(name.encode() * 32), entropy=entropy, limits=limits)
        self.root = self.peer.mint(root, "memory") if root is not None else None
        self.inbox: deque[bytes] = deque()
        self.hangups: list[str] = []
        self.failures: list[str] = []
        self._codec = NativeCodec(Names(), Limits())

    @property
    def other(self) -> Side:
        return self.talk.b if self is self.talk.a else self.talk.a

    @property
    def session(self) -> SessionView:
        (session,) = view_of(self.peer).sessions
        return session

    def run(self) -> None:
        """Run the engine; what it writes is now on its way."""
        token = CURRENT_VAT.set(self.peer.vat)
        try:
            self.peer.run(10_000)
        finally:
            CURRENT_VAT.reset(token)
        for output in self.peer.drain().outputs:
            match output:
                case Write():
                    self._write(output.data)
                case Dial():
                    self.talk.connect(self, output)
                case Hangup():
                    self.hangups.append(output.reason)
                case Trace(event="turn failed"):
                    self.failures.append(repr(output.error))
                case Call():
                    raise AssertionError("nothing here calls outside")
        self.talk.check()

    def _write(self, data: bytes) -> None:
        if data.startswith(PREAMBLE):
            data = data.removeprefix(PREAMBLE)
            self.other.inbox.append(PREAMBLE)
        for op, message in zip(self._codec.feed(data), _messages(data), strict=True):
            self.talk.lines.append(f"{self.name}>{self.other.name} {show(op)}")
            self.other.inbox.append(len(message).to_bytes(4, "big") + message)

    def hear(self, count: int = 1) -> None:
        """Let operations arrive, without a run of the engine."""
        for _ in range(count):
            self.peer.received(self.conn, self.inbox.popleft(), self.talk.now)
            self.talk.check()

    def take(self, count: int = 1) -> None:
        """Let operations arrive one by one, and run after each."""
        for _ in range(count):
            self.hear()
            self.run()

    def want(self, reference: Any) -> None:
        """Wait for a result, as a task that awaits it does."""
        self.peer.vat.want(reference)
        if not reference.settled:
            add_waiter(reference, self.name)

    def watch(self, reference: Any) -> Promise[Any]:
        """Return the promise that is fulfilled when a reference breaks."""
        heard: Promise[Any] = Promise(self.peer.vat)
        self.peer.vat.emit(Watch(heard, reference))
        return heard

    def lose(self, why: str = "cut") -> None:
        """Learn that the connection is gone; what was on its way here never comes."""
        self.inbox.clear()
        self.peer.disconnected(self.conn, why, self.talk.now)
        self.run()

    def left(self) -> list[str]:
        """Return what stands anywhere in this vat, besides bootstraps and the root."""
        peer = self.peer
        sessions = [s for link in peer.router.links.values() for s in link.session.dump().items()]
        entries = [x for table, x in sessions if table != "state"]
        lines = [line for table in entries for line in table if "<control bootstrap>" not in line]
        view = view_of(peer)
        lines += [] if view.is_idle else [f"not idle: {peer.vat.dump()}"]
        lines += [] if view.objects == (self.root is not None) else peer.vat.heap.dump()
        return lines + [f"{len(x)} left over" for x in (peer.timers.waiting,) if x]


class Conversation:
    """A dials B; by default both have said hello, and A has B's root, before the script begins."""

    def __init__(
        self,
        root: Object | None = None,
        a_root: Object | None = None,
        *,
        a_limits: Limits | None = None,
        b_limits: Limits | None = None,
    ) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.a = Side(self, "A", a_root, a_limits)
        self.b = Side(self, "B", root, b_limits)

    def connect(self, side: Side, dial: Dial) -> None:
        """Let a dial succeed at once."""
        side.conn, side.other.conn = dial.conn, side.other.peer.router.new_conn()
        channel = Channel(transport="memory")
        side.peer.connected(side.conn, channel, self.now, dial.locator)
        side.other.peer.connected(side.other.conn, channel, self.now)
        side.run()

    def fetch(self, interface: type | None = None) -> Any:
        """Return A's reference to the root of B, settled, and begin the transcript after it."""
        assert self.b.root is not None
        promise = self.a.peer.enliven(self.b.root, interface)
        self.a.want(promise)
        self.settle()
        self.beat()
        self.new_lines()
        return value(promise)

    def settle(self) -> None:
        """Run both and move everything until nothing is on its way."""
        self.a.run()
        self.b.run()
        while self.a.inbox or self.b.inbox:
            for side in (self.b, self.a):
                side.take(len(side.inbox))

    def beat(self, times: int = 1) -> None:
        """Let time pass on both sides, as the driver's beat does; releases leave with it."""
        for _ in range(times):
            gc.collect()
            self.now += BEAT_S
            for side in (self.a, self.b):
                side.peer.tick(self.now)
            self.settle()

    def check(self) -> None:
        """Check every counted invariant of both."""
        self.a.peer.check()
        self.b.peer.check()

    def new_lines(self) -> list[str]:
        """Return the transcript since the last look."""
        lines, self.lines = self.lines, []
        return lines

    def reads(self, script: str) -> None:
        """Assert that the transcript since the last look has these lines and no other."""
        said, wanted = self.new_lines(), [line.strip() for line in script.strip().splitlines()]
        assert said == wanted, "\n".join(["this was said:", *said])

    def ends_empty(self) -> None:
        """Assert that nothing is left on either side once the script has let go of everything."""
        self.beat(4)
        left = {side.name: side.left() for side in (self.a, self.b)}
        assert left == {"A": [], "B": []}, left


def value(promise: Any) -> Any:
    """Return what a settled promise was fulfilled with, or raise what broke it."""
    assert promise.settled, f"{promise!r} was never settled"
    try:
        next(promise.__await__())
    except StopIteration as done:
        return done.value
    raise AssertionError("a settled promise suspended its awaiter")


def _messages(data: bytes) -> list[bytes]:
    """Cut frames into the messages in them."""
    messages = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        frame, data = data[4:end], data[end:]
        unpacker, start = msgpack.Unpacker(), 0
        unpacker.feed(frame)
        while start < len(frame):
            unpacker.skip()
            messages.append(frame[start : unpacker.tell()])
            start = unpacker.tell()
    return messages


_FORMS = {
    Kind.IMPORT_OBJECT: "object e{}",
    Kind.IMPORT_PROMISE: "promise e{}",
    Kind.EXPORT: "your e{}",
    Kind.ANSWER: "q{}",
    Kind.LENT: "lent e{}",
    Kind.IMPORT_SOLE: "sole e{}",
    Kind.EXPORT_SOLE: "your sole e{}",
}


def show(op: Op) -> str:
    """Return one operation as a readable line."""
    code, *fields = op
    name = ops.OP_NAMES[code]
    match fields:
        case (to, method, args, *rest) if code == ops.CALL:
            to = f"e{to}" if to >= 0 else f"q{-1 - to}"
            return f"{name} {to}.{method}({_list(args)}){_asked(rest)}"
        case (to, args, *rest) if code == ops.DELIVER:
            method, args = (f".{args[0].name}", args[1:]) if args and type(args[0]) is Symbol else ("", args)
            return f"{name} {_target(to)}{method}({_list(args)}){_asked(rest)}"
        case (to, key, *rest) if code in (ops.GET, ops.INDEX, ops.UNTAG):
            return f"{name} {_target(to)}[{_show(key)}]{_asked(rest)}"
        case (to, listener) if code == ops.LISTEN:
            return f"{name} {_target(to)}" + ("" if listener is True else f" q{listener}")
        case (position, result) if code == ops.RESOLVE:
            return f"{name} q{position} = {_show(result)}"
        case (position, error) if code == ops.BREAK:
            return f"{name} q{position} ! {_show(error)}"
        case (positions, counts) if code == ops.GC_EXPORTS:
            pairs = sorted(zip(positions, counts, strict=True))
            return f"{name} " + ", ".join(f"{position} x{count}" for position, count in pairs)
        case (positions,) if code == ops.GC_ANSWERS:
            return f"{name} " + ", ".join(map(str, sorted(positions)))
        case (version, _, (transport, _, _), _, extensions) if code == ops.START:
            return f"{name} {version} {transport} {','.join(extensions)}"
    return f"{name} {_list(fields)}"


def _target(to: Any) -> str:
    return f"q{to.position}" if to.kind is Kind.ANSWER else f"e{to.position}"


def _asked(rest: list[Any]) -> str:
    position, wanted = (*rest, False, False)[:2]
    return ("" if position is False else f" q{position}") + (" wanted" if wanted else "")


def _list(values: Any) -> str:
    return ", ".join(map(_show, values))


def _show(what: Any) -> str:
    match what:
        case Desc():
            return _FORMS[what.kind].format(what.position)
        case bytes():
            return f"bytes {len(what)}"
        case Symbol():
            return f"'{what.name}"
        case Tagged():
            return f"{what.tag}:{_show(what.value)}"
        case Fault():
            return f"{(what.data or {}).get('class')}: {what.message}"
        case tuple():
            return f"[{_list(what)}]"
        case dict():
            return "{" + ", ".join(f"{k}: {_show(v)}" for k, v in what.items()) + "}"
    return repr(what)
