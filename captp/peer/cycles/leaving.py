"""How a trace ends where it brought no proof: at once before the freeze, and with notice after it.

Who has said that its claims stand has made a promise, on which others may cut. So it leaves the freeze by
a proof, or it first tells those who may cut that it withdraws, and waits a moment for what they have sent.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from captp.peer.cycles import statements
from captp.peer.cycles.ground import Thaw
from captp.peer.cycles.trace import Trace
from captp.peer.cycles.words import TRACE, End, Withdraw

if TYPE_CHECKING:
    from captp.peer.cycles.collector import Collector


def give_up(c: Collector, trace: Trace, outcome: str) -> None:
    """End a trace that found nothing; the suspects of one's own are left alone for longer."""
    if trace.is_mine:
        c.counts[outcome] += 1
        c.schedule.judged(trace, outcome)
        if outcome == "live" and not trace.is_excused:
            c.schedule.lived(trace.suspects)
        else:
            # Nobody has said that these are in use.
            c.schedule.again(trace.suspects)
    leave(c, trace, None)


def leave(c: Collector, trace: Trace, end: End | None) -> None:
    """Leave a trace: at once while it collects, after a moment when this vat has promised to stand still."""
    if trace.key is not None:
        signature = c.signatures.sign(trace.key, statements.over(trace.name))
        end = End(trace.name, trace.key, signature)
    if end is not None:
        for side in trace.kids:
            c.send(side, end)
        trace.kids.clear()
    if trace.digest is None:
        finish(c, trace)
    elif not trace.is_leaving:
        trace.is_leaving = True
        trace.deadline = c.now + c.settings.linger
        for side in dict.fromkeys(side for side, _ in trace.claims):
            # Before anything else that is said to it, and before any turn that was held back runs.
            c.send(side, Withdraw(trace.name))


def finish(c: Collector, trace: Trace) -> None:
    """Close the record of a trace, without a word."""
    del c.traces[trace.name]
    c.remember(trace.name, tuple(trace.kids))
    if trace.key is not None:
        c.signatures.forget(trace.key)
    if trace.frozen:
        charge(c, trace)
        c.frozen.subtract(trace.frozen)
        c.frozen = +c.frozen
        c.act(Thaw())


def charge(c: Collector, trace: Trace) -> None:
    """Note for how long exports stood still for a peer, who may let them do so no more than now and then."""
    if not trace.is_mine:
        seconds = c.now - trace.frozen_at
        for key in trace.frozen:
            until = max(c.debts.get(key, c.now), c.now)
            c.debts[key] = until + seconds * c.settings.thaw / c.settings.hold


def on_withdraw(c: Collector, side: Any, word: Withdraw) -> None:
    """Leave a trace because a holder of what was asked about has taken back its word."""
    trace = c.traces.get(word.trace)
    if trace is None or all(h.side != side for was in trace.exports.values() for h in was):
        return
    if trace.is_mine and not trace.is_leaving:
        give_up(c, trace, "changed")
    else:
        leave(c, trace, None)


def on_end(c: Collector, side: Any, word: End) -> None:
    """Leave a trace that its beginner ends, and pass that on, once; nobody else can end it."""
    trace, over = c.traces.get(word.trace), c.over.get(word.trace)
    if trace is None and over is None and not c.neighbours[side].queries.take(1, c.now):
        return
    if (trace is not None and trace.is_mine) or not _is_sound(c, word):
        return
    if trace is not None:
        trace.kids.pop(side, None)
        leave(c, trace, word)
    elif over is None:
        # It overtook a question on another way, which would begin the trace anew.
        c.remember(word.trace, ())
    else:
        kids, over.kids = over.kids, ()
        for kid in kids:
            if kid != side:
                c.send(kid, word)


def _is_sound(c: Collector, word: End) -> bool:
    """Tell whether an end is of whoever began the trace, by the key that its name is made of."""
    is_named = sha256(word.key).digest()[:TRACE] == word.trace
    if is_named and c.signatures.verify(word.key, statements.over(word.trace), word.signature):
        return True
    c.counts["forged"] += 1
    return False
