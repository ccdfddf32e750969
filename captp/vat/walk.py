"""The walk through the state of objects: what nodes there are, and which references to them were seen.

Objects declare their edges by their state: fields, containers, tuples and records in them, references and
settled promises. No code of users runs here: types are told by ``type()`` and compared by identity, and
memory is read by slot descriptors, as user classes may answer to attribute access as they please.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import MemberDescriptorType
from typing import Any, Final

from captp.model.containers import List, Map, Set
from captp.model.fields import EXACT
from captp.model.object import Object
from captp.model.promise import PENDING, Promise, Reference
from captp.model.ref import HOLDS, Far, Ref
from captp.model.values import Fault, FrozenMap, Tagged

#: Returns what a node holds; nothing if the walk stops there.
Opener = Callable[["Walk", Any], Sequence[Any]]

#: Items of containers that one walk looks at, for each node of its limit.
ITEMS: Final = 8


class _Probe:
    """Held by the walk as every node is and by nobody else: shows how many references that makes."""

    __slots__ = ()


class Walk:
    """What was met, by place in the order of meeting; at place 0 is the probe.

    Every edge here is a reference that was seen. Those that were not, because the limit was met or
    a node is not understood, count for nobody, which makes what they lead to rooted.
    """

    __slots__ = ("_by_kind", "edges", "exported", "fars", "given", "held", "is_whole", "items", "keeps",
                 "key", "kinds", "limit", "nodes", "openers", "places", "rooted")  # fmt: skip

    def __init__(
        self,
        held: Callable[[Any], Sequence[Reference]],
        limit: int,
        key: Callable[[Far], int] | None = None,
    ) -> None:
        self.held = held
        self.limit = limit
        #: Gives the key of an import that is exported again; None where those are not answered for.
        self.key = key
        #: Items of containers that may still be looked at.
        self.items = limit * ITEMS
        self.is_whole = True
        #: Whether what is stored counts as held.
        self.keeps = True
        self.nodes: list[Any] = [_Probe()]
        self.openers: list[Opener] = [_of_leaf]
        self.places: dict[int, int] = {}
        self.edges: list[list[int]] = []
        #: The place of each reference that the caller knows of: from export tables and from the seeds.
        self.given: list[int] = []
        #: Exported objects: their ids by place.
        self.exported: dict[int, int] = {}
        self.fars: list[int] = []
        #: What is rooted however many hold it.
        self.rooted: list[int] = []
        self._by_kind = dict(_OPENERS)
        #: Keeps each class alive, which a thread could drop: ids are used again.
        self.kinds: list[type] = []

    def start(self, seeds: Iterable[Object | Far]) -> None:
        """Enter the seeds; a list that holds them is the caller's own, and known."""
        is_known = type(seeds) is list
        for seed in seeds:
            place = self.place(seed)
            if is_known and place:
                self.given.append(place)

    def go(self) -> None:
        """Follow what each node holds until nothing is new."""
        edges, places, by_kind, place = self.edges, self.places, self._by_kind, self.place
        for node, opener in zip(self.nodes, self.openers, strict=True):  # both grow
            out = []
            for part in opener(self, node):
                # Nearly all that is looked at is plain data or known: calls for it would cost the most.
                if by_kind.get(id(type(part)), True):
                    at = places.get(id(part)) or place(part)
                    if at:
                        out.append(at)
            edges.append(out)

    def place(self, thing: Any) -> int:
        """Return where something stands, entering what is new; 0 if it is no node, or there is no room."""
        place = self.places.get(id(thing))
        if place is not None:
            return place
        kind = type(thing)
        try:
            opener = self._by_kind[id(kind)]
        except KeyError:
            opener = self._by_kind[id(kind)] = _opener(kind)
            self.kinds.append(kind)
        place = len(self.nodes)
        if opener is None:
            return 0
        if place > self.limit:
            self.is_whole = False
            return 0
        self.places[id(thing)] = place
        self.nodes.append(thing)
        self.openers.append(opener)
        return place

    @property
    def cost(self) -> int:
        """What it was to walk so far, in nodes."""
        return len(self.nodes) - 1 + (self.limit * ITEMS - self.items) // ITEMS

    @property
    def here(self) -> int:
        """The place of the node that is looked at now."""
        return len(self.edges)

    def is_inert(self, place: int) -> bool:
        """Whether a node is data that leads nowhere, such as a constant tuple: everybody may hold that."""
        return not self.edges[place] and self.openers[place] in _DATA


def _opener(kind: type) -> Opener | None:
    """Return how to look into the instances of a class of users; None if they are no nodes."""
    if issubclass(kind, Object):
        return partial(_of_object, tuple([slot.__get__ for slot in slots_of(kind)]))
    if issubclass(kind, Ref):
        return _of_ref
    if issubclass(kind, Promise):
        return _of_promise
    return None


# What reads memory.
_mro_of: Final = type.__dict__["__mro__"].__get__
_names_of: Final = type.__dict__["__dict__"].__get__
_entry_of: Final = Object.__dict__["_entry"].__get__
_latch_of: Final = Object.__dict__["_latch"].__get__
_home_of: Final = Ref.__dict__["_home"].__get__
_anchor_of: Final = Ref.__dict__["_anchor"].__get__
_state_of: Final = Promise.__dict__["_state"].__get__
_value_of: Final = Promise.__dict__["_value"].__get__


def slots_of(kind: type) -> list[MemberDescriptorType]:
    """Return the slots that hold the state of a class: each once, and no other."""
    found: dict[str, MemberDescriptorType] = {}
    for cls in _mro_of(kind):
        for name, slot in _names_of(cls).items():
            if type(name) is not str or not name.startswith("_f_") or type(slot) is not MemberDescriptorType:
                continue
            # A field that a subclass annotates again has a slot there; the older one stays empty.
            if slot.__objclass__ is cls and slot.__name__ == name:
                found.setdefault(name, slot)
    return list(found.values())


def _of_object(slots: tuple[Callable[[Any], Any], ...], walk: Walk, obj: Any) -> Sequence[Any]:
    entry = _entry_of(obj)
    is_kept = walk.keeps and entry is not None and entry.kept is not None
    if entry is None or entry.sole or is_kept or _latch_of(obj) is not None:
        walk.rooted.append(walk.here)
        return ()
    references = walk.held(obj)
    if references:
        walk.exported[walk.here] = entry.oid
        walk.given += [place for one in references if (place := walk.place(one))]
    try:
        return [get(obj) for get in slots]
    except AttributeError:
        return _set_slots(slots, obj)


def _set_slots(slots: tuple[Callable[[Any], Any], ...], obj: Any) -> list[Any]:
    """Return the state of an object that has not all of it."""
    parts = []
    for get in slots:
        try:
            parts.append(get(obj))
        except AttributeError:
            continue
    return parts


def _of_ref(walk: Walk, ref: Any) -> Sequence[Any]:
    if type(_home_of(ref)) in HOLDS:
        walk.rooted.append(walk.here)
        return ()
    return (_anchor_of(ref),)


def _of_promise(walk: Walk, promise: Any) -> Sequence[Any]:
    if _state_of(promise) == PENDING:
        walk.rooted.append(walk.here)
        return ()
    return (_value_of(promise),)


def _of_far(walk: Walk, far: Far) -> Sequence[Any]:
    walk.fars.append(walk.here)
    if walk.key is not None and far.entry is not None and far.broken is None:
        references = walk.held(far)
        if references:
            walk.exported[walk.here] = walk.key(far)
            walk.given += [place for one in references if (place := walk.place(one))]
    return ()


def _of_container(length: Callable[[Any], int], walk: Walk, container: Any) -> Sequence[Any]:
    size = length(container)
    if size > walk.items:
        walk.is_whole = False
        return ()
    walk.items -= size
    return gc.get_referents(container)


def _of_record(_walk: Walk, record: Any) -> Sequence[Any]:
    return gc.get_referents(record)


def _of_leaf(_walk: Walk, _probe: Any) -> Sequence[Any]:
    return ()


_of_tuple: Final = partial(_of_container, tuple.__len__)
_of_struct: Final = partial(_of_container, dict.__len__)

#: Values that never change, and may be constants.
_DATA: Final = (_of_tuple, _of_struct, _of_record)

#: By the id of an exact class: how to look into its instances.
_OPENERS: Final[dict[int, Opener | None]] = {
    **{id(kind): None for kind in EXACT},
    id(Far): _of_far,
    id(List): partial(_of_container, list.__len__),
    id(Map): partial(_of_container, dict.__len__),
    id(Set): partial(_of_container, set.__len__),
    id(tuple): _of_tuple,
    id(FrozenMap): _of_struct,
    id(Tagged): _of_record,
    id(Fault): _of_record,
}
