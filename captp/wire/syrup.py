"""Syrup: values to canonical bytes and back; it knows the data model, no operation and no reference.

OCapN Model draft and its Syrup encoding. What our own reader would refuse under the same limits is
refused here, so that one odd argument breaks its call and not the session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter, length_hint
from typing import Any, Final, final

from captp.errors import DecodeError, LimitExceeded, Unpassable
from captp.limits import Limits
from captp.model.values import Fault, FrozenMap, Null, Symbol, Tagged
from captp.wire.bounds import too_many_entries, too_many_values
from captp.wire.quirks import ENDO_RESERVES, raw_key
from captp.wire.syrup_reader import Reader
from captp.wire.syrup_values import DOUBLE, NAN, Encoded, Record, write_int

__all__ = ["Deframer", "Encoded", "Reader", "Record", "decode_one", "encode"]

_LIMITS: Final = Limits()
_LENGTH: Final = re.compile(rb"^[0-9]+['\"]")
# Numbers of so many bits are written at once; 2**1024 has 309 digits, below any interpreter's limit.
_EASY_BITS: Final = 1024

# Says where the item at an index of a container is.
_Step = Callable[[Sequence[Any], int], str]


def encode(
    value: Any,
    *,
    default: Callable[[Any], Any] | None = None,
    limits: Limits = _LIMITS,
    at: str = "value",
    depth: int = 0,
    beside: int = 0,
    for_endo: bool = False,
) -> bytes:
    """Write ``value`` in canonical form.

    ``default`` turns a value of a type not known here into one that is, or into Encoded bytes; it
    raises Unpassable for what cannot cross. ``at`` names the value in errors, ``depth`` says how
    many containers already enclose it and ``beside`` how many values its message has besides.
    ``for_endo`` writes what Endo 1.1 reads, see captp.wire.quirks.
    Raises Unpassable with the path of the culprit.
    """
    out: list[bytes] = []
    add = out.append
    # The container being written is here, those around it in ``frames``.
    source: Sequence[Any] = (value,)
    rest = iter(source)
    closer = b""
    step: _Step = _nowhere
    frames: list[tuple[Iterator[Any], bytes, Sequence[Any], _Step]] = []
    nodes = 1 + beside
    # A negative zero is one only when it is added to another.
    zero = 0.0 if for_endo else -0.0
    inner: Sequence[Any]
    walk: _Step
    try:
        while True:
            for item in rest:
                kind = type(item)
                if kind is Encoded:
                    add(item)
                elif kind is str:
                    raw = _utf8(item)
                    add(b'%d"%b' % (len(raw), raw))
                elif kind is int:
                    add(_int(item, limits))
                elif kind is Symbol:
                    add(_symbol(item.name, limits, for_endo))
                elif kind is bytes or kind is bytearray or kind is memoryview:
                    raw = bytes(item)
                    add(b"%d:%b" % (len(raw), raw))
                elif kind is bool:
                    add(b"t" if item else b"f")
                elif kind is float:
                    add(b"D" + (DOUBLE.pack(item + zero) if item == item else NAN))  # noqa: PLR0124
                elif len(frames) + depth >= limits.depth:
                    raise Unpassable(f"nested over {limits.depth} levels, or a cycle")
                elif item is None:
                    add(b"<4'void>")
                elif kind is Null:
                    add(b"<4'null>")
                elif kind is Fault:
                    raw = _utf8(item.message)
                    add(b"<10'desc:error%d\"%b>" % (len(raw), raw))
                    nodes += 1
                else:
                    if kind is tuple or kind is list:
                        entries, inner, end, walk = len(item), item, b"]", _index
                        opening = b"["
                    elif kind is FrozenMap or kind is dict:
                        entries, inner, end, walk = len(item), _entries(item, limits, for_endo), b"}", _key
                        opening = b"{"
                    elif kind is Record:
                        inner, end, walk = item.fields, b">", _index
                        entries = len(inner)
                        opening = b"<" + _symbol(item.label, limits, for_endo)
                    elif kind is Tagged:
                        entries, inner, end, walk = 2, (item.value,), b">", _payload
                        opening = b"<11'desc:tagged" + _symbol(item.tag, limits, for_endo)
                        nodes += 1
                    elif default is None:
                        raise Unpassable(f"a {kind.__qualname__} has no form in Syrup")
                    else:
                        made = default(item)
                        if type(made) is Encoded:
                            add(made)
                            # A reference is a record: it has at most a value in every two bytes.
                            nodes += len(made) // 2
                            continue
                        entries, inner, end, walk = 1, (made,), b"", _nowhere
                        opening = b""
                    nodes += len(inner)
                    if nodes > limits.nodes:
                        raise too_many_values(limits)
                    if entries > limits.container_entries:
                        raise too_many_entries(limits)
                    frames.append((rest, closer, source, step))
                    add(opening)
                    rest, closer, source, step = iter(inner), end, inner, walk
                    break
            else:
                add(closer)
                if frames:
                    rest, closer, source, step = frames.pop()
                elif nodes > limits.nodes:
                    raise too_many_values(limits)
                else:
                    return b"".join(out)
    except Unpassable as problem:
        frames.append((rest, closer, source, step))
        steps = [show(all_, len(all_) - length_hint(left) - 1) for left, _, all_, show in frames]
        path = at + "".join(steps) + problem.path
        text = str(problem).removeprefix(f"{problem.path}: ") if problem.path else str(problem)
        raise Unpassable(f"{path}: {text}", path) from None


def decode_one(data: bytes, limits: Limits, strict: bool = False) -> Any:
    """Read the one value that ``data`` is; trailing bytes are refused.

    ``strict`` demands canonical bytes, as signed material has them: values that have a second
    spelling, such as structs with symbol keys, then pass in the first one only.
    """
    value = Reader(limits, limits.message_bytes).whole(data)
    if strict:
        try:
            written = encode(value, limits=limits)
        except Unpassable:
            written = b""
        if written != data:
            raise DecodeError("bad-value", "signed material that is not canonical Syrup")
    return value


def _nowhere(_source: Sequence[Any], _index: int) -> str:
    return ""


def _index(_source: Sequence[Any], index: int) -> str:
    return f"[{index}]"


def _key(source: Sequence[Any], index: int) -> str:
    return "." + _LENGTH.sub(b"", source[index - 1]).decode()


def _payload(_source: Sequence[Any], _index: int) -> str:
    return ".value"


def _entries(struct: dict[Any, Any], limits: Limits, for_endo: bool) -> list[Any]:
    """Give written keys and values in turn, in the order of the written keys (bytewise) or as Endo's."""
    pairs = []
    for key, value in struct.items():
        if type(key) is str:
            raw = _utf8(key)
            pairs.append((Encoded(b'%d"%b' % (len(raw), raw)), value))
        elif type(key) is Symbol and key.name not in struct and not for_endo:
            pairs.append((Encoded(_symbol(key.name, limits, for_endo)), value))
        else:
            raise Unpassable(f"struct keys must be strings, each once, not {type(key).__qualname__}")
    pairs.sort(key=(lambda pair: raw_key(pair[0])) if for_endo else itemgetter(0))
    return [part for pair in pairs for part in pair]


def _utf8(text: Any) -> bytes:
    if type(text) is not str:
        raise Unpassable(f"a {type(text).__qualname__} where text belongs")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Unpassable("a str with lone surrogates is no text; send bytes") from None


def _symbol(name: Any, limits: Limits, for_endo: bool) -> bytes:
    raw = _utf8(name)
    if for_endo and name.startswith(ENDO_RESERVES):
        raise Unpassable(f"a symbol that starts with {ENDO_RESERVES}, which ends a session with Endo")
    if len(raw) > limits.symbol_bytes:
        raise Unpassable(f"a symbol over {limits.symbol_bytes} bytes")
    return b"%d'%b" % (len(raw), raw)


def _int(value: int, limits: Limits) -> bytes:
    sign = b"-" if value < 0 else b"+"
    value = abs(value)
    if value.bit_length() <= _EASY_BITS:
        digits = b"%d" % value
        if len(digits) <= limits.int_digits:
            return digits + sign
    elif value < 10**limits.int_digits:
        return write_int(value) + sign
    raise Unpassable(f"an integer over {limits.int_digits} digits")


@final
class Deframer:
    """Cuts a stream of ``<decimal length>:<payload>`` into payloads (OCapN netlayers, April 2026).

    One comma after a payload is tolerated: that is a real netstring, as some call the form.
    """

    __slots__ = ("_comma", "_header", "_held", "_limit", "_need", "unread")

    def __init__(self, limits: Limits, message_limit: int) -> None:
        # A header that is complete, or that more digits may complete.
        self._header = re.compile(rb"([1-9][0-9]{0,%d})(:?)" % (limits.length_digits - 1))
        self._limit = message_limit
        self._held = bytearray()
        self._need = 0
        self._comma = False
        #: Bytes of what was fed last that nobody has asked for yet.
        self.unread = 0

    @property
    def is_mid_message(self) -> bool:
        """Whether bytes of an unfinished message are held."""
        return bool(self._held)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the payloads that ``data`` completes; feed in arrival order.

        Raises DecodeError ``bad-value`` for a length that is none, LimitExceeded ``too-large`` for
        one over the limit.
        """
        held = self._held
        held += data
        if len(held) < self._need:
            return
        data = bytes(held)
        held.clear()
        self._need = 0
        start = self.unread = 0
        while start < len(data):
            if self._comma:
                self._comma = False
                if data[start] == ord(","):
                    start += 1
                    continue
            header = self._header.match(data, start)
            if header is None or not (header[2] or header.end() == len(data)):
                raise DecodeError("bad-value", "a frame must start with its length in decimal and ':'")
            stop = header.end() + int(header[1])
            is_known = bool(header[2])
            if is_known and stop - header.end() > self._limit:
                raise LimitExceeded("too-large", f"a frame over the limit of {self._limit} bytes")
            if not is_known or stop > len(data):
                held += data[start:]
                self._need = stop - start if is_known else 0
                break
            start = stop
            self._comma = True
            self.unread = len(data) - stop
            yield data[header.end() : stop]
        self.unread = 0
