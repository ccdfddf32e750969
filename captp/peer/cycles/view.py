"""The figures of a vat's collector, and what people call that which it collects; no value, no secret."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import frozen

from captp.model.ref import Far
from captp.peer.cycles.ground import Key

if TYPE_CHECKING:
    from captp.peer.cycles.keeper import Keeper

_LOW = 2**64 - 1


@frozen
class Collected:
    """Something that was cut: when, since when it had been untouched if that is known, and its trace."""

    key: Key
    type: str
    at: float
    untouched: float | None
    trace: bytes


@frozen(kw_only=True)
class CyclesView:
    """What a collector has before it and has done so far. Times are in seconds, counts since the start."""

    enabled: bool
    #: Sessions whose collectors have said their keys.
    peers: int
    #: What peers hold that can be asked about, and of it: what nothing here reaches, what is in use here,
    #: and what has not been looked at since it was touched.
    exports: int
    unrooted: int
    rooted: int
    unknown: int
    #: Exports that wait to be asked about, and how long the oldest has been one; 0 without any.
    suspects: int
    oldest_suspect_s: float
    #: Traces that are open, exports that are frozen for them, effects of messages that wait for that.
    own_traces: int
    peer_traces: int
    frozen: int
    waiting: int
    #: Own traces that began, and how they ended.
    started: int
    garbage: int
    live: int
    changed: int
    expired: int
    broken_off: int
    #: Questions that were too large to look into, or statements to keep.
    capped: int
    #: Exports cut by anybody's trace, and effects of messages that had to wait.
    cut: int
    held: int
    #: Objects of circles within this vat that were taken apart; those that peers held before among them.
    own_circles: int
    #: Statements and ends with bad signatures, words that made no sense, and own ones that could not leave.
    forged: int
    bad_words: int
    unsaid: int
    #: Questions that were answered unseen, by reason; words by kind; bytes of encoded words that left.
    refused: Mapping[str, int]
    said: Mapping[str, int]
    heard: Mapping[str, int]
    bytes_said: Mapping[str, int]
    #: Nodes of this vat's own graph that were visited, and how often that stopped at a limit.
    nodes: int
    stopped: int
    #: Why nothing can be told of that graph; empty where it can.
    fault: str


def view_of(keeper: Keeper) -> CyclesView:
    """Take the picture."""
    collector, survey = keeper.collector, keeper.survey
    counts, watched = collector.counts, collector.schedule.watched
    # What is gone is forgotten bit by bit, there.
    exports = set(keeper.exported())
    unrooted = exports & survey.unrooted.keys()
    facts = [survey.facts.get(key) for key in exports - unrooted]
    rooted = sum(fact is not None and fact.is_traced for fact in facts)
    since = [watched[key].since for key in unrooted & watched.keys()]
    own = sum(trace.is_mine for trace in collector.traces.values())
    return CyclesView(
        enabled=keeper.settings.enabled,
        peers=sum(collector.knows(side) for side in collector.neighbours),
        exports=len(exports),
        unrooted=len(unrooted),
        rooted=rooted,
        unknown=len(facts) - rooted,
        suspects=len(since),
        oldest_suspect_s=max(keeper.peer.now - min(since), 0.0) if since else 0.0,
        own_traces=own,
        peer_traces=len(collector.traces) - own,
        frozen=len(collector.frozen),
        waiting=sum(len(held.effects) for held in keeper.waiting.held.values()),
        started=counts["started"],
        garbage=counts["garbage"],
        live=counts["live"],
        changed=counts["changed"],
        expired=counts["expired"],
        broken_off=counts["broken off"],
        capped=counts["capped"],
        cut=counts["cut"],
        held=counts["held"],
        own_circles=keeper.circles.freed,
        forged=counts["forged"],
        bad_words=counts["bad words"],
        unsaid=counts["unsaid"],
        refused=_of(counts, "refused: "),
        said=_of(counts, "said "),
        heard=_of(counts, "heard "),
        bytes_said=MappingProxyType(dict(keeper.bytes_said)),
        nodes=survey.nodes,
        stopped=survey.stopped,
        fault=survey.fault,
    )


def _of(counts: Counter[str], prefix: str) -> Mapping[str, int]:
    return MappingProxyType({k.removeprefix(prefix): n for k, n in counts.items() if k.startswith(prefix)})


def kind_of(anchor: Any) -> str:
    """Return what people call the kind of something exported."""
    return "a reference of another vat's" if type(anchor) is Far else type(anchor).__name__


def name_of(key: Key) -> str:
    """Return an id for people: ``o12`` for an object, ``c3:i5`` for import 5 of connection 3."""
    return f"o{key}" if key > 0 else f"c{-key >> 64}:i{-key & _LOW}"


def key_of(name: str) -> Key | None:
    """Return the key that an id for people stands for; None when it is none."""
    conn, _, position = name.rpartition(":")
    if not conn and name[:1] == "o" and _is_number(name[1:]):
        return Key(int(name[1:]))
    if conn[:1] == "c" and position[:1] == "i" and _is_number(conn[1:]) and _is_number(position[1:]):
        return Key(-(int(conn[1:]) << 64 | int(position[1:])))
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and text[0] != "0" and len(text) < 20
