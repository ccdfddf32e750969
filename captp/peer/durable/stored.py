"""What makes a vat durable: it joins saving and loading, and has the roots that a program starts from.

What programs named and what has a swiss number survives, with all that it leads to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from captp.errors import InvariantBroken, StoreDamaged, UsageError
from captp.model.containers import Map
from captp.model.faults import portable
from captp.model.idents import Oid
from captp.model.object import Object
from captp.model.own import give_back
from captp.model.promise import BROKEN
from captp.model.ref import Ref
from captp.peer.durable.evicting import Evicting
from captp.peer.durable.inbox import CHANNEL_IN, Inbox
from captp.peer.durable.kept import State
from captp.peer.durable.kinds import Kinds
from captp.peer.durable.loading import Loader, Rows
from captp.peer.durable.outbox import CHANNEL_OUT, Outbox, Reply
from captp.peer.durable.pins import Pins
from captp.peer.durable.saving import Saver
from captp.peer.durable.timers import StoredTimer, StoredTimers
from captp.peer.outputs import Commit, Load, Sweep
from captp.peer.rows import Change, Verb, packed, unpacked
from captp.vat.arrivals import Arrival
from captp.vat.effects import SendDurable
from captp.vat.lasting import Lasting
from captp.vat.written import DurableTrustee, Written

if TYPE_CHECKING:
    from captp.peer.peer import Peer

__all__ = ["Image", "Stored"]

#: Seconds until the first sweep of what nothing leads to any more, and from one to the next.
FIRST_SWEEP_S: Final = 5.0
SWEEP_S: Final = 60.0
#: The most of all time that sweeps take.
SWEEP_SHARE: Final = 0.05


@frozen(kw_only=True)
class Image:
    """What a store held when it was opened, as far as a vat has to have it at once."""

    #: How often the store has been opened, this time included.
    incarnation: int = 1
    #: The highest id that an object has had.
    last_oid: int = 0
    #: Seconds that the wall clock is ahead of the driver's.
    wall_ahead: float = 0.0
    kinds: Iterable[tuple[bytes, bytes]] = ()
    roots: Iterable[tuple[bytes, bytes]] = ()
    swiss: Iterable[tuple[bytes, bytes]] = ()
    channels: Iterable[tuple[bytes, bytes]] = ()
    outbox: Iterable[tuple[bytes, bytes]] = ()
    inbox: Iterable[tuple[bytes, bytes]] = ()
    timers: Iterable[tuple[bytes, bytes]] = ()


class Stored:
    """What one vat has stored; see ``collect`` and ``loaded``."""

    def __init__(self, peer: Peer, image: Image) -> None:
        trustee = peer.vat.trustee
        assert isinstance(trustee, DurableTrustee)
        self._peer = peer
        self._trustee = trustee
        self.incarnation = image.incarnation
        self.wall_ahead = image.wall_ahead
        self.kinds = Kinds(image.kinds)
        self.kinds.check()
        self._loader = Loader(peer.vat, self.kinds, image.incarnation)
        self._saver = Saver(self._loader.codec, self.kinds)
        self._evicting = Evicting(peer.vat, self._loader)
        self._pins = Pins(peer.vat)
        self._roots = {name.decode(): _place(value) for name, value in image.roots}
        #: Roots that have more than state, and so are made anew in each run.
        self._passing: dict[str, Ref] = {}
        #: Those of the wanted objects that were asked for.
        self._asked: set[Oid] = set()
        peer.vat.heap.last = image.last_oid
        #: By batch: what it changed, which stays in memory until that is stored. What is read meanwhile, as a
        #: part of something else too, is older, and must not be taken for it.
        self._unstored: deque[tuple[int, list[Object]]] = deque()
        #: When the next sweep may begin, and whether one is under way.
        self._sweep_at: float | None = None
        self._is_sweeping = False
        #: Whether a sweep was given up in this run.
        self._is_damaged = False
        self.inbox = Inbox(peer, self._saver)
        self.promises = promises = self._loader.promises
        self.outbox = Outbox(peer, self._saver, promises, self.inbox, image)
        self.timers = StoredTimers(peer, self._saver, promises, image.wall_ahead)
        channels = list(image.channels)
        self.inbox.restore([row for row in channels if row[0].startswith(CHANNEL_IN)], image.inbox)
        self.outbox.restore([row for row in channels if row[0].startswith(CHANNEL_OUT)], image.outbox)
        self.timers.restore(image.timers)
        promises.begin()

    def begin(self, now: float) -> None:
        """Go on with what was left from before: durable calls, and timers."""
        self._peer.now = now
        self.outbox.begin()
        self.timers.begin()

    def root(self, name: str, make: Callable[[], Object]) -> Ref:
        """Return the object that has a name; it is made, and named, where there is none."""
        if name in self._passing:
            return self._passing[name]
        place = self._roots.get(name)
        if place is None:
            obj = make()
            if not isinstance(obj, Object):
                raise UsageError(f"root {name!r}: {make!r} made a {type(obj).__name__}, and no captp.Object")
            ref = self._peer.vat.reference(obj)
            if not type(obj)._captp_is_durable:
                self._passing[name] = ref
                return ref
            place = self._roots[name] = self.keep(obj)
            self.change(Change(Verb.INSERT, "root", name.encode(), packed(*place)))
            return ref
        return self.reference(place)

    def keep(self, obj: Object) -> tuple[int, int]:
        """Store an object from now on; return its id and kind."""
        if obj._entry is None or obj._home is not self._trustee:
            raise InvariantBroken("only what the vat owns is stored")
        self._saver.keep(obj)
        return obj._entry.oid, self.kinds.of(type(obj)).number

    def reference(self, place: tuple[int, int]) -> Ref:
        """Return a reference to a stored object, which need not be in memory."""
        return self._peer.vat.reference(self._loader.find(*place))

    def change(self, change: Change) -> None:
        """Have a row changed with the next commit."""
        self._saver.changes.append(change)
        self._saver.let_go += change.verb is not Verb.INSERT
        self._peer.vat.ring()

    def take(self, item: Any) -> None:
        """Take what left a turn, or has settled, and is the store's."""
        match item:
            case SendDurable():
                self.outbox.add(item)
            case Reply():
                self.outbox.answered(item)
            case Arrival():
                item.owner.settled(item)
            case Lasting():
                self.promises.settled(item)
            case StoredTimer():
                self.timers.due(item)
            case _:
                raise InvariantBroken(f"a {type(item).__name__} is for nobody")

    # Batches.

    def collect(self, number: int, outputs: list[Any]) -> Commit | None:
        """Return what this batch changed, None for nothing; ask for the objects that calls wait for."""
        written = self._trustee.written
        changed = [note.obj for note in written.values()] if written else []
        if written:
            for oid, note in written.items():
                self._saver.save(note)
                if oid in self._pins:
                    self._pins.look(note.obj)
            written.clear()
        if self._trustee.begun:
            for arrival in self._trustee.begun:
                arrival.owner.begun(arrival)
            self._trustee.begun.clear()
        wanted = tuple(oid for oid in self._loader.wanted if oid not in self._asked)
        if wanted:
            self._asked.update(wanted)
            outputs.append(Load(wanted))
        changes = self._saver.take()
        while self.promises.fresh:
            fresh, self.promises.fresh = self.promises.fresh, []
            for promise in fresh:
                if promise.decider is not None:
                    promise.decider(promise)
            changes += self._saver.take()
        for obj in self._saver.taken:
            self._evicting.came(obj)
        changed += self._saver.taken
        self._saver.taken.clear()
        if changed:
            self._unstored.append((number, changed))
        self._trustee.cool()
        for obj in self._saver.live:
            self._pins.look(obj)
        self._saver.live.clear()
        if self._peer.vat.heap.size > self._peer.limits.objects_in_memory:
            self._evicting.evict()
        if self._saver.let_go and not self._is_sweeping:
            self._look_at_sweep(outputs)
        return Commit(number, changes, self._peer.vat.heap.last) if changes else None

    def released(self, number: int) -> None:
        """Take note that all batches up to this one are stored."""
        while self._unstored and self._unstored[0][0] <= number:
            self._unstored.popleft()

    def tick(self, now: float) -> None:
        """Let time pass for durable calls."""
        self.outbox.tick(now)
        for obj in self._pins.settled():
            note = Written(obj)
            note.has_body = note.has_inner = True
            state = obj._captp_snap()  # type: ignore[attr-defined]
            note.maps = {id(v): (v, dict.fromkeys(v, False)) for v in state if type(v) is Map}
            self._trustee.written.setdefault(obj._entry.oid, note)
            self._peer.vat.ring()

    def _look_at_sweep(self, outputs: list[Any]) -> None:
        now = self._peer.now
        if self._sweep_at is None:
            self._sweep_at = now + FIRST_SWEEP_S
        elif now >= self._sweep_at:
            self._saver.let_go, self._is_sweeping, self._sweep_at = 0, True, now
            # Now, when all that this batch changed is about to be stored: what it let go of is not held.
            free = self._pins.unheld()
            entries = (obj._entry for obj in self._peer.vat.heap.objects())
            held = [e.oid for e in entries if e.kept is not None and e.oid not in free]
            outputs.append(Sweep(tuple(held), frozenset(free)))

    def swept(self, deleted: int, floating: int, freed: list[int], damage: str) -> None:
        """Take note that a sweep has ended, and of how many objects only memory led to then.

        ``freed`` are those of the deleted that memory still has; ``damage`` is why it could not go on.
        """
        now = self._peer.now
        self._pins.unpin(freed)
        took = now - (self._sweep_at or now)
        self._is_sweeping = False
        self._sweep_at = now + max(SWEEP_S, took / SWEEP_SHARE)
        if floating:
            self._saver.let_go += 1
        if deleted:
            self._peer.trace("info", "swept", deleted=deleted)
        if damage and not self._is_damaged:
            # Once in a run: the next sweep is a minute away, and finds the same.
            self._is_damaged = True
            self._peer.trace("error", "sweep given up", why=damage)

    def loaded(self, oid: Oid, bundle: dict[int, Rows] | None) -> None:
        """Take what is stored of an object, None if that cannot be read, and let its messages run."""
        self._asked.discard(oid)
        obj = self._loader.wanted.get(oid)
        if obj is None:
            # It came as a part of another.
            return
        try:
            if bundle is None:
                raise StoreDamaged(f"what is stored of a {type(obj).__name__} is damaged: restore a backup")
            for one in self._loader.loaded(oid, bundle):
                self._evicting.came(one)
        except StoreDamaged as problem:
            self._loader.wanted.pop(oid, None)
            self._quarantine(obj, problem)

    def _quarantine(self, obj: Object, problem: StoreDamaged) -> None:
        """Let an object that cannot be read break every call; the others go on."""
        vat, latch = self._peer.vat, obj._latch
        obj._entry.kept.state = State.DAMAGED
        self._peer.trace("error", "object damaged", id=f"o{obj._entry.oid}", kind=type(obj).__name__)
        broken = portable(problem)
        while latch:
            message = latch.popleft()
            vat.latches.waiting.pop(message.promise, None)
            give_back(message)
            if message.promise is not None:
                vat.settle_now(message.promise, BROKEN, broken)
        latch.calls = 0
        latch.on_wait, latch.is_cold = self._refuse, False
        self._trustee.warmed(obj)

    def _refuse(self, obj: Object) -> None:
        text = f"what is stored of a {type(obj).__name__} is damaged: restore a backup"
        self._quarantine(obj, StoreDamaged(text))


def _place(value: bytes) -> tuple[int, int]:
    oid, kind = unpacked(value, 2)
    return oid, kind
