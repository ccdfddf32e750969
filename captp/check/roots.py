"""Where needs can no longer be met: modules, what is started as a program, reachable methods, and tests."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from captp.check.engine import Activation, Engine, Need
from captp.check.finding import Finding
from captp.check.functions import generic
from captp.check.names import class_value, global_value
from captp.check.run import Run
from captp.check.values import ClassVal, FuncVal, Inst

__all__ = ["launched_finding", "method_findings", "missing", "test_findings"]


def _strongest(engine: Engine, act: Activation) -> list[tuple[str, str, Need]]:
    """Return one need for each capability: that to change it, where there are both."""
    needs = act.summary.needs
    return [
        (cap, mode, need) for (cap, mode), need in needs.items() if mode == "mut" or (cap, "mut") not in needs
    ]


def _path(need: Need, first: str) -> str:
    names = [step.text.removeprefix("calls ") for step in need.trail if step.text.startswith("calls ")]
    return " -> ".join([first, *names])


def missing(engine: Engine) -> list[Finding]:
    """Report needs of modules, and of functions that nobody calls and that start the program."""
    found: list[Finding] = []
    for act in list(engine.memo.values()):
        if act.function.kind == "module":
            places = act.summary.missing
            for (cap, mode, place), need in places.items():
                if mode == "mut" or (cap, "mut", place) not in places:
                    found.append(_missing(engine, act, cap, mode, need))
        elif not act.callers:
            found += [
                _missing(engine, act, cap, mode, need)
                for cap, mode, need in _strongest(engine, act)
                if need.root is not None
            ]
    return found


def _missing(engine: Engine, act: Activation, cap: str, mode: str, need: Need) -> Finding:
    info = engine.caps.get(cap)
    name = f"{info.name if info is not None else cap}.{mode}"
    first = act.function.qualname or act.function.module
    if act.function.qualname:
        first += "()"
    return Finding(
        "CAP303",
        need.trail[0].place,
        f"{name} is needed and nothing binds it ({_path(need, first)})",
        need.trail,
        act.function.qualname or "<module>",
        f"put it inside `with captp.bind({name}(...)):`",
    )


def method_findings(engine: Engine) -> list[Finding]:
    """Report methods that anybody can call by reference, and that need what is not bound then."""
    found: list[Finding] = []
    for info in list(engine.classes.values()):
        if not info.is_object:
            continue
        names = dict.fromkeys(name for part in info.mro() for name in part.ir.attrs)
        for name in names:
            for atom in class_value(engine, info, name, None):
                if isinstance(atom, FuncVal) and "method" in atom.marks.kinds:
                    act = generic(engine, atom, Inst(info))
                    found += _of_method(engine, act, atom, info)
    return found


def _of_method(engine: Engine, act: Activation, func: FuncVal, info: Any) -> list[Finding]:
    run = Run(engine, act)
    carried = {(cap, mode) for cap, mode, is_carried in func.marks.needs if is_carried}
    name = func.function.qualname
    for cap, mode, need in _strongest(engine, act):
        if (cap, mode) in carried or (cap, "mut") in carried:
            continue
        run.report(
            "CAP302",
            func.function.at,
            f"{name}() is reachable by reference, and needs {run.cap_name(cap, mode)}, which nobody binds"
            f" ({_path(need, f'{name}()')})",
            need.trail,
            f"bind {run.cap_name(cap, mode)} inside it, or declare"
            f" @captp.needs({run.cap_name(cap, mode)}, carry=True)",
        )
    if act.summary.foreign and func.function.is_async:
        launched_finding(run, act)
    return list(run.findings.values())


def launched_finding(run: Run, act: Activation) -> None:
    """Report what a fiber waits for that is no promise."""
    trail = act.summary.foreign
    if not trail:
        return
    place = trail[0].place
    key = ("CAP502", place)
    run.findings[key] = Finding(
        "CAP502",
        place,
        f"{act.function.qualname}() runs as a fiber, which waits for promises only: it {trail[-1].text}",
        trail,
        act.function.qualname,
        "use captp.sleep() for time, and captp.outside() for everything outside the vat",
    )


def test_findings(engine: Engine) -> list[Finding]:
    """Report needs of tests, but for what a fixture beside them binds."""
    found: list[Finding] = []
    bound: set[str] | None = None
    for name, module in engine.modules.items():
        stem = PurePosixPath(module.path).stem
        if not (stem.startswith("test_") or stem.endswith("_test")):
            continue
        if bound is None:
            bound = _bound_by_fixtures(engine)
        for func, self_atom in _tests(engine, name):
            act = generic(engine, func, self_atom)
            for cap, mode, need in _strongest(engine, act):
                if cap not in bound and "*" not in bound and act.function.kind == "function":
                    found.append(_missing(engine, act, cap, mode, need))
    return found


def _tests(engine: Engine, module: str) -> list[tuple[FuncVal, Any]]:
    global_value(engine, module, "__name__", None)
    tests: list[tuple[FuncVal, Any]] = []
    for name in engine.bindings.get(module, {}):
        for atom in global_value(engine, module, name, None):
            if isinstance(atom, FuncVal) and name.startswith("test"):
                tests.append((atom, None))
            elif isinstance(atom, ClassVal) and name.startswith("Test"):
                for inner in atom.cls.ir.attrs:
                    if inner.startswith("test"):
                        methods = class_value(engine, atom.cls, inner, None)
                        tests += [(m, Inst(atom.cls)) for m in methods if isinstance(m, FuncVal)]
    return tests


def _bound_by_fixtures(engine: Engine) -> set[str]:
    """Return what some fixture binds around its tests."""
    bound: set[str] = set()
    for func in list(engine.made.values()):
        if "fixture" in func.marks.kinds and func.function.owner is None:
            bound |= {bind.cap for bind in generic(engine, func, None).summary.bound}
    return bound
