"""Entering and leaving what a with statement has: bindings, borrows, and context managers of the program."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.attributes import attribute
from captp.check.engine import Need
from captp.check.functions import start
from captp.check.run import Run
from captp.check.state import Bind, Held, State
from captp.check.values import (
    UNKNOWN,
    BindCtx,
    GuardVal,
    Inst,
    LibInst,
    Made,
    RefVal,
    Started,
    Value,
    ViewVal,
    one,
)
from captp.check.views import made_view, show, taken

__all__ = ["borrow", "enter", "enter_given", "is_scope", "leave"]

_NURSERIES = {"trio.open_nursery": "trio.Nursery", "anyio.create_task_group": "trio.Nursery"}


def is_scope(value: Value) -> bool:
    """Tell whether leaving the block undoes bindings and borrows that began in it."""
    return any(
        isinstance(a, (BindCtx, GuardVal, Started, Inst))
        or (isinstance(a, Made) and a.path.endswith("ExitStack"))
        for a in value
    )


def enter(run: Run, value: Value, at: ir.At, *, is_async: bool) -> Value:
    """Enter a context manager; return what ``as`` gets."""
    found: set[Any] = set()
    for atom in value:
        if isinstance(atom, BindCtx):
            _enter_bind(run, atom, at)
        elif isinstance(atom, GuardVal):
            found |= borrow(run, atom, at)
        elif isinstance(atom, Started) and atom.kind == "context":
            found |= _enter_function(run, atom, at)
        elif isinstance(atom, Made):
            found |= _enter_made(run, atom, at, is_async=is_async)
        elif isinstance(atom, Inst):
            name = "__aenter__" if is_async else "__enter__"
            entered = run.call(attribute(run, one(atom), name, at), [], {}, at)
            found |= _awaited(run, entered, at) if is_async else entered
        elif isinstance(atom, LibInst):
            found.add(atom)
    return frozenset(found) or UNKNOWN


def enter_given(run: Run, args: list[Value], at: ir.At) -> None:
    """Enter what is bound by what something unknown gets: that may enter it, now and until who knows when."""
    for value in args:
        if any(isinstance(a, BindCtx) for a in value):
            enter(run, value, at, is_async=False)


def _awaited(run: Run, value: Value, at: ir.At) -> Value:
    found: set[Any] = set()
    for atom in value:
        found |= start(run, atom, at)[1] if isinstance(atom, Started) else one(atom)
    return frozenset(found)


def _enter_bind(run: Run, ctx: BindCtx, at: ir.At) -> None:
    items = [(cap, item.mode) for item in ctx.items for cap in item.caps]
    run.bind([*items, *([("*", "mut")] if ctx.is_open else [])], at)


def borrow(run: Run, guard: GuardVal, at: ir.At) -> Value:
    """Take a borrow and hold it; return the view that it gives."""
    found: set[Any] = set()
    for cap in guard.caps:
        trail = (run.step(at, f"{run.cap_name(cap, guard.mode)} is borrowed"),)
        is_good = not run.need(cap, guard.mode, Need(trail, is_access=True), at)
        if not run.is_muted:
            run.hold(cap, guard.mode, at)
        info = run.engine.caps.get(cap)
        shown = guard.shown or (info.shown if info is not None else UNKNOWN)
        found |= show(run, cap, guard.mode, shown, at, is_good=is_good)
    value = frozenset(found) if len(guard.caps) == 1 else UNKNOWN
    if guard.shown is not None:
        value = taken(run, value, at)
    for pick in guard.picks:
        value = run.call(pick, [value], {}, at)
    return value


def _enter_function(run: Run, started: Started, at: ir.At) -> Value:
    act, _ = start(run, started, at)
    summary = act.summary
    if not run.is_muted:
        for bind in summary.bound:
            run.state.bound = (*run.state.bound, Bind(bind.cap, bind.mode, run.step(at, bind.step.text)))
        for held in summary.held:
            run.hold(held.cap, held.mode, at)
    for atom in summary.yielded:
        if isinstance(atom, ViewVal):
            made_view(run, atom)
    return summary.yielded or UNKNOWN


def _enter_made(run: Run, made: Made, at: ir.At, *, is_async: bool) -> Value:
    if made.path in _NURSERIES:
        run.foreign(at, f"{made.path}()")
        return one(Made("trio.Nursery"))
    if made.path == "captp.open_vat":
        return one(LibInst("LiveVat"))
    if made.path == "captp.connect":
        ref = (
            next((a for a in made.args[0] if isinstance(a, RefVal)), RefVal(None))
            if made.args
            else RefVal(None)
        )
        return one(RefVal(ref.iface, is_far=True))
    if made.path == "contextlib.nullcontext":
        return made.args[0] if made.args else UNKNOWN
    if is_async:
        run.foreign_made(at, made)
    return one(made)


def leave(run: Run, before: State, value: Value, at: ir.At, *, is_async: bool) -> None:
    """Leave what was entered in state ``before``."""
    state = run.state
    for atom in value:
        if isinstance(atom, Inst):
            name = "__aexit__" if is_async else "__exit__"
            left = run.call(attribute(run, one(atom), name, at), [UNKNOWN] * 3, {}, at)
            if is_async:
                _awaited(run, left, at)
    if not is_scope(value):
        return
    released = [h for h in state.held if h not in before.held]
    count = len(before.bound)
    for id, number in run.act_made.items():
        cap = run.engine.views.get(id)
        if cap is not None and number >= count and id not in state.ended:
            state.ended[id] = run.step(at, f"the binding of {run.cap_name(cap)} ends with this block")
    for key in [key for key in state.changed if key[1] >= count]:
        del state.changed[key]
    for held in released:
        for id in run.act_made:
            if id[0] in ("view", "root") and id[2:] == _at(held):
                state.ended[id] = run.step(
                    at, f"the borrow of {run.cap_name(held.cap, held.mode)} ends with this block"
                )
    state.bound = state.bound[: len(before.bound)]
    state.held = tuple(h for h in state.held if h in before.held)


def _at(held: Held) -> tuple[int, int]:
    return (held.step.place.line, held.step.place.column)
