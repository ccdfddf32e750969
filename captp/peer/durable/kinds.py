"""Which classes stored objects have: each as a number, with its version and the names of its fields.

A stored row names its kind by the number, so that classes are looked up once, and so that a row can be read
whatever its class has become. No class is imported here: what a kind needs has to be there already.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

from attrs import frozen

from captp.errors import StoreDamaged, UsageError
from captp.model.object import KINDS, Object
from captp.peer.rows import Change, Verb, packed, unpacked

__all__ = ["PREFIX", "Kind", "Kinds", "Unfit", "misfit"]

#: What the keys of kinds begin with, in the table ``meta``.
PREFIX = b"kind:"


@final
class Unfit(UsageError):
    """What is stored does not fit the classes of the program, which has to be corrected."""


@frozen
class Kind:
    """One form that objects are stored in."""

    number: int
    name: str
    version: int
    fields: tuple[str, ...]

    @property
    def key(self) -> bytes:
        """The key of the row that says so."""
        return PREFIX + self.number.to_bytes(4, "big")

    def change(self, verb: Verb) -> Change:
        """Return the change to that row."""
        value = b"" if verb is Verb.DELETE else packed(self.name, self.version, self.fields)
        return Change(verb, "meta", self.key, value)


class Kinds:
    """All kinds of one store, those of this run included."""

    def __init__(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.by_number: dict[int, Kind] = {}
        self._by_class: dict[type, Kind] = {}
        #: Those that are not stored yet.
        self.fresh: list[Kind] = []
        for key, value in rows:
            name, version, fields = unpacked(value, 3)
            number = int.from_bytes(key[len(PREFIX) :], "big")
            self.by_number[number] = Kind(number, name, version, tuple(fields))

    def check(self) -> None:
        """Raise Unfit unless each kind has a class, and that has what it needs for what is stored."""
        for kind in self.by_number.values():
            problem = misfit(kind)
            if problem:
                raise Unfit(problem)

    def of(self, cls: Any) -> Kind:
        """Return the kind that instances of a class are stored as; enters what is new."""
        kind = self._by_class.get(cls)
        if kind is None:
            kind = self._by_class[cls] = self._find(cls) or self._enter(cls)
        return kind

    def _find(self, cls: Any) -> Kind | None:
        wanted = (cls._captp_kind, cls._captp_version, tuple(cls._captp_fields))
        return next((k for k in self.by_number.values() if (k.name, k.version, k.fields) == wanted), None)

    def _enter(self, cls: Any) -> Kind:
        number = max(self.by_number, default=0) + 1
        kind = Kind(number, cls._captp_kind, cls._captp_version, tuple(cls._captp_fields))
        self.by_number[number] = kind
        self.fresh.append(kind)
        return kind

    def class_of(self, number: int) -> type[Object]:
        """Return the class of a kind; raises StoreDamaged where there is none."""
        kind = self.by_number.get(number)
        cls = None if kind is None else KINDS.get(kind.name)
        if cls is None:
            raise StoreDamaged(f"kind {number} of a stored object is not known: restore a backup")
        return cls  # type: ignore[return-value]


def misfit(kind: Kind) -> str:
    """Return why objects of a kind cannot be read as they are stored; nothing if they can."""
    cls = KINDS.get(kind.name)
    if cls is None:
        return (
            f"the store has objects of {kind.name}, and there is no such class: import its module before the"
            f" vat is opened, or name the class that follows it, class New(captp.Object, kind={kind.name!r})"
        )
    if cls._captp_version != kind.version:
        return (
            f"the store has objects of {kind.name} in version {kind.version}, and the class is in version"
            f" {cls._captp_version}"
        )
    gone = [name for name in kind.fields if name not in cls._captp_fields]
    bare = [n for n, f in cls._captp_fields.items() if n not in kind.fields and not f.has_default]
    if gone or bare:
        what = f"{gone[0]} is stored, and no field any more" if gone else f"{bare[0]} has no default"
        return f"{kind.name}: {what}: raise its version, and say how to migrate"
    return ""
