"""Locators of peers and sturdyrefs as URIs: a strict grammar that shows no swiss number unasked.

Knows no netlayer: what a designator or a hint means is the netlayer's affair. OCapN Locators draft,
with the swiss number as base64url of its bytes, as Goblins and Endo write it.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from hashlib import sha256
from itertools import chain
from types import MappingProxyType
from typing import final
from urllib.parse import quote, unquote_to_bytes

from attrs import field, frozen

from captp.errors import BadLocator, UsageError

__all__ = [
    "PeerLocator",
    "SturdyRef",
    "announcing",
    "check_hint_names",
    "mask",
    "parse_peer",
    "parse_sturdyref",
    "read_cap_file",
    "write_cap_file",
]

URI_CHARS = 4096
HINTS = 16
MASK = "****"
#: Names of the hint that announces extensions: one for locators with hosts and ports, one with URLs.
EXTENSION_HINTS = ("exts", "ext")

_SCHEME = "ocapn://"
_PEER_FORM = "ocapn://<designator>.<transport>?<hint>=<value>"
_STURDY_FORM = "ocapn://<designator>.<transport>/s/<swiss number>?<hint>=<value>"
_CAP_COMMENT = "# captp sturdyref: whoever holds this file holds the object"

_TRANSPORT = re.compile(r"[a-z0-9-]+")
# RFC 3986 "unreserved": nothing in it can be read as a port, userinfo, path or percent-encoding.
_DESIGNATOR = re.compile(r"[A-Za-z0-9._~-]+")
_BASE64URL = re.compile(r"([A-Za-z0-9_-]+)(={0,2})")
_NOT_PRINTABLE_ASCII = re.compile(r"[^!-~]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Slashes may come JSON-escaped or percent-encoded, also more than once: texts quote texts.
_SLASH = r"(?:\\?/|%(?:25)*2f)"
_SWISS_PART = re.compile(rf"({_SLASH}s{_SLASH})[A-Za-z0-9+/_=%*-]+", re.IGNORECASE)
_NO_HINTS: Mapping[str, str] = MappingProxyType({})


@final
@frozen
class PeerLocator:
    """Where a peer may be found. Who it is are transport and designator; hints only help to dial.

    Equality is of the whole locator. Compare ``peer`` to ask whether two name the same peer.
    """

    transport: str
    designator: str
    hints: tuple[tuple[str, str], ...] = ()

    def __attrs_post_init__(self) -> None:
        if not _TRANSPORT.fullmatch(self.transport):
            raise BadLocator("transport: expected one or more of a-z, 0-9 and -")
        if not _DESIGNATOR.fullmatch(self.designator):
            raise BadLocator("designator: expected one or more of A-Z, a-z, 0-9 and . _ ~ -")
        if len(self.hints) > HINTS:
            raise BadLocator(f"hints: {len(self.hints)} of them; at most {HINTS} are allowed")
        names = [name for name, _ in self.hints]
        if names != sorted(set(names)):
            raise BadLocator("hints: unsorted or duplicate names; use PeerLocator.make")
        if "" in names:
            raise BadLocator("hints: a name is empty")
        # Before any text is scanned or quoted: a peer may send megabytes as a hint.
        _check_size(sum(map(len, (self.transport, self.designator, *chain(*self.hints)))))
        if any(_SURROGATE.search(text) for text in chain(*self.hints)):
            raise BadLocator("hints: a lone surrogate; expected text that UTF-8 can carry")
        _check_size(len(_format(self)))

    @classmethod
    def make(cls, transport: str, designator: str, hints: Mapping[str, str] = _NO_HINTS) -> PeerLocator:
        """Make a locator of hints in any order. Raises BadLocator for what no URI can carry."""
        return cls(transport, designator, tuple(sorted(hints.items())))

    @property
    def peer(self) -> tuple[str, str]:
        """Transport and designator: the peer's identity, which no hint changes."""
        return self.transport, self.designator

    def hint(self, key: str) -> str | None:
        return dict(self.hints).get(key)

    @property
    def extensions(self) -> tuple[str, ...]:
        """What the peer speaks beyond OCapN, as its locator announces it."""
        return tuple((self.hint("exts") or self.hint("ext") or "").split(","))

    @property
    def place(self) -> tuple[tuple[str, str], ...]:
        """The hints that say where the peer is, and not what it speaks."""
        return tuple(hint for hint in self.hints if hint[0] not in EXTENSION_HINTS)

    def uri(self) -> str:
        """Give the one URI of this locator; it holds no secret."""
        return _format(self)

    def __str__(self) -> str:
        return _format(self)


@final
@frozen(eq=False, repr=False)
class SturdyRef:
    """An object's name that outlives connections. Whoever knows its swiss number holds the object.

    Every way to print it masks the swiss number; ``reveal`` is the only way to the whole URI.
    """

    peer: PeerLocator
    swiss: bytes = field(repr=False)  # rich prints attrs fields itself, __repr__ or not

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.swiss, bytes) or not self.swiss:
            raise BadLocator("swiss: expected one or more bytes")
        _check_size(len(self.reveal()))

    def reveal(self) -> str:
        """Give the whole URI, secret included: hand it only to who shall hold the object."""
        encoded = base64.urlsafe_b64encode(self.swiss).decode("ascii").rstrip("=")
        return _format(self.peer, f"/s/{encoded}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SturdyRef):
            return NotImplemented
        # Constant time: == would tell a guesser how many leading bytes are right.
        same_swiss = hmac.compare_digest(self.swiss, other.swiss)
        return self.peer == other.peer and same_swiss

    def __hash__(self) -> int:
        # SHA-256 first: under a fixed hash seed Python's own hash tells 64 bits of its input.
        return hash((self.peer, sha256(b"captp sturdyref hash" + self.swiss).digest()))

    def __repr__(self) -> str:
        return f"SturdyRef({self})"

    def __str__(self) -> str:
        return _format(self.peer, f"/s/{MASK}")

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def parse_peer(uri: str) -> PeerLocator:
    """Read the URI of a peer. Raises BadLocator; its text never repeats the input."""
    peer, path, at = _parse(uri, _PEER_FORM)
    if path is not None:
        what = "a sturdyref" if path.startswith("s/") else "a path"
        raise _bad(f"{what} where a peer's locator belongs", at, _PEER_FORM)
    return peer


def parse_sturdyref(uri: str) -> SturdyRef:
    """Read the URI of a sturdyref. Raises BadLocator; its text never repeats the input."""
    peer, path, at = _parse(uri, _STURDY_FORM)
    if path is None or not path.startswith("s/"):
        raise _bad("no /s/ and swiss number after the transport", at, _STURDY_FORM)
    return SturdyRef(peer, _parse_swiss(path[2:], at + 3))


def read_cap_file(text: str) -> SturdyRef:
    """Read the text of a ``.cap`` file: one URI; empty lines and lines with # are skipped."""
    lines = [line.strip() for line in text.splitlines()]
    uris = [line for line in lines if line and not line.startswith("#")]
    if len(uris) != 1:
        raise BadLocator(f"a cap file holds exactly one sturdyref URI; this one has {len(uris)}")
    return parse_sturdyref(uris[0])


def write_cap_file(ref: SturdyRef) -> str:
    """Give the text of a ``.cap`` file, secret included; the caller makes the file 0600."""
    return f"{_CAP_COMMENT}\n{ref.reveal()}\n"


def mask(text: str) -> str:
    """Mask whatever looks like the swiss part of a sturdyref anywhere in ``text``.

    Rather masks too much (a path with a folder named s) than too little.
    """
    return _SWISS_PART.sub(rf"\1{MASK}", text)


def announcing(extensions: str, hints: Mapping[str, str] = _NO_HINTS) -> dict[str, str]:
    """Give hints with a comma list of extensions among them, under a name as long as the others."""
    lengths = {len(hint) for hint in hints}
    fitting = [name for name in EXTENSION_HINTS if lengths <= {len(name)}]
    return {**hints, (fitting or EXTENSION_HINTS)[0]: extensions}


def check_hint_names(hints: Mapping[str, str]) -> None:
    """Refuse hint names of unequal length in a locator of our own; raises UsageError.

    Locators are signed inside certificates. Some peers sort a struct's keys with their length
    prefix and others without it; only for equally long names do both see the same bytes.
    """
    by_length = {len(name.encode()): name for name in hints}
    if len(by_length) > 1:
        shown = ", ".join(sorted(by_length.values()))
        raise UsageError(f"hint names differ in length: {shown}; choose names of equal length")


def _format(peer: PeerLocator, path: str = "") -> str:
    query = "&".join(f"{_quote(name)}={_quote(value)}" for name, value in peer.hints)
    mark = "?" if query else ""
    return f"{_SCHEME}{peer.designator}.{peer.transport}{path}{mark}{query}"


def _quote(text: str) -> str:
    # JavaScript's encodeURIComponent to the letter: Endo keys its sessions by this very text.
    return quote(text, safe="!~*'()")


def _check_size(chars: int) -> None:
    if chars > URI_CHARS:
        raise BadLocator(f"{chars} or more characters as a URI; at most {URI_CHARS} are allowed")


# The messages below say where and never repeat the input: in a mistyped URI the secret may stand
# where no mask looks for it. Nothing is chained either: a UnicodeDecodeError carries its bytes.
def _bad(what: str, at: int, expected: str) -> BadLocator:
    return BadLocator(f"{what}, at character {at}; expected {expected}")


def _parse(uri: str, form: str) -> tuple[PeerLocator, str | None, int]:
    """Split a URI into its peer, the path without its first slash, and where the path starts."""
    _check_size(len(uri))
    if not uri.startswith(_SCHEME):
        raise _bad("no ocapn:// at the start", 0, form)
    if odd := _NOT_PRINTABLE_ASCII.search(uri):
        raise _bad("a blank, control or non-ASCII character", odd.start(), "it percent-encoded")
    if (at := uri.find("#")) >= 0:
        raise _bad("a fragment", at, form)
    if odd := _BAD_PERCENT.search(uri):
        raise _bad("a % without two hex digits", odd.start(), "%25 for a percent sign")
    head, mark, query = uri.partition("?")
    authority, slash, path = head[len(_SCHEME) :].partition("/")
    for sign, what in (("@", "userinfo"), (":", "a port"), ("%", "percent-encoding")):
        if (at := authority.find(sign)) >= 0:
            raise _bad(f"{what} before the path", len(_SCHEME) + at, form)
    designator, dot, transport = authority.rpartition(".")
    if not dot:
        raise _bad("no dot between designator and transport", len(_SCHEME), form)
    hints = _parse_query(query, len(head) + 1) if mark else {}
    peer = PeerLocator.make(transport, designator, hints)
    return peer, path if slash else None, len(_SCHEME) + len(authority)


def _parse_query(query: str, at: int) -> dict[str, str]:
    hints: dict[str, str] = {}
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise _bad("an incomplete hint", at, "<hint>=<value>")
        if "+" in pair:
            # A form decoder reads it as a blank, RFC 3986 as itself: two readers, two peers.
            raise _bad("a + in a hint", at + pair.index("+"), "%2B for a plus or %20 for a blank")
        key = _percent_decode(name, at)
        if key in hints:
            raise _bad("a hint that was given before", at, "each hint once")
        hints[key] = _percent_decode(value, at + len(name) + 1)
        at += len(pair) + 1
    return hints


def _parse_swiss(text: str, at: int) -> bytes:
    if text == MASK:
        raise _bad("a masked swiss number", at, "the URI that reveal() of the sturdyref gives")
    decoded = _percent_decode(text, at)
    match = _BASE64URL.fullmatch(decoded)
    if match is None:
        raise _bad("a swiss number that is not base64url", at, "A-Z, a-z, 0-9, - and _")
    body, padding = match.groups()
    missing = -len(body) % 4
    if missing == 3 or (padding and len(padding) != missing):
        raise _bad("a swiss number of impossible length", at, "the whole of it: is it cut off?")
    swiss = base64.urlsafe_b64decode(body + "=" * missing)
    # Bits beyond the last byte mean a wrong or missing character, found here and not at the peer.
    if base64.urlsafe_b64encode(swiss).decode("ascii").rstrip("=") != body:
        raise _bad("a swiss number with bits left over", at, "the whole of it: is it cut off?")
    return swiss


def _percent_decode(text: str, at: int) -> str:
    raw = unquote_to_bytes(text)
    decoded = raw.decode("utf-8", "replace")
    if decoded.encode() != raw:
        raise _bad("percent-encoding that is not UTF-8", at, "UTF-8")
    return decoded
