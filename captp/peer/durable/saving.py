"""From what a batch wrote to the rows that it changes; what a stored object leads to is stored with it.

An object that nothing stored leads to has no rows. What stored objects lead to no more keeps them until a
sweep. Entries of a Map in a field have rows of their own, so that a large one is not written whole.
"""

from __future__ import annotations

from typing import Any

from captp.model.containers import Map, Tracked, stored_key
from captp.model.object import Object
from captp.peer.durable.kept import EDGE_BYTES, Kept, Places, State, edge_key, entry_key, object_key
from captp.peer.durable.kinds import Kinds
from captp.peer.durable.portrait import Codec, MapRows
from captp.peer.rows import Change, Verb, packed
from captp.vat.written import Written

__all__ = ["Saver"]


class Saver:
    """Turns objects into changes of rows, for one vat."""

    def __init__(self, codec: Codec, kinds: Kinds) -> None:
        self.codec = codec
        self._kinds = kinds
        self.changes: list[Change] = []
        #: How often a row that led to something was changed or went, so that there may be something to sweep.
        #: What the last run left behind is not known.
        self.let_go = 1
        #: Objects that are to be stored, and are not yet.
        self._fresh: list[Object] = []
        #: Objects that were stored newly, and such with something live in their rows, until somebody looks.
        self.taken: list[Object] = []
        self.live: list[Object] = []

    def keep(self, obj: Object) -> None:
        """Store an object, and all that it leads to, unless it is."""
        if obj._entry.kept is None and type(obj)._captp_is_durable:
            obj._entry.kept = Kept(State.NEW)
            self._fresh.append(obj)

    def save(self, note: Written) -> None:
        """Bring the rows of one object to what it is now."""
        kept = note.obj._entry.kept
        if kept is None or kept.state is State.NEW:
            # Nothing of it is stored, or all of it will be.
            return
        obj, key = note.obj, object_key(note.obj)
        has_body = note.has_body or note.has_inner
        for name in type(obj)._captp_fields:
            value, places = getattr(obj, f"_f_{name}"), kept.maps.get(name)
            if places is not None and (type(value) is not Map or value._places is not places):
                self._drop(key, kept, name, places)
                places = None
            if type(value) is not Map:
                continue
            if places is None:
                self._add(key, kept, name, value)
            else:
                before = (places.next, len(places.of))
                self._update(key, places, value, note)
                has_body = has_body or before != (places.next, len(places.of))
        if has_body:
            self._body(Verb.REPLACE, key, obj, kept)
        self._look_at(obj)

    def take(self) -> list[Change]:
        """Store what is to be stored newly, however deep; return all changes since the last time."""
        while self._fresh:
            obj = self._fresh.pop()
            key, kept = object_key(obj), obj._entry.kept
            for name in type(obj)._captp_fields:
                value = getattr(obj, f"_f_{name}")
                if type(value) is Map:
                    self._add(key, kept, name, value)
            self._body(Verb.INSERT, key, obj, kept)
            self._look_at(obj)
            kept.state = State.LOADED
            self.taken.append(obj)
        if self._kinds.fresh:
            self.changes += [kind.change(Verb.INSERT) for kind in self._kinds.fresh]
            self._kinds.fresh.clear()
        changes, self.changes = self.changes, []
        return changes

    def _look_at(self, obj: Object) -> None:
        if self.codec.has_live:
            self.codec.has_live = False
            self.live.append(obj)

    def _body(self, verb: Verb, key: bytes, obj: Object, kept: Kept) -> None:
        parts: list[Any] = [self._kinds.of(type(obj)).number]
        for name in type(obj)._captp_fields:
            value = getattr(obj, f"_f_{name}")
            if type(value) is Map:
                places = kept.maps[name]
                value = MapRows(places.number, places.next, len(places.of))
            parts.append(value)
        kept.has_edges = self._row(verb, "object", key, self.codec.pack(parts), had_edges=kept.has_edges)

    def letter(self, verb: Verb, table: str, key: bytes, parts: list[Any], *, had_edges: bool) -> bool:
        """Write a row that is no object's, and says itself whether it leads to anything; return that."""
        data = self.codec.pack(parts)
        return self._row(verb, table, key, packed(bool(self.codec.met), data), had_edges=had_edges)

    def forget(self, table: str, key: bytes, *, had_edges: bool) -> None:
        """Delete such a row."""
        self.changes.append(Change(Verb.DELETE, table, key))
        if had_edges:
            self.let_go += 1
            self.changes.append(Change(Verb.DELETE, "edge", edge_key(table, key)))

    def _row(self, verb: Verb, table: str, key: bytes, value: bytes, *, had_edges: bool) -> bool:
        """Write a row, and beside it what was met in it; return whether that is anything."""
        self.changes.append(Change(verb, table, key, value))
        self.let_go += had_edges
        met = self.codec.met
        if not met:
            if had_edges:
                self.changes.append(Change(Verb.DELETE, "edge", edge_key(table, key)))
            return False
        edges = b"".join((obj._entry.oid << 1 | is_part).to_bytes(EDGE_BYTES, "big") for obj, is_part in met)
        for obj, _ in met:
            self.keep(obj)
        met.clear()
        self.changes.append(
            Change(Verb.REPLACE if had_edges else Verb.INSERT, "edge", edge_key(table, key), edges)
        )
        return True

    # Maps.

    def _add(self, owner: bytes, kept: Kept, name: str, rows: Map[Any, Any]) -> None:
        kept.last_map += 1
        places = rows._places = kept.maps[name] = Places(kept.last_map)
        for key in rows:
            self._insert(owner, places, rows, key)

    def _drop(self, owner: bytes, kept: Kept, name: str, places: Places) -> None:
        del kept.maps[name]
        for place in places.of.values():
            self._delete(owner, places, place)

    def _update(self, owner: bytes, places: Places, rows: Map[Any, Any], note: Written) -> None:
        changed = note.maps.get(id(rows))
        keys = dict(changed[1]) if changed is not None else {}
        if note.has_inner:
            for key, value in rows.items():
                if isinstance(value, Tracked):
                    keys.setdefault(key, False)
        for key, is_last in keys.items():
            place = places.of.get(key)
            # Places are in the order of the keys, and what went and came back is the last of them.
            if place is not None and (is_last or key not in rows):
                del places.of[key]
                self._delete(owner, places, place)
                place = None
            if key not in rows:
                continue
            if place is None:
                self._insert(owner, places, rows, key)
            else:
                where = entry_key(owner, places.number, place >> 1)
                value = self.codec.pack([stored_key(rows, key), dict.__getitem__(rows, key)])
                edged = self._row(Verb.REPLACE, "entry", where, value, had_edges=bool(place & 1))
                places.of[key] = place & ~1 | edged

    def _insert(self, owner: bytes, places: Places, rows: Map[Any, Any], key: Any) -> None:
        place = places.next
        places.next += 1
        where = entry_key(owner, places.number, place)
        value = self.codec.pack([key, dict.__getitem__(rows, key)])
        places.of[key] = place << 1 | self._row(Verb.INSERT, "entry", where, value, had_edges=False)

    def _delete(self, owner: bytes, places: Places, place: int) -> None:
        where = entry_key(owner, places.number, place >> 1)
        self.changes.append(Change(Verb.DELETE, "entry", where))
        if place & 1:
            self.let_go += 1
            self.changes.append(Change(Verb.DELETE, "edge", where))
