"""The eight words that collectors exchange, as plain values; what does not read is nobody's word.

A word is a list that begins with its number. Positions travel as integers and never as references:
to ask for one would itself be a transfer. ``captp-dgc-v1``.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256
from typing import Any, Final

from attrs import frozen

HELLO: Final = 0
QUERY: Final = 1
REPLY: Final = 2
CONFIRM: Final = 3
CONFIRMED: Final = 4
COMMIT: Final = 5
END: Final = 6
WITHDRAW: Final = 7

#: What people call them, by number.
NAMES: Final = ("hello", "query", "reply", "confirm", "confirmed", "commit", "end", "withdraw")

VERSION: Final = 1

#: Bytes of the parts of words.
TRACE: Final = 16
SEED: Final = 16
TOKEN: Final = 12
KEY: Final = 32
SIGNATURE: Final = 64
DIGEST: Final = 32
#: Bytes that stand for a statement which has crossed this session before.
SHORT: Final = 8
#: The largest number in a word, times in milliseconds among them.
MOST: Final = 1 << 53


class BadWord(Exception):
    """A word of a peer's that makes no sense; it costs that peer its answer and nothing more."""


@frozen
class Hello:
    """The first word: the version, and the key that signs on this session."""

    key: bytes

    def wire(self) -> tuple[Any, ...]:
        """Return the word as it travels."""
        return (HELLO, VERSION, self.key)


@frozen
class Query:
    """The question whether these exports, by position, are rooted at their holder, and what leads to them.

    ``runs`` are the positions, ascending: how many are left out, how many follow, and so on in turn. Others
    know each edge by a token that is made of ``seed``, which only the two know who have that edge.
    """

    trace: bytes
    number: int
    hops: int
    milliseconds: int
    budget: int
    seed: bytes
    runs: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many edges it asks about; whoever asks decides, so this is looked at before ``edges``."""
        return sum(self.runs[1::2])

    @property
    def edges(self) -> list[tuple[int, bytes]]:
        """Each position with its token."""
        found, position = [], 0
        for skip, take in zip(self.runs[::2], self.runs[1::2], strict=True):
            position += skip
            found += [(at, token(self.seed, at)) for at in range(position, position + take)]
            position += take
        return found

    def wire(self) -> tuple[Any, ...]:
        """Return the word as it travels."""
        numbers = (self.number, self.hops, self.milliseconds, self.budget)
        return (QUERY, self.trace, *numbers, self.seed, self.runs)


@frozen
class Reply:
    """What is claimed of the edges of one query and what leads to them, and the tokens of what may live.

    With a reason, everything that was asked about may live.
    """

    trace: bytes
    number: int
    claims: tuple[bytes, ...]
    live: tuple[bytes, ...]
    reason: str

    def wire(self) -> tuple[Any, ...]:
        """Return the word as it travels."""
        return (REPLY, self.trace, self.number, self.claims, self.live, self.reason)


@frozen
class Confirm:
    """The digest of all claims: does yours still stand? What it names is frozen until the end is known."""

    trace: bytes
    digest: bytes

    def wire(self) -> tuple[Any, ...]:
        """Return the word as it travels."""
        return (CONFIRM, self.trace, self.digest)


@frozen
class Confirmed:
    """Whose claims stand, and which do not any more."""

    trace: bytes
    digest: bytes
    statements: tuple[bytes, ...]

    def wire(self) -> tuple[Any, ...]:
        """Return the word as it travels."""
        return (CONFIRMED, self.trace, self.digest, self.statements)


@frozen
class Commit:
    """The proof: all claims and all confirmations, or the first bytes of their hashes where known."""

    trace: bytes
    claims: tuple[bytes, ...]
    statements: tuple[bytes, ...]

    def wire(self) -> tuple[Any, ...]:
        """Return the word as it travels."""
        return (COMMIT, self.trace, self.claims, self.statements)


@frozen
class End:
    """The trace is over; only who began it can say so, by the key that its name is made of."""

    trace: bytes
    key: bytes
    signature: bytes

    def wire(self) -> tuple[Any, ...]:
        """Return the word as it travels."""
        return (END, self.trace, self.key, self.signature)


@frozen
class Withdraw:
    """What this vat confirmed of the trace does not stand any longer: cut nothing of it that I hold."""

    trace: bytes

    def wire(self) -> tuple[Any, ...]:
        """Return the word as it travels."""
        return (WITHDRAW, self.trace)


Word = Hello | Query | Reply | Confirm | Confirmed | Commit | End | Withdraw


def read(value: object) -> Word:
    """Return the word that a peer said; raises BadWord."""
    match value:
        case (0, 1, bytes(key)) if len(key) == KEY:
            return Hello(key)
        case (1, bytes(trace), int(number), int(hops), int(ms), int(budget), bytes(seed), tuple(runs)):
            if min(number, hops, ms, budget) < 0 or max(number, hops, ms, budget) > MOST:
                raise BadWord("a number out of range")
            if len(seed) != SEED:
                raise BadWord("the seed of tokens")
            return Query(_trace(trace), number, hops, ms, budget, seed, _runs(runs))
        case (2, bytes(trace), int(number), tuple(claims), tuple(live), str(reason)):
            return Reply(_trace(trace), number, _blobs(claims), _sized(live, TOKEN), _plain(reason))
        case (3, bytes(trace), bytes(digest)) if len(digest) == DIGEST:
            return Confirm(_trace(trace), digest)
        case (4, bytes(trace), bytes(digest), tuple(statements)) if len(digest) == DIGEST:
            return Confirmed(_trace(trace), digest, _blobs(statements))
        case (5, bytes(trace), tuple(claims), tuple(statements)):
            return Commit(_trace(trace), _blobs(claims, SHORT), _blobs(statements, SHORT))
        case (6, bytes(trace), bytes(key), bytes(signature)) if len(key) == KEY:
            return End(_trace(trace), key, signature)
        case (7, bytes(trace)):
            return Withdraw(_trace(trace))
    raise BadWord("no word of captp-dgc-v1")


def token(seed: bytes, position: int) -> bytes:
    """Return what others know an edge by."""
    return sha256(b"captp-dgc-edge-v1" + seed + position.to_bytes(8, "big")).digest()[:TOKEN]


def runs(positions: Collection[int]) -> tuple[int, ...]:
    """Return positions as a question has them, each once."""
    found: list[int] = []
    end = 0
    for position in sorted(set(positions)):
        if found and position == end:
            found[-1] += 1
        else:
            found += [position - end, 1]
        end = position + 1
    return tuple(found)


def _runs(runs: tuple[object, ...]) -> tuple[int, ...]:
    if len(runs) % 2 or not all(type(number) is int and number >= 0 for number in runs):
        raise BadWord("the positions of a query")
    if sum(runs) > MOST:  # type: ignore[arg-type]
        raise BadWord("a position out of range")
    return runs  # type: ignore[return-value]


def _trace(trace: bytes) -> bytes:
    if len(trace) != TRACE:
        raise BadWord("the name of a trace")
    return trace


def _blobs(blobs: tuple[object, ...], brief: int = 0) -> tuple[bytes, ...]:
    """Return statements, each once: a peer could have us keep, hash and pass on one as often as it likes."""
    for blob in blobs:
        if type(blob) is not bytes or not (len(blob) > KEY + SIGNATURE or len(blob) == brief > 0):
            raise BadWord("a statement")
    return tuple(dict.fromkeys(blobs))  # type: ignore[arg-type]


def _plain(reason: str) -> str:
    """Return a reason that people may be shown, which is all that it is for."""
    return reason[:64] if reason.isascii() and reason.isprintable() else "unreadable"


def _sized(parts: tuple[object, ...], size: int) -> tuple[bytes, ...]:
    if not all(type(part) is bytes and len(part) == size for part in parts):
        raise BadWord("a token")
    return parts  # type: ignore[return-value]
