"""The OCapN codec: operations as Syrup records, in the three dialects that call themselves 1.0.

OCapN CapTP draft, operations and descriptors. It reads every dialect, learns from what it reads which
one the peer writes, and knows what references look like but not what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Literal, final

from captp.errors import DecodeError, LimitExceeded, LocalProtocolError
from captp.limits import Limits
from captp.model.boxed import Boxed
from captp.model.promise import Reference
from captp.model.values import FrozenMap, Symbol
from captp.wire import canonical
from captp.wire.bounds import check_references, check_size
from captp.wire.codec import Refs
from captp.wire.fields import LAST_POSITION, bad_field, check_answer, check_count
from captp.wire.ops import (
    ABORT,
    DELIVER,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    INDEX,
    LISTEN,
    OP_NAMES,
    START,
    UNTAG,
    Desc,
    Kind,
    Op,
)
from captp.wire.quirks import shows_raw_order
from captp.wire.syrup import Deframer, Encoded, Reader, Record, decode_one, encode
from captp.wire.syrup_values import from_entries, without_records

__all__ = ["SyrupCodec", "Vocabulary"]

Vocabulary = Literal["unknown", "d0", "d1", "d2"]

_SYMBOLS_KEPT: Final = 1024

_FORMS: Final = {
    Kind.IMPORT_OBJECT: b"<18'desc:import-object%d+>",
    Kind.IMPORT_PROMISE: b"<19'desc:import-promise%d+>",
    Kind.EXPORT: b"<11'desc:export%d+>",
    Kind.ANSWER: b"<11'desc:answer%d+>",
}
_KINDS: Final = {
    "desc:import-object": Kind.IMPORT_OBJECT,
    "desc:import-promise": Kind.IMPORT_PROMISE,
    "desc:export": Kind.EXPORT,
    "desc:answer": Kind.ANSWER,
}
_TARGETS: Final = (Kind.EXPORT, Kind.ANSWER)
_RESOLVERS: Final = (Kind.IMPORT_OBJECT, Kind.IMPORT_PROMISE)
_PEERS: Final = frozenset(("ocapn-peer", "ocapn-node"))
_OPAQUE: Final = _PEERS | {"desc:sig-envelope"}
_NOTHING: Final = (None, None)
#: Values of op:deliver beside its arguments: itself, a target of two, an answer position, a resolver of two.
_BESIDE: Final = 6


class _Several(bytes):
    """Messages end to end, which ``frame`` must take apart again."""

    parts: tuple[bytes, ...]


@final
class SyrupCodec:
    """One OCapN connection's two directions.

    ``vocabulary`` is the peer's dialect, ``unknown`` until its messages tell; the session may set it
    when it has waited long enough. While it is unknown, a call that wants nothing must still be given
    a resolver (every dialect reads that) and release messages must be held back. With ``d0`` and ``d1``
    a call that takes an answer position needs a resolver too.

    ``framed`` says whether messages have a length in front; None means to do as the peer does, and to
    write none until it has said something.
    """

    name = "syrup"

    def __init__(self, refs: Refs, limits: Limits, framed: bool | None) -> None:
        self.vocabulary: Vocabulary = "unknown"
        self.framed = framed
        #: Whether the peer has shown that it sorts structs as Endo does; it then reads no other order.
        self.raw_order = False
        #: The location in the peer's op:start-session as received, for checking its signature.
        self.hello_location = b""
        self._refs = refs
        self._limits = limits
        self._deframer = Deframer(limits, limits.message_bytes)
        self._reader = Reader(
            limits,
            limits.message_bytes,
            build=self._build,
            message=self._read,
            struct=self._struct,
            opaque=_OPAQUE,
        )
        self._unknown = partial(refs.resolve, Kind.UNKNOWN)
        self._symbols: dict[str, Symbol] = {}
        # Of the message being written: how many descriptors.
        self._named = 0
        # Of the message being read: how many descriptors, the first and last; the last location, loose ones.
        self._caps = 0
        self._first: tuple[Any, Any] = _NOTHING
        self._last: tuple[Any, Any] = _NOTHING
        self._location = b""
        self._locators = 0

    @property
    def is_mid_message(self) -> bool:
        """Whether bytes of an unfinished message are held."""
        return self._deframer.is_mid_message or self._reader.is_mid_message

    @property
    def unread(self) -> int:
        """Bytes of what was fed last that nobody has asked for yet."""
        return self._deframer.unread + self._reader.unread

    # Encoding.

    def target(self, kind: Kind, position: int) -> Desc:
        """Prepare a descriptor."""
        return Desc(kind, position)

    def symbol(self, name: str) -> Symbol:
        """Prepare a symbol; known ones are kept."""
        if (known := self._symbols.get(name)) is None:
            known = Symbol(name)
            if len(self._symbols) < _SYMBOLS_KEPT:
                self._symbols[name] = known
        return known

    def encode(self, op: Op) -> bytes:
        """Spell one operation in the peer's dialect; missing trailing fields are false.

        Raises Unpassable for what cannot be sent, LocalProtocolError for what has no form here:
        native operations, and what must wait until the dialect is known.
        """
        write = _WRITERS.get(op[0])
        if write is None:
            raise LocalProtocolError(f"{OP_NAMES.get(op[0], op[0])} does not exist in OCapN")
        self._named = 0
        message = write(self, op)
        check_size(message, self._limits)
        return message

    def _write(self, value: Any, at: str) -> bytes:
        spell, limits, for_endo = self._spell, self._limits, self.raw_order
        return encode(value, default=spell, limits=limits, at=at, depth=1, beside=_BESIDE, for_endo=for_endo)

    def _spell(self, value: Any) -> Any:
        if isinstance(value, Boxed) and not isinstance(value := self._refs.unbox(value), Reference):
            return value
        self._named += 1
        check_references(self._named, self._limits)
        desc = value if type(value) is Desc else self._refs.describe(value)
        if (form := _FORMS.get(desc.kind)) is not None:
            return Encoded(form % desc.position)
        if desc.kind is Kind.CERTIFICATE:
            return Encoded(desc.position)
        transport, designator, hints, swiss = desc.position
        record = Record("ocapn-sturdyref", (canonical.location_record(transport, designator, hints), swiss))
        return Encoded(encode(record, limits=self._limits, for_endo=self.raw_order))

    def _start(self, op: Op) -> bytes:
        _, version, key, location, signature, *extensions = op
        if any(extensions):
            raise LocalProtocolError("extensions have no place in an OCapN op:start-session")
        place = canonical.location_record(*location)
        fields = (version, canonical.public_key_list(key), place, canonical.signature_list(signature))
        return encode(Record("op:start-session", fields), limits=self._limits)

    def _abort(self, op: Op) -> bytes:
        return b"<8'op:abort%b>" % self._write(op[1], "reason")

    def _deliver(self, op: Op) -> bytes:
        _, to, args, *rest = op
        answer, resolve = (*rest, False, False)[:2]
        if resolve is True:
            raise LocalProtocolError("resolve-me True is native; OCapN takes a resolver")
        target = self._spell(to)
        written = self._write(args, "args")
        if answer is False and resolve is False:
            if self.vocabulary in ("d0", "d1"):
                return b"<15'op:deliver-only%b%b>" % (target, written)
            if self.vocabulary == "unknown":
                raise LocalProtocolError("a call needs a resolver until the peer's dialect is known")
        position = b"f" if answer is False else b"%d+" % answer
        resolver = b"f" if resolve is False else self._spell(resolve)
        return b"<10'op:deliver%b%b%b%b>" % (target, written, position, resolver)

    def _listen(self, op: Op) -> bytes:
        _, to, listener, *partial = op
        wants_partial = b"t" if any(partial) else b"f"
        return b"<9'op:listen%b%b%b>" % (self._spell(to), self._spell(listener), wants_partial)

    def _select(self, op: Op) -> bytes:
        code, receiver, key, answer = op
        label = OP_NAMES[code].encode()
        target, step = self._spell(receiver), self._write(key, "key")
        return b"<%d'%b%b%b%d+>" % (len(label), label, target, step, answer)

    def _gc(self, op: Op) -> bytes:
        code, *lists = op
        if self.vocabulary == "unknown":
            raise LocalProtocolError("release messages must wait until the peer's dialect is known")
        label = OP_NAMES[code] if self.vocabulary == "d2" else OP_NAMES[code].removesuffix("s")
        if self.vocabulary == "d0":
            # One entry each, as bare integers.
            parts = [encode(Record(label, entry)) for entry in zip(*lists, strict=True)]
            message = _Several(b"".join(parts))
            message.parts = tuple(parts)
            return message
        return encode(Record(label, tuple(lists)), limits=self._limits)

    def frame(self, messages: list[bytes]) -> bytes:
        """Join messages into what goes on the wire."""
        if not self.framed:
            return b"".join(messages)
        parts: list[bytes] = []
        for message in messages:
            parts += message.parts if type(message) is _Several else (message,)
        return b"".join([b"%d:%b" % (len(part), part) for part in parts])

    # Decoding.

    def feed(self, data: bytes) -> Iterator[Op]:
        """Yield the operations that ``data`` completes."""
        if self.framed is None and data:
            if data[0] not in b"<0123456789":
                raise DecodeError("bad-frame", "a session starts with '<' or a decimal length")
            self.framed = data[0] != ord("<")
        return map(self._reader.whole, self._deframer.feed(data)) if self.framed else self._reader.feed(data)

    def _struct(self, items: list[Any]) -> FrozenMap:
        """Make a struct, and notice how the peer sorts."""
        made = from_entries(items)
        if len(items) > 2 and not self.raw_order:
            self.raw_order = shows_raw_order(items[::2])
        return made

    def _build(self, label: str, fields: tuple[Any, ...]) -> Any:
        """Make the value of a record inside a message: of a descriptor, what it refers to."""
        if (kind := _KINDS.get(label)) is not None:
            if len(fields) != 1:
                raise DecodeError("bad-value", f"{label} has one field, not {len(fields)}")
            position = fields[0]
            if type(position) is not int or not 0 <= position <= LAST_POSITION:
                raise DecodeError("bad-value", f"{label} takes a position, an integer from 0")
            return self._resolve(kind, position)
        if label == "desc:sig-envelope":
            return self._resolve(Kind.CERTIFICATE, fields[0])
        if label in _PEERS:
            self._location = fields[0]
            self._locators += 1
            return decode_one(fields[0], self._limits)
        if label == "ocapn-sturdyref":
            if len(fields) != 2 or type(fields[1]) is not bytes:
                raise DecodeError("bad-value", "ocapn-sturdyref takes a location and bytes")
            location = canonical.read_location(fields[0], "bad-value")
            self._locators -= 1
            return self._resolve(Kind.STURDYREF, (*location, fields[1]))
        return self._unknown(label)

    def _resolve(self, kind: Kind, position: Any) -> object:
        self._caps += 1
        if self._caps > (limit := self._limits.caps_per_message):
            raise LimitExceeded("too-many", f"over {limit} references in one message")
        value = self._refs.resolve(kind, position)
        self._last = (kind, value)
        if self._caps == 1:
            self._first = self._last
        return value

    def _read(self, label: str, fields: tuple[Any, ...]) -> Op:
        if (read := _READERS.get(label)) is None:
            raise DecodeError("unknown-op", f"operation {label[:40]!a}")
        op = read(self, label, fields)
        if self._locators:
            self._locators = 0
            op = without_records(op, self._unknown)
        # The codec keeps no reference alive, or the peer would never hear that it was dropped.
        self._caps = 0
        self._first = self._last = _NOTHING
        return op

    def _learn(self, seen: Vocabulary) -> None:
        # D0 and D1 share op:deliver-only; only the first release message tells them apart.
        if self.vocabulary == "unknown" or (self.vocabulary == "d1" and seen == "d0"):
            self.vocabulary = seen

    def _read_start(self, label: str, fields: tuple[Any, ...]) -> Op:
        if not fields or type(fields[0]) is not str:
            raise DecodeError("version", "op:start-session names no version")
        check_count(label, fields, 4)
        version, key, location, signature = fields
        self.hello_location = self._location
        place = canonical.read_location(location, "bad-op")
        return (START, version, canonical.read_public_key(key), place, canonical.read_signature(signature))

    def _read_abort(self, label: str, fields: tuple[Any, ...]) -> Op:
        check_count(label, fields, 1)
        if type(fields[0]) is not str:
            raise bad_field(label, "reason", "a string")
        return (ABORT, fields[0])

    def _read_deliver(self, label: str, fields: tuple[Any, ...]) -> Op:
        check_count(label, fields, 4)
        to, args, answer, resolve = fields
        self._check_to(label, to, args)
        if answer is not False:
            check_answer(label, answer)
        if resolve is False:
            self._learn("d2")
        else:
            self._check_resolver(label, resolve)
        return (DELIVER, to, args, answer, resolve)

    def _read_deliver_only(self, label: str, fields: tuple[Any, ...]) -> Op:
        check_count(label, fields, 2)
        self._check_to(label, *fields)
        self._learn("d1")
        return (DELIVER, *fields, False, False)

    def _read_listen(self, label: str, fields: tuple[Any, ...]) -> Op:
        if len(fields) != 2:
            check_count(label, fields, 3)
        to, listener = fields[:2]
        self._check_to(label, to)
        self._check_resolver(label, listener)
        wants_partial = fields[2] if len(fields) == 3 else False
        if type(wants_partial) is not bool:
            raise bad_field(label, "wants-partial", "a boolean")
        return (LISTEN, to, listener, wants_partial)

    def _read_select(self, label: str, fields: tuple[Any, ...]) -> Op:
        check_count(label, fields, 3)
        receiver, key, answer = fields
        self._check_to(label, receiver)
        if type(key) is not (int if label == "op:index" else str):
            raise bad_field(label, "key", "an integer" if label == "op:index" else "a string")
        check_answer(label, answer)
        return (_SELECTS[label], receiver, key, answer)

    def _read_gc(self, label: str, fields: tuple[Any, ...]) -> Op:
        is_exports = label.startswith("op:gc-export")
        check_count(label, fields, 2 if is_exports else 1)
        lists = [(field,) if type(field) is int else field for field in fields]
        for entries in lists:
            if type(entries) is not tuple or any(type(entry) is not int for entry in entries):
                raise bad_field(label, "entries", "a list of integers")
            if min(entries, default=0) < 0 or max(entries, default=0) > LAST_POSITION:
                raise DecodeError("bad-gc", f"{label}: an entry out of range")
        if is_exports and (len(lists[0]) != len(lists[1]) or 0 in lists[1]):
            raise DecodeError("bad-gc", f"{label}: every position needs a count from 1")
        has_bare = any(type(field) is int for field in fields)
        self._learn("d2" if label.endswith("s") else "d0" if has_bare else "d1")
        return (GC_EXPORTS if is_exports else GC_ANSWERS, *lists)

    def _check_to(self, label: str, to: Any, args: Any = ()) -> None:
        kind, value = self._first
        if to is not value or kind not in _TARGETS:
            raise bad_field(label, "to", "an export or an answer")
        if type(args) is not tuple:
            raise bad_field(label, "args", "a list")

    def _check_resolver(self, label: str, resolver: Any) -> None:
        kind, value = self._last
        if resolver is not value or kind not in _RESOLVERS:
            raise bad_field(label, "resolver", "an imported object or promise")


_WRITERS: Final[dict[int, Callable[[SyrupCodec, Op], bytes]]] = {
    START: SyrupCodec._start,
    ABORT: SyrupCodec._abort,
    DELIVER: SyrupCodec._deliver,
    LISTEN: SyrupCodec._listen,
    **dict.fromkeys((GET, INDEX, UNTAG), SyrupCodec._select),
    **dict.fromkeys((GC_EXPORTS, GC_ANSWERS), SyrupCodec._gc),
}
_SELECTS: Final = {OP_NAMES[code]: code for code in (GET, INDEX, UNTAG)}
_READERS: Final[dict[str, Callable[[SyrupCodec, str, tuple[Any, ...]], Op]]] = {
    "op:start-session": SyrupCodec._read_start,
    "op:abort": SyrupCodec._read_abort,
    "op:deliver": SyrupCodec._read_deliver,
    "op:deliver-only": SyrupCodec._read_deliver_only,
    "op:listen": SyrupCodec._read_listen,
    **dict.fromkeys(_SELECTS, SyrupCodec._read_select),
    **dict.fromkeys(("op:gc-export", "op:gc-exports", "op:gc-answer", "op:gc-answers"), SyrupCodec._read_gc),
}
