"""A hand-made OCapN peer over blocking sockets: one dialect, one framing, no code of the product.

It numbers its exports, questions and answers from 0, so that its first resolver stands where its
bootstrap does. Whatever it is sent that it does not expect waits in its inbox.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from tests.interop.keys import (
    Key,
    an_object,
    envelope,
    export,
    held,
    is_call,
    is_signed,
    public_list,
    signature_list,
    signature_of,
    twice,
)
from tests.interop.syrup import Incomplete, Malformed, Reader, Rec, Sym, read, rec, write

TRANSPORT = "tcp-testing-only"
PATIENCE_S = 5.0


class Ended(Exception):
    """The other end closed in good order: everything it sent before was read."""


class Aborted(Exception):
    """The other end said op:abort."""


class Listener:
    """Where others can dial in."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def location(self, name: str) -> Rec:
        return rec("ocapn-peer", Sym(TRANSPORT), name, {"host": "127.0.0.1", "port": str(self.port)})

    def accept(self, **options: Any) -> Peer:
        self.socket.settimeout(PATIENCE_S)
        sock, _ = self.socket.accept()
        return Peer(sock, **options)


class Host:
    """What a locator says: where the product listens."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self.designator, _, self.transport = parts.netloc.rpartition(".")
        self.hints = dict(parse_qsl(parts.query, strict_parsing=True))
        self.location = rec("ocapn-peer", Sym(self.transport), self.designator, self.hints)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.hints["host"], int(self.hints["port"])), PATIENCE_S)


class Peer:
    """One connection and this end's side of the session on it."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        dialect: str = "d2",
        framed: bool = True,
        name: str | None = None,
        key: Key | None = None,
        location: Rec | None = None,
        reader: Reader | None = None,
        order: str = "canonical",
    ) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.dialect = dialect
        self.framed = framed
        self.key = key or Key()
        self.location = location or rec("ocapn-peer", Sym(TRANSPORT), name or uuid4().hex, False)
        self.order = order
        self.reader = reader or Reader()
        self.inbox: list[Rec] = []
        #: Everything that came, to the byte.
        self.transcript: list[bytes] = []
        #: By position: how many references the host has given back, and which answers it let go.
        self.dropped: Counter[int] = Counter()
        self.dropped_answers: Counter[int] = Counter()
        self.handoff_count = 0
        self._exports = self._answers = 0
        self._buffer = b""
        self._shown = False

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Bytes.

    def spell(self, message: Rec | bytes) -> bytes:
        data = message if isinstance(message, bytes) else write(message, self.order)
        return b"%d:%b" % (len(data), data) if self.framed else data

    def send(self, *messages: Rec | bytes) -> None:
        """Write messages, all in one segment."""
        self.sock.sendall(b"".join(map(self.spell, messages)))

    def die(self) -> None:
        """Go without a word."""
        self.sock.close()

    def close(self) -> None:
        with suppress(OSError):
            self.send(rec("op:abort", "session closed"))
        self.sock.close()

    def _next(self) -> Rec | None:
        data = self._buffer
        if not data:
            return None
        try:
            if self.framed:
                digits, colon, rest = data.partition(b":")
                if not colon or len(rest) < int(digits):
                    return None
                payload = rest[: int(digits)]
                self._buffer = rest[int(digits) :]
                message = read(payload, self.reader)
            else:
                message, end = self.reader.read(data)
                payload, self._buffer = data[:end], data[end:]
        except Incomplete:
            if self.framed:
                raise Malformed("a frame that ends within its value") from None
            return None
        self.transcript.append(payload)
        if type(message) is not Rec:
            raise Malformed(f"a message that is no record: {message!r}")
        return message

    def receive(self, patience: float = PATIENCE_S) -> Rec:
        """Give the next message; raises Ended at a clean end, TimeoutError, ConnectionResetError."""
        deadline = time.monotonic() + patience
        while True:
            message = self._next()
            if message is not None:
                return message
            self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            data = self.sock.recv(65536)
            if not data:
                if self._buffer:
                    raise Malformed(f"the end within a message: {self._buffer[:80]!r}")
                raise Ended
            self._buffer += data

    def wait(self, wanted: Callable[[Rec], bool], patience: float = PATIENCE_S) -> Rec:
        """Give the first message that is wanted; the others stay in the inbox."""
        for i, message in enumerate(self.inbox):
            if wanted(message):
                return self.inbox.pop(i)
        deadline = time.monotonic() + patience
        while True:
            message = self.receive(deadline - time.monotonic())
            if message.label.startswith("op:gc-"):
                self._count(message)
            if wanted(message):
                return message
            if message.label == "op:abort":
                raise Aborted(message.fields[0])
            self.inbox.append(message)

    def drain(self, seconds: float) -> list[Rec]:
        """Read for a while; give everything that has come so far."""
        with suppress(TimeoutError):
            self.wait(lambda _: False, seconds)
        return self.inbox

    def until(self, done: Callable[[], bool], patience: float = PATIENCE_S) -> None:
        """Read until something is so."""
        deadline = time.monotonic() + patience
        while not done():
            with suppress(TimeoutError):
                self.wait(lambda _: done(), min(0.05, deadline - time.monotonic()))
            assert time.monotonic() < deadline, (self.inbox, self.dropped, self.dropped_answers)

    def ending(self) -> str | None:
        """Read to the end, which must be a clean one; give the reason of the abort, if there was one."""
        reason = None
        with suppress(Ended):
            while True:
                message = self.receive()
                if message.label == "op:abort":
                    reason = message.fields[0]
        return reason

    def _count(self, message: Rec) -> None:
        """Note what the host gives back; it must say so in this peer's dialect."""
        label, lists = message.label, message.fields
        plural = {"d0": "", "d1": "", "d2": "s"}[self.dialect]
        assert label in (f"op:gc-export{plural}", f"op:gc-answer{plural}"), message
        if self.dialect == "d0":
            assert all(type(field) is int for field in lists), message
            lists = [[field] for field in lists]
        assert all(type(field) is list for field in lists), message
        if label.startswith("op:gc-export"):
            positions, counts = lists
            for position, count in zip(positions, counts, strict=True):
                assert count > 0
                self.dropped[position] += count
        else:
            (positions,) = lists
            self.dropped_answers.update(positions)

    # Opening.

    def hello(self, version: str = "1.0", signed: bytes | None = None) -> Rec:
        """Give our op:start-session."""
        signed = write(rec("my-location", self.location)) if signed is None else signed
        signature = signature_list(self.key.sign(signed))
        return rec("op:start-session", version, public_list(self.key.raw), self.location, signature)

    def expect_hello(self) -> Rec:
        """Read the host's op:start-session and check it."""
        hello = self.wait(lambda m: m.label == "op:start-session")
        version, key, location, signature = hello.fields
        assert version == "1.0"
        self.their_key: bytes = key[1][3][1]
        assert key == public_list(self.their_key)
        self.their_location: Rec = location
        signed = write(rec("my-location", location))
        assert is_signed(signature_of(signature), self.their_key, signed)
        self.their_side = twice(write(key))
        low, high = sorted((self.key.side, self.their_side))
        self.session_id = twice(b"prot0" + low + high)
        return hello

    def open(self) -> Peer:
        """Exchange hellos."""
        self.send(self.hello())
        self.expect_hello()
        if self.dialect == "d0":
            # Its op:deliver-only is D1's too, so it has to say more before it can be told apart.
            self.show_dialect()
        return self

    # Operations in this peer's dialect.

    def new_export(self) -> int:
        self._exports += 1
        return self._exports - 1

    def new_answer(self) -> int:
        self._answers += 1
        return self._answers - 1

    def only(self, to: Rec, *args: Any) -> Rec:
        """Give a call that wants nothing."""
        if self.dialect == "d2":
            return rec("op:deliver", to, list(args), False, False)
        return rec("op:deliver-only", to, list(args))

    def gc_exports(self, *entries: tuple[int, int]) -> list[Rec]:
        if self.dialect == "d0":
            return [rec("op:gc-export", position, count) for position, count in entries]
        label = "op:gc-exports" if self.dialect == "d2" else "op:gc-export"
        return [rec(label, [p for p, _ in entries], [c for _, c in entries])]

    def gc_answers(self, *positions: int) -> list[Rec]:
        if self.dialect == "d0":
            return [rec("op:gc-answer", position) for position in positions]
        return [rec("op:gc-answers" if self.dialect == "d2" else "op:gc-answer", list(positions))]

    def show_dialect(self) -> None:
        """Say something that only this dialect has, and that changes nothing; once."""
        if self._shown:
            return
        self._shown = True
        position, resolver = self.ask(export(0), Sym("fetch"), b"nothing is here")
        self.reason(resolver)
        self.send(*self.gc_answers(position))

    def deliver(self, to: Rec, *args: Any, at: int | bool = False, resolver: int | bool = False) -> Rec:
        """Give a call; its result goes to our export ``resolver``."""
        resolve = resolver if resolver is False else an_object(resolver)
        return rec("op:deliver", to, list(args), at, resolve)

    def ask(self, to: Rec, *args: Any) -> tuple[int, int]:
        """Send a call; give its answer position and its resolver."""
        position, resolver = self.new_answer(), self.new_export()
        self.send(self.deliver(to, *args, at=position, resolver=resolver))
        return position, resolver

    def listen(self, to: Rec, *partial: bool) -> int:
        resolver = self.new_export()
        self.send(rec("op:listen", to, an_object(resolver), *(partial or (False,))))
        return resolver

    def settled(self, resolver: int, patience: float = PATIENCE_S) -> list[Any]:
        """Wait for the call of a resolver; give ``[verb, value]``."""
        message = self.wait(lambda m: is_call(m, export(resolver)), patience)
        args: list[Any] = message.fields[1]
        assert len(args) == 2, message
        return args

    def value(self, resolver: int) -> Any:
        """Wait for a result that is none of ours to hear of later."""
        verb, value = self.settled(resolver)
        assert verb == Sym("fulfill"), (verb, value)
        return value

    def reason(self, resolver: int) -> Any:
        verb, value = self.settled(resolver)
        assert verb == Sym("break"), (verb, value)
        return value

    def call(self, to: Rec, *args: Any) -> Any:
        """Call and wait for the value."""
        return self.value(self.ask(to, *args)[1])

    def call_unnumbered(self, to: Rec, *args: Any) -> Any:
        """Call without an answer position, which would keep the value at the host; wait for the value."""
        resolver = self.new_export()
        self.send(self.deliver(to, *args, resolver=resolver))
        return self.value(resolver)

    def outcome(self, to: Rec, *args: Any) -> list[Any]:
        """Call and wait for how it ends."""
        return self.settled(self.ask(to, *args)[1])

    def fetch(self, swiss: bytes | str) -> Rec:
        """Fetch an object; give the descriptor that we call it by."""
        return held(self.call(export(0), Sym("fetch"), swiss))

    def serve_one(self, to: Rec, patience: float = PATIENCE_S) -> Rec:
        """Wait for a call of something of ours."""
        return self.wait(lambda m: is_call(m, to), patience)

    def reply(self, message: Rec, value: Any, verb: str = "fulfill") -> None:
        """Tell the host how a call of its ended."""
        resolve = message.fields[3]
        assert type(resolve) is Rec, message
        self.send(self.only(held(resolve), Sym(verb), value))

    # Handoff.

    def give(self, receiver_key: bytes, exporter: Peer, gift_id: bytes, location: Rec) -> Rec:
        """Certify, as the gifter, a gift deposited in ``exporter``'s session."""
        fields = (public_list(receiver_key), location, exporter.session_id, exporter.key.side, gift_id)
        return envelope(rec("desc:handoff-give", *fields), exporter.key)

    def withdrawal(self, give: Rec, receiver_key: Key, count: int | None = None) -> Rec:
        """Certify, as the receiver, that the give is used in this session."""
        if count is None:
            count, self.handoff_count = self.handoff_count, self.handoff_count + 1
        return envelope(
            rec("desc:handoff-receive", self.session_id, self.key.side, count, give), receiver_key
        )
