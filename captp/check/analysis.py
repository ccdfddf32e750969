"""Runs a whole program through the engine: modules first, then what nobody calls, then the roots."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from captp.check import ir
from captp.check.annotations import annotated
from captp.check.attributes import attribute
from captp.check.calls import call
from captp.check.engine import Activation, Engine, Need
from captp.check.expressions import EXPRESSIONS
from captp.check.finding import Finding
from captp.check.functions import activation, generic
from captp.check.lower import lower
from captp.check.names import class_run, class_value, module_attr
from captp.check.ownership import drop, owe, spend
from captp.check.relevance import relevant
from captp.check.roots import launched_finding, method_findings, missing, test_findings
from captp.check.run import Run
from captp.check.sources import Source
from captp.check.statements import STATEMENTS, store
from captp.check.values import (
    UNKNOWN,
    Bound,
    ClassVal,
    Ext,
    FuncVal,
    Inst,
    ModuleVal,
    RefVal,
    Value,
    one,
)

__all__ = ["analyse"]


@frozen
class Rules:
    """What evaluates each kind of node, for the rooms below."""

    expressions: dict[type, Any] = EXPRESSIONS
    statements: dict[type, Any] = STATEMENTS
    call: Any = call
    attribute: Any = attribute
    store: Any = store
    spend: Any = spend
    launched: Any = None
    imported: Any = None


def analyse(sources: list[Source]) -> list[Finding]:
    """Return every finding in a program, as often as it is found."""
    modules = {s.module: lower(s.tree, s.module, s.path) for s in sources if s.tree is not None}
    engine = Engine(modules, evaluate)
    engine.rules = Rules(launched=_launched, imported=_imported)
    engine.relevant = relevant(sources)
    for module in modules.values():
        _name_things(engine, module)
    for name in modules:
        engine.run(engine.module_activation(name))
    engine.settle()
    _unreached(engine)
    engine.settle()
    findings = [f for act in engine.memo.values() for f in act.findings.values()]
    findings += missing(engine)
    findings += method_findings(engine)
    findings += test_findings(engine)
    findings += _fields(engine)
    return findings


def evaluate(engine: Engine, act: Activation) -> None:
    """Run the body of an activation once, and keep what came of it."""
    run = Run(engine, act)
    for name, value in act.params.items():
        if name in act.function.captured:
            engine.write(("v", act, name), value)
    if not getattr(act.owner, "is_interface", False):
        for param in act.function.params:
            if param.annotation is not None and param.name not in act.function.captured:
                owe(run, act.params[param.name], param.annotation.at)
    run.block(act.function.body)
    if run.state.is_alive:
        drop(run)
    summary = run.finish()
    _declared(run, act)
    if not act.summary.same(summary):
        for caller in act.callers:
            caller.is_dirty = True
    act.summary = summary
    act.findings = run.findings
    act.is_dirty = False


def _declared(run: Run, act: Activation) -> None:
    marks = act.marks
    if marks is None or not marks.needs:
        return
    declared = {(cap, mode) for cap, mode, _ in marks.needs}
    for (cap, mode), need in run.summary.needs.items():
        if (cap, mode) not in declared and (cap, "mut") not in declared:
            run.report(
                "CAP306",
                marks.needs_at or act.function.at,
                f"{act.function.qualname}() declares what it needs, and leaves out {run.cap_name(cap, mode)}",
                need.trail,
                f"add {run.cap_name(cap, mode)} to @captp.needs",
            )
    for cap, mode in declared:
        if (cap, mode) not in run.summary.needs:
            step = run.step(act.function.at, f"{act.function.qualname}() declares {run.cap_name(cap, mode)}")
            run.summary.needs[cap, mode] = Need((step,), is_access=False)


def _name_things(engine: Engine, function: ir.Function) -> None:
    """Note the variables that capabilities and type parameters are made for."""
    stack = list(function.body)
    while stack:
        stmt = stack.pop()
        if isinstance(stmt, ir.Assign) and isinstance(stmt.value, ir.Call):
            for target in stmt.targets:
                if isinstance(target, ir.Name):
                    line, column = stmt.value.at
                    engine.names[f"{function.path}:{line}:{column}"] = target.name
        elif isinstance(stmt, ir.Branch):
            stack += [*stmt.then, *stmt.orelse]
        elif isinstance(stmt, ir.Try):
            stack += [*stmt.body, *stmt.orelse]


def _unreached(engine: Engine) -> None:
    """Evaluate functions that nobody calls, for what is wrong in them whoever does."""
    for _ in range(6):
        count = len(engine.contexts)
        for info in list(engine.classes.values()):
            for name in list(info.ir.attrs):
                for atom in class_value(engine, info, name, None):
                    if isinstance(atom, FuncVal) and atom.function.owner is info.ir:
                        _once(engine, atom, info)
        for func in list(engine.made.values()):
            if func.function.owner is None:
                _once(engine, func, None)
        if len(engine.contexts) == count:
            return


def _once(engine: Engine, func: FuncVal, info: Any) -> None:
    is_marked = "method" in func.marks.kinds
    if func.function in engine.contexts and not is_marked:
        return
    self_atom = None
    if info is not None and "static" not in func.marks.kinds:
        self_atom = ClassVal(info) if "class" in func.marks.kinds else Inst(info)
    if func.frame is None and func.function.outer is not None and func.function.outer.kind == "function":
        return
    if is_marked and func.function in engine.contexts and func.function in engine.rooted:
        return
    engine.rooted.add(func.function)
    generic(engine, func, self_atom)


def _fields(engine: Engine) -> list[Finding]:
    """Report unique references that are declared as state."""
    found: list[Finding] = []
    for info in list(engine.classes.values()):
        if not info.is_object:
            continue
        for name, (annotation, at) in info.ir.annotations.items():
            run = class_run(engine, info)
            shown = annotated(run, annotation)
            run.is_muted = False
            for atom in shown:
                if isinstance(atom, RefVal) and atom.mode == "unique":
                    run.report(
                        "CAP403",
                        at,
                        f"{info.name}.{name} is a unique reference: state is shared, and it has one holder",
                        (),
                        "keep a shared one: captp.share()",
                    )
                elif isinstance(atom, RefVal) and atom.mode == "borrowed":
                    run.report(
                        "CAP402",
                        at,
                        f"{info.name}.{name} is a borrowed reference: state outlives the call it is lent for",
                        (),
                        "ask for a shared one to keep it",
                    )
            found += run.findings.values()
    return found


def _launched(run: Run, value: Value, args: list[Value], at: ir.At) -> None:
    for atom in value:
        func, self_atom = (atom.func, atom.receiver) if isinstance(atom, Bound) else (atom, None)
        if isinstance(func, FuncVal):
            act = activation(run, func, self_atom, args, {}, at)
            launched_finding(run, act)


def _imported(engine: Engine, module: str, attr: str | None, reader: Activation) -> Value:
    if attr is not None:
        return module_attr(engine, module, attr, reader)
    known = module in engine.modules or any(m.startswith(f"{module}.") for m in engine.modules)
    return one(ModuleVal(module) if known else Ext(module)) or UNKNOWN
