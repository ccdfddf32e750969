"""What calling things from outside the program does: captp's own functions, and the standard library's."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.annotations import instance_of
from captp.check.apart import given_context, in_child, without_context
from captp.check.builtin import BUILTINS
from captp.check.engine import CapInfo, Need
from captp.check.functions import activation, settle
from captp.check.iteration import unawaited
from captp.check.ownership import escape
from captp.check.run import Run
from captp.check.values import (
    NONE,
    UNKNOWN,
    BindCtx,
    BindItem,
    Bound,
    CapMode,
    CapVal,
    ClassVal,
    Deco,
    EVal,
    Ext,
    FuncVal,
    Inst,
    LibInst,
    Made,
    PartialVal,
    PromVal,
    RefVal,
    Started,
    TypeVarVal,
    Value,
    evolve,
    one,
)

__all__ = ["decorate", "outside", "run_apart"]

Args = list[Value]
Kwargs = dict[str, Value]


def outside(run: Run, path: str, types: tuple[Value, ...], args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    """Call the thing at ``path``; ``types`` are its type arguments."""
    handler = _HANDLERS.get(path)
    if handler is not None:
        return handler(run, args, kwargs, at)  # type: ignore[no-any-return]
    builtin = BUILTINS.get(path)
    if builtin is not None:
        return builtin(run, args, kwargs, at)
    if path in _TRANSPARENT or path.startswith(("pytest.", "hypothesis.")):
        return args[0] if len(args) == 1 and any(isinstance(a, _DEFINED) for a in args[0]) else one(Ext(path))
    head, _, name = path.rpartition(".")
    if head == "captp" and name in ("Index", "Arena", "Resolver"):
        return one(LibInst(name, tuple(instance_of(run, t) for t in types)))
    return one(Made(path, tuple(args)))


_DEFINED = (FuncVal, ClassVal, Bound)
_TRANSPARENT = frozenset(
    [
        "functools.lru_cache",
        "functools.cache",
        "functools.total_ordering",
        "typing.final",
        "typing.override",
        "typing.overload",
        "typing_extensions.override",
        "abc.abstractmethod",
        "attrs.define",
        "attrs.frozen",
        "attrs.mutable",
        "attr.s",
        "dataclasses.dataclass",
        "typing.runtime_checkable",
        "captp.portable_error",
    ]
)


def decorate(run: Run, value: Value, kind: str = "", deco: Deco | None = None) -> Value:
    """Return functions with what a decorator says of them."""
    found: set[Any] = set()
    for atom in value:
        if isinstance(atom, FuncVal):
            marks = atom.marks
            if kind:
                marks = evolve(marks, kinds=marks.kinds | {kind})
            if deco is not None:
                marks = evolve(
                    marks,
                    needs=marks.needs + deco.needs,
                    tie=marks.tie + deco.tie,
                    needs_at=deco.at if deco.needs else marks.needs_at,
                )
            atom = evolve(atom, marks=marks)
            run.engine.made[atom.function] = atom
        found.add(atom)
    return frozenset(found)


def _decorator(kind: str) -> Any:
    def handle(run: Run, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
        if args:
            return decorate(run, args[0], kind)
        return one(Ext(_PATHS[kind])) if kind in _PATHS else UNKNOWN

    return handle


_PATHS = {"method": "captp.method", "fixture": "pytest.fixture"}


# Capabilities.


def _cap(run: Run, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    id = f"{run.function.path}:{at[0]}:{at[1]}"
    type_ = args[1] if len(args) > 1 else kwargs.get("type", UNKNOWN)
    name = run.engine.names.get(id, id)
    known = run.engine.caps.get(id)
    if known is None:
        run.engine.caps[id] = CapInfo(name, instance_of(run, type_))
    for atom in type_:
        problem = ""
        if isinstance(atom, TypeVarVal):
            problem = f"the type parameter {atom.name}"
        elif isinstance(atom, Ext) and atom.path in ("typing.Any", "typing_extensions.Any"):
            problem = "Any"
        elif isinstance(atom, ClassVal) and atom.cls.is_protocol and not atom.cls.is_runtime:
            problem = f"the Protocol {atom.cls.name}, which is not checked at run time"
        if problem:
            run.report(
                "CAP305",
                at,
                f"a capability of {problem}: what is bound to it cannot be checked",
                (),
                "give a class, or an Interface, or mark the Protocol @runtime_checkable",
            )
    return one(CapVal((id,)))


def _group(run: Run, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    caps: list[str] = []
    for value in args:
        for atom in value:
            if isinstance(atom, CapVal):
                caps += [cap for cap in atom.caps if cap not in caps]
    return one(CapVal(tuple(caps)))


def _bind(_run: Run, args: Args, kwargs: Kwargs, _at: ir.At) -> Value:
    items: list[BindItem] = []
    is_open = bool(kwargs)
    for value in args:
        known = [a for a in value if isinstance(a, BindItem)]
        items += known[:1]
        is_open = is_open or not known
    return one(BindCtx(tuple(items), is_open))


def _modes(args: Args) -> list[tuple[str, str]]:
    return [
        (cap, atom.mode) for value in args for atom in value if isinstance(atom, CapMode) for cap in atom.caps
    ]


def _needs(run: Run, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    is_carried = "carry" in kwargs
    return one(Deco(tuple((cap, mode, is_carried) for cap, mode in _modes(args)), (), at))


def _tie(_run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    return one(Deco((), tuple(_modes(args)), at))


# Ownership.


def _make_unique(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    id = run.id(at, "unique")
    run.state.moved.pop(id, None)
    if args:
        escape(run, args[0], at, "is to be made unique")
    ref = next((a for a in args[0] if isinstance(a, RefVal)), RefVal(None)) if args else RefVal(None)
    return one(PromVal(one(RefVal(ref.iface, "unique", id, ref.is_far))))


def _share(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    found: set[Any] = set()
    for atom in args[0] if args else UNKNOWN:
        if isinstance(atom, RefVal):
            if atom.mode == "unique" and atom.id is not None:
                run.use(atom.id, at, (run.step(at, "shared"),))
                run.move(atom.id, (run.step(at, "shared"),))
            elif atom.mode == "borrowed":
                escape(run, one(atom), at, "is shared")
            atom = evolve(atom, mode="shared", id=None)
        found.add(atom)
    return frozenset(found)


def _lend(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if args and args[0] and all(isinstance(a, PromVal) for a in args[0]):
        unawaited(run, at, "a promise is lent, and not a reference")
    for atom in args[0] if args else ():
        if isinstance(atom, RefVal) and atom.mode == "unique" and atom.id is not None:
            run.use(atom.id, at, (run.step(at, "lent"),))
    return UNKNOWN


def _e(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    value = args[0] if args else UNKNOWN
    for atom in value:
        if isinstance(atom, RefVal) and atom.mode == "unique" and atom.id is not None:
            run.use(atom.id, at, (run.step(at, "used here"),))
    return one(EVal(value))


# Vats.


def _far(run: Run, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    shown = instance_of(run, args[1]) if len(args) > 1 else UNKNOWN
    ref = next((a for a in shown if isinstance(a, RefVal)), RefVal(None))
    return one(evolve(ref, is_far=True))


def _connect(run: Run, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    return one(Made("captp.connect", tuple(instance_of(run, a) for a in args[1:2])))


def _near(run: Run, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    return instance_of(run, args[1]) if len(args) > 1 else UNKNOWN


def _trust(run: Run, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    return one(LibInst("Trust", (instance_of(run, args[1]) if len(args) > 1 else UNKNOWN,)))


# Functions that run elsewhere or later.


def run_apart(run: Run, value: Value, args: Args, at: ir.At, how: str, why: str = "") -> None:
    """Run a function, or what started one, as a task, with nothing bound, or as the whole program."""
    if run.is_muted:
        return
    for atom in value:
        callee: Any = atom
        given: Args = list(args)
        named: Kwargs = {}
        while isinstance(callee, PartialVal) and len(callee.func) == 1:
            given, named = [*callee.args, *given], {**dict(callee.kwargs), **named}
            (callee,) = callee.func
        if isinstance(callee, Started):
            given, named = list(callee.args), dict(callee.kwargs)
            callee = callee.func
        if isinstance(callee, Inst):
            from_class = run.rules.attribute(run, one(callee), "__call__", at)
            callee = next(iter(from_class), callee)
        if not isinstance(callee, (FuncVal, Bound)):
            continue
        func, self_atom = (callee.func, callee.receiver) if isinstance(callee, Bound) else (callee, None)
        act = activation(run, func, self_atom, given, named, at)
        if how == "child":
            in_child(run, act, at)
        elif how == "alone":
            without_context(run, act, at, why)
        elif how == "given":
            given_context(run, act, at, why)
        else:
            _as_program(run, act, at)


def _as_program(run: Run, act: Any, at: ir.At) -> None:
    """Leave needs to the caller; if there is none, nobody can meet them."""
    before = set(run.summary.needs)
    settle(run, act, at)
    root = run.step(at, f"{act.function.qualname}() is started as the program")
    for key in set(run.summary.needs) - before:
        need = run.summary.needs[key]
        run.summary.needs[key] = Need(need.trail, need.is_access, root)
    if run.summary.foreign:
        run.summary.foreign = ()


def _program(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if args:
        run_apart(run, args[0], args[1:], at, "program")
    return UNKNOWN


def _thread(run: Run, _args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    target = kwargs.get("target")
    if target is not None:
        given = _parts(kwargs.get("args"))
        run_apart(run, target, given, at, "alone", "a thread of its own inherits no bindings")
    return one(Made("threading.Thread"))


def _parts(value: Value | None) -> Args:
    for atom in value or ():
        parts = getattr(atom, "parts", None)
        if parts is not None:
            return list(parts)
    return []


def _alone(why: str, skipped: int = 0) -> Any:
    def handle(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
        args = args[skipped:]
        if args:
            escape(run, args[0], at, "is captured by a function that runs later")
            for value in args[1:]:
                escape(run, value, at, "is given to what runs later")
            run_apart(run, args[0], args[1:], at, "alone", why)
        return one(PromVal(UNKNOWN))

    return handle


def _child(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    for value in args:
        if any(isinstance(a, Started) for a in value):
            run_apart(run, value, [], at, "child")
    return UNKNOWN


def _in_thread(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if args:
        run_apart(run, args[0], args[1:], at, "child")
    return one(Made("trio.to_thread.run_sync"))


def _partial(_run: Run, args: Args, kwargs: Kwargs, _at: ir.At) -> Value:
    return one(PartialVal(args[0], tuple(args[1:]), tuple(kwargs.items()))) if args else UNKNOWN


def _stop(run: Run, _args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    run.state.is_alive = False
    return NONE


def _type_var(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    id = f"{run.function.path}:{at[0]}:{at[1]}"
    return one(TypeVarVal(run.engine.names.get(id, id)))


_HANDLERS: dict[str, Any] = {
    "captp.Cap": _cap,
    "captp.Cap.group": _group,
    "captp.bind": _bind,
    "captp.needs": _needs,
    "captp.tie": _tie,
    "captp.method": _decorator("method"),
    "captp.make_unique": _make_unique,
    "captp.share": _share,
    "captp.lend": _lend,
    "captp.E": _e,
    "captp.enliven": _far,
    "captp.connect": _connect,
    "captp.near": _near,
    "captp.trust": _trust,
    "captp.outside": _alone("what runs outside the vat inherits no bindings"),
    "captp.later": _alone("a turn inherits no bindings", skipped=1),
    "captp.within": lambda _run, args, _kwargs, _at: args[1] if len(args) > 1 else UNKNOWN,
    "captp.sleep": lambda *_: one(PromVal(NONE)),
    "functools.partial": _partial,
    "functools.wraps": lambda *_: one(Ext("typing.final")),
    "contextlib.contextmanager": _decorator("context"),
    "contextlib.asynccontextmanager": _decorator("context"),
    "pytest.fixture": _decorator("fixture"),
    "builtins.staticmethod": _decorator("static"),
    "builtins.classmethod": _decorator("class"),
    "builtins.property": _decorator("property"),
    "functools.cached_property": _decorator("property"),
    "trio.run": _program,
    "anyio.run": _program,
    "asyncio.run": _program,
    "threading.Thread": _thread,
    "atexit.register": _alone("what runs at exit inherits no bindings"),
    "trio.to_thread.run_sync": _in_thread,
    "anyio.to_thread.run_sync": _in_thread,
    "asyncio.to_thread": _in_thread,
    "asyncio.create_task": _child,
    "asyncio.ensure_future": _child,
    "asyncio.gather": _child,
    "sys.exit": _stop,
    "os._exit": _stop,
    "typing.TypeVar": _type_var,
    "typing_extensions.TypeVar": _type_var,
}
