"""What a function given to a trustee brings along; the rule of captp.model.captures, read from the source."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.names import class_value
from captp.check.ownership import captured
from captp.check.run import Run
from captp.check.values import (
    Bound,
    Box,
    ClassVal,
    FuncVal,
    Hidden,
    Inst,
    LibMethod,
    PartialVal,
    RefVal,
    Value,
    ViewVal,
)

__all__ = ["check_captures"]


def check_captures(run: Run, function: Value, at: ir.At, verb: str) -> None:
    """Report what a trustee would refuse, if every function that this may be has it."""
    problems = [_problem(run, atom) for atom in function]
    if problems and all(problems):
        what, fix, code = problems[0]  # type: ignore[misc]
        run.report(code, at, f"{what}; {verb}() refuses it", (), fix)


def _problem(run: Run, atom: Any) -> tuple[str, str, str] | None:
    if isinstance(atom, PartialVal):
        fix = "give the arguments to the call, behind the function"
        return "a partial captures its arguments", fix, "CAP501"
    if isinstance(atom, LibMethod) and isinstance(atom.owner, Box):
        return (
            f"{atom.owner.kind}.{atom.name} of one {atom.owner.kind} captures it",
            f"give {atom.owner.kind}.{atom.name}, or a function of the object",
            "CAP501",
        )
    if isinstance(atom, Bound):
        if isinstance(atom.receiver, (Inst, ViewVal)):
            shown: Any = atom.receiver.shown if isinstance(atom.receiver, ViewVal) else atom.receiver
            owner = shown.cls.name if isinstance(shown, Inst) else "the object"
            name = atom.func.function.name
            return f"a bound method captures 'self' ({owner})", f"give {owner}.{name}", "CAP501"
        return _of_function(run, atom.func, set())
    if isinstance(atom, FuncVal):
        return _of_function(run, atom, set())
    return None


def _of_function(run: Run, func: FuncVal, seen: set[Any], name_of: str = "") -> tuple[str, str, str] | None:
    if "method" in func.marks.kinds or func.function in seen:
        return None
    seen.add(func.function)
    values = captured(run, func)
    if not name_of:
        frame = func.frame or run.engine.module_activation(func.function.module)
        scope = Run(run.engine, frame, is_muted=True)
        values += [(p.name, scope.expr(p.default)) for p in func.function.params if p.default is not None]
    for name, value in values:
        found = _of_value(run, name_of or name, value, seen)
        if found is not None:
            return found
    return None


def _of_value(run: Run, name: str, value: Value, seen: set[Any]) -> tuple[str, str, str] | None:
    """Return what is wrong with a captured value, if it is wrong whatever it is."""
    found = [_of_atom(run, name, atom, seen) for atom in value]
    return found[0] if found and all(found) else None


def _of_atom(run: Run, name: str, atom: Any, seen: set[Any]) -> tuple[str, str, str] | None:
    fix = "give it to the call as an argument, or a reference or a Trust in its place"
    if isinstance(atom, RefVal) and atom.mode == "borrowed":
        return (f"borrowed {name!r} is captured by a function that may outlive the call", fix, "CAP402")
    if isinstance(atom, Box):
        if atom.kind in ("tuple", "frozenset"):
            for part in atom.parts or ():
                inner = _of_value(run, name, part, seen)
                if inner is not None:
                    return inner
            return None
        return f"{name!r} ({atom.kind}) is captured, and others may change it", fix, "CAP501"
    if isinstance(atom, Hidden):
        atom = atom.inst
    if isinstance(atom, Inst):
        if atom.cls.has_unknown_base or class_value(run.engine, atom.cls, "_home", run.act):
            return None
        return f"{name!r} ({atom.cls.name}) is captured, and others may change it", fix, "CAP501"
    if isinstance(atom, FuncVal):
        return _of_function(run, atom, seen, f"{name}()")
    if isinstance(atom, Bound) and not isinstance(atom.receiver, ClassVal):
        return f"{name!r} (method) is captured, and others may change its object", fix, "CAP501"
    if isinstance(atom, PartialVal):
        return f"{name!r} (partial) is captured, and others may change it", fix, "CAP501"
    return None
