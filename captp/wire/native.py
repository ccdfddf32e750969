"""The native codec: MessagePack messages in length-prefixed frames, a frame being one batch.

A frame is a u32 big-endian length and that many bytes, which hold whole messages one after another.
Ext types: 0 null, 1 big integer, 2 symbol, 3 tagged, 4 error, from 16 on as ``ops.Kind``. Tagged and Error
are arrays whose first item is the empty ext marker, so nothing nests inside an ext. Undefined, Python's
None, is nil, and null is ext 0 (docs/decisions/0001). Decoding never recurses and never trusts a length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgpack
from msgpack import Timestamp

from captp.errors import DecodeError, LimitExceeded, Unpassable
from captp.limits import Limits
from captp.model.boxed import Boxed
from captp.model.locator import SturdyRef
from captp.model.promise import Reference
from captp.model.values import NULL, Fault, FrozenMap, Null, Symbol, Tagged
from captp.wire.bounds import check_inline, check_native, check_references, check_size
from captp.wire.codec import Refs
from captp.wire.native_parts import (
    decode_int,
    decode_sturdyref,
    encode_int,
    encode_sturdyref,
    translated,
    utf8,
)
from captp.wire.native_whole import check_sizes, check_whole
from captp.wire.ops import BODY, CALL, DELIVER, GC_ANSWERS, RESOLVE, Desc, Kind, Op
from captp.wire.shapes import ERROR, SHALLOW, TAGGED, build, check_shape, is_deep, struct_of

#: What a native dialler says first: a byte that neither Syrup framing nor MessagePack can begin with.
PREAMBLE: Final = b"\xc1captp\x01\x00"

EXT_NULL: Final = 0
EXT_INT: Final = 1
EXT_SYMBOL: Final = 2
EXT_TAGGED: Final = 3
EXT_ERROR: Final = 4

FRAME_BYTES: Final = 64 * 1024

#: A frame of so many bytes holds no container of more entries, and nothing in it is worth a look ahead.
SHORT_FRAME: Final = 512


#: What a value in a message of its own has before it: an array of two, and BODY.
_BEFORE_VALUE: Final = b"\x92\x12"
#: Values that the packer spells by itself, besides integers.
_PACKED: Final = frozenset({str, bytes, bool, type(None), float, tuple, FrozenMap})
_LENGTH = struct.Struct(">I")
_ExtType = msgpack.ExtType


#: What is named by bytes, and no reference.
_OPAQUE: Final = (Kind.CERTIFICATE, Kind.FROZEN, Kind.CERTIFICATE_SOLE)
_MARKS: Final = {EXT_TAGGED: TAGGED, EXT_ERROR: ERROR}
_NULL_EXT: Final = _ExtType(EXT_NULL, b"")
_TAGGED_EXT: Final = _ExtType(EXT_TAGGED, b"")
_ERROR_EXT: Final = _ExtType(EXT_ERROR, b"")


class NativeCodec:
    """One native connection's two directions."""

    name = "native"

    def __init__(self, refs: Refs, limits: Limits) -> None:
        self._refs = refs
        self._limits = limits
        self._packer = msgpack.Packer(default=self._encode_other)
        self._symbols: dict[str, Any] = {}
        self._names: dict[bytes, Symbol] = {}
        #: What came of an unfinished frame, and the bytes that it has in all as far as that is known.
        self._part = bytearray()
        self._needed = 0
        #: Bytes behind the frame that is read, the unpacker that reads it, and where it ends there.
        self._behind = 0
        self._unpacking: msgpack.Unpacker | None = None
        self._end = 0
        self._marked = False
        self._nodes = 0
        self._caps = 0
        self._caps_limit = limits.caps_per_message
        #: References in the message being written, and whether the contents of a box are.
        self._named = 0
        self._inlines = False
        #: A frame of many messages may be longer than a message.
        self._frame_limit = max(limits.message_bytes, FRAME_BYTES)
        #: Whether limits are so tight that what is flat and fits into a frame can be over them.
        self._counts_all = limits.depth < SHALLOW or limits.nodes < FRAME_BYTES
        #: A message of so many bytes has neither a container of more entries nor more values.
        self._short = min(limits.container_entries, limits.nodes, limits.message_bytes)
        options = self._options()
        #: Made for the first frame that is not short: it takes 40 KiB, and idle connections are many.
        self._unpacker: msgpack.Unpacker | None = None
        self._new_unpacker = partial(msgpack.Unpacker, max_buffer_size=FRAME_BYTES, **options)
        self._unpack_large = partial(
            msgpack.unpackb, **options | {"object_pairs_hook": self._count_map, "list_hook": self._count_list}
        )
        #: Bytes of one short frame with its length.
        self._quick = 4 + min(SHORT_FRAME, limits.message_bytes)
        most = min(SHORT_FRAME, limits.container_entries)
        options |= {"max_array_len": most, "max_map_len": most}
        self._unpacker_of_short = msgpack.Unpacker(max_buffer_size=SHORT_FRAME, **options)

    def _options(self) -> dict[str, Any]:
        limits = self._limits
        # What is between the two is found to be too large when its message is whole.
        size = max(limits.message_bytes, FRAME_BYTES)
        return {
            "use_list": False,
            "raw": False,
            "strict_map_key": True,
            "ext_hook": self._decode_ext,
            "object_pairs_hook": struct_of,
            "max_str_len": size,
            "max_bin_len": size,
            "max_array_len": limits.container_entries,
            "max_map_len": limits.container_entries,
            "max_ext_len": size,
        }

    @property
    def is_mid_message(self) -> bool:
        """Whether bytes of an unfinished frame are held."""
        return bool(self._part)

    @property
    def unread(self) -> int:
        """Bytes of what was fed last that nobody has asked for yet."""
        return self._behind + (0 if self._unpacking is None else self._end - self._unpacking.tell())

    # Encoding.

    def target(self, kind: Kind, position: int) -> Any:
        """Prepare a descriptor."""
        return _ExtType(kind, position.to_bytes((position.bit_length() + 7) // 8 or 1, "big"))

    def symbol(self, name: str) -> Any:
        """Prepare a symbol; known ones are kept."""
        known = self._symbols.get(name)
        if known is None:
            raw = utf8(name)
            if len(raw) > self._limits.symbol_bytes:
                raise Unpassable(f"a symbol has at most {self._limits.symbol_bytes} bytes")
            known = _ExtType(EXT_SYMBOL, raw)
            if len(self._symbols) < 1024:
                self._symbols[name] = known
        return known

    def encode(self, op: Op) -> bytes:
        """Spell one operation; raises Unpassable and keeps nothing of it."""
        try:
            encoded: bytes = self._packer.pack(op)
        except Exception as problem:
            # After an error the packer's state is not to be trusted with the next message.
            self._packer = msgpack.Packer(default=self._encode_other)
            self._named, self._inlines = 0, False
            if isinstance(problem, UnicodeEncodeError):
                raise Unpassable("a str with lone surrogates is no text; send bytes") from None
            raise
        if self._named:
            # The target of op:deliver is one of them.
            named, self._named = self._named + (op[0] == DELIVER), 0
            check_references(named, self._limits)
        if len(encoded) > self._short:
            check_size(encoded, self._limits)
            check_native(op, self._limits)
        if self._inlines:
            self._inlines = False
            check_inline(encoded, self._limits)
        return encoded

    def encode_value(self, value: Any) -> bytes:
        """Spell one value; raises Unpassable."""
        return self.encode((BODY, value))[len(_BEFORE_VALUE) :]

    def decode_value(self, data: bytes | bytearray) -> Any:
        """Read one value; raises DecodeError or LimitExceeded."""
        return self._decode_large(memoryview(_BEFORE_VALUE + data))[1]

    def _encode_other(self, value: Any) -> Any:
        kind = type(value)
        if kind is Symbol:
            return self.symbol(value.name)
        if kind is Null:
            return _NULL_EXT
        if kind is Tagged:
            return (_TAGGED_EXT, value.tag, value.value)
        if kind is Fault:
            return (_ERROR_EXT, value.message, value.data, value.incident)
        if kind is int:
            return _ExtType(EXT_INT, encode_int(value, self._limits))
        if kind is SturdyRef:
            return _ExtType(Kind.STURDYREF, encode_sturdyref(value))
        if isinstance(value, Boxed):
            return self._encode_box(value)
        desc = value if kind is Desc else self._refs.describe(value)
        if desc.kind in _OPAQUE:
            return _ExtType(desc.kind, desc.position)
        self._named += 1
        check_references(self._named, self._limits)
        return self.target(desc.kind, desc.position)

    def _encode_box(self, box: Boxed) -> Any:
        found = self._refs.unbox(box)
        if not isinstance(found, Desc | Reference):
            self._inlines = True
            if type(found) in _PACKED or (type(found) is int and -(2**63) <= found < 2**64):
                return found
        return self._encode_other(found)

    def frame(self, messages: list[bytes]) -> bytes:
        """Join messages into frames of at most FRAME_BYTES, or one message if that is larger."""
        if len(messages) == 1:
            return len(messages[0]).to_bytes(4, "big") + messages[0]
        total = sum(map(len, messages))
        if total <= FRAME_BYTES:
            return b"".join((_LENGTH.pack(total), *messages))
        parts: list[bytes] = []
        start = size = 0
        for i, message in enumerate(messages):
            if size and size + len(message) > FRAME_BYTES:
                parts += (_LENGTH.pack(size), *messages[start:i])
                start, size = i, 0
            size += len(message)
        parts += (_LENGTH.pack(size), *messages[start:])
        return b"".join(parts)

    # Decoding.

    def feed(self, data: bytes | bytearray) -> Iterator[Op]:
        """Return an iterator over the operations that ``data`` completes."""
        if len(data) <= self._quick and not self._part and int.from_bytes(data[:4], "big") == len(data) - 4:
            # The way of nearly all: one short frame, whole.
            return self._decode_frame(self._unpacker_of_short, data[4:])
        return self._frames(data)

    def _frames(self, data: bytes | bytearray) -> Iterator[Op]:
        if self._part:
            # It grows as it comes: to join megabytes when they are whole would be one long step.
            self._part += data
            if len(self._part) < self._needed:
                return
            data, self._part = self._part, bytearray()
        start, end = 0, len(data)
        limit, most = self._frame_limit, self._limits.message_bytes
        while end - start >= 4:
            length = int.from_bytes(data[start : start + 4], "big")
            if length > limit:
                raise LimitExceeded("too-large", f"a frame of {length} bytes, the limit is {limit}")
            stop = start + 4 + length
            if stop > end:
                break
            if length > most:
                _check(data[start + 4 : stop], most)
            self._behind = end - stop
            if length <= SHORT_FRAME:
                yield from self._decode_frame(self._unpacker_of_short, data[start + 4 : stop])
            elif length <= FRAME_BYTES:
                frame = data[start + 4 : stop]
                if self._unpacker is None:
                    self._unpacker = self._new_unpacker()
                # The first bytes of containers that can claim more than 15 entries.
                if b"\xdc" in frame or b"\xdd" in frame or b"\xde" in frame or b"\xdf" in frame:
                    _check(frame)
                yield from self._decode_frame(self._unpacker, frame)
            else:
                yield self._decode_large(memoryview(data)[start + 4 : stop])
            start = stop
        if start < end:
            self._behind = 0
            self._part = rest = bytearray(memoryview(data)[start:])
            self._needed = 4 + int.from_bytes(rest[:4], "big") if len(rest) >= 4 else 4

    def _decode_frame(self, unpacker: msgpack.Unpacker, frame: bytes | bytearray) -> Iterator[Op]:
        begin = unpacker.tell()
        self._end = end = begin + len(frame)
        self._unpacking = unpacker
        unpacker.feed(frame)
        try:
            for op in unpacker:
                if type(op) is not tuple or not op or type(op[0]) is not int:
                    raise DecodeError("unknown-op", f"before byte {unpacker.tell() - begin} of a frame")
                if self._marked:
                    self._marked = False
                    check_shape(op, self._limits)
                    op = build(op)
                else:
                    # Those that are nearly all: their other parts are checked by their handlers.
                    code = op[0]
                    if code == CALL and len(op) > 3:
                        part = op[3]
                    elif code == RESOLVE and len(op) == 3:
                        part = op[2]
                    elif code == GC_ANSWERS and len(op) == 2:
                        part = op[1]
                    else:
                        part = op
                    if type(part) is tuple:
                        if self._counts_all or is_deep(part):
                            check_shape(op, self._limits)
                    elif type(part) is FrozenMap or type(part) is Timestamp:
                        check_shape(op, self._limits)
                self._caps = 0
                yield op
                if unpacker.tell() == end:
                    self._unpacking = None
                    return
        except (msgpack.UnpackException, ValueError, UnicodeDecodeError) as problem:
            raise translated(problem, unpacker.tell() - begin) from None
        self._unpacking = None
        if frame:
            # What there is of it would go on with the next frame.
            raise DecodeError("bad-frame", "a message was cut off at the end of its frame")

    def _decode_large(self, frame: memoryview) -> Op:
        """Decode a frame that holds one large message, without copying it into the unpacker first."""
        _check(frame)
        self._nodes = 0
        try:
            op = self._unpack_large(frame)
        except (msgpack.UnpackException, ValueError, UnicodeDecodeError) as problem:
            raise translated(problem, len(frame)) from None
        if type(op) is not tuple or not op or type(op[0]) is not int:
            raise DecodeError("unknown-op", "a large frame that is no operation")
        self._caps = 0
        check_shape(op, self._limits)
        if self._marked:
            self._marked = False
            op = build(op)
        return op  # type: ignore[no-any-return]

    def _count_list(self, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        self._nodes += len(parts)
        if self._nodes > self._limits.nodes:
            raise LimitExceeded("too-many", f"more than {self._limits.nodes} parts in one message")
        return parts

    def _count_map(self, pairs: list[tuple[Any, Any]]) -> FrozenMap:
        self._nodes += len(pairs)
        if self._nodes > self._limits.nodes:
            raise LimitExceeded("too-many", f"more than {self._limits.nodes} parts in one message")
        return struct_of(pairs)

    def _decode_ext(self, code: int, data: bytes) -> Any:
        if code == EXT_SYMBOL:
            known = self._names.get(data)
            return known if known is not None else self._decode_symbol(data)
        if 16 <= code <= 19 or Kind.LENT <= code <= Kind.EXPORT_SOLE:
            self._caps += 1
            if self._caps > self._caps_limit:
                raise LimitExceeded("too-many", f"over {self._caps_limit} references in one message")
            if not 0 < len(data) <= 7:
                raise DecodeError("bad-value", "a position has 1 to 7 bytes")
            position = data[0] if len(data) == 1 else int.from_bytes(data, "big")
            return self._refs.resolve(code, position)  # type: ignore[arg-type]
        if code == EXT_NULL and not data:
            return NULL
        if code in _MARKS and not data:
            self._marked = True
            return _MARKS[code]
        if code == EXT_INT:
            return decode_int(data, self._limits)
        if code in _OPAQUE:
            return self._refs.resolve(code, data)  # type: ignore[arg-type]
        if code == Kind.STURDYREF:
            return decode_sturdyref(data)
        raise DecodeError("bad-value", f"unknown ext type {code}, or of wrong length {len(data)}")

    def _decode_symbol(self, data: bytes) -> Symbol:
        if len(data) > self._limits.symbol_bytes:
            raise LimitExceeded("bad-value", "a symbol is too long")
        symbol = Symbol(data.decode())
        if len(self._names) < 1024:
            self._names[data] = symbol
        return symbol


def _check(frame: bytes | bytearray | memoryview, most: int = 0) -> None:
    try:
        if most:
            check_sizes(frame, most)
        else:
            check_whole(frame)
    except (msgpack.UnpackException, ValueError) as problem:
        raise translated(problem, 0) from None
