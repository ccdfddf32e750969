"""Guards: one generated thunk per method checks and converts arguments before the body runs.

A thunk takes ``(obj, args, kwargs)`` of decoded, passable values. Types it can prove inline cost a
comparison; interfaces become typed references; what does not fit raises BadArguments with a path.
"""

from __future__ import annotations

import inspect
import typing
from collections import abc
from collections.abc import Callable
from functools import wraps
from typing import Any

from captp.errors import BadArguments, BadClass, NotNear
from captp.model.annotations import as_float, members_of
from captp.model.boxed import Boxed, Stand
from captp.model.codegen import compile_functions
from captp.model.interface import (
    InterfaceMeta,
    LocalCall,
    Row,
    as_promise,
    hints_of,
    is_interface,
    ref_class,
)
from captp.model.locator import SturdyRef
from captp.model.promise import Promise, Reference
from captp.model.ref import HOLDS, Ref, shown
from captp.model.terms import with_terms
from captp.model.values import Fault, FrozenMap, Null, Symbol, Tagged

Convert = Callable[[Any], Any]

_EXACT = frozenset({int, str, bytes, bool, float, type(None), Symbol, Null, Tagged, Fault, FrozenMap, tuple})
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def compile_thunk(row: Row) -> Callable[[Any, tuple[Any, ...], dict[str, Any] | None], Any]:
    """Build the guarded call of one method and keep it in its row."""
    hints = hints_of(row)
    result = hints.get("return")
    row.result = result if is_interface(result) else None
    parameters = list(row.signature.parameters.values())[1:]
    terms = {name: hints[name] for name in row.modes}
    if terms:
        hints = {name: hint for name, hint in hints.items() if name not in terms}
    simple = all(p.kind in _POSITIONAL and p.default is p.empty for p in parameters)
    thunk = _fast(row, parameters, hints) if simple else _slow(row, parameters, hints)
    if terms:
        thunk = with_terms(row, thunk, _interfaces(row, terms), ref_class)
    if row.carried is not None:
        thunk = row.carried.receive(thunk, is_fiber=row.is_fiber)
    row.thunk = thunk
    return thunk


def _interfaces(row: Row, terms: dict[str, Any]) -> dict[str, Any]:
    for name, hint in terms.items():
        if not is_interface(hint):
            raise BadClass(
                f"{row.owner.__name__}.{row.name}(): {name} is {row.modes[name].value}, so it is a reference:"
                " annotate it with an Interface"
            )
    return terms


def _fast(row: Row, parameters: list[inspect.Parameter], hints: dict[str, Any]) -> Callable[..., Any]:
    names: dict[str, Any] = {"fn": row.function, "bind": _binder(row), "wrong": _wrong_count(row)}
    given = "".join(f"a{i}, " for i in range(len(parameters)))
    lines = [
        "def thunk(obj, args, kwargs):",
        "    if kwargs is not None:",
        "        args = bind(args, kwargs)",
    ]
    if given:
        lines += ["    try:", f"        {given}= args", "    except ValueError:"]
        lines += ["        raise wrong(args) from None"]
    else:
        lines += ["    if args:", "        raise wrong(args)"]
    for i, parameter in enumerate(parameters):
        annotation = hints.get(parameter.name, Any)
        convert = guard(annotation, parameter.name)
        if convert is None:
            continue
        names[f"convert{i}"] = convert
        test = ""
        exact = _exact(annotation)
        if len(exact) == 1:
            names[f"type{i}"] = exact[0]
            test = f"if type(a{i}) is not type{i}: "
        elif exact:
            names[f"types{i}"] = frozenset(exact)
            test = f"if type(a{i}) not in types{i}: "
        lines.append(f"    {test}a{i} = convert{i}(a{i})")
    lines.append(f"    return fn(obj, {given})")
    return compile_functions("\n".join(lines), names)["thunk"]


def _slow(row: Row, parameters: list[inspect.Parameter], hints: dict[str, Any]) -> Callable[..., Any]:
    guards = {
        p.name: guard(hints.get(p.name, Any), "" if p.kind in _VARIABLE else p.name) for p in parameters
    }
    kinds = {p.name: p.kind for p in parameters}
    signature = inspect.Signature(parameters)
    function = row.function
    own = next(iter(row.signature.parameters.values()))
    own_name = "" if own.kind is inspect.Parameter.POSITIONAL_ONLY else own.name

    def thunk(obj: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        try:
            bound = signature.bind(*args, **(kwargs or {}))
        except TypeError as problem:
            raise BadArguments(f"{row.name}{signature}: {problem}") from None
        if own_name in bound.kwargs:
            raise BadArguments(f"{row.name}{signature}: {own_name!r} cannot be given by name")
        for name, value in bound.arguments.items():
            convert = guards[name]
            if convert is None:
                continue
            if kinds[name] is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[name] = tuple([_part(convert, v, name, i) for i, v in enumerate(value)])
            elif kinds[name] is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {k: _part(convert, v, name, k) for k, v in value.items()}
            else:
                bound.arguments[name] = convert(value)
        return function(obj, *bound.args, **bound.kwargs)

    return thunk


def _binder(row: Row) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, ...]]:
    signature = row.signature.replace(parameters=list(row.signature.parameters.values())[1:])

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        try:
            return signature.bind(*args, **kwargs).args
        except TypeError as problem:
            raise BadArguments(f"{row.name}{signature}: {problem}") from None

    return bind


def _wrong_count(row: Row) -> Callable[[tuple[Any, ...]], BadArguments]:
    wanted = len(row.signature.parameters) - 1
    return lambda args: BadArguments(f"{row.name}() takes {wanted} arguments, {len(args)} were given")


def _exact(annotation: Any) -> list[type]:
    members = members_of(annotation)
    exact = [m for m in members if isinstance(m, type) and m in _EXACT]
    return exact if len(exact) == len(members) or exact else []


def guard(annotation: Any, name: str) -> Convert | None:
    """Return the check and conversion for one annotation; None when anything may pass."""
    members = members_of(annotation)
    if len(members) > 1:
        choices = [guard(m, name) for m in members]
        return None if None in choices else _any_of([c for c in choices if c], name)
    kind = members[0]
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object or isinstance(kind, typing.TypeVar):
        return None
    if isinstance(kind, typing.NewType):
        return guard(kind.__supertype__, name)
    if kind is float:
        return lambda v: _bad(name, kind, v) if (found := as_float(v)) is None else found
    if origin is typing.Literal:
        return lambda v: v if any(type(v) is type(a) and v == a for a in args) else _bad(name, kind, v)
    base = origin or kind
    if base in (list, tuple, abc.Sequence, abc.Iterable, abc.Collection):
        return _sequence(kind, origin, args, name)
    if base in (dict, abc.Mapping):
        return _mapping(kind, args, name)
    if is_interface(kind):
        return lambda v: as_interface(v, kind, name)
    if isinstance(kind, InterfaceMeta):
        return lambda v: _as_near(v, kind, name)
    if isinstance(kind, type) and issubclass(kind, Reference):
        return lambda v: v if isinstance(v, Reference) else _bad(name, kind, v)
    if isinstance(origin, type) and issubclass(origin, Reference):
        return lambda v: v if isinstance(v, Reference) else _bad(name, kind, v)
    if isinstance(base, type) and issubclass(base, Boxed):
        return lambda v: _as_box(v, base, name)
    if isinstance(kind, type) and (kind in _EXACT or kind is SturdyRef):
        return lambda v: v if type(v) is kind else _bad(name, kind, v)
    raise BadClass(
        f"parameter {name}: {getattr(kind, '__name__', kind)} cannot be checked; use plain data, list, tuple,"
        " dict, an Interface, an Object class, Promise, or Any"
    )


def check_row(row: Row) -> None:
    """Refuse, when its class is defined, a method whose parameters can never be checked."""
    try:
        hints = typing.get_type_hints(row.function, localns={row.owner.__name__: row.owner})
    except NameError:
        return  # a forward reference: the first call will tell
    _interfaces(row, {name: hints[name] for name in row.modes})
    for parameter in list(row.signature.parameters.values())[1:]:
        try:
            guard(hints.get(parameter.name, Any), parameter.name)
        except BadClass as problem:
            raise BadClass(f"{row.owner.__name__}.{row.name}(): {problem}") from None


def _any_of(choices: list[Convert], name: str) -> Convert:
    def convert(value: Any) -> Any:
        for choice in choices:
            try:
                return choice(value)
            except BadArguments:
                continue
        raise BadArguments(f"{name}: {type(value).__name__} fits none of the types it may have")

    return convert


def _sequence(kind: Any, origin: Any, args: tuple[Any, ...], name: str) -> Convert:
    fixed = origin is tuple and args[-1:] != (Ellipsis,)
    guards = [guard(a, "") for a in args if a is not Ellipsis]

    def convert(value: Any) -> Any:
        if type(value) is not tuple:
            return _bad(name, kind, value)
        if not fixed:
            each = guards[0] if guards else None
            return value if each is None else tuple([_part(each, v, name, i) for i, v in enumerate(value)])
        if len(value) != len(guards):
            raise BadArguments(f"{name}: expected {len(guards)} items, got {len(value)}")
        checks = zip(guards, value, strict=True)
        return tuple([v if c is None else _part(c, v, name, i) for i, (c, v) in enumerate(checks)])

    return convert


def _mapping(kind: Any, args: tuple[Any, ...], name: str) -> Convert:
    each = guard(args[1], "") if args else None

    def convert(value: Any) -> Any:
        if type(value) is not FrozenMap:
            return _bad(name, kind, value)
        if each is None:
            return value
        return FrozenMap((k, _part(each, v, name, k)) for k, v in value.items())

    return convert


def _part(check: Convert, value: Any, name: str, at: int | str) -> Any:
    """Check one part of a value; the culprit's path says which."""
    try:
        return check(value)
    except BadArguments as problem:
        raise BadArguments(f"{name}[{at!r}]{problem}") from None


def as_interface(value: Any, interface: type, name: str = "value") -> Any:
    """Return ``value``, a reference or an owned Object, as a reference under ``interface``."""
    if isinstance(value, Ref):
        return shown(value, ref_class(interface))
    if isinstance(value, Promise):
        return as_promise(value, interface)
    if isinstance(value, LocalCall):
        reference = value._home.reference
        return value if reference is None else reference(value, interface)
    return _bad(name, interface, value)


def _as_near(value: Any, cls: type, name: str) -> Any:
    if isinstance(value, Ref) and type(value._home) in HOLDS:
        raise value._home.stored(name)  # type: ignore[attr-defined]
    obj = value._anchor if isinstance(value, Ref) else value
    if isinstance(obj, cls):
        return obj
    if isinstance(value, Ref):
        raise NotNear(f"{name}: expected a near {cls.__name__}; take it as an Interface to call it")
    return _bad(name, cls, value)


def _as_box(value: Any, cls: type[Boxed], name: str) -> Any:
    anchor = getattr(value, "_anchor", None)
    if isinstance(anchor, Stand) and type(value._home) not in HOLDS:
        value = anchor.box
    return value if isinstance(value, cls) else _bad(name, cls, value)


def _bad(name: str, wanted: Any, value: Any) -> Any:
    expected = wanted.__name__ if isinstance(wanted, type) else str(wanted)
    raise BadArguments(f"{name}: expected {expected}, got {type(value).__name__}")


def plain_call(row: Row) -> Callable[..., Any]:
    """Return the function a plain call runs: interface arguments and results become references."""
    hints = hints_of(row)
    interfaces = {n: a for n, a in hints.items() if is_interface(a)}
    function = row.function
    if not interfaces:
        return function
    result = interfaces.pop("return", None)
    signature = row.signature

    @wraps(function)
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if interfaces:
            bound = signature.bind(self, *args, **kwargs)
            for name, interface in interfaces.items():
                if name in bound.arguments:
                    bound.arguments[name] = _adopted(self, bound.arguments[name], interface, name)
            value = function(*bound.args, **bound.kwargs)
        else:
            value = function(self, *args, **kwargs)
        return value if result is None else _adopted(self, value, result, "result")

    # What it captures is ours: a trustee that is given the method need not look.
    call._captp_marked = True  # type: ignore[attr-defined]
    return call


def _adopted(owner: LocalCall, value: Any, interface: type, name: str) -> Any:
    if isinstance(value, LocalCall) and owner._home.reference is not None:
        return owner._home.reference(value, interface)
    return as_interface(value, interface, name)
