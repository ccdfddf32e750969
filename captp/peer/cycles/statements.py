"""What vats sign about their edges, and what follows from it; it knows bytes and keys, and no vat.

A statement is a key, its signature and a body in Syrup, whatever codec carries it: relays pass the bytes
on as they are. A *claim* says of each edge what leads to it, a *standing* which claims changed since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import sha256
from itertools import chain
from typing import Any, Final

from attrs import frozen

from captp.errors import RemoteProtocolError
from captp.limits import Limits
from captp.peer.cycles.ground import Signatures
from captp.peer.cycles.words import KEY, SHORT, SIGNATURE, TOKEN
from captp.wire.syrup import decode_one, encode

CLAIM: Final = "captp-dgc-claim-v1"
CONFIRM: Final = "captp-dgc-confirm-v1"
OVER: Final = "captp-dgc-end-v1"

#: An edge as others name it: whose it is, and the token that its exporter gave it.
Edge = tuple[bytes, bytes]


@frozen
class Claims:
    """What one vat says of edges of one session, by token: the edges that lead to each."""

    signer: bytes
    leading: dict[bytes, tuple[Edge, ...]]


@frozen
class Standing:
    """Which of its claims on one session a vat does not stand by any more."""

    signer: bytes
    digest: bytes
    changed: frozenset[bytes]


def short(blob: bytes) -> bytes:
    """Return what stands for a statement that has crossed a session before."""
    return sha256(blob).digest()[:SHORT]


def digest(blobs: Iterable[bytes]) -> bytes:
    """Return what stands for a set of claims: nobody can tell it before the last of them is made."""
    return sha256(b"".join(sorted({sha256(blob).digest() for blob in blobs}))).digest()


def claim(signatures: Signatures, key: bytes, trace: bytes, leading: dict[bytes, tuple[Edge, ...]]) -> bytes:
    """Sign what leads to each of some edges of one session; edges are named by their number in a list."""
    edges = {edge: number for number, edge in enumerate(dict.fromkeys(chain(*leading.values())))}
    signers = {signer: number for number, signer in enumerate(dict.fromkeys(one for one, _ in edges))}
    named = tuple((signers[signer], token) for signer, token in edges)
    claimed = tuple((token, tuple(edges[edge] for edge in by)) for token, by in leading.items())
    return _signed(signatures, key, (CLAIM, trace, tuple(signers), named, claimed))


def standing(signatures: Signatures, key: bytes, trace: bytes, agreed: bytes, changed: list[bytes]) -> bytes:
    """Sign which claims have changed by the time that the digest of all of them is known."""
    return _signed(signatures, key, (CONFIRM, trace, agreed, tuple(sorted(changed))))


def over(trace: bytes) -> bytes:
    """Return what is signed to end a trace."""
    return encode((OVER, trace))


def _signed(signatures: Signatures, key: bytes, body: tuple[Any, ...]) -> bytes:
    data = encode(body)
    return key + signatures.sign(key, data) + data


class Ledger:
    """The statements of one trace, each read and verified once."""

    def __init__(self, trace: bytes, signatures: Signatures, limits: Limits) -> None:
        self._trace = trace
        self._signatures = signatures
        self._limits = limits
        self._read: dict[bytes, Claims | Standing | None] = {}
        #: By what stands for them; the bytes that this trace makes its vats keep.
        self.known: dict[bytes, bytes] = {}
        self.size = 0
        self.forged = 0

    def has(self, blob: bytes) -> bool:
        """Tell whether a statement is remembered."""
        return self.known.get(short(blob)) == blob

    def keep(self, blob: bytes) -> bytes:
        """Remember a statement, so that it need not cross again; return what stands for it."""
        name = short(blob)
        if name not in self.known:
            self.known[name] = blob
            self.size += len(blob)
        return name

    def read(self, blob: bytes) -> Claims | Standing | None:
        """Return what a statement says, None unless it is of this trace and its signer's own."""
        if blob not in self._read:
            self._read[blob] = found = self._verified(blob)
            self.forged += found is None
        return self._read[blob]

    def _verified(self, blob: bytes) -> Claims | Standing | None:
        key, signature, body = blob[:KEY], blob[KEY : KEY + SIGNATURE], blob[KEY + SIGNATURE :]
        if not body or not self._signatures.verify(key, body, signature):
            return None
        try:
            said = decode_one(body, self._limits)
        except RemoteProtocolError:
            return None
        match said:
            case ("captp-dgc-claim-v1", bytes(trace), *listed) if trace == self._trace:
                leading = _leading(*listed) if len(listed) == 3 else None
                return None if leading is None else Claims(key, leading)
            case ("captp-dgc-confirm-v1", bytes(trace), bytes(agreed), tuple(changed)):
                if trace == self._trace and all(type(token) is bytes for token in changed):
                    return Standing(key, agreed, frozenset(changed))
        return None


def _leading(signers: Any, named: Any, claimed: Any) -> dict[bytes, tuple[Edge, ...]] | None:
    """Return what leads to each edge of a claim, None if that makes no sense."""
    try:
        edges = [(signers[number], token) for number, token in named if number >= 0]
        leading = {token: tuple(edges[number] for number in by if number >= 0) for token, by in claimed}
        is_sound = (
            all(type(signer) is bytes and len(signer) == KEY for signer in signers)
            and all(type(token) is bytes and len(token) == TOKEN for _, token in edges)
            and all(type(token) is bytes and len(token) == TOKEN for token in leading)
        )
    except (TypeError, ValueError, LookupError):
        return None
    return leading if is_sound else None


class Proof:
    """What a set of claims and standings says together: whether nothing but itself leads to an export."""

    def __init__(self, ledger: Ledger, claims: Iterable[bytes], live: Collection[bytes] = ()) -> None:
        """``live`` are the tokens of edges that somebody said may live."""
        self._live = live
        self._leading: dict[Edge, set[Edge]] = {}
        for blob in claims:
            said = ledger.read(blob)
            if type(said) is Claims:
                for token, leading in said.leading.items():
                    # Two claims of one edge: all that either names leads to it.
                    self._leading.setdefault((said.signer, token), set()).update(leading)
        self._changed: dict[bytes, set[bytes]] | None = None
        self._fallen: set[Edge] | None = None

    def claims(self, edge: Edge) -> bool:
        """Tell whether an edge is claimed, whatever leads to it."""
        return edge in self._leading

    def confirmed(self, ledger: Ledger, agreed: bytes, statements: Iterable[bytes]) -> None:
        """Take in who stands by what, for these very claims."""
        self._changed = {}
        self._fallen = None
        for blob in statements:
            said = ledger.read(blob)
            if type(said) is Standing and said.digest == agreed:
                self._changed.setdefault(said.signer, set()).update(said.changed)

    def holds(self, edges: Iterable[Edge]) -> bool:
        """Tell whether every edge that leads to these is claimed, and, once confirmed, stood by."""
        if self._fallen is None:
            self._fallen = self._fall()
        return all(edge in self._leading and edge not in self._fallen for edge in edges)

    def _fall(self) -> set[Edge]:
        """Return the edges that something leads to which may live, each found once for all who ask."""
        before: dict[Edge, list[Edge]] = {}
        waiting = []
        for edge, leading in self._leading.items():
            if not self._stands(edge):
                waiting.append(edge)
            for one in leading:
                before.setdefault(one, []).append(edge)
        waiting += [edge for edge in before if edge not in self._leading]
        fallen = set(waiting)
        while waiting:
            for edge in before.get(waiting.pop(), ()):
                if edge not in fallen:
                    fallen.add(edge)
                    waiting.append(edge)
        return fallen

    def _stands(self, edge: Edge) -> bool:
        signer, token = edge
        changed = self._changed
        return token not in self._live and (
            changed is None or (signer in changed and token not in changed[signer])
        )
