"""What each kind of statement does to the state, and what storing a value to a target means."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.annotations import annotated
from captp.check.attributes import attribute, field_key
from captp.check.contexts import enter, is_scope, leave
from captp.check.expressions import branch_test, narrow
from captp.check.iteration import as_state, elements, kept_view, put, touch
from captp.check.names import class_run
from captp.check.ownership import discard, drop, escape, keep, overwrite, owe
from captp.check.run import Run
from captp.check.state import State, join
from captp.check.values import (
    NONE,
    NOTHING,
    UNKNOWN,
    Box,
    ClassVal,
    Hidden,
    Inst,
    Made,
    PromVal,
    RefVal,
    Started,
    Value,
    ViewVal,
    evolve,
    one,
)
from captp.check.views import taken, views_in, write_through

__all__ = ["STATEMENTS", "store"]


# Storing.


def store(run: Run, target: ir.Expr, value: Value, at: ir.At) -> None:
    """Give a target a value."""
    if isinstance(target, ir.Name):
        _store_name(run, target, value, at)
    elif isinstance(target, ir.Attr):
        for atom in run.expr(target.obj):
            _store_attr(run, atom, target, value, at)
    elif isinstance(target, ir.Index):
        owner = run.expr(target.obj)
        run.expr(target.key)
        for atom in owner:
            if isinstance(atom, ViewVal):
                write_through(run, atom, at)
            elif isinstance(atom, Box):
                put(run, atom, value, at)
            elif isinstance(atom, Inst):
                run.call(attribute(run, one(atom), "__setitem__", at), [UNKNOWN, value], {}, at)
    elif isinstance(target, ir.Splat):
        store(run, target.target, one(Box("list", elements(run, value, at))), at)
    elif isinstance(target, ir.Unpack):
        parts = next((a.parts for a in value if isinstance(a, Box) and a.parts is not None), None)
        whole = len(value) == 1 and parts is not None and len(parts) == len(target.targets)
        inner = NOTHING if whole else elements(run, value, at)
        for number, part in enumerate(target.targets):
            store(run, part, parts[number] if whole and parts is not None else inner, at)


def _store_name(run: Run, target: ir.Name, value: Value, at: ir.At) -> None:
    if target.home is run.function or (target.home is None and run.function.kind == "module"):
        is_own = target.home is not None and target.name not in target.home.captured and not run.is_muted
        if is_own:
            overwrite(run, run.state.env.get(target.name, NOTHING), at)
        run.assign(target.name, value)
        if is_own:
            owe(run, value, at)
        if target.home is None and not run.is_muted:
            run.engine.write(("g", run.function.module, target.name), _flat(value))
    elif target.home is None:
        if not run.is_muted:
            run.engine.write(("g", run.function.module, target.name), value)
            keep(run, value, at, f"the global {target.name}", is_state=False)
            kept_view(run, value, at, f"the global {target.name}")
    else:
        frame = run.frame_of(target.home)
        if frame is not None and not run.is_muted:
            run.engine.write(("v", frame, target.name), value)


def _flat(value: Value) -> Value:
    """Return a module's own value as its functions find it: a reference in it is no loan of theirs."""
    return frozenset(a for a in value if not isinstance(a, ViewVal))


def _store_attr(run: Run, atom: Any, target: ir.Attr, value: Value, at: ir.At) -> None:
    if isinstance(atom, ViewVal):
        write_through(run, atom, at)
        return
    if isinstance(atom, Hidden):
        atom = atom.inst
    if run.is_muted:
        return
    if isinstance(atom, Inst):
        run.engine.write(field_key(atom, target.name), value)
        where = f"{atom.cls.name}.{target.name}"
        is_later = any(isinstance(a, (PromVal, Started)) for a in value)
        declared = atom.cls.annotation_of(target.name) if is_later else None
        if declared is not None:
            says = annotated(class_run(run.engine, declared[0]), declared[1])
            as_state(run, atom, says, value, at, target.name)
        is_own = _is_self(run, target.obj) and run.function.name != "__init__"
        if atom.cls.is_object or is_own:
            keep(run, value, at, where, is_state=atom.cls.is_object)
        if atom.cls.is_object or _is_self(run, target.obj):
            kept_view(run, value, at, where)
    elif isinstance(atom, ClassVal):
        run.engine.write(("class", atom.cls, target.name), value)
        keep(run, value, at, f"{atom.cls.name}.{target.name}", is_state=False)
        kept_view(run, value, at, f"{atom.cls.name}.{target.name}")
    elif _is_self(run, target.obj):
        keep(run, value, at, f"self.{target.name}", is_state=False)
        kept_view(run, value, at, f"self.{target.name}")


def _is_self(run: Run, obj: ir.Expr) -> bool:
    params = run.function.params
    return bool(params) and isinstance(obj, ir.Name) and obj.name == params[0].name and obj.name == "self"


# Statements.


def _assign(run: Run, stmt: ir.Assign) -> None:
    if stmt.value is None:
        if stmt.annotation is not None and run.function.kind == "function":
            for target in stmt.targets:
                if isinstance(target, ir.Name):
                    run.assign(target.name, annotated(run, stmt.annotation))
        return
    value = run.expr(stmt.value)
    if stmt.annotation is not None:
        value = _said(run, value, stmt)
    if stmt.is_augmented and stmt.targets and isinstance(stmt.targets[0], ir.Name):
        value = _augmented(run, stmt, value)
    for target in stmt.targets:
        store(run, target, value, stmt.at)
        if isinstance(target, ir.Name) and isinstance(stmt.value, ir.Const) and target.home is run.function:
            const = stmt.value
            if const.kind in ("bool", "none"):
                run.state.facts[target.name, "truth"] = bool(const.value)
            if const.kind != "unknown":
                run.state.facts[target.name, "none"] = const.kind == "none"


def _augmented(run: Run, stmt: ir.Assign, value: Value) -> Value:
    name = stmt.targets[0]
    assert isinstance(name, ir.Name)
    assert isinstance(stmt.value, ir.Op)
    was, run.is_muted = run.is_muted, True
    old = run.expr(name)
    run.is_muted = was
    boxes = frozenset(a for a in old if isinstance(a, Box))
    for atom in boxes:
        added = run.expr(stmt.value.parts[1]) if not was else NOTHING
        for part in added:
            if isinstance(part, Box):
                put(run, atom, elements(run, one(part), stmt.at), stmt.at)
    return boxes or value


def _said(run: Run, value: Value, stmt: ir.Assign) -> Value:
    """Return an assigned value as its annotation shows it."""
    says = annotated(run, stmt.annotation)
    found: set[Any] = set()
    for atom in value:
        shown = next((a for a in says if isinstance(a, RefVal) and a.iface is not None), None)
        if isinstance(atom, Inst) and atom.cls.is_object and shown is not None and shown.iface.is_interface:
            if run.function.kind == "class" or not atom.cls.is_subclass(shown.iface):
                found.add(atom)
            else:
                place = run.place(stmt.at)
                found.add(Hidden(atom, shown.iface, (place.path, place.line, place.column)))
        elif isinstance(atom, RefVal) and atom.iface is None and shown is not None:
            found.add(evolve(atom, iface=shown.iface))
        elif atom in UNKNOWN:
            if any(isinstance(a, RefVal) and a.mode != "shared" for a in says):
                id = run.id(stmt.at, "unique")
                run.state.moved.pop(id, None)
                says = frozenset(evolve(a, id=id) if isinstance(a, RefVal) else a for a in says)
            found |= says
        elif isinstance(atom, Box) and not atom.elem:
            elem = next((a.elem for a in says if isinstance(a, Box)), NOTHING)
            found.add(evolve(atom, elem=elem))
        else:
            found.add(atom)
    return frozenset(found)


def _emit(run: Run, stmt: ir.Emit) -> None:
    value = run.expr(stmt.value)
    if run.emitted:
        run.emitted[-1] |= value
    elif isinstance(stmt.value, ir.Call) or (
        isinstance(stmt.value, ir.Await) and isinstance(stmt.value.value, ir.Call)
    ):
        discard(run, value, stmt.at)


def _return(run: Run, stmt: ir.Return) -> None:
    value = run.expr(stmt.value) if stmt.value is not None else NONE
    run.results |= value
    if "method" in getattr(run.act.marks, "kinds", ()):
        escape(run, value, stmt.at, "is returned")
    _returned_views(run, value, stmt.at)
    drop(run, stmt.at)
    run.summary.returns = True
    run.exits.append(run.state)
    run.state = State(is_alive=False)


def _returned_views(run: Run, value: Value, at: ir.At) -> None:
    """Note views that leave the function which took the borrow, and does not say so."""
    if not run.act_made:
        return
    tie = getattr(run.act.marks, "tie", ())
    is_local = run.function.name == "<lambda>"
    for view in views_in(run, value):
        if view.id not in run.act_made or (view.cap, view.mode) in tie:
            continue
        held = any((h.step.place.line, h.step.place.column) == view.id[2:] for h in run.state.held)
        if (is_local and not held) or any(cap == view.cap for cap, _ in tie):
            continue
        run.report(
            "CAP304",
            at,
            f"what {run.cap_name(view.cap, view.mode)} gave is returned, and nothing says for how long",
            (),
            f"mark it @captp.tie({run.cap_name(view.cap, view.mode)}), or return plain data or an index",
        )
        return


def _jump(run: Run, stmt: ir.Jump) -> None:
    for part in stmt.parts:
        run.expr(part)
    if stmt.kind != "raise" and run.loops:
        run.loops[-1][0 if stmt.kind == "break" else 1].append(run.state)
    run.state = State(is_alive=False)


def _branch(run: Run, stmt: ir.Branch) -> None:
    if stmt.test is None:
        return
    branch_test(run, stmt.test, run.expr(stmt.test.value))
    if _is_main_guard(stmt.test):
        run.block(stmt.then)
        return

    def then() -> None:
        narrow(run, stmt.test, holds=True)
        if not _is_ruled_out(run, stmt.test):
            run.block(stmt.then)

    def orelse() -> None:
        narrow(run, stmt.test, holds=False)
        run.block(stmt.orelse)

    run.branch(then, orelse)


def _is_ruled_out(run: Run, test: ir.Test | None) -> bool:
    name = test.name.name if test is not None and test.name is not None else ""
    return name == "TYPE_CHECKING"


def _is_main_guard(test: ir.Test) -> bool:
    return isinstance(test.value, ir.Op) and any(
        isinstance(part, ir.Name) and part.name == "__name__" for part in test.value.parts
    )


def _loop(run: Run, stmt: ir.Loop) -> None:
    items = taken(run, run.expr(stmt.items), stmt.items.at) if stmt.items is not None else NOTHING
    if stmt.is_async:
        for atom in items:
            if isinstance(atom, Made):
                run.foreign_made(stmt.at, atom)
    breaks: list[State] = []
    ends: list[State] = []
    for _ in range(2):
        continues: list[State] = []
        if stmt.items is not None and stmt.target is not None:
            inner = elements(run, items, stmt.items.at)
            ends.append(run.state.copy())
            store(run, stmt.target, _anew(run, inner, stmt), stmt.at)
        elif stmt.test is not None:
            branch_test(run, stmt.test, run.expr(stmt.test.value))
            if not stmt.is_endless:
                ends.append(run.state.copy())
            narrow(run, stmt.test, holds=True)
        run.loops.append((breaks, continues))
        run.block(stmt.body)
        run.loops.pop()
        run.state = join([run.state, *continues])
        if not run.state.is_alive:
            break
    if run.state.is_alive and not stmt.is_endless:
        if stmt.items is not None:
            touch(run, items, stmt.items.at)
        ends.append(run.state)
    run.state = join(ends)
    if run.state.is_alive and stmt.test is not None:
        narrow(run, stmt.test, holds=False)
    if run.state.is_alive:
        run.block(stmt.orelse)
    run.state = join([run.state, *breaks])


def _anew(run: Run, value: Value, stmt: ir.Loop) -> Value:
    """Return the elements of one round: each time another unique reference."""
    found: set[Any] = set()
    for atom in value:
        if isinstance(atom, RefVal) and atom.mode == "unique":
            id = run.id(stmt.at, "each")
            run.state.moved.pop(id, None)
            atom = evolve(atom, id=id)
        found.add(atom)
    return frozenset(found)


def _with(run: Run, stmt: ir.With) -> None:
    value = run.expr(stmt.item)
    before = run.state.copy()
    entered = enter(run, value, stmt.at, is_async=stmt.is_async)
    if stmt.target is not None:
        store(run, stmt.target, entered, stmt.at)
    run.block(stmt.body)
    if run.state.is_alive:
        leave(run, before, value, stmt.at, is_async=stmt.is_async)
    elif is_scope(value):
        run.state.bound = before.bound
        run.state.held = before.held


def _try(run: Run, stmt: ir.Try) -> None:
    before, spent = run.state.copy(), len(run.spent)
    run.block(stmt.body)
    after = run.state.copy()
    used = run.spent[spent:]
    run.block(stmt.orelse)
    ends = [run.state]
    # What a failed call was to pass on may be there still: only what had moved before has surely gone.
    failed = join([before, after]) if after.is_alive else before
    failed.moved = dict(before.moved)
    failed.bound, failed.held = before.bound, before.held
    for id in used:
        failed.owed.pop(id, None)
    for handler in stmt.handlers:
        run.state = failed.copy()
        run.block(handler)
        ends.append(run.state)
    run.state = join(ends)
    if not run.state.is_alive and stmt.final:
        run.state = failed.copy()
        run.block(stmt.final)
        run.state.is_alive = False
    else:
        run.block(stmt.final)


def _delete(run: Run, stmt: ir.Delete) -> None:
    for target in stmt.targets:
        if isinstance(target, ir.Index):
            for atom in run.expr(target.obj):
                if isinstance(atom, ViewVal):
                    write_through(run, atom, stmt.at)
        elif isinstance(target, ir.Name):
            run.state.env.pop(target.name, None)


def _import(run: Run, stmt: ir.Import) -> None:
    if run.function.kind == "module":
        return
    for bound, module, attr in stmt.names:
        value = run.rules.imported(run.engine, module, attr, run.act)
        run.assign(bound, value)


STATEMENTS: dict[type, Any] = {
    ir.Assign: _assign,
    ir.Emit: _emit,
    ir.Return: _return,
    ir.Jump: _jump,
    ir.Branch: _branch,
    ir.Loop: _loop,
    ir.With: _with,
    ir.Try: _try,
    ir.Delete: _delete,
    ir.Import: _import,
}
