"""Calls of functions of the program: arguments meet parameters, and a summary its caller."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.annotations import annotated
from captp.check.attributes import types_of
from captp.check.engine import Activation, Need
from captp.check.run import Run
from captp.check.state import Trail
from captp.check.values import (
    NONE,
    PLAIN,
    UNKNOWN,
    Atom,
    Bound,
    Box,
    ClassVal,
    FuncVal,
    GuardVal,
    Hidden,
    Inst,
    LibInst,
    PromVal,
    RefVal,
    Simple,
    Started,
    TypeVarVal,
    Value,
    ViewVal,
    evolve,
    joined,
    one,
)
from captp.check.views import derive, late, look, made_view, views_in

__all__ = ["generic", "invoke", "name_of", "settle", "start"]

_UNKNOWN = Simple("unknown")


def invoke(
    run: Run,
    func: FuncVal,
    self_atom: Atom | None,
    args: list[Value],
    kwargs: dict[str, Value],
    at: ir.At,
) -> Value:
    """Call a function: one whose body runs later gives what starts it."""
    function = func.function
    if function.is_async or function.is_generator:
        kind = (
            "context" if "context" in func.marks.kinds else "generator" if function.is_generator else "async"
        )
        whole = Bound(func, self_atom) if self_atom is not None else func
        return one(Started(whole, tuple(args), tuple(kwargs.items()), kind, at))
    act = activation(run, func, self_atom, args, kwargs, at)
    settle(run, act, at)
    return result_of(run, act, func, at)


def start(run: Run, started: Started, at: ir.At) -> tuple[Activation, Value]:
    """Run the body of a coroutine or a generator here; return its activation and its result."""
    func, self_atom = _parts(started.func)
    act = activation(run, func, self_atom, list(started.args), dict(started.kwargs), at)
    settle(run, act, at)
    return act, result_of(run, act, func, at)


def _parts(callee: Any) -> tuple[FuncVal, Atom | None]:
    return (callee.func, callee.receiver) if isinstance(callee, Bound) else (callee, None)


def activation(
    run: Run,
    func: FuncVal,
    self_atom: Atom | None,
    args: list[Value],
    kwargs: dict[str, Value],
    at: ir.At,
) -> Activation:
    params, types = _bind(run, func, self_atom, args, kwargs, at)
    return run.engine.activate(func, params, types, None if run.is_muted else run.act)


def generic(engine: Any, func: FuncVal, self_atom: Atom | None) -> Activation:
    """Evaluate a function that nobody in the program calls, for what its annotations say."""
    frame = func.frame if func.frame is not None else engine.module_activation(func.function.module)
    run = Run(engine, frame, is_muted=True)
    params, types = _bind(run, func, self_atom, [], {}, func.function.at, is_generic=True)
    return engine.activate(func, params, types, None)  # type: ignore[no-any-return]


# Arguments.


def _bind(
    run: Run,
    func: FuncVal,
    self_atom: Atom | None,
    args: list[Value],
    kwargs: dict[str, Value],
    at: ir.At,
    *,
    is_generic: bool = False,
) -> tuple[dict[str, Value], dict[str, Value]]:
    function = func.function
    given = list(args)
    types: dict[str, Value] = {}
    if self_atom is not None:
        given.insert(0, one(self_atom))
        shown = self_atom.shown if isinstance(self_atom, ViewVal) else self_atom
        if isinstance(shown, (Inst, ClassVal)):
            types.update(types_of(shown.cls, shown.args))
    frame = func.frame if func.frame is not None else run.engine.module_activation(function.module)
    scope = _scope(run.engine, frame)
    outer_types = frame.types
    params: dict[str, Value] = {}
    rest = dict(kwargs)
    for param in function.params:
        if param.kind == "star":
            params[param.name] = one(Box("tuple", joined(given) or UNKNOWN, None, tuple(given)))
            given = []
            continue
        if param.kind == "double":
            params[param.name] = one(Box("dict", joined(rest.values()) or UNKNOWN))
            continue
        value: Value | None = None
        if param.kind == "plain" and given:
            value = given.pop(0)
        elif param.name in rest:
            value = rest.pop(param.name)
        elif param.default is not None and not is_generic:
            value = scope.expr(param.default)
        params[param.name] = _fit(run, scope, func, param, value, types, outer_types, at)
    return params, types


def _scope(engine: Any, frame: Activation) -> Run:
    """Return a run in which annotations and defaults are evaluated, which has no effects."""
    found = engine.scopes.get(frame)
    if found is None:
        found = engine.scopes[frame] = Run(engine, frame, is_muted=True)
    return found  # type: ignore[no-any-return]


def _fit(
    run: Run,
    scope: Run,
    func: FuncVal,
    param: ir.Param,
    value: Value | None,
    types: dict[str, Value],
    outer_types: dict[str, Value],
    at: ir.At,
) -> Value:
    """Return what a parameter holds: the argument, and where that is not known what the annotation says."""
    if param.annotation is None:
        return value if value is not None else UNKNOWN
    if value is not None:
        _infer(_type(run, scope, param), value, types)
    says = _says(run, scope, param, {**outer_types, **types})
    function = func.function
    name = ("param", function.path, *function.at, param.name)
    says = frozenset(evolve(a, id=name) if isinstance(a, RefVal) and a.mode != "shared" else a for a in says)
    if value is None:
        return says
    is_method = "method" in func.marks.kinds
    found: set[Any] = set()
    for atom in value:
        if atom == _UNKNOWN:
            found |= says
        elif isinstance(atom, Inst) and atom.cls.is_object:
            found |= _met(run, atom, says, at, is_method=is_method)
        elif isinstance(atom, RefVal):
            borrowed = next((a for a in says if isinstance(a, RefVal) and a.mode == "borrowed"), None)
            shows = next((a for a in says if isinstance(a, RefVal)), None)
            if borrowed is not None:
                found.add(evolve(borrowed, iface=borrowed.iface or atom.iface))
            elif atom.iface is None and shows is not None:
                found.add(evolve(atom, iface=shows.iface))
            else:
                found.add(atom)
        else:
            if isinstance(atom, PromVal) and not is_method and says == PLAIN and not run.is_muted:
                run.report(
                    "CAP504",
                    at,
                    f"a promise is passed where {function.name}() takes plain data as {param.name!r}",
                    (),
                    "await it first",
                )
            found.add(atom)
    return frozenset(found)


def _says(run: Run, scope: Run, param: ir.Param, types: dict[str, Value]) -> Value:
    if types:
        kept, scope.act.types = scope.act.types, types
        try:
            return annotated(scope, param.annotation)
        finally:
            scope.act.types = kept
    known = run.engine.says.get(param)
    if known is None:
        known = run.engine.says[param] = annotated(scope, param.annotation)
    return known


def _met(run: Run, inst: Inst, says: Value, at: ir.At, *, is_method: bool) -> Value:
    for atom in says:
        if isinstance(atom, RefVal) and atom.iface is not None and atom.iface.is_interface:
            if is_method or atom.mode != "shared":
                return one(atom)
            if inst.cls.is_subclass(atom.iface):
                place = run.place(at)
                return one(Hidden(inst, atom.iface, (place.path, place.line, place.column)))
    return one(inst)


def _type(run: Run, scope: Run, param: ir.Param) -> Value:
    cached = run.engine.types.get(param)
    if cached is None:
        cached = run.engine.types[param] = scope.expr(param.annotation) if param.annotation else UNKNOWN
    return cached


def _infer(type_: Value, value: Value, types: dict[str, Value]) -> None:
    """Solve type parameters in a type from what was given for it."""
    for atom in type_:
        if isinstance(atom, TypeVarVal):
            known = value - UNKNOWN
            if known and atom.name not in types:
                types[atom.name] = known
        args = getattr(atom, "args", ())
        base = getattr(getattr(atom, "base", None), "path", "")
        if not args:
            continue
        for given in value:
            if base.endswith((".type", ".Type")) and isinstance(given, ClassVal):
                _infer(args[0], one(Inst(given.cls, given.args)), types)
            elif isinstance(given, (LibInst, Inst)) and given.args:
                for inner, solved in zip(args, given.args, strict=False):
                    _infer(inner, solved, types)
            elif isinstance(given, Box) and args:
                _infer(args[-1], given.elem, types)


# Results and effects.


def result_of(run: Run, act: Activation, func: FuncVal, at: ir.At) -> Value:
    """Return what a call gives its caller."""
    function = func.function
    result = act.summary.result
    if not result:
        result = NONE if act.summary.returns else UNKNOWN
    if function.returns is not None:
        result = _declared(run, act, func, result, at)
    result = _own(run, act, result, at)
    if func.marks.tie and not run.is_muted:
        tied: set[Any] = {atom for atom in result if isinstance(atom, GuardVal)}
        if tied:
            return frozenset(tied)
        for cap, mode in func.marks.tie:
            view = ViewVal(cap, mode, run.id(at, "tie"), _UNKNOWN)
            made_view(run, view)
            for atom in result:
                shown = atom.shown if isinstance(atom, ViewVal) else atom
                tied |= derive(run, view, one(shown), at)
        return frozenset(tied)
    if not act.made:
        return result
    found: set[Any] = set()
    for atom in result:
        if isinstance(atom, ViewVal) and atom.part is not None and atom.key in act.made:
            # It was taken out in this call, and is another one in the next.
            atom = evolve(atom, part=(run.function.path, *at))
            made_view(run, atom)
        found.add(atom)
    for view in views_in(run, frozenset(found)):
        if view.key in act.made:
            made_view(run, view)
    return frozenset(found)


def _own(run: Run, act: Activation, result: Value, at: ir.At) -> Value:
    """Return a result whose unique references, where the call made them, are those of this call."""
    if not any(isinstance(a, (RefVal, PromVal)) for a in result):
        return result
    given = {a.id for value in act.params.values() for a in value if isinstance(a, RefVal)}
    found: set[Any] = set()
    for atom in result:
        if isinstance(atom, PromVal):
            atom = evolve(atom, inner=_own(run, act, atom.inner, at))
        elif isinstance(atom, RefVal) and atom.mode == "unique" and atom.id not in given:
            id = run.id(at, "unique")
            run.state.moved.pop(id, None)
            if atom.id in act.summary.moved:
                run.move(id, act.summary.moved[atom.id])
            atom = evolve(atom, id=id)
        found.add(atom)
    return frozenset(found)


def _declared(run: Run, act: Activation, func: FuncVal, result: Value, at: ir.At) -> Value:
    frame = func.frame if func.frame is not None else run.engine.module_activation(func.function.module)
    scope = _scope(run.engine, frame)
    says = _gives(scope, func.function, {**frame.types, **act.types})
    if any(isinstance(a, RefVal) for a in says):
        says = frozenset(
            evolve(a, id=run.id(at, "result")) if isinstance(a, RefVal) and a.mode != "shared" else a
            for a in says
        )
        if "method" in func.marks.kinds:
            return says
        found: set[Any] = set()
        for atom in result:
            if isinstance(atom, Inst) and atom.cls.is_object:
                found |= _met(run, atom, says, func.function.at, is_method=False)
            elif atom == _UNKNOWN:
                found |= says
            else:
                found.add(atom)
        return frozenset(found)
    if _UNKNOWN in result and says != UNKNOWN:
        return (result - UNKNOWN) | says
    return result


def _gives(scope: Run, function: ir.Function, types: dict[str, Value]) -> Value:
    if types:
        kept, scope.act.types = scope.act.types, types
        try:
            return annotated(scope, function.returns)
        finally:
            scope.act.types = kept
    known = scope.engine.says.get(function)
    if known is None:
        known = scope.engine.says[function] = annotated(scope, function.returns)
    return known


def settle(run: Run, act: Activation, at: ir.At) -> None:
    """Give the caller what the summary of a call says."""
    if run.is_muted:
        return
    summary = act.summary
    name = name_of(act)
    for bind in summary.left:
        run.state.bound = (*run.state.bound, evolve(bind, step=run.step(at, bind.step.text)))
    for view, trail in list(summary.seen.items()):
        look(run, view, at, (run.step(at, f"calls {name}"), *trail))
    for (cap, mode), need in list(summary.needs.items()):
        trail = (run.step(at, f"calls {name}"), *need.trail)
        run.need(cap, mode, Need(trail, need.is_access, need.root), at)
    for view, trail in list(summary.late.items()):
        _late(run, view, at, (run.step(at, f"calls {name}"), *trail))
    for id, trail in list(summary.used.items()):
        run.use(id, at, (run.step(at, f"calls {name}"), *trail))
    for id, trail in list(summary.moved.items()):
        run.move(id, (run.step(at, f"passed on by {name}"), *trail))
    if summary.foreign and not run.summary.foreign:
        run.summary.foreign = (run.step(at, f"calls {name}"), *summary.foreign)


def _late(run: Run, view: ViewVal, at: ir.At, steps: Trail) -> None:
    """Note a view that a call looks at after a change of its own, which is one of the same binding."""
    number = run.act_made.get(view.key, run.act_made.get(view.id))
    if number == run.number(view.cap):
        late(run, view, at, steps)
    elif number is None and run.number(view.cap) < 0:
        run.summary.late.setdefault(view, steps)


def name_of(act: Activation) -> str:
    """Return the function that is called, for people."""
    return f"{act.function.qualname}()"
