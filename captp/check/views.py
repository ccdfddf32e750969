"""What is seen through a borrow: parts of a view are views as long as they are objects, and data is free."""

from __future__ import annotations

from typing import Any, Final

from captp.check import ir
from captp.check.run import Run
from captp.check.state import Trail
from captp.check.values import (
    UNKNOWN,
    Box,
    Ext,
    Inst,
    LibInst,
    Made,
    PromVal,
    RefVal,
    Simple,
    Value,
    ViewVal,
    evolve,
)

__all__ = ["CHANGES", "derive", "look", "made_view", "show", "taken", "views_in", "write_through"]

#: Methods that change the container they are called on.
CHANGES: Final = frozenset(
    [
        "add",
        "append",
        "appendleft",
        "clear",
        "difference_update",
        "discard",
        "extend",
        "insert",
        "intersection_update",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "symmetric_difference_update",
        "update",
        "rotate",
    ]
)


#: Classes of outside whose objects are data, and are given as they are.
_DATA: Final = frozenset(
    ("date", "datetime", "time", "timedelta", "timezone", "Path", "PurePath", "Decimal", "Fraction", "UUID")
)


def show(run: Run, cap: str, mode: str, value: Value, at: ir.At, *, is_good: bool) -> Value:
    """Return what a borrow that begins here gives: views, but for what is data or a handle anyway."""
    found: set[Any] = set()
    kind = "root" if mode == "ref" and is_good else "view"
    for atom in value:
        if isinstance(atom, Simple) and atom.kind != "unknown":
            found.add(atom)
        elif isinstance(atom, (RefVal, PromVal, Ext)):
            found |= UNKNOWN  # the object itself may be bound, or a reference to it
        elif _is_data(atom) or (isinstance(atom, LibInst) and atom.name != "Arena"):
            found.add(atom)
        else:
            view = ViewVal(cap, mode, run.id(at, kind), atom)
            made_view(run, view)
            found.add(view)
    return frozenset(found)


def _is_data(atom: Any) -> bool:
    if isinstance(atom, Made):
        return atom.path.rpartition(".")[2] in _DATA
    return isinstance(atom, Inst) and any(
        path.startswith("enum.") for part in atom.cls.mro() for path in part.outside
    )


def made_view(run: Run, view: ViewVal, number: int | None = None) -> None:
    """Note a view that begins here, of the binding that is found here or of one that is known."""
    if number is None:
        number = run.number(view.cap)
    run.act_made[view.key] = number
    run.act.made.add(view.key)
    run.state.fresh[view.key] = (view.cap, number)
    if view.part is None:
        run.engine.views[view.id] = view.cap
        run.state.ended.pop(view.id, None)


def derive(run: Run, view: ViewVal, value: Value, at: ir.At) -> Value:
    """Return what is read from a view: what is no plain data is seen through the same borrow."""
    part = view.part
    if view.is_whole:
        part = (run.function.path, *at)
    found: set[Any] = set()
    for atom in value:
        is_arena = isinstance(atom, LibInst) and atom.name == "Arena"
        if isinstance(atom, Box) and atom.kind == "tuple":
            parts = atom.parts and tuple([derive(run, view, p, at) for p in atom.parts])
            atom = Box("tuple", derive(run, view, atom.elem, at), atom.key, parts)
        elif is_arena or isinstance(atom, Box) or (isinstance(atom, Inst) and not _is_data(atom)):
            atom = ViewVal(view.cap, view.mode, view.id, atom, part)
            if view.is_whole and not run.is_muted:
                made_view(run, atom, run.act_made.get(view.id, -1))
        found.add(atom)
    return frozenset(found)


def taken(run: Run, value: Value, at: ir.At) -> Value:
    """Return views as what was taken out of the capability here, which the next change ends."""
    found: set[Any] = set()
    for atom in value:
        if isinstance(atom, ViewVal) and atom.is_whole:
            number = run.act_made.get(atom.id, -1)
            atom = evolve(atom, part=(run.function.path, *at))
            made_view(run, atom, number)
        found.add(atom)
    return frozenset(found)


def look(run: Run, view: ViewVal, at: ir.At, trail: Trail = ()) -> None:
    """Note that a view is used: its block must not be over, nor what it shows have been changed since."""
    over = run.state.ended.get(view.id)
    is_own = view.id in run.act_made
    if over is not None:
        run.report(
            "CAP304",
            at,
            f"what {run.cap_name(view.cap, view.mode)} gave is used after its block (line {over.place.line})",
            (over, *trail),
            "use it inside the block, or take what you need out of it as plain data",
        )
        return
    spoilt = _spoilt(run, view) if view.mode == "ref" else ()
    if not spoilt and is_own:
        return
    steps = (run.step(at, "used here"), *trail)
    if is_own:
        late(run, view, at, (*spoilt, *trail))
    elif spoilt:
        run.summary.late.setdefault(evolve(view, shown=_ANY, part=None), steps)
    elif view.key not in run.act_made:
        run.summary.seen.setdefault(evolve(view, shown=_ANY), steps)


_ANY: Final = Simple("unknown")


def _spoilt(run: Run, view: ViewVal) -> Trail:
    """Return why a view that is only read cannot be used here."""
    number = run.act_made.get(view.key, run.act_made.get(view.id, -1))
    if not view.is_whole:
        is_fresh = view.key in run.state.fresh
        return () if is_fresh else run.state.changed.get((view.cap, number), ())
    for held in run.state.held:
        if (held.cap, held.mode, held.number) == (view.cap, "mut", number):
            return (held.step,)
    return ()


def late(run: Run, view: ViewVal, at: ir.At, trail: Trail) -> None:
    """Report a view that is used when it is not good."""
    name = run.cap_name(view.cap)
    if view.is_whole:
        what, fix = f"{name} is looked at while it is borrowed to be changed", "end the borrow first"
    else:
        what, fix = f"a view of {name} is used after that was borrowed to be changed", "read it again"
    run.report("CAP301", at, what, trail, fix)


def write_through(run: Run, view: ViewVal, at: ir.At) -> None:
    """Note that something is changed through a view, which a shared borrow does not allow."""
    look(run, view, at)
    if view.mode == "ref":
        run.report(
            "CAP301",
            at,
            f"{run.cap_name(view.cap)} is changed through a shared borrow",
            (),
            f"borrow {run.cap_name(view.cap, 'mut')} to change it",
        )


def views_in(run: Run, value: Value, depth: int = 3) -> list[ViewVal]:
    """Return the views in a value and in the containers that it may be."""
    found: list[ViewVal] = []
    if not run.engine.views:
        return found
    for atom in value:
        if isinstance(atom, ViewVal):
            found.append(atom)
        elif isinstance(atom, Box) and depth:
            inner: Any = atom.elem
            if atom.key is not None and isinstance(atom.key, tuple):
                inner = inner | run.engine.read(atom.key, run.act)
            for part in (inner, *(atom.parts or ())):
                found += views_in(run, part, depth - 1)
    return found
