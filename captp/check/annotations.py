"""What a variable with an annotation holds, and what the instances of a type are."""

from __future__ import annotations

from typing import Any, Final

from captp.check import ir
from captp.check.classes import ClassInfo
from captp.check.run import Run
from captp.check.values import (
    NONE,
    NOTHING,
    PLAIN,
    UNKNOWN,
    AliasVal,
    Box,
    ClassVal,
    Ext,
    Inst,
    LibInst,
    Made,
    PromVal,
    RefVal,
    Simple,
    TypeVarVal,
    Value,
    evolve,
    one,
)

__all__ = ["annotated", "instance_of"]

_PLAIN: Final = frozenset(
    ("int", "float", "str", "bytes", "bool", "complex", "object_", "range", "bytearray")
)
_BOXES: Final = {
    "list": "list",
    "List": "list",
    "Sequence": "list",
    "Iterable": "list",
    "Iterator": "list",
    "Collection": "list",
    "set": "set",
    "Set": "set",
    "frozenset": "frozenset",
    "dict": "dict",
    "Dict": "dict",
    "Mapping": "dict",
    "Map": "dict",
    "tuple": "tuple",
    "Tuple": "tuple",
    "deque": "list",
    "defaultdict": "dict",
}


def annotated(run: Run, annotation: ir.Expr | None) -> Value:
    """Return what a variable with this annotation holds."""
    if annotation is None:
        return UNKNOWN
    was, run.is_muted = run.is_muted, True
    try:
        return instance_of(run, run.expr(annotation))
    finally:
        run.is_muted = was


def instance_of(run: Run, value: Value) -> Value:
    """Return what is an instance of a type that may be any of these."""
    found: set[Any] = set()
    for atom in value:
        found |= _instance(run, atom)
    return frozenset(found) or UNKNOWN


def _instance(run: Run, atom: Any) -> Value:
    if isinstance(atom, ClassVal):
        cls: ClassInfo = atom.cls
        if cls.is_interface:
            return one(RefVal(cls))
        if cls.is_protocol:
            return UNKNOWN
        return one(Inst(cls, atom.args))
    if isinstance(atom, Simple):
        return NONE if atom.kind == "none" else UNKNOWN
    if isinstance(atom, TypeVarVal):
        return run.act.types.get(atom.name, UNKNOWN)
    if isinstance(atom, Ext):
        return _outside(atom.path, ())
    if isinstance(atom, AliasVal) and isinstance(atom.base, Ext):
        return _alias(run, atom.base.path, atom.args)
    return UNKNOWN


def _outside(path: str, args: tuple[Value, ...]) -> Value:
    head, _, name = path.rpartition(".")
    if head == "captp":
        return _library(name, args)
    if head == "builtins" and name in _PLAIN:
        return PLAIN
    if name in _BOXES:
        elem = args[-1] if args else UNKNOWN
        if name in ("tuple", "Tuple") and args:
            elem = frozenset().union(*args)
        return one(Box(_BOXES[name], elem))
    if name in ("Any", "object", "Callable", "Awaitable", "Coroutine", "Self", "Never"):
        return UNKNOWN
    return one(Made(path)) if name[:1].isupper() else UNKNOWN


def _library(name: str, args: tuple[Value, ...]) -> Value:
    if name in _BOXES:
        return one(Box(_BOXES[name], args[-1] if args else UNKNOWN))
    if name in ("Reference", "Interface"):
        return one(RefVal(None))
    if name == "Promise":
        return one(PromVal(args[0] if args else UNKNOWN))
    if name in ("Object", "Recorder", "Call"):
        return UNKNOWN
    return one(LibInst(name, args))


def _alias(run: Run, path: str, args: tuple[Value, ...]) -> Value:
    head, _, name = path.rpartition(".")
    if name in ("Optional", "Union"):
        inner = instance_of(run, frozenset().union(*args))
        return inner | NONE if name == "Optional" else inner
    if name in ("Annotated", "Final", "ClassVar", "Required", "NotRequired") and args:
        return instance_of(run, args[0])
    if name in ("type", "Type") and args:
        return _classes(run, args[0])
    if head == "captp" and name in ("Unique", "Borrowed", "Exclusive") and args:
        inner = instance_of(run, args[0])
        mode = "borrowed" if name == "Borrowed" else "unique"
        return frozenset(
            evolve(_as_reference(a), mode=mode) if isinstance(_as_reference(a), RefVal) else a for a in inner
        ) or one(RefVal(None, mode))
    return _outside(path, tuple(instance_of(run, a) for a in args))


def _as_reference(atom: Any) -> Any:
    """Return a reference for what is one under a term: objects cross as references."""
    if isinstance(atom, Inst) and atom.cls.is_object:
        return RefVal(atom.cls)
    if isinstance(atom, Simple) and atom.kind == "unknown":
        return RefVal(None)
    return atom


def _classes(run: Run, value: Value) -> Value:
    found: set[Any] = set()
    for atom in value:
        if isinstance(atom, TypeVarVal):
            for inst in run.act.types.get(atom.name, NOTHING):
                found.add(ClassVal(inst.cls, inst.args) if isinstance(inst, Inst) else Simple("unknown"))
        else:
            found.add(atom)
    return frozenset(found) or UNKNOWN
