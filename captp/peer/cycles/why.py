"""Why a vat keeps something that peers may hold: the ways from its roots, and what each holder has said.

What is not known is said to be not known: a peer's word stands for itself alone, and nobody is asked.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from attrs import frozen

from captp.peer.cycles.ground import Holding, Key
from captp.peer.cycles.roots import UNSEEN, Graph, Step, graph_of, peer_of
from captp.peer.cycles.schedule import Verdict
from captp.peer.cycles.view import Collected, kind_of, name_of

if TYPE_CHECKING:
    from captp.peer.cycles.keeper import Keeper

#: Ways that are told of, the shortest first.
WAYS: Final = 8


@frozen(kw_only=True)
class Holder:
    """One peer that holds something, at one place. Times are in seconds ago; None where it is not known."""

    peer: str
    conn: int
    position: int
    #: When it was last given or named, give or take a tick or a few.
    touched_s: float | None
    #: When this vat's collector last asked, and what came: "live" with the reason it gave, "claimed"
    #: (nothing there has a use for it, unless what leads to it there has), or "silent"; else why nobody
    #: asked: "no collector", "no key yet", "not asked".
    asked_s: float | None
    answer: str
    reason: str


@frozen(kw_only=True)
class Way:
    """One way to it: the words for what roots the first step, and who holds that; the last step is itself."""

    roots: tuple[str, ...]
    holders: tuple[Holder, ...]
    steps: tuple[Step, ...]


@frozen(kw_only=True)
class Why:
    """Why one thing is kept, or what became of it. Times are in seconds ago; None where it is not known."""

    id: str
    type: str
    #: "rooted": something here uses it. "held by peers": nothing here does. "nobody": it is about to go.
    #: "not known": the vat is too large to be looked at, or its counts cannot be read.
    #: "collected": it was garbage.
    state: str
    ways: tuple[Way, ...] = ()
    #: How many further ways there are.
    more: int = 0
    #: How this vat's last trace of it ended ("live", "changed", "expired", "broken off"), if it is known.
    verdict: str = ""
    asked_s: float | None = None
    #: Of what was collected: since when nobody had touched it, and when it was cut.
    untouched_s: float | None = None
    collected_s: float | None = None
    trace: str = ""


@frozen(kw_only=True)
class Suspect:
    """Something that nothing here reaches, and that waits to be asked about. Times are in seconds ago."""

    id: str
    type: str
    holders: tuple[str, ...]
    untouched_s: float
    verdict: str
    asked_s: float | None


def suspects(keeper: Keeper, most: int) -> list[Suspect]:
    """Return what waits to be asked about, the oldest first."""
    schedule = keeper.collector.schedule
    exports = set(keeper.exported()) & keeper.survey.unrooted.keys() & schedule.watched.keys()
    found = []
    for since, key in sorted((schedule.watched[key].since, key) for key in exports)[:most]:
        verdict = schedule.verdicts.get(key)
        found.append(
            Suspect(
                id=name_of(key),
                type=_kind(keeper, key) or "",
                holders=tuple(peer_of(holding.side) for holding in keeper.holdings(key)),
                untouched_s=_ago(keeper, since),
                verdict="" if verdict is None else verdict.outcome,
                asked_s=None if verdict is None else _ago(keeper, verdict.at),
            )
        )
    return found


def collected(keeper: Keeper, most: int) -> list[Why]:
    """Return what was collected lately, the latest first."""
    return [_told(keeper, one) for one in list(reversed(keeper.collected))[:most]]


def why(keeper: Keeper, key: Key) -> Why | None:
    """Tell why something is kept; None if nothing has that key, and no such thing was collected lately."""
    kind = _kind(keeper, key)
    if kind is None:
        return _collected(keeper, key)
    graph = graph_of(keeper, key)
    ways = _ways(keeper, graph, key)
    verdict = keeper.collector.schedule.verdicts.get(key)
    return Why(
        id=name_of(key),
        type=kind,
        state=_state(graph, key, ways),
        ways=ways[:WAYS],
        more=len(ways[WAYS:]),
        verdict="" if verdict is None else verdict.outcome,
        asked_s=None if verdict is None else _ago(keeper, verdict.at),
    )


def _kind(keeper: Keeper, key: Key) -> str | None:
    # Nobody may hold the thing itself while the graph is looked at.
    anchor = keeper.find(key)
    return None if anchor is None else kind_of(anchor)


def _collected(keeper: Keeper, key: Key) -> Why | None:
    return next((_told(keeper, one) for one in reversed(keeper.collected) if one.key == key), None)


def _told(keeper: Keeper, one: Collected) -> Why:
    return Why(
        id=name_of(one.key),
        type=one.type,
        state="collected",
        untouched_s=None if one.untouched is None else _ago(keeper, one.untouched),
        collected_s=_ago(keeper, one.at),
        trace=one.trace.hex()[:8],
    )


def _state(graph: Graph, key: Key, ways: tuple[Way, ...]) -> str:
    if any(root != UNSEEN for way in ways for root in way.roots):
        return "rooted"
    if key not in graph.unrooted and not graph.is_whole:
        return "not known"
    return "held by peers" if ways else "nobody"


def _ways(keeper: Keeper, graph: Graph, key: Key) -> tuple[Way, ...]:
    """Return the ways from what is rooted or held by peers, the shortest first."""
    start = graph.by_key.get(key)
    if start is None:
        return ()
    towards: dict[int, int | None] = {start: None}
    waiting = deque([start])
    roots: dict[tuple[Step, ...], list[str]] = {}
    holders: dict[tuple[Step, ...], tuple[Holder, ...]] = {}
    while waiting:
        at = waiting.popleft()
        here = graph.keys[at]
        held = () if here is None else _holders(keeper, here)
        if graph.roots[at] or held:
            # References and containers are no steps, so that several nodes may tell of one way.
            steps = _steps(graph, towards, at)
            roots.setdefault(steps, []).extend(graph.roots[at])
            holders[steps] = holders.get(steps, ()) + held
        for one in graph.before[at]:
            if one not in towards:
                towards[one] = at
                waiting.append(one)
    return tuple(
        Way(roots=tuple(dict.fromkeys(texts)), holders=holders[steps], steps=steps)
        for steps, texts in roots.items()
    )


def _steps(graph: Graph, towards: dict[int, int | None], at: int) -> tuple[Step, ...]:
    found: list[Step] = []
    here: int | None = at
    while here is not None:
        step = graph.steps[here]
        if step is not None:
            found.append(step)
        here = towards[here]
    return tuple(found)


def _holders(keeper: Keeper, key: Key) -> tuple[Holder, ...]:
    holdings = keeper.holdings(key)
    fact = keeper.survey.facts.get(key)
    seen = {} if fact is None else dict(zip(fact.holdings, fact.seen, strict=True))
    verdict = keeper.collector.schedule.verdicts.get(key)
    return tuple(_holder(keeper, holding, seen, verdict) for holding in holdings)


def _holder(keeper: Keeper, holding: Holding, seen: dict[Holding, float], verdict: Verdict | None) -> Holder:
    link = holding.side
    answer, reason = _answer(keeper, holding, verdict)
    is_asked = verdict is not None and answer in {"live", "claimed", "silent"}
    touched = seen.get(holding)
    return Holder(
        peer=peer_of(link),
        conn=link.conn,
        position=holding.position,
        touched_s=None if touched is None else _ago(keeper, touched),
        asked_s=_ago(keeper, verdict.at) if verdict is not None and is_asked else None,
        answer=answer,
        reason=reason,
    )


def _answer(keeper: Keeper, holding: Holding, verdict: Verdict | None) -> tuple[str, str]:
    collector = keeper.collector
    if not keeper.speaks(holding.side):
        return "no collector", ""
    if not collector.knows(holding.side):
        return "no key yet", ""
    said = None if verdict is None else verdict.said.get(collector.schedule.place(holding))
    return ("not asked", "") if said is None else said


def _ago(keeper: Keeper, then: float) -> float:
    return round(max(keeper.peer.now - then, 0.0), 3)
