"""What clients of a memcached are told: how commands ended, in the words of its protocol.

Stores may be somebody else's. What they give is told when it has the right shape, and never as text.
"""

from __future__ import annotations

from typing import Any, Final

import captp
from captp.examples.memcached.commands import Found, Problem

MANY: Final = b"SERVER_ERROR too many open connections\r\n"
AWAY: Final = b"SERVER_ERROR the store did not answer, and may have done it\r\n"
FULL: Final = b"SERVER_ERROR out of memory storing object\r\n"
NO_NUMBER: Final = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"

#: How a result is worded.
WORDS: Final = {
    ("set", None): b"STORED\r\n",
    ("add", True): b"STORED\r\n",
    ("add", False): b"NOT_STORED\r\n",
    ("delete", True): b"DELETED\r\n",
    ("delete", False): b"NOT_FOUND\r\n",
    ("incr", None): b"NOT_FOUND\r\n",
}


def worded(one: Found, ends: list[captp.Outcome[Any]]) -> bytes:
    """Return the answer to a command, from how it ended for each of its keys."""
    if isinstance(one, Problem):
        return one.answer
    if one.is_quiet or one.is_last:
        return b""
    match one.verb, [(end.error, end.value) for end in ends]:
        case "version", _:
            return f"VERSION captp-{captp.__version__}\r\n".encode()
        case "get", values:
            shown = [_shown(key, *end) for key, end in zip(one.keys, values, strict=True)]
            return AWAY if None in shown else b"".join([*filter(None, shown), b"END\r\n"])
        case "incr", [(None, int(total))] if 0 <= total < 2**64:
            return b"%d\r\n" % total
        case "incr", [(captp.Refused(), _)]:
            return NO_NUMBER
        case "set" | "add", [(captp.Refused(), _)]:
            return FULL
        case verb, [(None, True | False | None as value)]:
            return WORDS.get((verb, value), AWAY)
    return AWAY


def _shown(key: str, error: BaseException | None, value: Any) -> bytes | None:
    match error, value:
        case None, None:
            return b""
        case None, (int(flags), bytes(data)) if 0 <= flags < 2**32:
            return b"VALUE %s %d %d\r\n%s\r\n" % (key.encode("latin-1"), flags, len(data), data)
    return None
