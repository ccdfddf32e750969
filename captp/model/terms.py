"""Terms of parameters: what unique, borrowed and exclusive arguments become on both sides of a call."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from captp.errors import BadArguments, BadClass
from captp.model.fresh import fresh
from captp.model.own import Hold, Lent, Mode, Sole, lend, lent
from captp.model.promise import BROKEN, Promise, Reference
from captp.model.ref import Far, Ref, settled

if TYPE_CHECKING:
    from captp.model.interface import Row

_NAME = re.compile(r"[^\W\d][\w.]*")
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def modes_of(function: Callable[..., Any]) -> dict[str, Mode]:
    """Return how a method's parameters are held, and its result as ``return``; left out: shared."""
    annotations = getattr(function, "__annotations__", {})
    body = inspect.unwrap(function)
    found = {name: _mode_of(a, body, name) for name, a in annotations.items()}
    modes = {name: mode for name, mode in found.items() if mode is not None}
    if modes.get("return") in (Mode.BORROWED, Mode.EXCLUSIVE):
        raise BadClass(f"{function.__qualname__}: a result is shared or captp.Unique, it cannot be borrowed")
    if modes:
        for name, parameter in inspect.signature(function).parameters.items():
            if name in modes and parameter.kind in _VARIABLE:
                raise BadClass(
                    f"{function.__qualname__}(): {parameter} stands for any number of arguments, and those"
                    " are shared: give each one that is not a parameter of its own"
                )
    return modes


def _mode_of(annotation: Any, function: Callable[..., Any], name: str) -> Mode | None:
    """Return the mode of an annotation, which may be text whose inner names are not there yet."""
    if isinstance(annotation, str):
        text = annotation.strip("'\" ")
        inside = [_mark(_value_of(word, function.__globals__)) for word in _NAME.findall(text)]
        outer = inside[0] if inside and _is_whole(text) else None
    else:
        inside, outer = _marks_in(annotation), _mark(annotation)
    count = sum(mark is not None for mark in inside)
    if count > (outer is not None):
        raise BadClass(
            f"{function.__qualname__}(): {name} is {annotation}; a term stands around the whole annotation,"
            " as in captp.Borrowed[Table], and not in a union, in a list or in another term"
        )
    return outer


def _mark(value: Any) -> Mode | None:
    marks = getattr(value, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Mode)), None)


def _marks_in(annotation: Any) -> list[Mode | None]:
    """Return all marks in an annotation, however deep."""
    found = [mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Mode)]
    inner = typing.get_args(annotation)
    if isinstance(annotation, list):
        inner = tuple(annotation)
    return [*found, *(mark for part in inner for mark in _marks_in(part))]


def _value_of(word: str, names: dict[str, Any]) -> Any:
    first, *path = word.split(".")
    value = names.get(first)
    for name in path:
        value = getattr(value, name, None)
    return value


def _is_whole(text: str) -> bool:
    """Whether text is one name, or one name with brackets that are closed at its end."""
    word = _NAME.match(text)
    rest = "" if word is None else text[word.end() :].strip()
    depth = 0
    for at, char in enumerate(rest):
        depth += (char == "[") - (char == "]")
        if depth == 0 and at != len(rest) - 1:
            return False
    return word is not None


def on_their_way(row: Row, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of a send with those lent that are borrowed there."""
    bound = inspect.Signature(list(row.signature.parameters.values())[1:]).bind(*args, **kwargs)
    for name, mode in row.modes.items():
        value = bound.arguments.get(name)
        if mode is Mode.BORROWED and isinstance(value, Reference):
            bound.arguments[name] = lent_out(value)
    return bound.args, bound.kwargs


def lent_out(value: Reference) -> Reference:
    """Return a reference as it goes to a parameter that borrows; one that is pending goes as it is."""
    if isinstance(settled(value), Ref):
        return lend(value)
    # Only its own thread knows what a handle of captp.sync stands for.
    lent_there: Callable[[], Reference] | None = getattr(value, "_captp_lent", None)
    return value if lent_there is None else lent_there()


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
    if mode is not Mode.BORROWED and target is not value and isinstance(target._home, Hold):
        raise BadArguments(f"{where} takes a {mode.value} reference, not a promise for one: await it first")
    if not isinstance(target, Reference) and hasattr(target, "_captp_rows"):
        target = vat.reference(target)
    if isinstance(target, Promise) and target._state == BROKEN:
        raise fresh(target._value)
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
