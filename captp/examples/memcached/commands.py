"""What clients of a memcached say: bytes come in, commands go out.

It knows no socket, and keeps a line or a value. Where it cannot tell how much data belongs to a command it
stops for good: what follows might be somebody's data, to be read as commands.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, TypeAlias

from captp.examples.store import KEY_CHARS, VALUE_BYTES

LINE_BYTES: Final = 2048
#: Keys of one command.
KEYS: Final = 32

END: Final = b"\r\n"
UNKNOWN: Final = b"ERROR\r\n"
BAD_LINE: Final = b"CLIENT_ERROR bad command line format\r\n"
LONG_LINE: Final = b"CLIENT_ERROR line too long\r\n"
BAD_DATA: Final = b"CLIENT_ERROR bad data chunk\r\n"
BAD_DELTA: Final = b"CLIENT_ERROR invalid numeric delta argument\r\n"
EXPIRES: Final = b"CLIENT_ERROR nothing expires here: exptime must be 0\r\n"
TOO_LARGE: Final = b"SERVER_ERROR object too large for cache\r\n"

_BAD_KEY: Final = re.compile(rb"[\x00-\x20\x7f]")
_LENGTH: Final = re.compile(rb"[0-9]{1,9}")
NOREPLY: Final[tuple[list[bytes], ...]] = ([], [b"noreply"])


class Command(NamedTuple):
    """What a client asks for: a method, the keys, and what it gets besides each of them."""

    verb: str
    keys: tuple[str, ...] = ()
    args: tuple[Any, ...] = ()
    is_quiet: bool = False

    @property
    def is_last(self) -> bool:
        return self.verb == "quit"


class Problem(NamedTuple):
    """What a client is told instead, which is nothing where it wants no reply."""

    answer: bytes
    #: Nothing after it can be understood.
    is_last: bool = False
    keys: tuple[str, ...] = ()


Found: TypeAlias = Command | Problem


class Parser:
    """One client's bytes, however they were cut: it awaits a line, or a line's data, or it has stopped."""

    def __init__(self) -> None:
        self._held = bytearray()
        #: The command whose data is awaited, or what is said once that is thrown away; and how much is left.
        self._awaiting: Found | None = None
        self._left = 0
        self._has_stopped = False

    def feed(self, data: bytes) -> list[Found]:
        """Return what is complete now."""
        self._held += data
        found: list[Found] = []
        while not self._has_stopped and (one := self._next()) is not None:
            found.append(one)
            self._has_stopped = one.is_last
        if self._has_stopped:
            self._held.clear()
        return found

    def _next(self) -> Found | None:
        if self._awaiting is None:
            end = self._held.find(b"\n")
            if (len(self._held) if end < 0 else end) > LINE_BYTES:
                return Problem(LONG_LINE, is_last=True)
            if end < 0:
                return None
            found, length = read(bytes(self._held[:end]).removesuffix(b"\r"))
            del self._held[: end + 1]
            if length is None:
                return found
            self._awaiting, self._left = found, length
        return self._with_data(self._awaiting)

    def _with_data(self, found: Found) -> Found | None:
        if isinstance(found, Problem):
            thrown = min(self._left, len(self._held))
            del self._held[:thrown]
            self._left -= thrown
        whole = self._left + len(END)
        if len(self._held) < whole:
            return None
        data, self._awaiting = bytes(self._held[:whole]), None
        del self._held[:whole]
        if not data.endswith(END):
            return Problem(BAD_DATA, is_last=True)
        if isinstance(found, Command):
            return found._replace(args=(*found.args, data.removesuffix(END)))
        return found


def read(line: bytes) -> tuple[Found, int | None]:
    """Read a line; return what it says, and how many bytes of data follow, if any do."""
    match [word for word in line.split(b" ") if word]:
        case [b"get", _, *_] as words:
            return _command("get", words[1:], []), None
        case [b"set" | b"add" as verb, key, flags, exptime, length, *rest] if (
            rest in NOREPLY and _LENGTH.fullmatch(length)
        ):
            if int(length) > VALUE_BYTES:
                return _said(TOO_LARGE, rest), int(length)
            if exptime != b"0":
                return _said(EXPIRES, rest), int(length)
            return _command(verb.decode(), [key], rest, _number(flags, 32)), int(length)
        case [b"set" | b"add", *_]:
            return Problem(BAD_LINE, is_last=True), None
        case [b"delete", key, *rest] if rest in NOREPLY:
            return _command("delete", [key], rest), None
        case [b"incr", key, delta, *rest] if rest in NOREPLY:
            number = _number(delta, 64)
            return _said(BAD_DELTA, rest) if number is None else _command("incr", [key], rest, number), None
        case [b"version" | b"quit" as verb]:
            return Command(verb.decode()), None
    return Problem(UNKNOWN), None


def _command(verb: str, keys: list[bytes], rest: list[bytes], *args: int | None) -> Found:
    if None in args or len(keys) > KEYS or any(len(k) > KEY_CHARS or _BAD_KEY.search(k) for k in keys):
        return _said(BAD_LINE, rest)
    return Command(verb, tuple(key.decode("latin-1") for key in keys), args, is_quiet=bool(rest))


def _number(word: bytes, bits: int) -> int | None:
    return int(word) if len(word) <= 20 and word.isdigit() and int(word) < 2**bits else None


def _said(answer: bytes, rest: list[bytes]) -> Problem:
    return Problem(b"" if rest else answer)
