"""Values of state to bytes and back: MessagePack, with the ext types below for what it lacks.

References and Objects become ids; who holds the codec says which, and what an id is when it is read. Lists,
sets and maps of state, tagged values and faults are arrays whose first item is an ext that marks them.
The bytes are read by this vat alone: there are no limits here but that of MessagePack's depth.
"""

from __future__ import annotations

import struct
from typing import Any, Final, Protocol

import msgpack

from captp.errors import Broken, StoreDamaged, Unpassable
from captp.model.boxed import Boxed
from captp.model.containers import List, Map, Set
from captp.model.faults import from_wire, to_wire
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.object import Object
from captp.model.passable import opened
from captp.model.promise import BROKEN, FULFILLED, Promise
from captp.model.ref import Far, Ref
from captp.model.values import NULL, Fault, FrozenMap, Null, Symbol, Tagged
from captp.peer.durable.deep import Deep, built, flat
from captp.vat.lasting import Lasting, lasting

__all__ = ["Codec", "MapRows", "Things", "kind_of"]

_NULL, _INT, _SYMBOL, _TAGGED, _FAULT, _STURDYREF, _REF = range(7)
_OBJECT, _LIST, _SET, _MAP, _ROWS, _GONE, _BROKEN, _DEEP, _FULFILLED, _PROMISE = range(7, 17)

#: Atoms that MessagePack has, besides integers.
_PACKED: Final = frozenset({str, bytes, bool, float, type(None)})

_ID: Final = struct.Struct(">QI")
_ROWS_FORM: Final = struct.Struct(">HQQ")
_Ext: Final = msgpack.ExtType


class _Mark:
    """Stands first in an array that is no tuple."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.code = code


_MARKS: Final = {
    code: _Mark(code) for code in (_TAGGED, _FAULT, _LIST, _SET, _MAP, _BROKEN, _DEEP, _FULFILLED)
}
_EXTS: Final = {code: _Ext(code, b"") for code in (_NULL, *_MARKS)}


class MapRows:
    """Where the entries of a Map in a field are: its number in the object, the next place, how many."""

    __slots__ = ("count", "next", "number")

    def __init__(self, number: int, following: int, count: int) -> None:
        self.number = number
        self.next = following
        self.count = count


class Things(Protocol):
    """What values of state lead to besides data, as whoever holds the codec has it."""

    def name(self, obj: Object) -> tuple[int, int]:
        """Return an Object's id, and the number of its kind."""
        ...

    def find(self, oid: int, number: int) -> Object:
        """Return the Object of an id."""
        ...

    def reference(self, obj: Object) -> Ref:
        """Return a reference to an Object."""
        ...

    def fulfilled(self, value: Any) -> Promise[Any]:
        """Return a promise that is fulfilled already."""
        ...

    def lost(self, problem: Broken | None) -> Promise[Any]:
        """Return one that is broken: as it was, or for want of its session."""
        ...

    def holder(self, promise: Lasting) -> Object:
        """Return the Object that stands for a promise which outlives this run."""
        ...

    def promised(self, obj: Object) -> Promise[Any]:
        """Return the promise that such an Object stands for."""
        ...


class Codec:
    """Packs the state of one vat.

    After ``pack`` the Objects that were met are in ``met``, with whether each is held itself or by a
    reference; whoever calls it empties that.
    """

    def __init__(self, things: Things) -> None:
        self._things = things
        self.met: list[tuple[Object, bool]] = []
        #: Whether something was packed that is live, and will be lost.
        self.has_live = False
        self._packer = msgpack.Packer(
            default=self._other, strict_types=True, unicode_errors="surrogatepass", autoreset=True
        )

    def pack(self, parts: list[Any]) -> bytes:
        """Return values of state as bytes."""
        try:
            return self._pack(parts)
        except ValueError:
            # One of them is nested deeper than MessagePack goes.
            self.met.clear()
            return self._pack([part if self._is_shallow(part) else Deep(part) for part in parts])

    def _pack(self, parts: list[Any]) -> bytes:
        packed: bytes = self._packer.pack(parts)
        return packed

    def _is_shallow(self, part: Any) -> bool:
        try:
            # One more than it will lie deep.
            self._pack([[part]])
        except ValueError:
            return False
        finally:
            self.met.clear()
        return True

    def unpack(self, data: bytes) -> Any:
        """Return what was packed; containers of state come as list, dict and set. Raises StoreDamaged."""
        try:
            return msgpack.unpackb(
                data,
                use_list=False,
                strict_map_key=False,
                unicode_errors="surrogatepass",
                ext_hook=self._ext,
                list_hook=self._built,
                object_pairs_hook=FrozenMap,
            )
        except (msgpack.UnpackException, ValueError, KeyError, TypeError, struct.error):
            raise StoreDamaged("a stored value cannot be read: restore a backup") from None

    def _other(self, value: Any) -> Any:
        kind = type(value)
        if kind is tuple:
            return list(value)
        if kind is FrozenMap:
            return dict(value)
        if kind is Symbol:
            return _Ext(_SYMBOL, value.name.encode("utf-8", "surrogatepass"))
        if kind is Null:
            return _EXTS[_NULL]
        if kind is List:
            return [_EXTS[_LIST], *value]
        if kind is Set:
            return [_EXTS[_SET], *value]
        if kind is Map:
            return [_EXTS[_MAP], *(part for pair in value.items() for part in pair)]
        if kind is MapRows:
            return _Ext(_ROWS, _ROWS_FORM.pack(value.number, value.next, value.count))
        if kind is Deep:
            return [_EXTS[_DEEP], *flat(value.value)]
        if kind is int:
            return _Ext(_INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        if kind is Tagged:
            return [_EXTS[_TAGGED], value.tag, value.value]
        if kind is Fault:
            data = None if value.data is None else dict(value.data)
            return [_EXTS[_FAULT], value.message, data, value.incident]
        if kind is SturdyRef:
            peer = value.peer
            fields = [peer.transport, peer.designator, dict(peer.hints), value.swiss]
            return _Ext(_STURDYREF, msgpack.packb(fields))
        return self._thing(value)

    def _boxed(self, box: Boxed) -> Any:
        """Return what is stored of data: what it holds if everybody may know, which is plain data then."""
        try:
            value = opened(box)
        except Unpassable:
            return self._gone()
        return value if type(value) in _PACKED else self._other(value)

    def _thing(self, value: Any) -> Any:
        if isinstance(value, Object):
            if not type(value)._captp_is_durable:
                return self._gone()
            self.met.append((value, True))
            return _Ext(_OBJECT, _ID.pack(*self._things.name(value)))
        if isinstance(value, Ref):
            anchor = value._anchor
            if type(anchor) is Far or not type(anchor)._captp_is_durable:
                return self._gone()
            self.met.append((anchor, False))
            return _Ext(_REF, _ID.pack(*self._things.name(anchor)))
        if isinstance(value, Boxed):
            return self._boxed(value)
        assert isinstance(value, Promise)
        if value._state == FULFILLED:
            return [_EXTS[_FULFILLED], value._value]
        if value._state == BROKEN:
            return [_EXTS[_BROKEN], to_wire(value._value)]
        promise = lasting(value)
        if promise is None:
            return self._gone()
        obj = self._things.holder(promise)
        self.met.append((obj, False))
        return _Ext(_PROMISE, _ID.pack(*self._things.name(obj)))

    def _gone(self) -> Any:
        self.has_live = True
        return _Ext(_GONE, b"")

    def _ext(self, code: int, data: bytes) -> Any:
        if code == _REF:
            return self._things.reference(self._things.find(*_ID.unpack(data)))
        if code == _OBJECT:
            return self._things.find(*_ID.unpack(data))
        if code == _PROMISE:
            return self._things.promised(self._things.find(*_ID.unpack(data)))
        if code in _MARKS:
            return _MARKS[code]
        if code == _SYMBOL:
            return Symbol(data.decode("utf-8", "surrogatepass"))
        if code == _NULL:
            return NULL
        if code == _INT:
            return int.from_bytes(data, "big", signed=True)
        if code == _ROWS:
            return MapRows(*_ROWS_FORM.unpack(data))
        if code == _STURDYREF:
            transport, designator, hints, swiss = msgpack.unpackb(data)
            return SturdyRef(PeerLocator.make(transport, designator, hints), swiss)
        if code == _GONE:
            return self._things.lost(None)
        raise ValueError(code)

    def _built(self, parts: Any) -> Any:
        if not parts or type(parts[0]) is not _Mark:
            return parts
        code, rest = parts[0].code, parts[1:]
        if code == _LIST:
            return list(rest)
        if code == _SET:
            return set(rest)
        if code == _MAP:
            return dict(zip(rest[::2], rest[1::2], strict=True))
        if code == _TAGGED:
            return Tagged(*rest)
        if code == _FULFILLED:
            return self._things.fulfilled(rest[0])
        if code == _BROKEN:
            return self._things.lost(from_wire(rest[0]))
        if code == _DEEP:
            return built(rest)
        return Fault(*rest)


def kind_of(body: bytes) -> int:
    """Return the number of the kind of a stored object. Raises StoreDamaged."""
    reader = msgpack.Unpacker()
    reader.feed(body)
    try:
        reader.read_array_header()
        number: Any = reader.unpack()
    except (msgpack.UnpackException, ValueError):
        number = None
    if type(number) is not int:
        raise StoreDamaged("a stored object does not say of what kind it is: restore a backup")
    return number
