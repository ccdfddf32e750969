"""Unique references move, and may have to; borrowed ones must not outlive the call they came with."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.finding import Step
from captp.check.run import Run
from captp.check.state import Event
from captp.check.values import NOTHING, Bound, Box, FuncVal, Id, Inst, PartialVal, PromVal, RefVal, Value

__all__ = [
    "borrowed_in",
    "captured",
    "cross",
    "discard",
    "drop",
    "escape",
    "keep",
    "overwrite",
    "owe",
    "spend",
]


def cross(run: Run, value: Value, at: ir.At, what: str, *, borrows: bool) -> None:
    """Note that a value leaves in a message, for a parameter that borrows or one that does not."""
    for atom in value:
        if isinstance(atom, RefVal) and atom.mode == "unique" and atom.id is not None:
            run.use(atom.id, at, (run.step(at, f"passed to {what}"),))
            if not borrows:
                run.move(atom.id, (run.step(at, f"passed to {what}"),))
        elif isinstance(atom, RefVal) and atom.mode == "borrowed" and not borrows:
            _escapes(run, atom, at, f"is passed on to {what}", "captp.lend() it for that call")
        elif isinstance(atom, PromVal):
            cross(run, atom.inner, at, what, borrows=borrows)
        elif isinstance(atom, Box) and atom.parts is not None and not borrows:
            for part in atom.parts:
                cross(run, part, at, what, borrows=False)


def keep(run: Run, value: Value, at: ir.At, where: str, *, is_state: bool) -> None:
    """Note that a value is stored where it outlives the call."""
    for ref in borrowed_in(run, value):
        _escapes(run, ref, at, f"is kept in {where}", "ask for a shared one to keep it")
    if is_state and any(isinstance(a, RefVal) and a.mode == "unique" for a in value):
        run.report(
            "CAP403",
            at,
            f"a unique reference is kept in {where}: state is shared, and a unique reference has one holder",
            (),
            "captp.share() it first",
        )


def escape(run: Run, value: Value, at: ir.At, how: str) -> None:
    """Note that a value leaves the call that it came with."""
    for ref in borrowed_in(run, value):
        _escapes(run, ref, at, how, "ask for a shared one to give it on")


def _escapes(run: Run, ref: RefVal, at: ir.At, how: str, fix: str) -> None:
    origin = ref.id or ("param", run.function.path, 0, 0, "?")
    name = origin[-1] if origin[0] == "param" else ""
    whose = f"borrowed {name!r}" if name else "a borrowed reference"
    run.report("CAP402", at, f"{whose} {how}, and is over when the call is that it was lent for", (), fix)


# What must be used.


def owe(run: Run, value: Value, at: ir.At) -> None:
    """Note that a variable has a unique reference from here on that something is to be done with."""
    facts = tuple(sorted(run.state.facts.items()))
    for ref in _to_be_used(value):
        assert ref.id is not None
        run.state.owed[ref.id] = Event((run.step(at, f"a unique {ref.iface.name}"),), facts)


def spend(run: Run, value: Value) -> None:
    """Note that something is done with what a variable has."""
    for atom in value:
        inner = atom.inner if isinstance(atom, PromVal) else (atom,)
        for ref in inner:
            if isinstance(ref, RefVal) and ref.id in run.state.owed:
                del run.state.owed[ref.id]
                run.spent.append(ref.id)


def discard(run: Run, value: Value, at: ir.At) -> None:
    """Note a result that nobody takes."""
    for ref in _to_be_used(value):
        _dropped(run, f"a unique {ref.iface.name}", at, run.step(at, "nobody takes it"))


def overwrite(run: Run, value: Value, at: ir.At) -> None:
    """Note that a variable gets another value than this one."""
    _drop(run, [ref.id for ref in _to_be_used(value)], run.step(at, "another value takes its place"))


def drop(run: Run, at: ir.At | None = None) -> None:
    """Note that a way through the function ends with a return, or where its body does."""
    if at is None:
        step = run.step(run.function.at, f"nothing was done with it when {run.where}() ends")
    else:
        step = run.step(at, "nothing was done with it before this return")
    _drop(run, list(run.state.owed), step)


def _drop(run: Run, ids: list[Id | None], step: Step) -> None:
    for id in ids:
        event = run.state.owed.get(id) if id is not None else None
        if event is not None and not run.state.contradicts(event):
            place = event.trail[0].place
            _dropped(run, event.trail[0].text, (place.line, place.column), step)


def _dropped(run: Run, what: str, at: ir.At, end: Step) -> None:
    run.report(
        "CAP404",
        at,
        f"{what} is dropped on some way through {run.where}(), and must be used",
        (end,),
        "call it, pass it on, share it or return it on every way",
    )


def _to_be_used(value: Value) -> list[RefVal]:
    """Return the unique references that a value is, if it is nothing else and they must be used."""
    found: list[RefVal] = []
    for atom in value:
        for ref in atom.inner if isinstance(atom, PromVal) else (atom,):
            if not isinstance(ref, RefVal) or ref.mode != "unique" or ref.id is None:
                return []
            if ref.iface is None or not ref.iface.must_use:
                return []
            found.append(ref)
    return found


def borrowed_in(run: Run, value: Value, depth: int = 4) -> list[RefVal]:
    """Return the borrowed references in a value, in containers and in closures."""
    found: list[RefVal] = []
    for atom in value:
        inner: list[Value] = []
        if isinstance(atom, RefVal):
            if atom.mode == "borrowed":
                found.append(atom)
        elif isinstance(atom, Box):
            inner = [atom.elem, *(atom.parts or ())]
            if isinstance(atom.key, tuple):
                inner.append(run.engine.read(atom.key, run.act))
        elif isinstance(atom, FuncVal):
            inner = [value for _, value in captured(run, atom)]
        elif isinstance(atom, Bound):
            inner = [value for _, value in captured(run, atom.func)]
        elif isinstance(atom, PartialVal):
            inner = [atom.func, *atom.args, *(v for _, v in atom.kwargs)]
        elif isinstance(atom, Inst) and atom.key:
            inner = list(atom.key)
        if depth:
            for part in inner:
                found += borrowed_in(run, part, depth - 1)
    return list(dict.fromkeys(found))


def captured(run: Run, func: FuncVal) -> list[tuple[str, Value]]:
    """Return what a closure captures, by name, as far as it is known here."""
    found: list[tuple[str, Value]] = []
    for name, home in func.function.free.items():
        if home.kind != "function":
            continue
        if home is run.function and func.frame is run.act and name in run.state.env:
            found.append((name, run.state.env[name]))
            continue
        frame: Any = func.frame
        while frame is not None and frame.function is not home:
            frame = frame.frame
        if frame is not None:
            found.append((name, run.engine.read(("v", frame, name), run.act) or NOTHING))
    return found
