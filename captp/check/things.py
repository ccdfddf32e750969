"""Methods of what is no object of the program: containers, capabilities, arenas, trustees and vats."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.annotations import instance_of
from captp.check.captures import check_captures
from captp.check.contexts import borrow, enter, enter_given
from captp.check.engine import Need
from captp.check.iteration import as_data, contents, elements, put
from captp.check.library import run_apart
from captp.check.names import class_value
from captp.check.ownership import escape
from captp.check.run import Run
from captp.check.values import (
    NONE,
    NOTHING,
    PLAIN,
    UNKNOWN,
    BindCtx,
    Box,
    CapMode,
    CapVal,
    GuardVal,
    Inst,
    LibInst,
    LibMethod,
    Made,
    PromVal,
    RefVal,
    Simple,
    Value,
    ViewVal,
    evolve,
    joined,
    one,
)
from captp.check.views import CHANGES, derive, look, show, taken, views_in, write_through

__all__ = ["index_of", "method"]

Args = list[Value]
Kwargs = dict[str, Value]

_APPLY = frozenset(("apply", "apply_now", "apply_then", "apply_with", "launch"))


#: Those that give a function the context that it declares as carried.
_GIVES = frozenset(("apply", "apply_with", "launch"))


def method(run: Run, bound: LibMethod, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    """Call a method of a thing that is no object of the program."""
    handler = _OWNERS.get(type(bound.owner))
    if handler is None:
        return UNKNOWN
    return handler(run, bound.owner, bound.name, args, kwargs, at)  # type: ignore[no-any-return]


# Containers.


def _box(run: Run, box: Box, name: str, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    if name in ("append", "add", "appendleft", "insert", "setdefault") and args:
        put(run, box, args[-1], at)
        return args[-1] if name == "setdefault" else NONE
    if name in ("extend", "update") and args:
        more = [contents(run, a, at) if isinstance(a, Box) else elements(run, one(a), at) for a in args[0]]
        put(run, box, joined(more), at)
        return NONE
    if name == "sort" and "key" in kwargs:
        run.call(kwargs["key"], [elements(run, one(box), at)], {}, at)
        return NONE
    if name in ("get", "pop", "popleft", "popitem"):
        found = contents(run, box, at)
        return found | (args[1] if len(args) > 1 else NONE if name == "get" else NOTHING)
    if name == "values":
        return one(Box("iterator", contents(run, box, at)))
    if name == "items":
        inner = contents(run, box, at)
        return one(Box("iterator", one(Box("tuple", inner | UNKNOWN, None, (UNKNOWN, inner)))))
    if name in ("copy", "union", "difference", "intersection"):
        return one(box)
    return PLAIN if name in ("count", "index") else UNKNOWN


def _view(run: Run, view: ViewVal, name: str, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    shown: Any = view.shown
    if isinstance(shown, Box):
        if name in CHANGES:
            write_through(run, view, at)
        else:
            look(run, view, at)
        return derive(run, view, _box(run, shown, name, args, kwargs, at), at)
    if isinstance(shown, LibInst) and shown.name == "Arena":
        if name in ("insert", "remove"):
            write_through(run, view, at)
            return _arena(run, shown, name, args, kwargs, at)
        look(run, view, at)
        return derive(run, view, _arena(run, shown, name, args, kwargs, at), at)
    look(run, view, at)
    return UNKNOWN


# Capabilities.


def _cap(run: Run, cap: CapVal, name: str, _args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if name != "get":
        return UNKNOWN
    return _get(run, cap.caps, None, at)


def _context(run: Run, ctx: BindCtx, name: str, _args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if name == "__enter__":
        enter(run, one(ctx), at, is_async=False)
    elif name == "__exit__":
        caps = {cap for item in ctx.items for cap in item.caps}
        run.state.bound = tuple(bind for bind in run.state.bound if bind.cap not in caps)
    return NONE


def _get(run: Run, caps: tuple[str, ...], shown: Value | None, at: ir.At) -> Value:
    """Read without holding: the view is good until somebody borrows to change."""
    found: set[Any] = set()
    for cap in caps:
        trail = (run.step(at, f"{run.cap_name(cap, 'ref')} is read"),)
        is_good = not run.need(cap, "ref", Need(trail, is_access=True), at)
        info = run.engine.caps.get(cap)
        given = shown or (info.shown if info is not None else UNKNOWN)
        found |= show(run, cap, "ref", given, at, is_good=is_good)
    value = frozenset(found) if len(caps) == 1 else UNKNOWN
    return value if shown is None else taken(run, value, at)


def _guard(_run: Run, guard: GuardVal, name: str, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    return one(evolve(guard, picks=(*guard.picks, args[0]))) if name == "map" and args else UNKNOWN


def _mode(run: Run, mode: CapMode, name: str, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if name != "use" or not args:
        return UNKNOWN
    held = run.state.held
    view = borrow(run, GuardVal(mode.caps, mode.mode), at)
    result = run.call(args[0], [view, *args[1:]], {}, at)
    run.state.held = held
    ids = {a.id for a in view if isinstance(a, ViewVal)}
    if any(v.id in ids for v in views_in(run, result)):
        run.report(
            "CAP304",
            at,
            f"what {run.cap_name(mode.caps[0], mode.mode)}.use() shows is returned from it",
            (),
            "return plain data, or an index",
        )
        result = UNKNOWN
    for id in ids:
        run.state.ended[id] = run.step(at, f"the borrow of {run.cap_name(mode.caps[0], mode.mode)} ends here")
    return result


def _caps_of(run: Run, elem: Value) -> tuple[str, ...]:
    for atom in elem:
        if isinstance(atom, Inst):
            for cap in class_value(run.engine, atom.cls, "Cap", run.act):
                if isinstance(cap, CapVal):
                    return cap.caps
    return ()


def _lib(run: Run, inst: LibInst, name: str, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    handler = _LIBRARY.get(inst.name)
    return handler(run, inst, name, args, kwargs, at) if handler is not None else UNKNOWN


def _index(run: Run, inst: LibInst, name: str, _args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    elem = inst.args[0] if inst.args else UNKNOWN
    caps = _caps_of(run, elem)
    if name == "get" and caps:
        return _get(run, caps, elem, at)
    if name == "mut" and caps:
        return one(GuardVal(caps, "mut", elem))
    return UNKNOWN


def _arena(_run: Run, inst: LibInst, name: str, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    index, elem = one(LibInst("Index", inst.args)), inst.args[0] if inst.args else UNKNOWN
    if name == "insert":
        return index
    if name == "remove":
        return elem
    if name == "get":
        return elem | (args[1] if len(args) > 1 else UNKNOWN)
    if name == "items":
        return one(Box("iterator", one(Box("tuple", index | elem, None, (index, elem)))))
    return UNKNOWN


def index_of(run: Run, atom: Any, at: ir.At) -> Value:
    """Return what ``atom[...]`` is."""
    if isinstance(atom, Box):
        return contents(run, atom, at)
    if isinstance(atom, LibInst) and atom.name == "Arena" and atom.args:
        return atom.args[0]
    if isinstance(atom, ViewVal):
        look(run, atom, at)
        return derive(run, atom, index_of(run, atom.shown, at), at)
    if isinstance(atom, Simple):
        return one(atom)
    if isinstance(atom, PromVal):
        return one(PromVal(UNKNOWN))
    return UNKNOWN


# Trustees and vats.


def _trust(run: Run, inst: LibInst, name: str, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    if name == "clone":
        return one(inst)
    # Handles for OS threads wait themselves.
    ends = one(PromVal(UNKNOWN)) if inst.name == "Trust" else UNKNOWN
    if name == "apply_many" and args:
        for call in elements(run, args[0], at):
            if isinstance(call, Made) and call.path == "captp.Call" and call.args:
                check_captures(run, call.args[0], at, name)
                _delegate(run, inst, call.args[0], list(call.args[1:]), at, name)
        return ends
    if name not in _APPLY or not args:
        return UNKNOWN
    check_captures(run, args[0], at, name)
    escape(run, args[0], at, f"is captured by a function given to {name}()")
    if "then" in kwargs:
        run_apart(run, kwargs["then"], [UNKNOWN], at, "alone", "the outcome is told with nothing bound")
    _delegate(run, inst, args[0], args[1:], at, name)
    return UNKNOWN if name == "apply_now" else ends


def _delegate(run: Run, inst: LibInst, fn: Value, args: Args, at: ir.At, verb: str) -> None:
    obj = inst.args[0] if inst.args else UNKNOWN
    how = "given" if inst.name == "Trust" and verb in _GIVES else "alone"
    run_apart(run, fn, [obj, *args], at, how, f"{verb}() runs it in a turn, which inherits no bindings")
    if verb == "launch":
        run.rules.launched(run, fn, [obj, *args], at)


def _vat(run: Run, inst: LibInst, name: str, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    if name == "export" and args:
        return frozenset(
            RefVal(_shown(a.cls)) if isinstance(a, Inst) and a.cls.is_object else Simple("unknown")
            for a in args[0]
        )
    if name == "enliven":
        shown = instance_of(run, args[1]) if len(args) > 1 else UNKNOWN
        ref = next((a for a in shown if isinstance(a, RefVal)), RefVal(None))
        return one(evolve(ref, is_far=True))
    if name == "entrust" and args:
        return one(LibInst("Trust", (args[0],)))
    if name == "root" and inst.name == "Trustee":
        # Its class comes after the name.
        name, args = "entrust_new", args[1:]
    if name == "entrust_new" and args:
        return one(PromVal(one(LibInst("Trust", (instance_of(run, args[0]),)))))
    if name == "trustee":
        return one(LibInst("Trustee"))
    return UNKNOWN


def _resolver(run: Run, _inst: LibInst, name: str, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if name == "fulfill" and args:
        escape(run, args[0], at, "fulfills a promise")
    return NONE


def _shown(cls: Any) -> Any:
    """Return what references to an object show: its one interface, or all its methods."""
    interfaces = [part for part in cls.mro() if part.is_interface]
    return interfaces[0] if len(interfaces) == 1 else cls


# Outside things.


def _made(run: Run, made: Made, name: str, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    kind = made.path
    if (
        kind in ("trio.Nursery", "asyncio.TaskGroup")
        and name in ("start_soon", "start", "create_task")
        and args
    ):
        run_apart(run, args[0], args[1:], at, "child")
        return one(Made(f"trio.{name}"))
    if kind.endswith("ExitStack") and name in ("enter_context", "enter_async_context") and args:
        is_async = name == "enter_async_context"
        entered = enter(run, args[0], at, is_async=is_async)
        return one(PromVal(entered)) if is_async else entered
    if kind.endswith("PoolExecutor") and name == "submit" and args:
        run_apart(run, args[0], args[1:], at, "alone", "a thread of its own inherits no bindings")
        return UNKNOWN
    if kind.partition(".")[0] in ("trio", "asyncio", "anyio"):
        return one(Made(f"{kind}.{name}"))
    enter_given(run, args, at)
    return UNKNOWN


def _plain(run: Run, _atom: Any, name: str, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if name == "join" and len(args) == 1:
        as_data(run, elements(run, args[0], at), at, "joined to text")
    return one(Box("list", PLAIN)) if name in ("split", "splitlines") else PLAIN


def _ref(_run: Run, _ref: RefVal, _name: str, _args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    return one(PromVal(UNKNOWN))


_LIBRARY: dict[str, Any] = {
    "Index": _index,
    "Arena": _arena,
    "Trust": _trust,
    "Blocking": _trust,
    "LiveVat": _vat,
    "Trustee": _vat,
    "Resolver": _resolver,
}
_OWNERS: dict[type, Any] = {
    Box: _box,
    ViewVal: _view,
    BindCtx: _context,
    CapVal: _cap,
    CapMode: _mode,
    GuardVal: _guard,
    LibInst: _lib,
    Made: _made,
    Simple: _plain,
    RefVal: _ref,
}
