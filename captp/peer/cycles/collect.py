"""The first half of a trace: who holds this, backwards, until every edge is claimed or one may live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from captp.peer.cycles import conclude, leaving
from captp.peer.cycles.ground import Key
from captp.peer.cycles.statements import Proof, claim
from captp.peer.cycles.trace import Claim, Task, Trace
from captp.peer.cycles.words import Query, Reply, runs

if TYPE_CHECKING:
    from captp.peer.cycles.collector import Collector

#: Seconds that each hop keeps for itself, so that a silent leaf costs its own answer and not the trace.
MARGIN_S: Final = 0.2

#: Why everything in a question may live: because a root may reach it, as far as this vat knows.
LIVE: Final = "live"

#: Why a question may not have been looked into, so that it says nothing of what is in use.
EXCUSES: Final = frozenset({"quota", "traces", "late", "over"})


def fan(c: Collector, trace: Trace, task: Task, keys: Iterable[Key], *, hops: int, budget: int) -> None:
    """Ask those who hold these exports, one question per side, unless they were asked before."""
    new = [key for key in keys if key not in trace.exports]
    asked: dict[Any, list[int]] = {}
    for key in new:
        # Before the question leaves: what is touched from here on shows when the digest comes.
        trace.exports[key] = c.ground.holdings(key)
        for holding in trace.exports[key]:
            if c.knows(holding.side):
                asked.setdefault(holding.side, []).append(holding.position)
    milliseconds = max(int((task.deadline - c.now - MARGIN_S) * 1000), 0)
    tokens: dict[Any, dict[int, bytes]] = {}
    for side, positions in asked.items():
        trace.count += 1
        # Of each question its own: a position may be another edge by the next.
        seed = c.signatures.seed(trace.name, c.neighbours[side].number, trace.count)
        share = max(budget // len(asked), 0)
        word = Query(trace.name, trace.count, hops - 1, milliseconds, share, seed, runs(positions))
        tokens[side] = dict(word.edges)
        task.waits.add((side, trace.count))
        trace.asked[side, trace.count] = task
        trace.tokens[side, trace.count] = tuple(tokens[side].values())
        trace.kids[side] = None
        trace.edges += len(positions)
        c.send(side, word)
    for key in new:
        holdings = trace.exports[key]
        if all(holding.side in tokens for holding in holdings):
            trace.edges_of[key] = tuple(
                (c.peer(holding.side), tokens[holding.side][holding.position]) for holding in holdings
            )


def on_query(c: Collector, side: Any, word: Query) -> None:
    """Answer which of these imports may live, and ask on about what leads to the others."""
    refusal = _refusal(c, side, word)
    if refusal:
        c.counts[f"refused: {refusal}"] += 1
        _answer_live(c, side, word, refusal)
        return
    seconds = min(word.milliseconds / 1000, c.settings.deadline)
    trace = c.traces.get(word.trace)
    is_new = trace is None
    if trace is None:
        # Whoever began it may take as long to collect, and to confirm after that.
        trace = c.enter(word.trace, c.now + c.settings.deadline + c.settings.hold)
        trace.parent = side
    trace.askers[side] = None
    before = len(trace.claims)
    claimed, live, need = _look(c, trace, side, word)
    cost = sum(len(c.ground.holdings(key)) for key in need if key not in trace.exports)
    if cost > min(word.budget, c.settings.edges - trace.edges):
        c.counts["capped"] += 1
        for token in claimed:
            live.add(token)
        # What was claimed of an earlier question is signed, and stands or has changed when the digest comes.
        while len(trace.claims) > before:
            trace.claims.popitem()
        claimed.clear()
    if not claimed:
        if is_new:
            # Nothing was said that could change, and nobody asked: there is no end to wait for.
            del c.traces[word.trace]
        _answer_live(c, side, word, LIVE)
        return
    task = Task(side, word.number, c.now + seconds, live=live)
    trace.tasks[side, word.number] = task
    hops, budget = min(word.hops, c.settings.hops), min(word.budget, c.settings.edges)
    fan(c, trace, task, sorted(need), hops=hops, budget=budget)
    c.schedule.covered(trace.exports)
    leading = {
        token: tuple(edge for key in sorted(by) for edge in trace.edges_of[key])
        for token, by in claimed.items()
    }
    blob = claim(c.signatures, c.neighbours[side].key, trace.name, leading)
    mine = trace.tasks[None, 0] if trace.is_mine else task
    mine.claims.append(blob)
    trace.ledger.keep(blob)
    settle(c, trace, task)


def _refusal(c: Collector, side: Any, word: Query) -> str:
    """Return why a question is not looked into; everything in it may live then."""
    if word.trace in c.over:
        return "over"
    trace = c.traces.get(word.trace)
    if trace is not None and trace.digest is not None:
        return "late"
    if word.hops <= 0:
        return "hops"
    neighbour = c.neighbours[side]
    if not neighbour.queries.take(1, c.now) or not neighbour.edges.take(word.count, c.now):
        return "quota"
    if trace is None and sum(t.parent == side for t in c.traces.values()) >= c.settings.traces_per_side:
        return "traces"
    if trace is not None and (side, word.number) in trace.tasks:
        return "twice"
    return ""


def _look(
    c: Collector, trace: Trace, side: Any, word: Query
) -> tuple[dict[bytes, frozenset[Key]], set[bytes], set[Key]]:
    """Return what is claimed of each edge, the tokens of what may live, and what is to be asked about."""
    claimed: dict[bytes, frozenset[Key]] = {}
    live: set[bytes] = set()
    need: set[Key] = set()
    for position, token in word.edges:
        made = trace.claims.get((side, position))
        if made is not None:
            # Asked again: what was said stands, for the edge that it was said of.
            if made.token == token:
                claimed[token] = made.by
            else:
                live.add(token)
            continue
        entry = c.ground.imported(side, position)
        if entry is None:
            # Its release is ahead of this answer, on the same session.
            claimed[token] = frozenset()
            continue
        by = c.ground.reaching(side, position)
        if by is None or not all(_is_quiet(c, trace, key) for key in by):
            live.add(token)
            continue
        trace.claims[side, position] = Claim(entry, by, token)
        claimed[token] = by
        need |= by
    return claimed, live, need


def _is_quiet(c: Collector, trace: Trace, key: Key) -> bool:
    """Tell whether all who hold an export can be asked, and nothing came from them since they were."""
    holdings = c.ground.holdings(key)
    if key in trace.exports and (trace.exports[key] != holdings or key not in trace.edges_of):
        return False
    return all(c.knows(holding.side) for holding in holdings)


def _answer_live(c: Collector, side: Any, word: Query, reason: str) -> None:
    """Say of all that was asked about that it may live: the commonest answer is the shortest."""
    c.send(side, Reply(word.trace, word.number, (), (), reason))


def on_reply(c: Collector, side: Any, word: Reply) -> None:
    """Take in what is claimed of edges that were asked about."""
    trace = c.traces.get(word.trace)
    task = None if trace is None else trace.asked.pop((side, word.number), None)
    if trace is None or task is None:
        return
    tokens = trace.tokens.pop((side, word.number))
    if word.reason and not trace.crossed.get(side) and all(at != side for at, _ in trace.asked):
        # It has claimed nothing, and has nothing to confirm or to end.
        trace.kids.pop(side, None)
    live = tokens if word.reason else word.live
    task.waits.discard((side, word.number))
    if len(task.live) + len(live) > c.settings.edges:
        # No trace asks about so many: passed on, they would be more than others read in one message.
        c.counts["capped"] += 1
        live = tokens
    else:
        task.claims += conclude.received(c, trace, side, word.claims)
    task.live.update(live)
    trace.is_excused |= word.reason in EXCUSES
    if trace.is_mine:
        trace.reasons.update(((side, token), word.reason.removeprefix(LIVE)) for token in live)
    settle(c, trace, task)


def give_up(c: Collector, trace: Trace, task: Task) -> None:
    """Wait no longer for the answers of a task: what is not claimed may live."""
    for wait in task.waits:
        del trace.asked[wait], trace.tokens[wait]
    task.waits.clear()
    settle(c, trace, task)


def settle(c: Collector, trace: Trace, task: Task) -> None:
    """Answer a question whose own questions are all answered."""
    if task.waits:
        return
    del trace.tasks[task.side, task.number]
    if task.side is not None:
        trace.crossed.setdefault(task.side, set()).update(map(trace.ledger.keep, task.claims))
        claims = tuple(dict.fromkeys(task.claims))
        c.send(task.side, Reply(trace.name, task.number, claims, tuple(sorted(task.live)), ""))
        return
    proof = Proof(trace.ledger, task.claims, task.live)
    good = [key for key in trace.suspects if key in trace.edges_of and proof.holds(trace.edges_of[key])]
    trace.agreed = tuple(task.claims)
    if len(good) == len(trace.suspects):
        conclude.confirm(c, trace)
        return
    leaving.give_up(c, trace, "live")
    if good:
        # What is in use must not stand still for the rest of it.
        c.start(good, c.now)
