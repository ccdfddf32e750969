"""What each kind of expression does and may be."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.annotations import instance_of
from captp.check.attributes import attribute
from captp.check.functions import start
from captp.check.iteration import as_data, elements, special, touch
from captp.check.names import class_info, class_value, global_value
from captp.check.run import Run
from captp.check.things import index_of
from captp.check.values import (
    NONE,
    NOTHING,
    PLAIN,
    UNKNOWN,
    AliasVal,
    Box,
    ClassVal,
    Ext,
    FuncVal,
    Inst,
    Made,
    PromVal,
    RefVal,
    Simple,
    Started,
    TypeVarVal,
    Value,
    ViewVal,
    joined,
    one,
)
from captp.check.views import taken

__all__ = ["EXPRESSIONS", "branch_test", "narrow"]

_WORDS = {"arith": "computed with", "compare": "compared", "equal": "compared", "format": "formatted as text"}


_GETATTR, _SETATTR = one(Ext("builtins.getattr")), one(Ext("builtins.setattr"))


def _const(_run: Run, node: ir.Const) -> Value:
    if node.kind == "none":
        return NONE
    return UNKNOWN if node.kind == "unknown" else PLAIN


def _name(run: Run, node: ir.Name) -> Value:
    if node.home is None:
        if run.function.kind == "module" and not run.is_muted and node.name in run.state.env:
            return run.state.env[node.name]
        module = run.function.module
        found = global_value(run.engine, module, node.name, run.act)
        return frozenset(_global_box(a, module, node.name) for a in found) if _has_box(found) else found
    if node.home.kind == "class":
        if node.home is run.function and node.name in run.state.env:
            return run.state.env[node.name]
        if node.home.owner is not None and run.act.owner is not None:
            found = class_value(run.engine, run.act.owner, node.name, run.act)
            if found:
                return found
        return UNKNOWN
    return run.variable(node)


def _has_box(value: Value) -> bool:
    return any(isinstance(a, Box) for a in value)


def _global_box(atom: Any, module: str, name: str) -> Any:
    return Box(atom.kind, atom.elem, ("in global", module, name), None) if isinstance(atom, Box) else atom


def _attr(run: Run, node: ir.Attr) -> Value:
    return attribute(run, run.expr(node.obj), node.name, node.at)


def _call(run: Run, node: ir.Call) -> Value:
    func = run.expr(node.func)
    if func == _GETATTR and len(node.args) > 1 and isinstance(node.args[1], ir.Const):
        return attribute(run, run.expr(node.args[0]), str(node.args[1].value), node.at)
    if func == _SETATTR and len(node.args) == 3 and isinstance(node.args[1], ir.Const):
        target = ir.Attr(node.at, node.args[0], str(node.args[1].value))
        run.rules.store(run, target, run.expr(node.args[2]), node.at)
        return NONE
    args: list[Value] = []
    for arg in node.args:
        if isinstance(arg, ir.Starred):
            args += _spread(run, run.expr(arg.value), arg.at)
        else:
            args.append(run.expr(arg))
    kwargs: dict[str, Value] = {}
    for name, arg in node.kwargs:
        value = run.expr(arg)
        if name is not None:
            kwargs[name] = value
        elif any(isinstance(a, Box) and a.elem <= UNKNOWN for a in value):
            continue
        else:
            kwargs["**"] = value
    return run.call(func, args, kwargs, node.at)


def _spread(run: Run, value: Value, at: ir.At) -> list[Value]:
    for atom in value:
        if isinstance(atom, Box) and atom.parts is not None:
            return list(atom.parts)
    return [elements(run, value, at)]


def _await(run: Run, node: ir.Await) -> Value:
    value = run.expr(node.value)
    found: set[Any] = set()
    for atom in value:
        if isinstance(atom, Started):
            found |= start(run, atom, node.at)[1]
        elif isinstance(atom, PromVal):
            found |= atom.inner
        elif isinstance(atom, Made):
            run.foreign_made(node.at, atom)
            found |= UNKNOWN
        elif isinstance(atom, RefVal):
            found.add(atom)
        else:
            found |= UNKNOWN
    return frozenset(found) or UNKNOWN


def _op(run: Run, node: ir.Op) -> Value:
    values = [run.expr(part) for part in node.parts]
    kind = node.kind
    if kind == "union" and any(_is_type(a) for value in values for a in value):
        return joined(values)
    if kind in ("identity", "slice"):
        for value in values:
            touch(run, value, node.at)
        return PLAIN
    if kind == "contains":
        for value in values:
            touch(run, value, node.at)
        if len(values) > 1:
            as_data(run, values[1], node.at, "searched")
            special(run, values[1], "__contains__", [values[0]], node.at)
        return PLAIN
    if kind == "not":
        as_data(run, values[0], node.at, "tested for truth")
        return PLAIN
    for value in values:
        as_data(run, value, node.at, _WORDS.get(kind, "computed with"))
    if kind in ("arith", "union") and any(_is_open(a) for value in values for a in value):
        return UNKNOWN
    return PLAIN


def _is_type(atom: Any) -> bool:
    return isinstance(atom, (ClassVal, AliasVal)) or (
        isinstance(atom, Ext) and atom.path.startswith("builtins.")
    )


def _is_open(atom: Any) -> bool:
    return not (isinstance(atom, Simple) and atom.kind == "plain")


def _index(run: Run, node: ir.Index) -> Value:
    value = run.expr(node.obj)
    key = run.expr(node.key)
    found: set[Any] = set()
    is_slice = isinstance(node.key, ir.Op) and node.key.kind == "slice"
    for atom in value:
        if is_slice and isinstance(atom, Box):
            found.add(Box(atom.kind, atom.elem, atom.key))
        elif is_slice and isinstance(atom, ViewVal):
            found |= taken(run, one(atom), node.at)
        elif isinstance(atom, ClassVal):
            found.add(ClassVal(atom.cls, tuple(_instances(run, a) for a in _arguments(key))))
        elif isinstance(atom, Ext):
            found.add(AliasVal(atom, _arguments(key)))
        elif isinstance(atom, Box) and atom.parts and isinstance(node.key, ir.Const):
            number = node.key.value
            if isinstance(number, int) and 0 <= number < len(atom.parts):
                found |= atom.parts[number]
            else:
                found |= index_of(run, atom, node.at)
        elif isinstance(atom, Inst):
            method = attribute(run, one(atom), "__getitem__", node.at)
            found |= run.call(method, [key], {}, node.at)
        else:
            found |= index_of(run, atom, node.at)
    return frozenset(found) or UNKNOWN


def _instances(run: Run, type_: Value) -> Value:
    """Return what instances of a type argument are; a parameter stays one."""
    return type_ if any(isinstance(a, TypeVarVal) for a in type_) else instance_of(run, type_)


def _arguments(key: Value) -> tuple[Value, ...]:
    for atom in key:
        if isinstance(atom, Box) and atom.kind == "tuple" and atom.parts is not None:
            return atom.parts
    return (key,)


def _build(run: Run, node: ir.Build) -> Value:
    for key in node.keys:
        run.expr(key)
    parts: list[Value] = []
    is_whole = True
    for part in node.parts:
        if isinstance(part, ir.Starred):
            is_whole = False
            value = run.expr(part.value)
            inner = NOTHING
            for atom in value:
                inner |= (
                    atom.elem
                    if isinstance(atom, Box) and node.kind == "dict"
                    else elements(run, value, part.at)
                )
            parts.append(inner)
        else:
            parts.append(run.expr(part))
    elem = joined(parts) if parts else NOTHING
    if node.kind == "tuple":
        return one(Box("tuple", elem, None, tuple(parts) if is_whole else None))
    shown = tuple(parts) if is_whole and node.kind == "list" and parts else None
    return one(Box(node.kind, elem, ("c", run.id(node.at, node.kind), run.act), shown))


def _make(run: Run, node: ir.Make) -> Value:
    frame = (
        run.act
        if run.function.kind == "function"
        else run.act.frame
        if run.function.kind == "class"
        else None
    )
    if run.function.kind == "class":
        frame = run.act.frame
    made = FuncVal(node.function, frame)
    run.engine.made.setdefault(node.function, made)
    return one(made)


def _make_class(run: Run, node: ir.MakeClass) -> Value:
    frame = run.act if run.function.kind != "class" else run.act.frame or run.act
    return one(ClassVal(class_info(run.engine, node.cls, frame)))


def _choice(run: Run, node: ir.Choice) -> Value:
    assert node.test is not None
    tested = run.expr(node.test.value)
    branch_test(run, node.test, tested)
    found: set[Any] = set()

    def way(part: ir.Expr, holds: bool) -> Any:
        def go() -> None:
            narrow(run, node.test, holds=holds)
            if isinstance(part, ir.Const) and part.kind == "truth":
                found.update(tested)
            else:
                found.update(run.expr(part))

        return go

    run.branch(way(node.parts[0], True), way(node.parts[1], False))
    return frozenset(found)


def branch_test(run: Run, test: ir.Test, value: Value) -> None:
    """Look at a condition, which plain data is."""
    if test.says in ("", "truth"):
        as_data(run, value, test.at, "tested for truth")


def narrow(run: Run, test: ir.Test | None, *, holds: bool) -> None:
    """Note what a condition says of a variable, where it holds or does not."""
    if test is None or test.name is None:
        return
    holds = holds is not test.is_negated
    name = test.name.name
    state = run.state
    known = state.env.get(name) if test.name.home is run.function or run.function.kind == "module" else None
    if test.says in ("truth", "none"):
        fact = (name, test.says)
        if known is not None or test.name.home is not None:
            state.facts[fact] = holds
    if known is None:
        return
    if test.says == "none":
        state.env[name] = (
            NONE if holds and known >= NONE else (known - NONE if not holds else known) or UNKNOWN
        )
    elif test.says == "truth" and holds:
        state.env[name] = (known - NONE) or UNKNOWN
    elif test.says == "class" and test.about is not None:
        state.env[name] = _of_class(run, known, test.about, holds=holds)


def _of_class(run: Run, known: Value, about: ir.Expr, *, holds: bool) -> Value:
    was, run.is_muted = run.is_muted, True
    classes = run.expr(about)
    run.is_muted = was
    wanted = [a.cls for a in classes if isinstance(a, ClassVal)]
    if not wanted or len(wanted) != len(classes):
        return known
    found: set[Any] = set()
    for atom in known:
        if isinstance(atom, Inst):
            fits = any(atom.cls.is_subclass(cls) for cls in wanted)
            if fits is holds or (holds and any(cls.is_subclass(atom.cls) for cls in wanted)):
                found.add(atom)
        elif isinstance(atom, Simple) and atom.kind == "unknown" and holds:
            found |= {Inst(cls) for cls in wanted if not cls.is_interface and not cls.is_protocol}
        elif not (isinstance(atom, Simple) and atom.kind == "none" and holds):
            found.add(atom)
    return frozenset(found) or UNKNOWN


def _walrus(run: Run, node: ir.Walrus) -> Value:
    value = run.expr(node.value)
    run.rules.store(run, node.target, value, node.at)
    return value


def _yield(run: Run, node: ir.Yield) -> Value:
    value = run.expr(node.value) if node.value is not None else NONE
    if node.is_from:
        value = elements(run, value, node.at)
    if not run.summary.bound and not run.summary.held:
        run.summary.bound = run.state.bound
        run.summary.held = run.state.held
    run.summary.yielded |= value
    return UNKNOWN


def _comp(run: Run, node: ir.Comp) -> Value:
    run.emitted.append(NOTHING)
    run.block(node.body)
    run.state.is_alive = True
    inner = run.emitted.pop()
    if node.kind == "generator":
        return one(Box("iterator", inner))
    return one(Box(node.kind, inner, ("c", run.id(node.at, node.kind), run.act)))


def _starred(run: Run, node: ir.Starred) -> Value:
    return elements(run, run.expr(node.value), node.at)


EXPRESSIONS: dict[type, Any] = {
    ir.Const: _const,
    ir.Name: _name,
    ir.Attr: _attr,
    ir.Call: _call,
    ir.Await: _await,
    ir.Op: _op,
    ir.Index: _index,
    ir.Build: _build,
    ir.Make: _make,
    ir.MakeClass: _make_class,
    ir.Choice: _choice,
    ir.Walrus: _walrus,
    ir.Yield: _yield,
    ir.Comp: _comp,
    ir.Starred: _starred,
}
