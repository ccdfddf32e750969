"""Whether one store is whole: every row unseals, every reference leads somewhere, and the counts agree.

No class is needed: values are read with stand-ins for objects. What nothing leads to is counted, and no
damage: it stays until a sweep.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final, final

from attrs import define, field

from captp.errors import StoreDamaged
from captp.peer.durable.kept import EDGE_BYTES, edge_key, ends
from captp.peer.durable.kinds import PREFIX, Kind, Kinds
from captp.peer.durable.portrait import Codec, MapRows
from captp.peer.rows import TABLES, unpacked
from captp.run.sealed import HEAD, Sealed

__all__ = ["Survey", "survey"]

#: How the tables of the head are called where they are counted.
_COUNTED: Final = {"object": "objects", "entry": "entries", "root": "roots", "swiss": "sturdyrefs"}
#: Durable calls that wait, results that are kept, and timers.
_LETTERS: Final = ("outbox", "inbox", "timer")
_OBJECT_KEY: Final = 8
_TIMER_KEY: Final = 8
_PLACE: Final = 10

_Ends = Counter[tuple[int, bool]]


@final
@define
class Survey:
    """What was found in one store: counts by name, and a line for each damage."""

    counts: dict[str, int] = field(factory=dict)
    problems: list[str] = field(factory=list)

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.counts.items())


def survey(sealed: Sealed) -> Survey:
    """Look at all rows of an open store. Raises StoreDamaged where the store itself cannot be read."""
    return _Surveyor(sealed).survey()


class _Surveyor:
    def __init__(self, sealed: Sealed) -> None:
        self._sealed = sealed
        self.found = Survey()
        self._rows: Counter[str] = Counter()
        self._kinds: dict[int, Kind] = {}
        #: By id, of each object: the number of its kind; and by key what its rows lead to.
        self._objects: dict[int, int] = {}
        self._values: defaultdict[bytes, list[_Ends]] = defaultdict(list)
        #: By object and number, of each Map: how many entries it should have, and below which place.
        self._maps: dict[bytes, tuple[int, int]] = {}
        self._entries: Counter[bytes] = Counter()
        self._met: list[tuple[int, bool, int]] = []
        stand_ins: Any = _StandIns(self._met)
        self._codec = Codec(stand_ins)

    def survey(self) -> Survey:
        head = self._head()
        self._kinds = Kinds(self._all("meta", PREFIX)).by_number
        for key, value in self._all("object"):
            self._try(self._object, "object", key, value)
        for key, value in self._all("entry"):
            self._try(self._entry, "entry", key, value)
        for table in _LETTERS:
            for key, value in self._all(table):
                self._try(self._letter, table, key, value)
        starts = {place for table in ("root", "swiss") for place in self._places(table)}
        for table in ("channel", "dead"):
            for _ in self._all(table):
                pass
        edges = self._edges()
        self._maps_agree()
        self._counts_agree(head)
        reached = _reached(starts, edges)
        self.found.counts = {name: self._rows[table] for table, name in _COUNTED.items()}
        self.found.counts["durable calls"] = self._rows["outbox"] + self._rows["inbox"]
        self.found.counts["timers"] = self._rows["timer"]
        self.found.counts["orphans"] = sum(oid not in reached for oid in self._objects)
        return self.found

    # Rows.

    def _all(self, table: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows that unseal, and tell of the others."""
        for key, value in self._sealed.scan(table, prefix):
            self._rows[table] += 1
            try:
                yield key, self._sealed.unseal(table, key, value)
            except StoreDamaged:
                self._tell(table, key, "it is not what was written there")
                if table == "object" and len(key) == _OBJECT_KEY:
                    # It is there, if damaged: what leads to it is not damage of its own.
                    self._objects[int.from_bytes(key, "big")] = 0

    def _try(self, read: Any, table: str, key: bytes, value: bytes) -> None:
        self._met.clear()
        try:
            read(*((table,) if table in _LETTERS else ()), key, value)
        except (StoreDamaged, ValueError, TypeError):
            self._tell(table, key, "its value cannot be read")

    def _tell(self, table: str, key: bytes, problem: str) -> None:
        self.found.problems.append(f"{table} {self._named(table, key)}: {problem}")

    def _named(self, table: str, key: bytes) -> str:
        if table in ("object", "entry") or (table == "edge" and len(key) in (_OBJECT_KEY, 18)):
            oid = int.from_bytes(key[:_OBJECT_KEY], "big")
            kind = self._kinds.get(self._objects.get(oid, 0))
            return f"o{oid}" + (f" ({kind.name})" if kind is not None else "")
        if table in (*_LETTERS, "edge", "dead"):
            key = key[1:] if table == "edge" else key
            if len(key) == _TIMER_KEY:
                return f"timer {int.from_bytes(key, 'big')}"
            return f"{key[:12].decode('ascii', 'replace')}…/{int.from_bytes(key[-8:], 'big')}"
        # A swiss number's HMAC is no secret; a root's name is the program's.
        return key.hex()[:12] if table == "swiss" else repr(key.decode("utf-8", "replace"))

    # What is in them.

    def _head(self) -> dict[str, Any]:
        sealed = self._sealed.store.get("meta", HEAD)
        if sealed is None:
            if any(self._sealed.store.count(table) for table in TABLES):
                self._tell("meta", HEAD, "it is missing")
            return {}
        try:
            (head,) = unpacked(self._sealed.unseal("meta", HEAD, sealed), 1)
        except StoreDamaged:
            self._tell("meta", HEAD, "it is not what was written there, or the store belongs to another key")
            return {}
        self._rows["meta"] += 1
        return dict(head)

    def _object(self, key: bytes, value: bytes) -> None:
        oid = int.from_bytes(key, "big")
        number, *state = self._codec.unpack(value)
        self._objects[oid] = number
        kind = self._kinds.get(number)
        if kind is None or len(kind.fields) != len(state):
            self._tell("object", key, "it has another form than its kind")
        for part in state:
            if type(part) is MapRows:
                self._maps[key + part.number.to_bytes(2, "big")] = part.count, part.next
        self._leads(key)

    def _entry(self, key: bytes, value: bytes) -> None:
        self._codec.unpack(value)
        self._entries[key[:_PLACE]] += 1
        wanted = self._maps.get(key[:_PLACE])
        if wanted is None:
            self._tell("entry", key, "no Map has it")
        elif int.from_bytes(key[_PLACE:], "big") >= wanted[1]:
            self._tell("entry", key, "its Map has had no such entry")
        self._leads(key)

    def _letter(self, table: str, key: bytes, value: bytes) -> None:
        leads, data = unpacked(value, 2)
        self._codec.unpack(data)
        if leads != bool(self._met):
            self._tell(table, key, "what it leads to is not as it says")
        self._leads(edge_key(table, key))

    def _leads(self, key: bytes) -> None:
        """Keep what was met in a row."""
        if self._met:
            self._values[key].append(Counter((oid, is_part) for oid, is_part, _ in self._met))
            for _, _, number in self._met:
                if number not in self._kinds:
                    self._tell("object", key, f"it leads to an object of kind {number}, which is not known")

    def _places(self, table: str) -> Iterator[int]:
        for key, value in self._all(table):
            try:
                oid = int(unpacked(value, 2 if table == "root" else 5)[0])
            except (StoreDamaged, ValueError, TypeError):
                self._tell(table, key, "its value cannot be read")
                continue
            if oid not in self._objects:
                self._tell(table, key, f"it leads to o{oid}, which is not there")
            yield oid

    # What has to agree.

    def _edges(self) -> dict[int | None, list[int]]:
        """Return what each object leads to, under None what calls and timers do; compare it with values."""
        edges: defaultdict[int | None, list[int]] = defaultdict(list)
        for key, value in self._all("edge"):
            stored: _Ends = Counter(ends(value))
            if len(value) % EDGE_BYTES or stored not in self._values.pop(key, []):
                self._tell("edge", key, "it is not what its row leads to")
            is_object = len(key) in (_OBJECT_KEY, 18)
            owner = int.from_bytes(key[:_OBJECT_KEY], "big") if is_object else None
            for oid, _ in stored:
                edges[owner].append(oid)
                if oid not in self._objects:
                    self._tell("edge", key, f"it leads to o{oid}, which is not there")
        for key in self._values:
            self._tell("edge", key, "it is missing")
        return edges

    def _maps_agree(self) -> None:
        for where, (count, _) in self._maps.items():
            if self._entries[where] != count:
                found = self._entries[where]
                self._tell(
                    "object", where[:_OBJECT_KEY], f"a Map has {found} entries and should have {count}"
                )

    def _counts_agree(self, head: dict[str, Any]) -> None:
        for table, count in head.get("counts", {}).items():
            if self._rows[table] != count:
                self.found.problems.append(f"{table}: {self._rows[table]} rows, and should have {count}")
        last = head.get("last_oid", 0)
        beyond = [oid for oid in self._objects if oid > last]
        if head and beyond:
            self.found.problems.append(
                f"object o{beyond[0]}: its id was not given out yet (the last is o{last})"
            )


def _reached(starts: set[int], edges: dict[int | None, list[int]]) -> set[int]:
    reached: set[int] = set()
    stack = [*starts, *edges.get(None, ())]
    while stack:
        oid = stack.pop()
        if oid not in reached:
            reached.add(oid)
            stack += edges.get(oid, ())
    return reached


class _StandIns:
    """What values lead to, as ids: each that is met is noted, with whether it is a part, and its kind."""

    def __init__(self, met: list[tuple[int, bool, int]]) -> None:
        self._met = met

    def find(self, oid: int, number: int) -> tuple[int, int]:
        self._met.append((oid, True, number))
        return oid, number

    def reference(self, place: tuple[int, int]) -> tuple[int, int]:
        self._met[-1] = (place[0], False, place[1])
        return place

    promised = reference

    def fulfilled(self, value: Any) -> Any:
        return value

    def lost(self, _problem: Any) -> None:
        """Stand for what was not fulfilled."""
