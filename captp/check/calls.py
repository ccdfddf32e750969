"""Calls: what calling each thing does, and what comes of it."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.annotations import annotated
from captp.check.attributes import attribute, field_key, types_of
from captp.check.classes import ClassInfo
from captp.check.contexts import enter_given
from captp.check.engine import Need
from captp.check.functions import invoke
from captp.check.iteration import is_coroutine, unawaited
from captp.check.library import decorate, outside
from captp.check.names import class_run, class_value
from captp.check.ownership import cross
from captp.check.run import Run
from captp.check.things import method
from captp.check.values import (
    NONE,
    UNKNOWN,
    AliasVal,
    Atom,
    BindItem,
    Bound,
    Box,
    CapMode,
    CapVal,
    ClassVal,
    Deco,
    EVal,
    Ext,
    FuncVal,
    GuardVal,
    Hidden,
    Inst,
    LibMethod,
    PartialVal,
    PromVal,
    RefVal,
    SendVal,
    Simple,
    Value,
    ViewVal,
    evolve,
    one,
)

__all__ = ["call"]


def call(run: Run, func: Value, args: list[Value], kwargs: dict[str, Value], at: ir.At) -> Value:
    """Call everything that ``func`` may be; ways that differ in what they do meet behind the call."""
    if len(func) == 1:
        (atom,) = func
        return _call_one(run, atom, args, kwargs, at)
    found: set[Atom] = set()

    def way(atom: Atom) -> Any:
        return lambda: found.update(_call_one(run, atom, args, kwargs, at))

    run.branch(*map(way, sorted(func, key=repr_key)))
    return frozenset(found) or UNKNOWN


def repr_key(atom: Atom) -> str:
    """Return what orders atoms the same way in each run."""
    function = getattr(atom, "function", None)
    return f"{type(atom).__name__}{getattr(function, 'qualname', '')}{getattr(function, 'at', '')}"


def _call_one(run: Run, atom: Any, args: list[Value], kwargs: dict[str, Value], at: ir.At) -> Value:
    handler = _CALLS.get(type(atom))
    return (
        handler(run, atom, args, kwargs, at) if handler is not None else _unknown(run, atom, args, kwargs, at)
    )


def _unknown(run: Run, _atom: Any, args: list[Value], _kwargs: Any, at: ir.At) -> Value:
    """Call what is not known."""
    enter_given(run, args, at)
    return UNKNOWN


def _function(run: Run, func: FuncVal, args: Any, kwargs: Any, at: ir.At) -> Value:
    return invoke(run, func, None, args, kwargs, at)


def _bound(run: Run, bound: Bound, args: Any, kwargs: Any, at: ir.At) -> Value:
    return invoke(run, bound.func, bound.receiver, args, kwargs, at)


def _partial(run: Run, partial: PartialVal, args: Any, kwargs: Any, at: ir.At) -> Value:
    return run.call(partial.func, [*partial.args, *args], {**dict(partial.kwargs), **kwargs}, at)


def _outside(run: Run, ext: Ext, args: Any, kwargs: Any, at: ir.At) -> Value:
    return outside(run, ext.path, (), args, kwargs, at)


def _alias(run: Run, alias: AliasVal, args: Any, kwargs: Any, at: ir.At) -> Value:
    if isinstance(alias.base, Ext):
        return outside(run, alias.base.path, alias.args, args, kwargs, at)
    return UNKNOWN


def _class(run: Run, cls: ClassVal, args: list[Value], kwargs: dict[str, Value], at: ir.At) -> Value:
    info: ClassInfo = cls.cls
    key, depth = _key([*args, *kwargs.values()])
    inst = Inst(info, cls.args, key, depth)
    made = next(iter(class_value(run.engine, info, "__init__", run.act)), None)
    if isinstance(made, FuncVal):
        invoke(run, made, inst, args, kwargs, at)
    elif not run.is_muted:
        names = [name for part in reversed(info.mro()) for name in part.ir.annotations]
        for name, value in [*zip(names, args, strict=False), *kwargs.items()]:
            run.engine.write(field_key(inst, name), value)
        after = next(iter(class_value(run.engine, info, "__post_init__", run.act)), None)
        if isinstance(after, FuncVal):
            invoke(run, after, inst, [], {}, at)
    return one(inst)


_BEHAVES = (FuncVal, Bound, PartialVal, ClassVal, CapVal, CapMode, Inst, RefVal)


def _key(values: list[Value]) -> tuple[tuple[Value, ...], int]:
    """Return what of the arguments makes objects of one class behave differently."""
    key = tuple(frozenset(a for a in value if isinstance(a, _BEHAVES)) for value in values)
    if not any(key):
        return (), 0
    depth = 1 + max((a.depth for part in key for a in part if isinstance(a, Inst)), default=0)
    return (key, depth) if depth <= 3 else ((), 0)


def _inst(run: Run, inst: Any, args: Any, kwargs: Any, at: ir.At) -> Value:
    return run.call(attribute(run, one(inst), "__call__", at), args, kwargs, at)


def _mode(run: Run, mode: CapMode, args: list[Value], _kwargs: Any, at: ir.At) -> Value:
    if args:
        return one(BindItem(mode.caps, mode.mode))
    return one(GuardVal(mode.caps, mode.mode))


def _method(run: Run, bound: LibMethod, args: Any, kwargs: Any, at: ir.At) -> Value:
    return method(run, bound, args, kwargs, at)


def _e(run: Run, e: EVal, args: Any, kwargs: Any, at: ir.At) -> Value:
    return _send(run, SendVal(RefVal(None), "the object"), args, kwargs, at)


def _send(run: Run, send: SendVal, args: list[Value], kwargs: dict[str, Value], at: ir.At) -> Value:
    """Send: arguments cross, context does not, unless the method says that it is carried."""
    ref: Any = send.ref
    func: FuncVal | None = send.func
    if send.how == "now" and ref.is_far:
        run.report(
            "CAP504",
            at,
            f"{send.name}.now() of a reference from another host: only what is near can be called at once",
            (),
            "await the call",
        )
    names = [p.name for p in func.function.params[1:]] if func is not None else []
    scope = None
    if func is not None and func.owner is not None:
        scope = class_run(run.engine, func.owner)
        if isinstance(ref.iface, ClassInfo):
            scope.act.types = types_of(ref.iface, ())
    modes = _modes(run, scope, func)
    for name, value in [*zip([*names, *[""] * len(args)], args, strict=False), *kwargs.items()]:
        cross(run, value, at, f"{send.name}()", borrows=modes.get(name) == "borrowed")
        _awaited(run, value, at, send.name, is_unique=modes.get(name) == "unique")
    if func is None:
        return NONE if send.how == "only" else one(PromVal(UNKNOWN))
    for cap, mode, is_carried in func.marks.needs:
        if is_carried:
            trail = (run.step(at, f"sends {send.name}(), which carries {run.cap_name(cap, mode)}"),)
            run.need(cap, mode, Need(trail, is_access=True), at)
    if send.how == "only":
        return NONE
    assert scope is not None or func.function.returns is None or func.owner is None
    says = annotated(scope, func.function.returns) if scope is not None else UNKNOWN
    return says if send.how == "now" else _promised(run, ref, says, at)


def _awaited(run: Run, value: Value, at: ir.At, name: str, *, is_unique: bool) -> None:
    """Note what cannot be passed before it is awaited."""
    if is_coroutine(value):
        unawaited(run, at, f"a coroutine is passed to {name}()")
    elif is_unique and value and all(isinstance(a, PromVal) and _is_unique(a.inner) for a in value):
        unawaited(run, at, f"a promise for a unique reference is passed to {name}()")


def _is_unique(value: Value) -> bool:
    return bool(value) and all(isinstance(a, RefVal) and a.mode == "unique" for a in value)


def _modes(run: Run, scope: Run | None, func: FuncVal | None) -> dict[str, str]:
    if func is None or scope is None:
        return {}
    known = run.engine.modes.get(func.function)
    if known is None:
        known = {}
        for param in func.function.params:
            for atom in annotated(scope, param.annotation):
                if isinstance(atom, RefVal) and atom.mode != "shared":
                    known[param.name] = atom.mode
        run.engine.modes[func.function] = known
    return known


def _promised(run: Run, ref: RefVal, says: Value, at: ir.At) -> Value:
    # A promise of a promise is one: awaiting it goes all the way.
    says = frozenset(part for atom in says for part in (atom.inner if isinstance(atom, PromVal) else (atom,)))
    if not any(isinstance(atom, RefVal) for atom in says):
        hidden = str(ref.id[1]) if ref.id is not None and ref.id[0] == "field" else ""
        return one(PromVal(says, hidden))
    found: set[Atom] = set()
    for atom in says:
        if not isinstance(atom, RefVal):
            continue
        if atom.mode == "shared":
            found.add(evolve(atom, is_far=ref.is_far))
        else:
            id = run.id(at, "unique")
            run.state.moved.pop(id, None)
            found.add(PromVal(one(evolve(atom, mode="unique", id=id))))
    return frozenset(found)


def _view(run: Run, view: ViewVal, args: Any, kwargs: Any, at: ir.At) -> Value:
    return _inst(run, view, args, kwargs, at) if isinstance(view.shown, Inst) else UNKNOWN


_CALLS: dict[type, Any] = {
    FuncVal: _function,
    Bound: _bound,
    PartialVal: _partial,
    Ext: _outside,
    AliasVal: _alias,
    ClassVal: _class,
    Inst: _inst,
    Hidden: lambda run, hidden, args, kwargs, at: _inst(run, hidden.inst, args, kwargs, at),
    CapMode: _mode,
    Deco: lambda run, deco, args, *_: decorate(run, args[0], deco=deco) if args else UNKNOWN,
    LibMethod: _method,
    EVal: _e,
    SendVal: _send,
    ViewVal: _view,
    Box: lambda *_: UNKNOWN,
    Simple: _unknown,
}
