"""What Python's own functions do with what they get: which of them call, iterate or need plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from captp.check import ir
from captp.check.iteration import as_data, elements, special, touch
from captp.check.run import Run
from captp.check.values import (
    NONE,
    NOTHING,
    PLAIN,
    UNKNOWN,
    Box,
    ClassVal,
    Inst,
    PromVal,
    Simple,
    SuperVal,
    Value,
    ViewVal,
    joined,
    one,
)
from captp.check.views import derive

__all__ = ["BUILTINS"]

Args = list[Value]
Kwargs = dict[str, Value]


def _data(name: str) -> Callable[..., Value]:
    def handle(run: Run, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
        for value in args:
            as_data(run, value, at, f"given to {name}()")
            special(run, value, f"__{name}__", [], at)
        if name == "sum" and args and not all(isinstance(a, PromVal) for a in args[0]):
            as_data(run, elements(run, args[0], at), at, "added up")
        _key(run, args, kwargs, at)
        return PLAIN

    return handle


def _touch(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    for value in args:
        touch(run, value, at)
    return PLAIN


def _text(name: str) -> Callable[..., Value]:
    def handle(run: Run, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
        for value in args:
            special(run, value, name, [], at)
        return _touch(run, args, kwargs, at)

    return handle


def _key(run: Run, args: Args, kwargs: Kwargs, at: ir.At) -> None:
    key = kwargs.get("key")
    if key is not None and args:
        run.call(key, [elements(run, args[0], at)], {}, at)


def _collect(kind: str) -> Callable[..., Value]:
    def handle(run: Run, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
        inner = elements(run, args[0], at) if args else NOTHING
        _key(run, args, kwargs, at)
        if kind == "dict":
            inner = NOTHING
            for value in args:
                for atom in value:
                    inner |= atom.elem if isinstance(atom, Box) else UNKNOWN
            inner = inner.union(*kwargs.values())
        return one(Box(kind, inner, ("c", run.id(at, kind), run.act)))

    return handle


def _best(run: Run, args: Args, kwargs: Kwargs, at: ir.At) -> Value:
    if len(args) > 1:
        for value in args:
            as_data(run, value, at, "compared")
        return joined(args)
    inner = elements(run, args[0], at) if args else UNKNOWN
    if "key" in kwargs:
        run.call(kwargs["key"], [inner], {}, at)
    return inner | kwargs.get("default", NOTHING)


def _lazily(run: Run, args: Args, elem: Value, at: ir.At) -> Value:
    """Return what gives its elements when it is asked, each time from what it was made of."""
    lazy: Value = one(Box("iterator", elem))
    for value in args:
        for atom in value:
            if isinstance(atom, ViewVal):
                return derive(run, atom, lazy, at)
    return lazy


def _map(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if not args:
        return UNKNOWN
    result = run.call(args[0], [elements(run, value, at) for value in args[1:]], {}, at)
    return _lazily(run, args[1:], result, at)


def _filter(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    inner = elements(run, args[1], at) if len(args) > 1 else UNKNOWN
    if args:
        run.call(args[0], [inner], {}, at)
    return _lazily(run, args[1:], inner, at)


def _reduce(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    if len(args) < 2:
        return UNKNOWN
    inner = elements(run, args[1], at)
    return run.call(args[0], [args[2] if len(args) > 2 else inner, inner], {}, at)


def _same_elements(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    return _lazily(run, args, elements(run, args[0], at) if args else UNKNOWN, at)


def _next(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    inner = elements(run, args[0], at) if args else UNKNOWN
    return inner | (args[1] if len(args) > 1 else NOTHING)


def _enumerate(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    inner = elements(run, args[0], at) if args else UNKNOWN
    return _lazily(run, args, one(Box("tuple", PLAIN | inner, None, (PLAIN, inner))), at)


def _zip(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    parts = tuple(elements(run, value, at) for value in args)
    return _lazily(run, args, one(Box("tuple", joined(parts), None, parts)), at)


def _super(run: Run, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    params = run.function.params
    if args or run.act.owner is None or not params:
        return UNKNOWN
    found: set[Any] = {
        SuperVal(run.act.owner, atom)
        for atom in run.state.env.get(params[0].name, NOTHING)
        if isinstance(atom, (Inst, ClassVal, ViewVal))
    }
    return frozenset(found) or UNKNOWN


def _type(_run: Run, args: Args, _kwargs: Kwargs, _at: ir.At) -> Value:
    found: set[Any] = set()
    for atom in args[0] if len(args) == 1 else ():
        shown = atom.shown if isinstance(atom, ViewVal) else atom
        found.add(ClassVal(shown.cls, shown.args) if isinstance(shown, Inst) else Simple("unknown"))
    return frozenset(found) or UNKNOWN


def _quiet(run: Run, args: Args, _kwargs: Kwargs, at: ir.At) -> Value:
    _touch(run, args, {}, at)
    return NONE


_DATA = "len int float abs round range sum bool divmod pow chr ord hex bin"
_TOUCH = "isinstance issubclass callable id bytes ascii format any all hasattr"

BUILTINS: Final[dict[str, Callable[..., Value]]] = {
    **{f"builtins.{name}": _data(name) for name in _DATA.split()},
    **{f"builtins.{name}": _touch for name in _TOUCH.split()},
    **{f"builtins.{name}": _text(f"__{name}__") for name in ("str", "repr", "hash")},
    **{f"builtins.{kind}": _collect(kind) for kind in ("list", "set", "tuple", "frozenset", "dict")},
    "builtins.sorted": _collect("list"),
    "builtins.max": _best,
    "builtins.min": _best,
    "builtins.map": _map,
    "builtins.filter": _filter,
    "functools.reduce": _reduce,
    "builtins.iter": _same_elements,
    "builtins.reversed": _same_elements,
    "builtins.next": _next,
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "builtins.super": _super,
    "builtins.type": _type,
    "builtins.print": _quiet,
    "collections.deque": _collect("list"),
}
