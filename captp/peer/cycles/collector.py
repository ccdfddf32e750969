"""Finds garbage that loops through several vats, with their collectors, none of which it trusts.

A machine without I/O: ``opened``, ``closed``, ``heard`` and ``tick`` go in, ``take`` gives what is to be
done. It says of its own vat what it knows, believes of others only what they sign about edges of their
own, and cuts nothing but its own exports, by a proof that it has checked itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Any, Final

from attrs import define

from captp.cycles import Cycles
from captp.errors import InvariantBroken
from captp.limits import Limits
from captp.peer.cycles import collect, conclude, leaving
from captp.peer.cycles.bounds import REMEMBERED, STATEMENTS_S
from captp.peer.cycles.ground import Cut, Ground, Key, Meet, Send, Signatures, Thaw
from captp.peer.cycles.quota import Bucket
from captp.peer.cycles.schedule import Schedule
from captp.peer.cycles.statements import Ledger
from captp.peer.cycles.trace import Task, Trace
from captp.peer.cycles.words import (
    TRACE,
    BadWord,
    Commit,
    Confirm,
    Confirmed,
    End,
    Hello,
    Query,
    Reply,
    Withdraw,
    Word,
    read,
)

Action = Send | Meet | Thaw | Cut


@define(eq=False)
class Neighbour:
    """The collector at the other end of one side: its key, once it has said it, and what it may ask."""

    number: int
    key: bytes
    queries: Bucket
    edges: Bucket
    #: What it may ask to be checked, and the bytes of statements that are kept and verified for it.
    checks: Bucket
    statements: Bucket
    peer: bytes | None = None


@define(eq=False)
class Over:
    """A trace that is gone: until when its name is remembered, and who has still to hear of its end."""

    until: float
    kids: tuple[Any, ...] = ()


class Collector:
    """The collector of one vat."""

    def __init__(
        self,
        ground: Ground,
        signatures: Signatures,
        jitter: Callable[[], float],
        settings: Cycles | None = None,
        limits: Limits | None = None,
    ) -> None:
        """``jitter`` gives numbers from 0.5 to 1.5, which spread the traces of many vats."""
        self.ground = ground
        self.signatures = signatures
        self.settings = settings or Cycles()
        self.limits = limits or Limits()
        self.now = 0.0
        self.neighbours: dict[Any, Neighbour] = {}
        self.traces: dict[bytes, Trace] = {}
        self.over: dict[bytes, Over] = {}
        #: Exports that no turn may name for now, and for how many traces.
        self.frozen: Counter[Key] = Counter()
        #: Exports that stood still for traces of others, and when that is forgiven.
        self.debts: dict[Key, float] = {}
        self.schedule = Schedule(self, jitter)
        #: What happened, by name; see docs/reference.
        self.counts: Counter[str] = Counter()
        self._actions: list[Action] = []
        self._sides = 0

    # Inputs.

    def opened(self, side: Any) -> None:
        """Begin with the collector at the other end of a side, which has been found."""
        if side not in self.neighbours:
            settings = self.settings
            self._sides += 1
            queries = Bucket(settings.queries_per_s, settings.queries_burst)
            edges = Bucket(settings.edges_per_s, 2 * settings.edges_per_s)
            checks = Bucket(settings.queries_per_s, settings.queries_burst)
            kept = Bucket(settings.bytes / STATEMENTS_S, 2 * settings.bytes)
            made = Neighbour(self._sides, self.signatures.make(), queries, edges, checks, kept)
            self.neighbours[side] = made
            self.send(side, Hello(made.key))

    def closed(self, side: Any) -> None:
        """Forget a side that is gone, and every trace that went through it."""
        gone = self.neighbours.pop(side, None)
        if gone is None:
            return
        for trace in list(self.traces.values()):
            if trace.digest is not None:
                # What this vat has confirmed stands, whoever is gone.
                trace.kids.pop(side, None)
                conclude.lost(self, trace, side)
            elif trace.parent == side or side in trace.kids or side in trace.askers:
                leaving.give_up(self, trace, "broken off")
        if not self.neighbours:
            self._left_alone()
        self.signatures.forget(gone.key)

    def _left_alone(self) -> None:
        """End what waits for time or for words: where nobody is left and nothing frozen, neither comes."""
        for trace in [t for t in self.traces.values() if not t.frozen]:
            if not trace.is_leaving:
                leaving.give_up(self, trace, "broken off")
            if trace.name in self.traces:
                leaving.finish(self, trace)

    def heard(self, side: Any, value: object, now: float) -> None:
        """Take a word of the collector at the other end of a side, in order of arrival."""
        self.now = now
        neighbour = self.neighbours.get(side)
        if neighbour is None:
            return
        try:
            word = read(value)
        except BadWord:
            self.counts["bad words"] += 1
            return
        self.counts[f"heard {type(word).__name__.lower()}"] += 1
        if type(word) is Hello:
            neighbour.peer = word.key
        elif neighbour.peer is not None:
            _HANDLERS[type(word)](self, side, word)

    def tick(self, now: float) -> None:
        """Let time pass: give up what took too long, forget what is long over, look for suspects."""
        self.now = now
        for trace in list(self.traces.values()):
            for task in [t for t in trace.tasks.values() if t.deadline <= now]:
                collect.give_up(self, trace, task)
            if trace.frozen and not trace.is_mine and not trace.is_leaving:
                conclude.settled(self, trace)
            if trace.deadline > now or trace.name not in self.traces:
                continue
            if trace.is_leaving:
                leaving.finish(self, trace)
            else:
                leaving.give_up(self, trace, "expired")
        for name in [n for n, over in self.over.items() if over.until <= now]:
            del self.over[name]
        for key in [k for k, until in self.debts.items() if until <= now]:
            del self.debts[key]
        self.schedule.look()

    def start(self, suspects: Collection[Key], now: float) -> bytes:
        """Begin a trace of exports that nobody here reaches; return its name."""
        self.now = now
        settings = self.settings
        key = self.signatures.make()
        trace = self.enter(sha256(key).digest()[:TRACE], now + settings.deadline)
        trace.key = key
        trace.suspects = tuple(suspects)
        task = Task(None, 0, trace.deadline)
        trace.tasks[None, 0] = task
        self.counts["started"] += 1
        collect.fan(self, trace, task, trace.suspects, hops=settings.hops, budget=settings.edges)
        collect.settle(self, trace, task)
        return trace.name

    def stop(self) -> None:
        """Forget everything: nothing stands still any longer, and nothing is cut."""
        self.traces.clear()
        self.frozen.clear()
        self._actions = [Thaw()]

    def take(self) -> list[Action]:
        """Return what is to be done, in order, once."""
        actions, self._actions = self._actions, []
        return actions

    # What the files beside this one use.

    def send(self, side: Any, word: Word) -> None:
        """Say a word to a side that is there."""
        if side not in self.neighbours:
            return
        self.counts[f"said {type(word).__name__.lower()}"] += 1
        self._actions.append(Send(side, word.wire()))

    def act(self, action: Action) -> None:
        """Ask the owner for something."""
        self._actions.append(action)

    def enter(self, name: bytes, deadline: float) -> Trace:
        """Open the record of a trace."""
        trace = self.traces[name] = Trace(
            name, Ledger(name, self.signatures, self.limits), self.now, deadline
        )
        return trace

    def remember(self, name: bytes, kids: tuple[Any, ...]) -> None:
        """Keep the name of a trace that is over, so that nothing of it comes to life again."""
        while len(self.over) >= REMEMBERED:
            del self.over[next(iter(self.over))]
        until = self.now + self.settings.deadline + self.settings.hold + self.settings.memory
        self.over[name] = Over(until, kids)

    def peer(self, side: Any) -> bytes:
        """Return the key by which others know the collector at the other end of a side that has said it."""
        peer = self.neighbours[side].peer
        assert peer is not None
        return peer

    def knows(self, side: Any) -> bool:
        """Tell whether the collector at the other end of a side has said its key."""
        neighbour = self.neighbours.get(side)
        return neighbour is not None and neighbour.peer is not None

    # For tests, tools and the curious.

    def check(self) -> None:
        """Raise InvariantBroken when a counted invariant does not hold."""
        frozen = Counter(key for trace in self.traces.values() for key in trace.frozen)
        if frozen != self.frozen:
            raise InvariantBroken(f"{len(self.frozen)} exports are frozen, {len(frozen)} by a trace")
        for name, trace in self.traces.items():
            if name in self.over or name != trace.name:
                raise InvariantBroken(f"trace {name.hex()} is over and goes on")
            waits = {wait for task in trace.tasks.values() for wait in task.waits}
            if waits != trace.asked.keys():
                raise InvariantBroken(f"trace {name.hex()} asked {len(trace.asked)}, waits for {len(waits)}")
            if trace.frozen and trace.digest is None:
                raise InvariantBroken(f"trace {name.hex()} froze exports before it had all claims")

    def dump(self) -> list[str]:
        """Return one line per trace."""
        return [
            f"{trace.name.hex()[:8]} {trace.state}, {'mine' if trace.is_mine else 'of a peer'}:"
            f" {len(trace.exports)} exports, {len(trace.claims)} claims, {len(trace.asked)} asked"
            for trace in self.traces.values()
        ]


_HANDLERS: Final[dict[type, Callable[[Collector, Any, Any], None]]] = {
    Query: collect.on_query,
    Reply: collect.on_reply,
    Confirm: conclude.on_confirm,
    Confirmed: conclude.on_confirmed,
    Commit: conclude.on_commit,
    End: leaving.on_end,
    Withdraw: leaving.on_withdraw,
}
