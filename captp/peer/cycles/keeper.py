"""Joins a vat's collector to its tables, sessions and queues: what it asks is answered and done here.

Words travel as calls of the bootstrap that nobody answers, in the order of their session. They are heard
when they are decoded, before any turn; what names a frozen export is held back, and what came behind it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from captp.cycles import Cycles
from captp.errors import Broken
from captp.model.idents import ConnId, Oid
from captp.model.object import Object
from captp.model.promise import Message, Reference, Settlement, broken
from captp.model.ref import Far, Ref, view
from captp.peer.bootstrap import CYCLES
from captp.peer.cycles.collector import Action, Collector
from captp.peer.cycles.ground import Cut, Holding, Import, Key, Meet, Send
from captp.peer.cycles.parts import has_key
from captp.peer.cycles.signing import Signing
from captp.peer.cycles.survey import Survey
from captp.peer.cycles.view import Collected, CyclesView, kind_of, name_of, view_of
from captp.peer.cycles.waiting import Waiting
from captp.peer.cycles.words import NAMES, WITHDRAW
from captp.peer.outputs import Trace
from captp.session.holders import check_holders, holders, record
from captp.session.session import DGC
from captp.vat.circles import Circles

if TYPE_CHECKING:
    from captp.peer.peer import Peer
    from captp.peer.router import Link

#: How many of those that were cut are remembered.
COLLECTED: Final = 256

#: Nodes of the vat's own graph that are looked at in one tick for circles that are nobody else's.
CIRCLES: Final = 250

#: What a collected reference is to whoever names it still.
_COLLECTED: Final = (
    "collected: nobody who was asked had a use for this object, you included; ask its owner for a new one"
)


class Keeper:
    """The ground on which a vat's collector stands, and the hands that do what it says."""

    def __init__(self, peer: Peer, settings: Cycles) -> None:
        self.peer = peer
        self.settings = settings
        self.survey = Survey(
            find=self.find,
            exported=self.exported,
            holdings=self.holdings,
            entries=self.entries,
            imported=self._imported,
            key=self.key,
            settings=settings,
        )
        self.collector = Collector(self, Signing(peer.entropy), self._jitter, settings, peer.limits)
        self.waiting = Waiting(peer.limits.in_flight_bytes)
        #: What was just proved to be garbage: whoever names it has denied to hold it.
        self._proved: frozenset[Key] = frozenset()
        #: For people: what was cut lately, and the bytes of words that were said, by kind.
        self.collected: deque[Collected] = deque(maxlen=COLLECTED)
        self.bytes_said: Counter[str] = Counter()
        self.circles = Circles(peer.vat)
        self._due = 0.0
        self._acts = False
        #: Where exports are held, as long as nothing but the machine is at work.
        self._known: dict[Key, tuple[Holding, ...]] | None = None

    # Inputs from the peer.

    def tick(self, now: float) -> None:
        """Let time pass; called between turns."""
        if not self.settings.enabled or now < self._due:
            return
        self._due = now + self.settings.tick
        with self._one_moment():
            self.survey.step(now)
            freed, self.survey.freed = self.survey.freed, set()
            self.collector.schedule.anew(freed)
            self.collector.tick(now)
            self.circles.step(CIRCLES)
        self._act()

    def heard(self, link: Link, word: tuple[Any, ...]) -> None:
        """Take a word of the collector at the other end; one that is not spoken to is not heard."""
        if not self.speaks(link):
            return
        with self._one_moment():
            self.collector.opened(link)
            self.collector.heard(link, word, self.peer.now)
        self._act()

    def closed(self, link: Link, reason: Broken) -> list[Settlement]:
        """Forget a link that is gone, and what it is not to have done.

        Returns how the promises break that it had settled by what is held back: no table has them any more.
        """
        self.survey.session_over(link.session)
        settlements = self.waiting.ended(link, reason)
        with self._one_moment():
            self.collector.closed(link)
        self._act()
        return settlements

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """Look up each export once: peers decide how often the machine asks."""
        self._known = {}
        try:
            yield
        except Exception as problem:  # a mistake of ours: the vat goes on without a collector
            self._give_up(problem)
        finally:
            self._known = None

    def _give_up(self, problem: Exception) -> None:
        self.peer.outputs.append(Trace("error", "collector failed", {}, problem))
        self.survey.fault = "it failed, and the log says how"
        self.settings = evolve(self.settings, enabled=False)
        self.collector.stop()

    def hold_back(self, link: Link, effects: list[Any], size: int) -> list[Any]:
        """Keep what names a frozen export, and all behind it, until it is known what becomes of that.

        Returns what is to be done now. The tables have moved already; only what follows from it waits.
        """
        now = self.waiting.take(link, effects, size, map(self.find, self.collector.frozen))
        self.collector.counts["held"] += len(effects) - len(now)
        return now

    # What the collector asks; see Ground.

    def holdings(self, key: Key) -> tuple[Holding, ...]:
        """Return where an export is held, and have what touches it from now on show."""
        if self._known is None:
            return self._look_up(key)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._look_up(key)
        return found

    def _look_up(self, key: Key) -> tuple[Holding, ...]:
        anchor = self.find(key)
        found = []
        if anchor is not None:
            # Whoever it was given to: they may have released it again, and have said something before.
            given = record(anchor).given
            for tables in holders(anchor):
                entry = tables.by_anchor[id(anchor)]
                tables.account.clock += 1
                link = self.peer.links[tables.session]
                found.append(Holding(link, entry.position, entry.incarnation, entry.touched, given))
            found.sort(key=_conn)
        return tuple(found)

    def imported(self, side: Link, position: int) -> Import | None:
        """Return the entry of an import, and have what touches it from now on show."""
        return self._imported(side.session, position)

    @staticmethod
    def _imported(session: Any, position: int) -> Import | None:
        tables = session.tables
        entry = tables.imports.get(position)
        if entry is None:
            return None
        tables.account.clock += 1
        return Import(entry.incarnation, entry.touched)

    def reaching(self, side: Link, position: int) -> frozenset[Key] | None:
        """Return the exports that lead to an import which no root reaches."""
        entry = side.session.tables.imports.get(position)
        if entry is not None and entry() is None:
            # Python's collector has found it, and a finalizer may bring it back before its release leaves.
            return None
        return self.survey.reaching(side.session, position)

    def unrooted(self, keys: Collection[Key], but: Collection[Key] = ()) -> set[Key]:
        """Return those exports that no root reaches; what is held back is one unless it names ``but``."""
        self._proved = frozenset(but)
        try:
            return self.survey.still_unrooted(keys)
        finally:
            self._proved = frozenset()

    @property
    def looked(self) -> int:
        """How much was looked at to find out what roots reach, ever, in nodes."""
        return self.survey.looked

    def candidates(self) -> Iterable[Key]:
        """Return the exports that no root reached lately."""
        return self.survey.unrooted

    def speaks(self, side: Link) -> bool:
        """Tell whether the peer announced a collector, and its session is up."""
        session = side.session
        return self.settings.enabled and session.is_open and session.native and DGC in session.extensions

    def key(self, anchor: Any) -> Key:
        """Return the number of something that is exported: an object, or what is itself imported.

        The latter's may be used again, when its incarnation at its holders is another one.
        """
        if isinstance(anchor, Object):
            return Key(anchor._entry.oid)
        conn = self.peer.links[anchor.session].conn
        return Key(-(conn << 64 | anchor.entry.position))

    def find(self, key: Key) -> Any:
        if key > 0:
            return self.peer.vat.heap.find(Oid(key))
        link = self.peer.router.links.get(ConnId(-key >> 64))
        entry = None if link is None else link.session.tables.imports.get(-key & (2**64 - 1))
        found = None if entry is None else entry()
        # The peer may have given the position to a promise meanwhile, which nobody counts.
        return found if type(found) is Far else None

    def exported(self) -> Iterator[Key]:
        """Yield what peers hold, once for each that does."""
        for link in list(self.peer.router.links.values()):
            by_anchor = link.session.tables.by_anchor
            for name in list(by_anchor):
                # Between two steps this may hold numbers and nothing else: whatever it held were rooted.
                key = self._key_of(by_anchor, name)
                if key is not None:
                    yield key

    def _key_of(self, by_anchor: dict[int, Any], name: int) -> Key | None:
        entry = by_anchor.get(name)
        anchor = None if entry is None else getattr(entry.target, "_anchor", None)
        return self.key(anchor) if has_key(anchor) else None

    def entries(self, anchor: Any) -> list[Reference]:
        """Return the references to something in export tables, and in what is held back from it, if proved.

        Until then what is held back may be honest, and keeps what it names.
        """
        found: list[Any] = [tables.by_anchor[id(anchor)].target for tables in holders(anchor)]
        if self._proved and self.key(anchor) in self._proved:
            found += self.waiting.naming(anchor)
        return found

    def _jitter(self) -> float:
        return 0.5 + int.from_bytes(self.peer.entropy(2), "big") / 65536

    # What the collector says.

    def _act(self) -> None:
        if self._acts:
            # What is done here may end sessions: what comes of that is done behind it.
            return
        self._acts = True
        try:
            while actions := self.collector.take():
                for action in actions:
                    self._do(action)
        finally:
            self._acts = False
        self.peer.is_holding = bool(self.collector.frozen or self.waiting.held)

    def _do(self, action: Action) -> None:
        match action:
            case Send(link, word):
                self._say(link, word)
            case Meet(link):
                self.collector.opened(link)
            case Cut(keys, trace):
                self._cut(keys, trace)
            case _:
                self._thaw()

    def _say(self, link: Link, word: tuple[Any, ...]) -> None:
        session = link.session
        if session not in self.peer.links:
            return
        bootstrap = view(self.peer.vat, session.bootstrap, Ref)
        outbound = session.outbound
        problem = outbound.deliver_far(Message(bootstrap, CYCLES, word, None, None), session.bootstrap)
        if problem is None:
            self.bytes_said[NAMES[word[0]]] += len(outbound.messages[-1])
        else:
            self.collector.counts["unsaid"] += 1
        self.peer.touched[session] = None
        if problem is not None and word[0] == WITHDRAW:
            # It may cut what this vat has promised not to use: so much else is not read that this is not.
            self.peer.end(link, "peer-too-slow: it does not read")

    def _cut(self, keys: frozenset[Key], trace: bytes) -> None:
        """Put a broken reference in the place of each export; the objects go as their holders do."""
        peer = self.peer
        for key in keys:
            anchor = self.find(key)
            if anchor is None:
                continue
            peer.trace("info", "garbage collected", object=type(anchor).__name__, key=int(key))
            fact = self.survey.facts.get(key)
            untouched = max(fact.seen, default=None) if fact is not None else None
            self.collected.append(Collected(key, kind_of(anchor), peer.now, untouched, trace))
            gone = broken(peer.vat, Broken(_COLLECTED))
            for tables in list(holders(anchor)):
                entry = tables.by_anchor[id(anchor)]
                tables.unname(entry)
                # It keeps its count and its position until its holder has released both.
                entry.target, entry.lent = gone, True
            self.waiting.cut(anchor, gone)

    def _thaw(self) -> None:
        """Do what was held back, where nothing that it names is frozen any more."""
        peer, frozen = self.peer, self.collector.frozen
        for link, held in self.waiting.free(lambda anchor: self.key(anchor) in frozen):
            if held.is_over:
                link.source.messages.extend(held.effects)
                peer.vat.admitted(link.source)
            else:
                peer.apply(link, held.effects, held.size)

    # For tests, tools and the curious.

    def check(self) -> None:
        """Raise InvariantBroken when a counted invariant does not hold."""
        self.collector.check()
        check_holders(self.peer.vat.heap.objects())
        for session in self.peer.links:
            imports = [entry() for entry in session.tables.imports.values()]
            check_holders(far for far in imports if type(far) is Far)

    def view(self) -> CyclesView:
        """Return the figures as they are now."""
        return view_of(self)

    def dump(self) -> dict[str, list[str]]:
        """Return one line per trace, suspect and export that was cut lately."""
        watched = self.collector.schedule.watched
        return {
            "traces": self.collector.dump(),
            "suspects": [
                f"{name_of(key)} due at {watched[key].due:.3f}, lived {watched[key].lived}"
                for key in sorted(set(self.exported()) & self.survey.unrooted.keys() & watched.keys())
            ],
            "collected": [f"{name_of(one.key)} {one.type} at {one.at:.3f}" for one in self.collected],
        }


def _conn(holding: Holding) -> ConnId:
    conn: ConnId = holding.side.conn
    return conn
