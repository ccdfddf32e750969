"""What the checker knows of a value: a set of atoms, each one thing that it may be.

An atom says what matters for a rule: which function, which class, which capability, whose reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from captp.check import ir

__all__ = [
    "NONE",
    "NOTHING",
    "PLAIN",
    "UNKNOWN",
    "AliasVal",
    "Atom",
    "BindCtx",
    "BindItem",
    "Bound",
    "Box",
    "CapMode",
    "CapVal",
    "ClassVal",
    "Deco",
    "EVal",
    "Ext",
    "FuncVal",
    "GuardVal",
    "Hidden",
    "Inst",
    "LibInst",
    "LibMethod",
    "Made",
    "Marks",
    "ModuleVal",
    "PartialVal",
    "PromVal",
    "RefVal",
    "SendVal",
    "Simple",
    "Started",
    "SuperVal",
    "TypeVarVal",
    "Value",
    "ViewVal",
    "bounded",
    "evolve",
    "joined",
    "one",
]


@frozen(cache_hash=True)
class Atom:
    """One thing that a value may be."""


Value: TypeAlias = frozenset[Atom]
#: An event's place, by which a unique reference, a loan or a view is known.
Id: TypeAlias = tuple[Any, ...]


@frozen(cache_hash=True)
class Simple(Atom):
    """``unknown``, ``none`` or ``plain``: a number, a text, or what is as dull."""

    kind: str


@frozen(cache_hash=True)
class Ext(Atom):
    """A thing from outside the program, by its dotted path; those of captp are ``captp.Name``."""

    path: str


@frozen(cache_hash=True)
class Made(Atom):
    """What calling an outside thing gave."""

    path: str
    args: tuple[Value, ...] = ()


@frozen(cache_hash=True)
class ModuleVal(Atom):
    name: str


@frozen(cache_hash=True)
class Marks:
    """What decorators say of a function."""

    #: Of "method", "static", "class", "property", "context", "fixture".
    kinds: frozenset[str] = frozenset()
    #: Declared needs: capability, mode, whether it is carried.
    needs: tuple[tuple[str, str, bool], ...] = ()
    tie: tuple[tuple[str, str], ...] = ()
    needs_at: ir.At | None = None


@frozen(cache_hash=True)
class FuncVal(Atom):
    """A function with the activation that it closes over."""

    function: ir.Function
    frame: Any = None
    marks: Marks = Marks()
    #: The class it was looked up in.
    owner: Any = None


@frozen(cache_hash=True)
class Bound(Atom):
    """A method with its object."""

    func: FuncVal
    receiver: Atom


@frozen(cache_hash=True)
class PartialVal(Atom):
    func: Value
    args: tuple[Value, ...]
    kwargs: tuple[tuple[str, Value], ...]


@frozen(cache_hash=True)
class ClassVal(Atom):
    cls: Any
    args: tuple[Value, ...] = ()


@frozen(cache_hash=True)
class AliasVal(Atom):
    """A generic of outside with its arguments: ``Arena[Person]``."""

    base: Atom
    args: tuple[Value, ...]


@frozen(cache_hash=True)
class TypeVarVal(Atom):
    name: str


@frozen(cache_hash=True)
class Inst(Atom):
    """An object of a class of the program; ``key`` tells apart those made with different behaviour."""

    cls: Any
    args: tuple[Value, ...] = ()
    key: tuple[Value, ...] = ()
    depth: int = field(default=0, eq=False)


@frozen(cache_hash=True)
class LibInst(Atom):
    """An object of one of captp's own classes, by its name."""

    name: str
    args: tuple[Value, ...] = ()


@frozen(cache_hash=True)
class LibMethod(Atom):
    """A method of something that is no object of the program."""

    owner: Atom
    name: str


@frozen(cache_hash=True)
class Box(Atom):
    """A container; what is put in later is in the store under ``key``."""

    kind: str
    elem: Value
    key: Any = None
    parts: tuple[Value, ...] | None = None


@frozen(cache_hash=True)
class RefVal(Atom):
    """A reference; a unique or a borrowed one is known by its id."""

    iface: Any = None
    mode: str = "shared"
    id: Id | None = None
    is_far: bool = False


@frozen(cache_hash=True)
class PromVal(Atom):
    """A promise; ``field`` is the one that had the reference, if an Object was assigned to that."""

    inner: Value
    field: str = ""


@frozen(cache_hash=True)
class EVal(Atom):
    ref: Value


@frozen(cache_hash=True)
class SendVal(Atom):
    """A method of a reference, which sends."""

    ref: Atom
    name: str
    func: Any = None
    how: str = "send"


@frozen(cache_hash=True)
class Hidden(Atom):
    """An Object where an annotation says that there is a reference."""

    inst: Inst
    iface: Any
    at: tuple[str, int, int]


@frozen(cache_hash=True)
class CapVal(Atom):
    """A capability, or a group of them."""

    caps: tuple[str, ...]


@frozen(cache_hash=True)
class CapMode(Atom):
    caps: tuple[str, ...]
    mode: str


@frozen(cache_hash=True)
class BindItem(Atom):
    caps: tuple[str, ...]
    mode: str


@frozen(cache_hash=True)
class BindCtx(Atom):
    items: tuple[BindItem, ...]
    #: Whether some of what it binds is not known.
    is_open: bool


@frozen(cache_hash=True)
class GuardVal(Atom):
    """A borrow that is not entered yet; ``shown`` is what it gives, when that is not the capability's."""

    caps: tuple[str, ...]
    mode: str
    shown: Value | None = None
    #: What is called with the value, one after the other, for the one to give in its place.
    picks: tuple[Value, ...] = ()


@frozen(cache_hash=True)
class ViewVal(Atom):
    """What a capability holds, or a part of it, as seen through a borrow."""

    cap: str
    mode: str
    id: Id
    shown: Atom
    #: Where it was taken out of what the capability shows: that is good until the next change.
    part: tuple[str, int, int] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it shows what there is whenever it is looked at."""
        return self.part is None and self.id[0] == "root"

    @property
    def key(self) -> Id:
        """What it is known by while it is good."""
        return self.id if self.part is None else (*self.id, *self.part)


@frozen(cache_hash=True)
class Started(Atom):
    """A coroutine or a generator: a call whose body runs when it is awaited or iterated."""

    func: Atom
    args: tuple[Value, ...]
    kwargs: tuple[tuple[str, Value], ...]
    kind: str
    at: ir.At


@frozen(cache_hash=True)
class Deco(Atom):
    """A decorator of captp's that waits for its function."""

    needs: tuple[tuple[str, str, bool], ...] = ()
    tie: tuple[tuple[str, str], ...] = ()
    at: ir.At | None = None


@frozen(cache_hash=True)
class SuperVal(Atom):
    cls: Any
    receiver: Atom


UNKNOWN: Value = frozenset((Simple("unknown"),))
PLAIN: Value = frozenset((Simple("plain"),))
NONE: Value = frozenset((Simple("none"),))
NOTHING: Value = frozenset()


#: Of a value that may be more things than this nothing is known.
WIDEST = 8


def bounded(value: Value) -> Value:
    """Return a value, or what is not known when it may be too many things."""
    return value if len(value) <= WIDEST else UNKNOWN


def joined(values: Iterable[Value]) -> Value:
    """Return what any of several values may be."""
    return bounded(NOTHING.union(*values))


def one(atom: Atom) -> Value:
    """Return the value that is this atom for certain."""
    return frozenset((atom,))
