"""What iterating and indexing give, and where a promise or a reference stands for plain data by mistake."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.functions import start
from captp.check.ownership import keep
from captp.check.run import Run
from captp.check.values import (
    PLAIN,
    UNKNOWN,
    Box,
    Inst,
    LibInst,
    PromVal,
    RefVal,
    Simple,
    Started,
    Value,
    ViewVal,
    one,
)
from captp.check.views import derive, look

__all__ = [
    "as_data",
    "as_state",
    "contents",
    "elements",
    "is_coroutine",
    "kept_view",
    "put",
    "special",
    "touch",
    "unawaited",
]


def touch(run: Run, value: Value, at: ir.At) -> None:
    """Note that views are used."""
    for atom in value:
        if isinstance(atom, ViewVal):
            look(run, atom, at)


def as_data(run: Run, value: Value, at: ir.At, how: str) -> None:
    """Note that a value is used as plain data, which a promise is not until it is awaited."""
    touch(run, value, at)
    if is_coroutine(value):
        unawaited(run, at, f"a coroutine is {how} before it is awaited")
    elif value and all(isinstance(a, PromVal) for a in value):
        atom: Any = next(iter(value))
        if isinstance(atom, PromVal):
            if atom.field:
                run.report(
                    "CAP503",
                    at,
                    f"the field {atom.field!r} has an Interface's annotation, and so a reference to the"
                    f" Object that was assigned: its calls give promises, and one is {how}",
                    (),
                    "await it, or annotate the field with the Object's class",
                )
                return
            unawaited(
                run, at, f"the result of a call of a reference is {how} before it is awaited: it is a promise"
            )


def is_coroutine(value: Value) -> bool:
    """Tell whether a value is what calling an async function gives."""
    return bool(value) and all(isinstance(a, Started) and a.kind == "async" for a in value)


def unawaited(run: Run, at: ir.At, what: str) -> None:
    """Report what has to be awaited first."""
    run.report("CAP504", at, what, (), "await it first")


def elements(run: Run, value: Value, at: ir.At) -> Value:
    """Return what iterating a value gives."""
    found: set[Any] = set()
    if value and all(isinstance(a, (PromVal, RefVal)) for a in value):
        run.report(
            "CAP504",
            at,
            "a reference or a promise is iterated: what is far has to be asked for, and awaited",
            (),
            "await a method that returns a list",
        )
    for atom in value:
        shown = atom.shown if isinstance(atom, ViewVal) else atom
        if isinstance(shown, Box) and shown.kind == "dict":
            touch(run, one(atom), at)
            found |= UNKNOWN  # of its keys nothing is known
        else:
            found |= _contents(run, atom, at)
    return frozenset(found) or UNKNOWN


def special(run: Run, value: Value, name: str, args: list[Value], at: ir.At) -> Value:
    """Call a special method of those that have one of their own; return what they give."""
    found: set[Any] = set()
    for atom in value:
        shown = atom.shown if isinstance(atom, ViewVal) else atom
        if isinstance(shown, Inst) and shown.cls.owner_of(name) is not None:
            found |= run.call(run.rules.attribute(run, one(atom), name, at), args, {}, at)
    return frozenset(found)


def contents(run: Run, box: Box, at: ir.At) -> Value:
    """Return what is in a container: of a dict its values."""
    return _contents(run, box, at) or UNKNOWN


def _contents(run: Run, atom: Any, at: ir.At) -> Value:
    if isinstance(atom, Box):
        found = atom.elem
        if atom.parts:
            found = frozenset().union(*atom.parts)
        if isinstance(atom.key, tuple):
            found |= run.engine.read(atom.key, run.act)
        return found
    if isinstance(atom, ViewVal):
        look(run, atom, at)
        if isinstance(atom.shown, Box):
            return derive(run, atom, _contents(run, atom.shown, at), at)
        if isinstance(atom.shown, LibInst) and atom.shown.name == "Arena" and atom.shown.args:
            return derive(run, atom, atom.shown.args[0], at)
        return UNKNOWN
    if isinstance(atom, Started):
        act, _ = start(run, atom, at)
        return act.summary.yielded or UNKNOWN
    if isinstance(atom, Inst):
        made = special(run, one(atom), "__iter__", [], at)
        return elements(run, frozenset(a for a in made if isinstance(a, (Box, Started))), at)
    if isinstance(atom, Simple) and atom.kind == "plain":
        return PLAIN
    if isinstance(atom, LibInst) and atom.name == "Arena" and atom.args:
        return atom.args[0]
    return UNKNOWN


def put(run: Run, box: Box, value: Value, at: ir.At) -> None:
    """Put something in a container."""
    if not isinstance(box.key, tuple) or run.is_muted:
        return
    run.engine.write(box.key, value)
    if box.key[0] == "in field":
        inst = box.key[1]
        as_state(run, inst, box.elem, value, at, box.key[2])
        keep(run, value, at, f"{inst.cls.name}.{box.key[2]}", is_state=inst.cls.is_object)
        kept_view(run, value, at, f"{inst.cls.name}.{box.key[2]}")
    elif box.key[0] == "in global":
        keep(run, value, at, f"the global {box.key[2]}", is_state=False)
        kept_view(run, value, at, f"the global {box.key[2]}")


def as_state(run: Run, inst: Inst, says: Value, value: Value, at: ir.At, name: str) -> None:
    """Note what becomes state of an Object, of which plain data is checked."""
    if (
        inst.cls.is_object
        and says == PLAIN
        and value
        and all(isinstance(a, (PromVal, Started)) for a in value)
    ):
        unawaited(run, at, f"a promise is kept in {inst.cls.name}.{name}, which takes plain data")


def kept_view(run: Run, value: Value, at: ir.At, where: str) -> None:
    """Note that something that outlives the borrow has a view of it."""
    for atom in value:
        if isinstance(atom, ViewVal):
            run.report(
                "CAP304",
                at,
                f"what {run.cap_name(atom.cap, atom.mode)} gave is kept in {where}, which outlives it",
                (),
                "keep an index, or take what you need out of it as plain data",
            )
            return
