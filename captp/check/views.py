"""What is seen through a borrow: parts of a view are views as long as they are objects, and data is free."""

from __future__ import annotations

from typing import Any, Final

from captp.check import ir
from captp.check.run import Run
from captp.check.state import Trail
from captp.check.values import Box, Inst, LibInst, Value, ViewVal

__all__ = ["CHANGES", "derive", "look", "views_in", "write_through"]

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


def derive(view: ViewVal, value: Value) -> Value:
    """Return what is read from a view: what is no plain data is seen through the same borrow."""
    found = set()
    for atom in value:
        if (
            isinstance(atom, Box)
            or (isinstance(atom, LibInst) and atom.name == "Arena")
            or isinstance(atom, Inst)
        ):
            atom = ViewVal(view.cap, view.mode, view.id, atom)
        found.add(atom)
    return frozenset(found)


def look(run: Run, view: ViewVal, at: ir.At, trail: Trail = ()) -> None:
    """Note that a view is used: its block must not be over, nor what it shows have been changed since."""
    state = run.state
    over = state.ended.get(view.id)
    if over is not None:
        run.report(
            "CAP304",
            at,
            f"what {run.cap_name(view.cap, view.mode)} gave is used after its block (line {over.place.line})",
            (over, *trail),
            "use it inside the block, or take what you need out of it as plain data",
        )
    elif view.id not in state.fresh and view.cap in state.changed and view.mode == "ref":
        changed = state.changed[view.cap]
        made = view.id in run.act_made
        if made:
            run.report(
                "CAP301",
                at,
                f"a view of {run.cap_name(view.cap)} is used after that was borrowed to be changed",
                (*changed, *trail),
                "read it again after the change",
            )
        else:
            run.summary.used.setdefault(view.id, (run.step(at, "used here"),))
    elif view.id not in run.act_made:
        run.summary.used.setdefault(view.id, (run.step(at, "used here"), *trail))


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
