"""What names stand for over the whole program: globals, imports, re-exports, classes and annotations."""

from __future__ import annotations

from typing import Any, Final

from captp.check import ir
from captp.check.annotations import annotated
from captp.check.classes import ClassInfo, bases_of
from captp.check.engine import Activation, Engine
from captp.check.run import Run
from captp.check.values import (
    NOTHING,
    UNKNOWN,
    Ext,
    FuncVal,
    ModuleVal,
    TypeVarVal,
    Value,
    evolve,
    one,
)

__all__ = [
    "LIBRARY",
    "class_info",
    "class_run",
    "class_value",
    "global_value",
    "library_path",
    "module_attr",
    "scratch",
]

#: What the checker knows of captp: these names, wherever in the package they come from.
LIBRARY: Final = frozenset(
    [
        "Arena",
        "Borrowed",
        "Call",
        "Cap",
        "E",
        "Exclusive",
        "Index",
        "Interface",
        "List",
        "LiveVat",
        "Map",
        "Object",
        "Promise",
        "Recorder",
        "Reference",
        "Resolver",
        "Set",
        "Trust",
        "Unique",
        "bind",
        "connect",
        "enliven",
        "later",
        "lend",
        "make_unique",
        "method",
        "near",
        "needs",
        "open_vat",
        "outside",
        "share",
        "sleep",
        "tie",
        "trust",
        "within",
        "send_durable",
        "same",
        "select",
        "Capsule",
        "Key",
        "Password",
        "Access",
        "Data",
        "Mutex",
        "RwLock",
        "Ivar",
        "Condition",
    ]
)


def library_path(path: str) -> str:
    """Return the public path of a thing of captp, which may be named by its home."""
    head, _, name = path.rpartition(".")
    if name in LIBRARY and (head == "captp" or head.startswith("captp.")):
        return f"captp.{name}"
    return path


# Globals.


def module_attr(engine: Engine, module: str, attr: str, reader: Activation | None) -> Value:
    """Return what ``module.attr`` is."""
    path = library_path(f"{module}.{attr}")
    if path.startswith("captp.") and path[6:] in LIBRARY:
        return one(Ext(path))
    if module in engine.modules:
        found = global_value(engine, module, attr, reader, is_own=False)
        if found:
            return found
        if f"{module}.{attr}" in engine.modules:
            return one(ModuleVal(f"{module}.{attr}"))
        return UNKNOWN
    if f"{module}.{attr}" in engine.modules or any(m.startswith(f"{module}.") for m in engine.modules):
        return one(ModuleVal(f"{module}.{attr}"))
    return one(Ext(path))


def global_value(
    engine: Engine, module: str, name: str, reader: Activation | None, *, is_own: bool = True
) -> Value:
    """Return what a module's global may be, wherever the module gives it a value."""
    key = (module, name)
    written = engine.read(("g", *key), reader)
    cached = engine.globals.get(key)
    if cached is None:
        if key in engine.resolving:
            return written or UNKNOWN
        engine.resolving.add(key)
        try:
            cached = _resolve(engine, module, name)
        finally:
            engine.resolving.discard(key)
        engine.globals[key] = cached
    value = cached | written
    if not value and is_own:
        return one(Ext(f"builtins.{name}"))
    return value


def _resolve(engine: Engine, module: str, name: str) -> Value:
    table = engine.bindings.get(module)
    if table is None:
        table = engine.bindings[module] = {}
        _collect(engine.modules[module].body, table)
    found = NOTHING
    run = scratch(engine, module)
    for kind, *rest in table.get(name, ()):
        if kind == "import":
            source, attr = rest
            if attr is None:
                known = source in engine.modules
                found |= one(ModuleVal(source) if known or _is_package(engine, source) else Ext(source))
            elif (source, attr) != (module, name):
                found |= module_attr(engine, source, attr, run.act)
        elif kind == "value":
            found |= run.expr(rest[0])
        elif kind == "annotation":
            found |= annotated(run, rest[0])
        else:
            found |= UNKNOWN
    if not found:
        for source in table.get("*", ()):
            if source[1] in engine.modules and source[1] != module:
                found |= global_value(engine, source[1], name, run.act, is_own=False)
    return found


def _is_package(engine: Engine, name: str) -> bool:
    return any(module.startswith(f"{name}.") for module in engine.modules)


def scratch(engine: Engine, module: str) -> Run:
    """Return a run in a module's scope that has no effects."""
    return Run(engine, engine.module_activation(module), is_muted=True)


def _collect(block: ir.Block, table: dict[str, list[Any]]) -> None:
    for stmt in block:
        if isinstance(stmt, ir.Assign):
            for target in stmt.targets:
                _bind(target, stmt, table)
        elif isinstance(stmt, ir.Import):
            for bound, source, attr in stmt.names:
                table.setdefault(bound, []).append(("import", source, attr))
        elif isinstance(stmt, ir.Branch):
            _collect(stmt.then, table)
            _collect(stmt.orelse, table)
        elif isinstance(stmt, ir.Loop):
            if stmt.target is not None:
                _bind(stmt.target, None, table)
            _collect(stmt.body, table)
            _collect(stmt.orelse, table)
        elif isinstance(stmt, ir.With):
            if stmt.target is not None:
                _bind(stmt.target, None, table)
            _collect(stmt.body, table)
        elif isinstance(stmt, ir.Try):
            for part in (stmt.body, *stmt.handlers, stmt.orelse, stmt.final):
                _collect(part, table)


def _bind(target: ir.Expr, stmt: ir.Assign | None, table: dict[str, list[Any]]) -> None:
    if isinstance(target, ir.Name):
        if stmt is not None and stmt.value is not None and not stmt.is_augmented:
            entry: Any = ("value", stmt.value)
        elif stmt is not None and stmt.annotation is not None:
            entry = ("annotation", stmt.annotation)
        else:
            entry = ("unknown",)
        table.setdefault(target.name, []).append(entry)
    elif isinstance(target, ir.Unpack):
        for part in target.targets:
            _bind(part, None, table)
    elif isinstance(target, ir.Splat):
        _bind(target.target, None, table)


# Classes.


def class_info(engine: Engine, cls: ir.ClassDef, frame: Activation) -> ClassInfo:
    """Return a class with its bases resolved."""
    info = engine.classes.get(cls)
    if info is None:
        info = engine.classes[cls] = ClassInfo(cls, frame)
        run = Run(engine, frame, is_muted=True)
        bases, outside, parameters = [], [], []
        for base, path, args in bases_of([run.expr(base) for base in cls.bases]):
            if base is not None:
                bases.append(base)
                info.base_args[base] = args
            else:
                outside.append(path)
            parameters += [
                a.name
                for value in args
                for a in value
                if isinstance(a, TypeVarVal) and a.name not in parameters
            ]
        info.bases, info.outside, info.parameters = tuple(bases), tuple(outside), tuple(parameters)
        for decorator in cls.decorators:
            for atom in run.expr(decorator):
                if isinstance(atom, Ext) and atom.path.endswith(".runtime_checkable"):
                    info.is_runtime = True
    return info


def class_value(engine: Engine, info: ClassInfo, name: str, reader: Activation | None) -> Value:
    """Return what a class's own body, or that of a base, gives the attribute ``name``."""
    owner = info.owner_of(name)
    if owner is None:
        return NOTHING
    value = owner.attrs.get(name)
    if value is None:
        key = (owner, name)
        if key in engine.resolving:
            return UNKNOWN
        engine.resolving.add(key)
        try:
            run = class_run(engine, owner)
            value = NOTHING
            for expr in owner.ir.attrs.get(name, ()):
                for atom in run.expr(expr):
                    value |= one(evolve(atom, owner=owner) if isinstance(atom, FuncVal) else atom)
        finally:
            engine.resolving.discard(key)
        owner.attrs[name] = value
    return value | engine.read(("class", owner, name), reader)


def class_run(engine: Engine, info: ClassInfo) -> Run:
    """Return a run in the scope of a class's body that has no effects."""
    assert info.ir.scope is not None
    act = Activation(info.ir.scope, info.frame, {}, {}, owner=info)
    return Run(engine, act, is_muted=True)
