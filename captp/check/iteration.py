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

__all__ = ["as_data", "elements", "put", "touch"]


def touch(run: Run, value: Value, at: ir.At) -> None:
    """Note that views are used."""
    for atom in value:
        if isinstance(atom, ViewVal):
            look(run, atom, at)


def as_data(run: Run, value: Value, at: ir.At, how: str) -> None:
    """Note that a value is used as plain data, which a promise is not until it is awaited."""
    touch(run, value, at)
    if value and all(isinstance(a, PromVal) for a in value):
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
            run.report(
                "CAP504",
                at,
                f"the result of a call of a reference is {how} before it is awaited: it is a promise",
                (),
                "await it first",
            )


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
        found |= _elements(run, atom, at)
    return frozenset(found) or UNKNOWN


def _elements(run: Run, atom: Any, at: ir.At) -> Value:
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
            return derive(atom, _elements(run, atom.shown, at))
        return UNKNOWN
    if isinstance(atom, Started):
        act, _ = start(run, atom, at)
        return act.summary.yielded or UNKNOWN
    if isinstance(atom, Inst):
        return run.call(run.rules.attribute(run, one(atom), "__iter__", at), [], {}, at) and UNKNOWN
    if isinstance(atom, Simple) and atom.kind == "plain":
        return PLAIN
    if isinstance(atom, LibInst) and atom.name == "Arena" and atom.args:
        return UNKNOWN
    return UNKNOWN


def put(run: Run, box: Box, value: Value, at: ir.At) -> None:
    """Put something in a container."""
    if not isinstance(box.key, tuple) or run.is_muted:
        return
    run.engine.write(box.key, value)
    if box.key[0] == "in field":
        inst = box.key[1]
        keep(run, value, at, f"{inst.cls.name}.{box.key[2]}", is_state=inst.cls.is_object)
        kept_view(run, value, at, f"{inst.cls.name}.{box.key[2]}")
    elif box.key[0] == "in global":
        keep(run, value, at, f"the global {box.key[2]}", is_state=False)
        kept_view(run, value, at, f"the global {box.key[2]}")


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
