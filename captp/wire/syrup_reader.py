"""Syrup bytes to values, in pieces as they arrive; it knows limits, not what records mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, final

from captp.errors import DecodeError, LimitExceeded, LocalProtocolError, RemoteProtocolError
from captp.limits import Limits
from captp.model.values import Symbol
from captp.wire.syrup_values import DOUBLE, IN_BAND, NAN, Record, from_entries, from_record, read_int

__all__ = ["Reader"]

_MORE: Final = object()

_LIMIT_CODES: Final = frozenset({"too-deep", "too-many"})
_RECORD_END: Final = ord(">")
_LIST_END: Final = ord("]")
_STRUCT_END: Final = ord("}")
_CLOSERS: Final = b">]}"
_NONE: Final = -1  # what closes a message that is not in any container: no byte
_QUOTE: Final = ord("'")

# Digits that are read one by one; a number with more goes through a pattern and read_int().
_SHORT: Final = 9
_DIGITS: Final = re.compile(rb"[0-9]*")

# The peer chooses its symbols, so what we keep of them is bounded: 256 of at most 64 bytes.
_SYMBOLS_KEPT: Final = 256
_SYMBOL_KEPT_BYTES: Final = 64

Build = Callable[[str, tuple[Any, ...]], Any]


@final
class Reader:
    """One stream of Syrup values.

    ``build(label, fields)`` makes the value of every record as it closes, inner ones first; the
    records of the data model (void, tagged, error ...) never reach it. ``message``, when given,
    makes the outermost record instead, and an outermost value that is no record is ``unknown-op``.
    ``struct(items)`` makes that of keys and values in turn; it raises ValueError.
    Records with a label in ``opaque`` are given to ``build`` unread: their only field is their own
    bytes as received, and nothing inside them is built.
    """

    __slots__ = (
        "_build",
        "_data",
        "_failed",
        "_kept",
        "_limits",
        "_message",
        "_message_limit",
        "_need",
        "_opaque",
        "_opaque_from",
        "_position",
        "_saved",
        "_struct",
        "_symbols",
        "_tail",
    )

    def __init__(
        self,
        limits: Limits,
        message_limit: int,
        *,
        build: Build = Record,
        message: Build | None = None,
        struct: Callable[[list[Any]], Any] = from_entries,
        opaque: frozenset[str] = frozenset(),
    ) -> None:
        self._limits = limits
        self._message_limit = message_limit
        self._build = build
        self._message = message
        self._struct = struct
        self._opaque = opaque
        self._symbols: dict[bytes, Symbol] = {}
        self._data = b""
        self._position = 0
        # An unfinished message: its state at the start of the token that was cut, the bytes from
        # there on, how many of them are worth another try, and what opaque bytes came before.
        self._saved: tuple[Any, ...] | None = None
        self._tail = bytearray()
        self._need = 0
        self._kept = bytearray()
        self._opaque_from = 0
        self._failed = False

    @property
    def is_mid_message(self) -> bool:
        """Whether bytes of an unfinished message are held."""
        return self._saved is not None

    @property
    def unread(self) -> int:
        """Bytes of what was fed last that nobody has asked for yet."""
        return len(self._data) - self._position

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Any]:
        """Yield the values that ``data`` completes, reading each only when asked for it.

        Feed in arrival order and exhaust the iterator before the next feed. Raises DecodeError or
        LimitExceeded, after yielding what came before; the reader is of no use from then on.
        """
        if self._saved is not None:
            self._tail += data
            if len(self._tail) < self._need:
                return iter(())
            data = bytes(self._tail)
        elif self.unread:
            data = self._data[self._position :] + data
        self._data = bytes(data)
        self._position = 0
        return self._values()

    def _values(self) -> Iterator[Any]:
        while self._position < len(self._data):
            value = self._step()
            if value is _MORE:
                return
            yield value
        self._data = b""
        self._position = 0

    def whole(self, data: bytes) -> Any:
        """Read the one value that ``data`` is; what is missing or left over is ``bad-frame``."""
        if len(data) > self._message_limit:
            raise self._error("too-large", f"{len(data)} bytes are", 0)
        self._data = data
        self._position = 0
        value = self._step() if data else _MORE
        self._failed = True
        if value is _MORE:
            raise self._error("bad-frame", "the message is cut short", len(data))
        if self._position < len(data):
            raise self._error("bad-frame", "bytes after the end of the value", self._position)
        self._failed = False
        return value

    def _step(self) -> Any:
        if self._failed:
            raise LocalProtocolError("this reader has failed before: end its session")
        self._failed = True
        value = self._next()
        self._failed = False
        return value

    def _next(self) -> Any:
        """Read on until a message is complete or the data is not: then the answer is _MORE.

        The stack is explicit, so depth costs no Python frames. Running out of data shows as an
        IndexError of ``data[pos]`` instead of a comparison for every byte.
        """
        data = self._data
        pos = self._position
        limits = self._limits
        max_entries = limits.container_entries
        symbols = self._symbols
        message = self._message
        opaque = self._opaque
        items: list[Any]
        stack: list[tuple[list[Any], int, str]]
        if self._saved is None:
            # ``start`` is where the message begins in ``data``: below zero when that part is gone.
            items, closer, label, stack, spent, start, sealed = [], _NONE, "", [], 0, pos, 0
            if message is not None and data[pos] != 60:
                raise self._error("unknown-op", "a message must be a record", 0)
        else:
            items, closer, label, stack, spent, start, sealed = self._saved
            self._saved = None
        # Bytes over the limit count as missing, so that one input has one answer however it is cut.
        size = min(len(data), start + self._message_limit)
        mark = pos
        try:
            # One round is one node; the last round finds the closers of the last node allowed.
            for spent in range(spent, limits.nodes + 1):  # noqa: B007,B020 - kept for resuming
                mark = pos
                c = data[pos]
                while c == closer:
                    if pos >= size:
                        raise self._error("too-large", "the message goes on", pos - start)
                    # ``pos`` stays on the closer while others' code runs: see the except below.
                    if len(items) > max_entries and (c != _STRUCT_END or len(items) > 2 * max_entries):
                        raise self._error("too-many", "entries in one container", pos - start)
                    value: Any
                    if c == _LIST_END:
                        value = tuple(items)
                    elif c == _STRUCT_END:
                        value = self._made(from_entries if sealed else self._struct, pos - start, items)
                    elif sealed:
                        value = None
                        if sealed == len(stack):
                            sealed = 0
                            self._kept += data[self._opaque_from : pos + 1]
                            value = self._build(label, (bytes(self._kept),))
                            self._kept.clear()
                    elif len(stack) == 1 and message is not None:
                        value = message(label, tuple(items))
                    elif label in IN_BAND:
                        value = self._made(from_record, pos - start, label, items)
                    else:
                        value = self._build(label, tuple(items))
                    pos += 1
                    items, closer, label = stack.pop()
                    if closer < 0:
                        return self._complete(value, pos, start)
                    items.append(value)
                    mark = pos
                    c = data[pos]
                if 47 < c < 58:
                    n = c - 48
                    pos += 1
                    c = data[pos]
                    while 47 < c < 58:
                        if pos - mark == _SHORT:
                            n = -1
                            pos = self._end_of_digits(mark, start)
                            c = data[pos]
                            break
                        n = n * 10 + c - 48
                        pos += 1
                        c = data[pos]
                    width = pos - mark
                    if c in b"+-":
                        if width > limits.int_digits:
                            raise self._too_many_digits(mark - start)
                        value = n if n >= 0 else read_int(data[mark:pos])
                        if c == 45:
                            value = -value
                        pos += 1
                    elif c in b":'\"":
                        if width > limits.length_digits:
                            what = f"a length of more than {limits.length_digits} digits"
                            raise self._bad(what, mark - start)
                        if width > 1 and data[mark] == 48:
                            raise self._bad("a length with a leading zero", mark - start)
                        if c == _QUOTE and n > limits.symbol_bytes:
                            raise self._symbol_too_long(mark - start)
                        pos += 1
                        stop = pos + n
                        if stop > size:
                            break
                        raw = data[pos:stop]
                        pos = stop
                        if c == 58:
                            value = raw
                        elif c == _QUOTE:
                            value = symbols.get(raw) or self._symbol(raw, mark - start)
                        else:
                            try:
                                value = raw.decode()
                            except UnicodeDecodeError:
                                raise self._bad("a string that is not UTF-8", mark - start) from None
                    else:
                        raise self._bad("digits must be followed by one of + - : \" '", pos - start)
                elif c in b"<[{":
                    if len(stack) >= limits.depth:
                        raise self._error("too-deep", f"nested over {limits.depth} levels", mark - start)
                    opened = ""
                    if c == 60:
                        pos += 1
                        c = data[pos]
                        n = c - 48
                        if not 0 <= n <= 9:
                            raise self._no_symbol(pos - start)
                        pos += 1
                        c = data[pos]
                        while 47 < c < 58:
                            if not n:
                                raise self._bad("a length with a leading zero", mark - start)
                            n = n * 10 + c - 48
                            if n > limits.symbol_bytes:
                                raise self._symbol_too_long(mark - start)
                            pos += 1
                            c = data[pos]
                        if c != _QUOTE:
                            raise self._no_symbol(pos - start)
                        if n > limits.symbol_bytes:
                            raise self._symbol_too_long(mark - start)
                        pos += 1
                        stop = pos + n
                        if stop > size:
                            break
                        raw = data[pos:stop]
                        opened = (symbols.get(raw) or self._symbol(raw, mark - start)).name
                        pos = stop
                        if opened in opaque and not sealed and (closer > 0 or message is None):
                            sealed = len(stack) + 1
                            self._opaque_from = mark
                        stack.append((items, closer, label))
                        closer = _RECORD_END
                    else:
                        pos += 1
                        stack.append((items, closer, label))
                        closer = c + 2  # in ASCII a closer is two after its opener, < included
                    items = []
                    label = opened
                    continue
                elif c in b"tf":
                    value = c == 116
                    pos += 1
                elif c == 68:
                    stop = pos + 9
                    if stop > size:
                        break
                    raw = data[pos + 1 : stop]
                    value = DOUBLE.unpack(raw)[0]
                    # OCapN has one NaN; payload bits would be a second spelling.
                    if value != value and raw != NAN:  # noqa: PLR0124
                        raise self._bad("a NaN other than 7ff8000000000000", mark - start)
                    pos = stop
                elif c in _CLOSERS:
                    raise self._error("bad-frame", f"{chr(c)!r} closes nothing here", pos - start)
                else:
                    raise self._bad(f"no value starts with byte {c:#04x}", pos - start)
                items.append(value)
                if closer < 0:
                    return self._complete(value, pos, start)
            else:
                raise self._error("too-many", f"over {limits.nodes} values in one message", mark - start)
        except IndexError:
            # Only data[pos] beyond the end means that bytes are missing; others' code runs while
            # pos is inside, so an IndexError of theirs is not taken for it.
            if pos < len(data):
                raise
            stop = 0
        return self._suspend(mark, stop, (items, closer, label, stack, spent, start, sealed))

    def _complete(self, value: Any, pos: int, start: int) -> Any:
        if pos - start > self._message_limit:
            raise self._error("too-large", "the message ends", pos - start)
        self._position = pos
        return value

    def _suspend(self, mark: int, stop: int, state: tuple[Any, ...]) -> Any:
        """Keep the state at ``mark`` until the data reaches ``stop``, or grows when that is 0."""
        items, closer, label, stack, spent, start, sealed = state
        data = self._data
        # A length prefix is refused before its bytes come, all else at the first byte too many.
        if (stop or len(data)) - start > self._message_limit:
            raise self._error("too-large", "the message goes on", (stop or len(data)) - start)
        if sealed:
            self._kept += data[self._opaque_from : mark]
            self._opaque_from = 0
        self._tail = bytearray(data[mark:])
        self._need = stop - mark if stop else len(self._tail) + 1
        self._saved = (items, closer, label, stack, spent, start - mark, sealed)
        self._data = b""
        self._position = 0
        return _MORE

    def _end_of_digits(self, mark: int, start: int) -> int:
        most = self._limits.int_digits
        match = _DIGITS.match(self._data, mark, mark + most + 1)
        assert match is not None
        if match.end() - mark > most:
            raise self._too_many_digits(mark - start)
        return match.end()

    def _symbol(self, raw: bytes, at: int) -> Symbol:
        try:
            symbol = Symbol(raw.decode())
        except UnicodeDecodeError:
            raise self._bad("a symbol that is not UTF-8", at) from None
        if len(raw) <= _SYMBOL_KEPT_BYTES and len(self._symbols) < _SYMBOLS_KEPT:
            self._symbols[raw] = symbol
        return symbol

    def _made(self, make: Callable[..., Any], at: int, *parts: Any) -> Any:
        try:
            return make(*parts)
        except ValueError as problem:
            raise self._bad(str(problem), at) from None

    def _bad(self, what: str, at: int) -> RemoteProtocolError:
        return self._error("bad-value", what, at)

    def _no_symbol(self, at: int) -> RemoteProtocolError:
        return self._error("unknown-op", "the label of a record must be a symbol", at)

    def _symbol_too_long(self, at: int) -> RemoteProtocolError:
        return self._bad(f"a symbol over {self._limits.symbol_bytes} bytes", at)

    def _too_many_digits(self, at: int) -> RemoteProtocolError:
        return self._bad(f"over {self._limits.int_digits} digits", at)

    def _error(self, code: str, what: str, at: int) -> RemoteProtocolError:
        """Make the error for what is ``at`` bytes into the message."""
        if code == "too-large" or at >= self._message_limit:
            what = f"{what} beyond the limit of {self._message_limit} bytes"
            return LimitExceeded("too-large", f"{what} (byte {at} of the message)")
        kind = LimitExceeded if code in _LIMIT_CODES else DecodeError
        return kind(code, f"{what} (byte {at} of the message)")
