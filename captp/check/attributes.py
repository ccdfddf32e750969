"""What ``x.name`` is, for each thing that ``x`` may be, and what storing to it does."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.annotations import annotated
from captp.check.classes import ClassInfo
from captp.check.names import class_run, class_value, library_path, module_attr
from captp.check.run import Run
from captp.check.values import (
    NOTHING,
    PLAIN,
    UNKNOWN,
    Bound,
    Box,
    CapMode,
    CapVal,
    ClassVal,
    EVal,
    Ext,
    FuncVal,
    Hidden,
    Inst,
    LibInst,
    LibMethod,
    ModuleVal,
    PromVal,
    RefVal,
    SendVal,
    Simple,
    SuperVal,
    TypeVarVal,
    Value,
    ViewVal,
    evolve,
    one,
)
from captp.check.views import derive, look

__all__ = ["attribute", "field_key", "types_of"]

_OF_PROMISES = frozenset(("apply", "result", "settled", "release", "only"))


def attribute(run: Run, value: Value, name: str, at: ir.At) -> Value:
    """Return what the attribute ``name`` of a value may be."""
    found: set[Any] = set()
    for atom in value:
        method = _READERS.get(type(atom))
        if method is not None:
            found |= method(run, atom, name, at)
        elif isinstance(atom, Simple):
            if atom.kind == "unknown":
                found |= UNKNOWN
            elif atom.kind == "plain":
                found.add(LibMethod(atom, name))
        else:
            found.add(LibMethod(atom, name))
    return frozenset(found) or UNKNOWN


def types_of(info: ClassInfo, args: tuple[Value, ...]) -> dict[str, Value]:
    """Return what a class's type parameters stand for, and those of its bases."""
    types = dict(zip(info.parameters, args, strict=False))
    for base in info.bases:
        given = info.base_args.get(base, ())
        solved = []
        for arg in given:
            whole: set[Any] = set()
            for atom in arg:
                whole |= types.get(getattr(atom, "name", ""), one(atom))
            solved.append(_as_instances(frozenset(whole)))
        for name, value in types_of(base, tuple(solved)).items():
            types.setdefault(name, value)
    return types


def _as_instances(value: Value) -> Value:
    return frozenset(
        Inst(a.cls, a.args) if isinstance(a, ClassVal) and not a.cls.is_interface else a for a in value
    )


def field_key(inst: Inst, name: str) -> tuple[Any, ...]:
    """Return where the store has a field."""
    return ("f", inst, name)


def _of_inst(run: Run, inst: Inst, name: str, at: ir.At, self_atom: Any = None) -> Value:
    info: ClassInfo = inst.cls
    receiver = self_atom or inst
    if name == "__class__":
        return one(ClassVal(info, inst.args))
    found: set[Any] = set()
    declared = info.annotation_of(name)
    stored = run.engine.read(field_key(inst, name), run.act)
    if inst.key:
        stored |= run.engine.read(field_key(Inst(info, inst.args), name), run.act)
    given = class_value(run.engine, info, name, run.act)
    if declared is not None:
        found |= _declared(run, inst, name, declared, stored)
    else:
        found |= stored
    for atom in given if not (declared is not None and found) else NOTHING:
        if not isinstance(atom, FuncVal) or "static" in atom.marks.kinds:
            found.add(atom)
        elif "class" in atom.marks.kinds:
            found.add(Bound(atom, ClassVal(info, inst.args)))
        elif "property" in atom.marks.kinds:
            found |= run.call(one(Bound(atom, receiver)), [], {}, at)
        else:
            found.add(Bound(atom, receiver))
    return frozenset(found) or UNKNOWN


def _declared(run: Run, inst: Inst, name: str, declared: Any, stored: Value) -> Value:
    owner, annotation, _ = declared
    known = None if inst.args else run.engine.says.get((inst.cls, name))
    if known is None:
        inner = class_run(run.engine, owner)
        inner.act.types = types_of(inst.cls, inst.args)
        known = annotated(inner, annotation)
        if not inst.args:
            run.engine.says[inst.cls, name] = known
    says = known
    if inst.cls.is_object and any(isinstance(atom, RefVal) for atom in says):
        was_object = any(isinstance(a, Inst) and a.cls.is_object for a in stored)
        if was_object:
            return frozenset(evolve(a, id=("field", name)) if isinstance(a, RefVal) else a for a in says)
        return says
    value = frozenset(evolve(a, key=("in field", inst, name)) if isinstance(a, Box) else a for a in says)
    known = frozenset(a for a in stored if not (isinstance(a, Simple) and a.kind != "none"))
    return known if known and not (known <= {*_NONES}) else value


_NONES = (Simple("none"),)


def _of_class(run: Run, cls: ClassVal, name: str, _at: ir.At) -> Value:
    found: set[Any] = set()
    for atom in class_value(run.engine, cls.cls, name, run.act):
        if isinstance(atom, FuncVal) and "class" in atom.marks.kinds:
            found.add(Bound(atom, cls))
        else:
            found.add(atom)
    if name == "__name__":
        return PLAIN
    return frozenset(found) or one(LibMethod(cls, name))


def _of_ref(run: Run, ref: RefVal, name: str, at: ir.At) -> Value:
    if ref.mode == "unique" and ref.id is not None:
        run.use(ref.id, at, (run.step(at, "used here"),))
    if name in ("apply", "release"):
        return one(LibMethod(ref, name))
    return _send(run, ref, name)


def _send(run: Run, ref: RefVal, name: str) -> Value:
    funcs = class_value(run.engine, ref.iface, name, run.act) if ref.iface is not None else NOTHING
    func = next((a for a in funcs if isinstance(a, FuncVal)), None)
    if ref.iface is not None and func is None:
        return UNKNOWN
    return one(SendVal(ref, name, func))


def _of_e(run: Run, e: EVal, name: str, _at: ir.At) -> Value:
    found: set[Any] = set()
    for atom in e.ref:
        if isinstance(atom, RefVal) and atom.iface is not None:
            sent = _send(run, atom, name)
            found |= one(SendVal(atom, name)) if sent == UNKNOWN else sent
        else:
            found.add(SendVal(atom if isinstance(atom, RefVal) else RefVal(None), name))
    return frozenset(found)


def _of_send(_run: Run, send: SendVal, name: str, _at: ir.At) -> Value:
    return one(evolve(send, how=name)) if name in ("now", "only") else UNKNOWN


def _of_promise(run: Run, promise: PromVal, name: str, at: ir.At) -> Value:
    if name not in _OF_PROMISES and promise.inner == PLAIN and not name.startswith("_"):
        run.report(
            "CAP504",
            at,
            f"the result of a call of a reference is a promise until it is awaited: it has no {name!r}",
            (),
            "await it first",
        )
    return one(LibMethod(promise, name)) if name in _OF_PROMISES else UNKNOWN


def _of_hidden(run: Run, hidden: Hidden, name: str, at: ir.At) -> Value:
    func = next(iter(class_value(run.engine, hidden.iface, name, run.act)), None)
    if isinstance(func, FuncVal):
        path, line, _ = hidden.at
        run.report(
            "CAP503",
            at,
            f"{hidden.inst.cls.name} itself stands behind the annotation {hidden.iface.name} (line {line}):"
            f" {name}() is a plain call here, and not a send",
            (run.step(at, f"called as {hidden.iface.name}.{name}()"),),
            f"annotate it as {hidden.inst.cls.name}, or make a reference of it with vat.export()",
        )
        _ = path
    return _of_inst(run, hidden.inst, name, at)


def _of_view(run: Run, view: ViewVal, name: str, at: ir.At) -> Value:
    look(run, view, at)
    if isinstance(view.shown, Inst):
        return derive(run, view, _of_inst(run, view.shown, name, at, view), at)
    return one(LibMethod(view, name))


def _of_library(_run: Run, inst: LibInst, name: str, _at: ir.At) -> Value:
    if inst.name == "Trust" and name == "blocking":
        return one(LibInst("Blocking", inst.args))
    return one(LibMethod(inst, name))


def _of_cap(_run: Run, cap: CapVal, name: str, _at: ir.At) -> Value:
    if name in ("ref", "mut"):
        return one(CapMode(cap.caps, name))
    return one(LibMethod(cap, name))


def _of_super(run: Run, value: SuperVal, name: str, _at: ir.At) -> Value:
    found: set[Any] = set()
    for base in value.cls.bases:
        for atom in class_value(run.engine, base, name, run.act):
            if isinstance(atom, FuncVal) and "static" not in atom.marks.kinds:
                found.add(Bound(atom, value.receiver))
            else:
                found.add(atom)
    return frozenset(found) or UNKNOWN


def _of_module(run: Run, module: ModuleVal, name: str, _at: ir.At) -> Value:
    return module_attr(run.engine, module.name, name, run.act)


def _of_outside(_run: Run, outside: Ext, name: str, _at: ir.At) -> Value:
    return one(Ext(library_path(f"{outside.path}.{name}")))


def _of_function(_run: Run, _func: Any, _name: str, _at: ir.At) -> Value:
    return UNKNOWN


def _of_parameter(run: Run, parameter: TypeVarVal, name: str, at: ir.At) -> Value:
    found: set[Any] = set()
    for atom in run.act.types.get(parameter.name, UNKNOWN):
        found |= (
            _of_class(run, ClassVal(atom.cls, atom.args), name, at) if isinstance(atom, Inst) else UNKNOWN
        )
    return frozenset(found)


_READERS: dict[type, Any] = {
    Inst: _of_inst,
    ClassVal: _of_class,
    RefVal: _of_ref,
    EVal: _of_e,
    SendVal: _of_send,
    PromVal: _of_promise,
    Hidden: _of_hidden,
    ViewVal: _of_view,
    CapVal: _of_cap,
    LibInst: _of_library,
    SuperVal: _of_super,
    ModuleVal: _of_module,
    TypeVarVal: _of_parameter,
    Ext: _of_outside,
    FuncVal: _of_function,
    Bound: _of_function,
}
