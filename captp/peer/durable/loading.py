"""From rows back to objects: an empty one stands for each that is not in memory, and is filled when called.

The messages to it wait in its latch. Whatever an object holds itself, and not by a reference, comes with it,
so that no turn ever meets an empty one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from captp.errors import Broken, Disconnected, StoreDamaged, Unpassable
from captp.model.idents import Oid
from captp.model.migration import Fields
from captp.model.object import Object, edges
from captp.model.promise import Promise, broken, fulfilled
from captp.model.ref import Ref
from captp.peer.durable.kept import Kept, Places, State, object_key
from captp.peer.durable.kinds import Kinds
from captp.peer.durable.portrait import Codec, MapRows
from captp.peer.durable.promises import Promises
from captp.vat.heap import HeapEntry
from captp.vat.lasting import Lasting
from captp.vat.written import DurableTrustee

if TYPE_CHECKING:
    from captp.vat.vat import Vat

__all__ = ["Loader", "Rows"]


@frozen
class Rows:
    """All that is stored of one object: its body, the entries of its Maps, and by row what that leads to."""

    oid: int
    body: bytes
    entries: tuple[tuple[bytes, bytes], ...]
    edges: Mapping[bytes, bytes]


class Loader:
    """Makes stored objects of one vat again."""

    def __init__(self, vat: Vat, kinds: Kinds, incarnation: int) -> None:
        assert isinstance(vat.trustee, DurableTrustee)
        self._vat = vat
        self.trustee = vat.trustee
        self._kinds = kinds
        self._incarnation = incarnation
        self.promises = Promises(vat)
        self.codec = Codec(self)
        #: Those that messages wait for, until they are loaded.
        self.wanted: dict[Oid, Object] = {}

    # What the codec asks.

    def name(self, obj: Object) -> tuple[int, int]:
        """Return an Object's id, and the number of its kind."""
        return obj._entry.oid, self._kinds.of(type(obj)).number

    def reference(self, obj: Object) -> Ref:
        """Return a reference to an Object."""
        return self._vat.reference(obj)

    def fulfilled(self, value: Any) -> Promise[Any]:
        """Return a promise that is fulfilled already."""
        return fulfilled(self._vat, value)

    def holder(self, promise: Lasting) -> Object:
        """Return the Object that stands for a promise which outlives this run."""
        return self.promises.holder(promise)

    def promised(self, obj: Object) -> Promise[Any]:
        """Return the promise that such an Object stands for."""
        return self.promises.of(obj)

    def lost(self, problem: Broken | None) -> Promise[Any]:
        """Return a promise that is broken: as it was, or for want of its session."""
        return broken(
            self._vat,
            problem
            or Disconnected(
                "this reference was live when its vat stopped, or led to an object that has more than"
                " state: enliven the sturdyref again",
                incarnation=self._incarnation,
            ),
        )

    def find(self, oid: int, number: int) -> Object:
        """Return the object with an id, empty if its state is not in memory."""
        obj = self._vat.heap.find(Oid(oid))
        if obj is None:
            cls: Any = self._kinds.class_of(number)
            obj = object.__new__(cls)
            obj._captp_prepare()
            obj._home = self._vat.trustee
            self._vat.heap.enter(obj, HeapEntry(Oid(oid), self._vat.trustee))
            self.chill(obj)
        return obj

    # Objects whose state is not in memory.

    def chill(self, obj: Object) -> None:
        """Have the state of an empty object read when somebody calls it."""
        obj._entry.kept = Kept(State.COLD)
        self._vat.latches.hold(obj)
        obj._latch.on_wait, obj._latch.is_cold = self._want, True

    def _want(self, obj: Object) -> None:
        obj._entry.kept.state = State.WANTED
        self.wanted[obj._entry.oid] = obj

    def loaded(self, oid: Oid, bundle: dict[int, Rows]) -> list[Object]:
        """Fill an object and what it holds itself, and let the messages to them run; return them.

        Raises StoreDamaged.
        """
        obj = self.wanted.pop(oid)
        filled, stack = [], [obj]
        while stack:
            one = stack.pop()
            kept = one._entry.kept
            if kept is None or kept.state is State.LOADED:
                continue
            rows = bundle.get(one._entry.oid)
            if rows is None or kept.state is State.DAMAGED:
                raise StoreDamaged(f"a {type(one).__name__} that an object holds is not in the store")
            self._fill(one, kept, rows)
            filled.append(one)
            stack += [part for part in edges(one) if isinstance(part, Object)]
        for one in filled:
            self.wanted.pop(one._entry.oid, None)
            one._entry.kept.state = State.LOADED
            self._vat.latches.release(one)
            self.trustee.warmed(one)
        return filled

    def _fill(self, obj: Object, kept: Kept, rows: Rows) -> None:
        state, places = self.read(rows, self._kinds)
        kept.has_edges = object_key(obj) in rows.edges
        for name, field in type(obj)._captp_fields.items():
            try:
                value = field.convert(obj, state[name] if name in state else field.fresh())
            except Unpassable as problem:
                raise StoreDamaged(f"what is stored does not fit the class: {problem}") from None
            setattr(obj, f"_f_{name}", value)
            place = places.get(name)
            if place is not None:
                value._places = kept.maps[name] = place
                kept.last_map = max(kept.last_map, place.number)

    def read(self, rows: Rows, kinds: Kinds) -> tuple[Fields, dict[str, Places]]:
        """Return what an object's rows say by field, as its kind had them, and where its Maps are."""
        number, *values = self.codec.unpack(rows.body)
        kind = kinds.by_number.get(number)
        if kind is None or len(kind.fields) != len(values):
            raise StoreDamaged(f"the stored object o{rows.oid} has another form than its kind")
        entries: defaultdict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for where, packed in rows.entries:
            entries[int.from_bytes(where[8:10], "big")].append((where, packed))
        state: Fields = dict(zip(kind.fields, values, strict=True))
        places = {}
        for name, value in state.items():
            if type(value) is MapRows:
                places[name], state[name] = self._entries(value, entries[value.number], rows.edges)
        return state, places

    def _entries(
        self, form: MapRows, rows: list[tuple[bytes, bytes]], edges: Mapping[bytes, bytes]
    ) -> tuple[Places, dict[Any, Any]]:
        places, made = Places(form.number), {}
        places.next = form.next
        for where, packed in rows:
            key, value = self.codec.unpack(packed)
            made[key] = value
            places.of[key] = int.from_bytes(where[10:], "big") << 1 | (where in edges)
        if len(made) != form.count:
            raise StoreDamaged(f"a stored Map has {len(made)} entries and should have {form.count}")
        return places, made
