"""Terms of parameters: what unique, borrowed and exclusive arguments become on both sides of a call."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from captp.errors import BadArguments, BadClass
from captp.model.own import Borrowed, Exclusive, Lent, Mode, Sole, Unique, lend, lent
from captp.model.promise import Promise, Reference
from captp.model.ref import Far, Ref, settled

if TYPE_CHECKING:
    from captp.model.interface import Row

_MODES = {id(Unique): Mode.UNIQUE, id(Borrowed): Mode.BORROWED, id(Exclusive): Mode.EXCLUSIVE}


def modes_of(function: Callable[..., Any]) -> dict[str, Mode]:
    """Return how a method's parameters are held, and its result as ``return``; left out: shared."""
    annotations = getattr(function, "__annotations__", {})
    found = {name: _mode_of(a, function.__globals__) for name, a in annotations.items()}
    modes = {name: mode for name, mode in found.items() if mode is not None}
    if modes.get("return") in (Mode.BORROWED, Mode.EXCLUSIVE):
        raise BadClass(f"{function.__qualname__}: a result is shared or captp.Unique, it cannot be borrowed")
    return modes


def _mode_of(annotation: Any, names: dict[str, Any]) -> Mode | None:
    """Return the mode of an annotation, which may be text whose inner names are not there yet."""
    if not isinstance(annotation, str):
        marks = getattr(annotation, "__metadata__", ())
        return next((mark for mark in marks if isinstance(mark, Mode)), None)
    head, bracket, _ = annotation.partition("[")
    if not bracket:
        return None
    first, *path = head.strip().split(".")
    value = names.get(first)
    for name in path:
        value = getattr(value, name, None)
    return _MODES.get(id(value))


def on_their_way(row: Row, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of a send with those lent that are borrowed there."""
    bound = inspect.Signature(list(row.signature.parameters.values())[1:]).bind(*args, **kwargs)
    for name, mode in row.modes.items():
        value = bound.arguments.get(name)
        if mode is Mode.BORROWED and isinstance(value, Reference) and isinstance(settled(value), Ref):
            bound.arguments[name] = lend(value)
    return bound.args, bound.kwargs


def with_terms(
    row: Row, thunk: Callable[..., Any], interfaces: dict[str, Any], ref_class: Callable[[type], type[Ref]]
) -> Callable[[Any, tuple[Any, ...], dict[str, Any] | None], Any]:
    """Return a thunk that gives a method its arguments on their terms, and ends loans after it."""
    signature = inspect.Signature(list(row.signature.parameters.values())[1:])
    terms = [(n, mode, interfaces[n]) for n, mode in row.modes.items() if n != "return"]
    makes_unique = interfaces.get("return") if "return" in row.modes else None

    def run(obj: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        try:
            bound = signature.bind(*args, **(kwargs or {}))
        except TypeError as problem:
            raise BadArguments(f"{row.name}{signature}: {problem}") from None
        loans: list[Lent] = []
        try:
            for name, mode, interface in terms:
                if name in bound.arguments:
                    ref = _arrived(mode, bound.arguments[name], obj, f"{row.name}(): {name}")
                    home: Any = ref._home
                    bound.arguments[name] = ref_class(interface)(home, ref._anchor)
                    if type(home) is Lent:
                        loans.append(home)
            value = thunk(obj, bound.args, bound.kwargs or None)
            if row.is_fiber:
                value, loans = _until_done(value, obj, makes_unique, loans), []
                return value
            return _made_unique(value, obj, makes_unique)
        finally:
            for loan in loans:
                loan.end()

    return run


async def _until_done(coro: Awaitable[Any], obj: Any, makes_unique: type | None, loans: list[Lent]) -> Any:
    try:
        return _made_unique(await coro, obj, makes_unique)
    finally:
        for loan in loans:
            loan.end()


def _made_unique(value: Any, obj: Any, interface: type | None) -> Any:
    if interface is None or isinstance(value, Reference) or not hasattr(value, "_captp_rows"):
        return value
    return obj._home.vat.owning.owned(value, interface)


def _arrived(mode: Mode, value: Any, obj: Any, where: str) -> Ref:
    """Return an argument on the terms of its parameter."""
    vat = obj._home.vat
    target = settled(value) if isinstance(value, Promise) else value
    if not isinstance(target, Reference) and hasattr(target, "_captp_rows"):
        target = vat.reference(target)
    if not isinstance(target, Ref):
        kind = type(target).__name__
        raise BadArguments(f"{where} takes a {mode.value} reference that is here already, not a {kind}")
    if mode is Mode.BORROWED:
        return lent(vat, target, f"lent to {type(obj).__name__}.{where}")
    home: Any = target._home
    if type(home) is Sole:
        return target
    if type(home) is Lent:
        raise home.stored(where)
    if mode is Mode.UNIQUE:
        raise BadArguments(f"{where} takes a unique reference: pass what captp.make_unique() gives")
    if type(target._anchor) is Far:
        raise BadArguments(
            f"{where} takes its own copy, and this one is far: await captp.make_unique(it) first"
        )
    return vat.owning.clone(target._anchor)  # type: ignore[no-any-return]
