"""``__dropped__``: what a class does when the last holder of an object goes; it knows homes, no vat.

Only classes that have the method get a finalizer. That runs in any thread, in the middle of anything, so
all it does is to bring the object back and leave it with its home, which tells it in a turn (PEP 442).
Python calls it once in an object's life.
"""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any, Final

from captp.errors import BadClass
from captp.model.interface import Method, Row

__all__ = ["prepare_farewell"]

_WAITING: Final = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def prepare_farewell(cls: Any) -> Row | None:
    """Return the row of a class's ``__dropped__``, if it has one, and give the class its finalizer."""
    owner = next((c for c in cls.__mro__ if "__dropped__" in c.__dict__), None)
    if owner is None:
        return None
    function, where = owner.__dict__["__dropped__"], f"{cls.__name__}.__dropped__"
    if not isinstance(function, FunctionType):
        raise BadClass(f"{where} is a {type(function).__name__}: write it as def __dropped__(self) -> None")
    if any(test(function) for test in _WAITING):
        raise BadClass(f"{where} is one turn and cannot wait: write it with def, and send what takes long")
    if len(inspect.signature(function).parameters) != 1:
        raise BadClass(f"{where} takes nothing but self: write it as def __dropped__(self) -> None")
    if any(c.__dict__.get("__del__", _finalize) is not _finalize for c in cls.__mro__):
        raise BadClass(f"{cls.__name__} has __dropped__ and __del__: do in __dropped__ what __del__ does")
    cls.__del__ = _finalize
    return Row(_mark(function), owner)


def _mark(function: FunctionType) -> Method[..., Any]:
    mark: Method[..., Any] = Method(function, latch=True)
    mark.name = "__dropped__"
    return mark


def _finalize(self: Any) -> None:
    # One whose constructor failed, or that no vat owns, has no home to be told in.
    home = getattr(self, "_home", None)
    if home is not None:
        home.last_holder_went(self)
