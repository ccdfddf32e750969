"""What a function given to a trustee may bring along: values nobody can change, and handles.

A closure over a dict, a list or an object would let two trustees share it, and nothing would say so.
"""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from captp.errors import CaptureError
from captp.model.boxed import Boxed
from captp.model.own import Lent
from captp.model.passable import ATOMS
from captp.model.promise import Reference, Resolver
from captp.model.trust import Trust
from captp.model.values import Fault, FrozenMap, Tagged

__all__ = ["check_captures"]

_FREE: tuple[Any, ...] = (*ATOMS, float, complex, type, ModuleType, Reference, Resolver, Trust, Boxed)


def check_captures(function: Any) -> None:
    """Raise CaptureError, naming the variable, if a function captures what others may change.

    Globals are not looked at: they are the module's, and everybody's.
    """
    # What captp.needs puts around it is ours.
    function = getattr(function, "_captp_body", function)
    if isinstance(function, partial):
        raise CaptureError("a partial captures its arguments: give them to apply() behind the function")
    if isinstance(function, BuiltinFunctionType):
        _check("self", function, set())
        return
    if isinstance(function, MethodType):
        owner = function.__self__
        if not isinstance(owner, type):
            name = type(owner).__name__
            raise CaptureError(f"a bound method captures 'self' ({name}): give {name}.{function.__name__}")
        function = function.__func__
    if not isinstance(function, FunctionType) or hasattr(function, "_captp_marked"):
        return
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            _check(name, cell.cell_contents, {id(function)})
        except ValueError:
            continue  # it is not assigned yet, so nothing is captured
    code, given = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[code.co_argcount - len(given) : code.co_argcount]
    defaults = {**dict(zip(positional, given, strict=True)), **(function.__kwdefaults__ or {})}
    for name, value in defaults.items():
        _check(name, value, {id(function)})


def _check(name: str, value: Any, seen: set[int]) -> None:
    home: Any = getattr(value, "_home", None)
    if type(home) is Lent:
        raise home.stored(f"captured as {name!r}")
    if isinstance(value, _FREE) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, BuiltinFunctionType):
        _check(name, value.__self__, seen)
    elif isinstance(value, FunctionType):
        for cell in value.__closure__ or ():
            _check(f"{name}()", cell.cell_contents, seen)
    elif type(value) in (tuple, frozenset):
        for part in value:
            _check(name, part, seen)
    elif type(value) is FrozenMap:
        for part in value.values():
            _check(name, part, seen)
    elif type(value) is Tagged:
        _check(name, value.value, seen)
    elif type(value) is not Fault:
        kind = type(value).__name__
        raise CaptureError(
            f"{name!r} ({kind}) is captured, and others may change it: give it to apply() as an argument,"
            " or a reference or a Trust in its place"
        )
