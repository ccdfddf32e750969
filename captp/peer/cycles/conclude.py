"""The second half of a trace: all stand still and say what stands, each checks the proof and cuts its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

from captp.peer.cycles import leaving, statements
from captp.peer.cycles.bounds import STATEMENT
from captp.peer.cycles.ground import Cut, Holding, Key, Thaw
from captp.peer.cycles.trace import Trace
from captp.peer.cycles.words import SHORT, Commit, Confirm, Confirmed

if TYPE_CHECKING:
    from captp.peer.cycles.collector import Collector

#: Nodes that a peer has looked at for one of the words that it may say in a second.
LOOK: Final = 400


def confirm(c: Collector, trace: Trace) -> None:
    """Ask everybody whether the claims of one's own trace still stand, all at one instant."""
    _freeze(c, trace, statements.digest(trace.agreed), None)


def on_confirm(c: Collector, side: Any, word: Confirm) -> None:
    """Stand still, say what stands, and pass the question on; no second digest is taken, and no late one."""
    trace = c.traces.get(word.trace)
    if not c.neighbours[side].checks.take(1, c.now):
        # It costs a look at what leads to all of it, and a signature.
        c.counts["refused: quota"] += 1
        trace = None
    if trace is None or side not in trace.askers or not _is_timely(c, trace, word.digest):
        c.send(side, Confirmed(word.trace, word.digest, ()))
    elif trace.digest is None:
        _freeze(c, trace, word.digest, side)
    else:
        _tell(c, trace, side, [_mine(c, trace, side)])


def _is_timely(c: Collector, trace: Trace, agreed: bytes) -> bool:
    """Tell whether a digest may still be answered: whoever confirms one late lets others thaw meanwhile."""
    if trace.digest is None:
        # Nobody but this vat makes the digest of its own trace: a second one would freeze everything twice.
        return not trace.is_mine and c.now - trace.created <= c.settings.deadline
    return trace.digest == agreed and not trace.is_leaving


def _freeze(c: Collector, trace: Trace, agreed: bytes, confirmer: Any) -> None:
    """Note what has changed since it was claimed, and let no turn touch the rest until the end is known."""
    trace.digest = agreed
    trace.confirmer = confirmer
    trace.frozen_at = c.now
    trace.deadline = c.now + c.settings.hold
    dirty = _dirty(c, trace, confirmer)
    if not trace.is_mine:
        dirty |= _refused(c, trace.exports.keys() - dirty)
    trace.dirty = frozenset(dirty)
    trace.frozen = frozenset(trace.exports.keys() - dirty)
    c.frozen.update(trace.frozen)
    for (side, position), claim in trace.claims.items():
        claim.is_changed = c.ground.imported(side, position) != claim.entry or bool(claim.by & dirty)
    sides = [confirmer] if confirmer is not None else [s for s in trace.askers if s in c.neighbours]
    trace.statements = [_mine(c, trace, side) for side in sides]
    trace.confirm_waits = set(trace.kids)
    for side in trace.kids:
        c.send(side, Confirm(trace.name, agreed))
    _settle(c, trace)


def _unrooted(c: Collector, side: Any, keys: Collection[Key], but: Collection[Key] = ()) -> set[Key]:
    """Look what roots reach, at the cost of whoever wants to know."""
    before = c.ground.looked
    found = c.ground.unrooted(keys, but)
    if side is not None:
        c.neighbours[side].checks.owe((c.ground.looked - before) / LOOK)
    return found


def _dirty(c: Collector, trace: Trace, side: Any) -> set[Key]:
    """Return the exports that were touched or released since they were asked about, or are reached now."""
    unrooted = _unrooted(c, side, trace.exports)
    return {key for key, was in trace.exports.items() if key not in unrooted or c.ground.holdings(key) != was}


def _refused(c: Collector, keys: Collection[Key]) -> set[Key]:
    """Return the exports that are not frozen for a peer: they stood still for long, or too many do."""
    weary = {key for key in keys if c.debts.get(key, 0.0) > c.now + c.settings.thaw / 2}
    if len(c.frozen) + len(keys) - len(weary) > c.settings.frozen_exports:
        return set(keys)
    return weary


def _mine(c: Collector, trace: Trace, side: Any) -> bytes:
    """Sign what has changed of what was claimed on one side."""
    assert trace.digest is not None
    changed = [made.token for (at, _), made in trace.claims.items() if at == side and made.is_changed]
    blob = statements.standing(c.signatures, c.neighbours[side].key, trace.name, trace.digest, changed)
    trace.ledger.keep(blob)
    return blob


def _tell(c: Collector, trace: Trace, side: Any, blobs: Iterable[bytes]) -> None:
    assert trace.digest is not None
    # What several have passed on is said once.
    said = tuple(dict.fromkeys(blobs))
    trace.crossed.setdefault(side, set()).update(map(statements.short, said))
    c.send(side, Confirmed(trace.name, trace.digest, said))


def on_confirmed(c: Collector, side: Any, word: Confirmed) -> None:
    """Take in who stands by what."""
    trace = c.traces.get(word.trace)
    if trace is None or trace.digest != word.digest or side not in trace.confirm_waits:
        return
    trace.confirm_waits.discard(side)
    trace.statements += received(c, trace, side, word.statements)
    _settle(c, trace)


def received(c: Collector, trace: Trace, side: Any, blobs: Collection[bytes]) -> list[bytes]:
    """Keep statements that have come, up to the bytes of one trace; what is missing may live."""
    kept = []
    crossed = trace.crossed.setdefault(side, set())
    quota = c.neighbours[side].statements
    for blob in blobs:
        if not trace.ledger.has(blob) and (
            trace.ledger.size + len(blob) > c.settings.bytes
            or not quota.take(max(len(blob), STATEMENT), c.now)
        ):
            c.counts["capped"] += 1
            break
        crossed.add(trace.ledger.keep(blob))
        kept.append(blob)
    return kept


def lost(c: Collector, trace: Trace, side: Any) -> None:
    """Go on without a side that is gone: what it had to say is missing, and what it was promised stands."""
    if side in trace.confirm_waits:
        trace.confirm_waits.discard(side)
        _settle(c, trace)


def _settle(c: Collector, trace: Trace) -> None:
    if trace.confirm_waits or trace.is_leaving:
        return
    if trace.confirmer is not None:
        _tell(c, trace, trace.confirmer, trace.statements)
    elif not _cut(c, trace, None, trace.agreed, tuple(trace.statements)):
        leaving.give_up(c, trace, "changed")


def on_commit(c: Collector, side: Any, word: Commit) -> None:
    """Check a proof, and cut of one's own exports what it proves.

    One who has taken back its word still follows those on whose exports its own depend, and nobody else.
    """
    trace = c.traces.get(word.trace)
    if trace is None or trace.digest is None:
        return
    if trace.is_leaving and all(at != side for at, _ in trace.claims):
        return
    if not c.neighbours[side].checks.take(1, c.now):
        c.counts["refused: quota"] += 1
        return
    claims, stand = (_spelt(c, trace, side, blobs) for blobs in (word.claims, word.statements))
    if claims is not None and stand is not None and not _cut(c, trace, side, claims, stand):
        settled(c, trace)


def _spelt(c: Collector, trace: Trace, side: Any, blobs: Iterable[bytes]) -> tuple[bytes, ...] | None:
    """Return statements in full; None when one is not known."""
    found = []
    for blob in blobs:
        if len(blob) == SHORT:
            known = trace.ledger.known.get(blob)
            if known is None:
                return None
            found.append(known)
        else:
            found += received(c, trace, side, (blob,))
    return tuple(found)


def _cut(c: Collector, trace: Trace, side: Any, claims: tuple[bytes, ...], stand: tuple[bytes, ...]) -> bool:
    """Cut the exports that a proof shows to be garbage, and pass it on to all who held them."""
    assert trace.digest is not None
    if statements.digest(claims) != trace.digest:
        return False
    proof = statements.Proof(trace.ledger, claims)
    proof.confirmed(trace.ledger, trace.digest, stand)
    good = {key for key in trace.frozen if _is_same(c, trace, key) and proof.holds(trace.edges_of[key])}
    good &= _unrooted(c, side, good, good)
    c.counts["forged"] += trace.ledger.forged
    trace.ledger.forged = 0
    if not good:
        return False
    holders = dict.fromkeys(holding.side for key in sorted(good) for holding in c.ground.holdings(key))
    named = [[(statements.short(blob), blob) for blob in blobs] for blobs in (claims, stand)]
    for holder in holders:
        if holder != side:
            crossed = trace.crossed.setdefault(holder, set())
            proofs = [tuple(name if name in crossed else blob for name, blob in blobs) for blobs in named]
            c.send(holder, Commit(trace.name, *proofs))
    c.counts["garbage"] += trace.is_mine
    c.counts["cut"] += len(good)
    c.schedule.cut(good)
    c.act(Cut(frozenset(good), trace.name))
    _unfreeze(c, trace, good)
    return True


def settled(c: Collector, trace: Trace) -> None:
    """Close a trace whose exports have all been released meanwhile: there is nothing left to be cut."""
    if not any(c.ground.holdings(key) for key in trace.frozen):
        leaving.finish(c, trace)


def _unfreeze(c: Collector, trace: Trace, cut: Collection[Key]) -> None:
    """Go on without what was cut: the rest stands still, since a better proof may come, until the end."""
    rest = frozenset(key for key in trace.frozen.difference(cut) if c.ground.holdings(key))
    c.frozen.subtract(trace.frozen - rest)
    c.frozen = +c.frozen
    trace.frozen = rest
    c.act(Thaw())
    if not rest:
        # Without a word: an end that overtook the proof would let go who has still to get it.
        leaving.finish(c, trace)
    elif trace.is_mine:
        leaving.leave(c, trace, None)


def _is_same(c: Collector, trace: Trace, key: Key) -> bool:
    """Tell whether an export is held by no others, and was given to nobody, since it was asked about.

    What names it meanwhile is held back, and who has released it does not matter.
    """

    def given(holdings: Iterable[Holding]) -> set[tuple[Any, int, int, int]]:
        return {(h.side, h.position, h.incarnation, h.transferred) for h in holdings}

    return given(c.ground.holdings(key)) <= given(trace.exports[key])
