"""Looks whether what is in a capsule leads to what is in another, by ways that no border sees.

What is tracked cannot: this is for Python objects that a capsule holds as they are, and for what code keeps
in closures. It goes through references as the interpreter's collector does, and takes its time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from captp.custody.access import Access, inside
from captp.custody.data import Data
from captp.custody.home import CapsuleHome, in_capsule
from captp.model.boxed import Boxed
from captp.model.containers import Tracked
from captp.model.object import UNOWNED, Object
from captp.model.promise import Reference

__all__ = ["find_leaks"]

#: Things that are looked at; what is larger is looked at in part.
MOST: Final = 100_000
#: What belongs to no capsule: code, and what may be anywhere.
_FREE: Final = (type, ModuleType, CodeType, FrameType, BuiltinFunctionType, Boxed, Reference, CapsuleHome)


def find_leaks(data: Data[Any, Any], access: Access[Any]) -> list[str]:
    """Return the ways from what ``data`` points to into other capsules and vats, shortest first.

    ``access`` is for the capsule of ``data``. Each way is a text such as ``value.cache['last'] -> Account of
    Stock#3``; there is none in a capsule that is sound. At most 100,000 things are looked at.
    """
    home, value = inside(access), data.unwrap(access)
    return [f"{path} -> {what}" for path, what in _foreign(value, home)]


def _foreign(value: Any, home: CapsuleHome) -> Iterator[tuple[str, str]]:
    seen: set[int] = set()
    level: list[tuple[str, Any]] = [("value", value)]
    while level:
        below: list[tuple[str, Any]] = []
        for path, one in level:
            if id(one) in seen or isinstance(one, _FREE):
                continue
            if len(seen) == MOST:
                return
            seen.add(id(one))
            owner = one if isinstance(one, Object) else one._owner() if isinstance(one, Tracked) else None
            if owner is not None and owner._home is not UNOWNED and not in_capsule(owner, home):
                yield path, f"{type(one).__name__} of {_named(owner._home)}"
            else:
                below += _parts(path, one)
        level = below


def _named(home: Any) -> str:
    return f"capsule {home.root()}" if isinstance(home, CapsuleHome) else "a vat"


def _parts(path: str, one: Any) -> Iterable[tuple[str, Any]]:
    """Yield what a thing leads to, each with the way there."""
    if isinstance(one, Object):
        for name in type(one)._captp_fields:
            yield f"{path}.{name}", getattr(one, f"_f_{name}", None)
    elif isinstance(one, dict):
        for key, value in dict.items(one):
            yield f"{path}[{key!r}]", value
    elif isinstance(one, list | tuple):
        for index, value in enumerate(one):
            yield f"{path}[{index}]", value
    elif isinstance(one, FunctionType):
        # Its globals are the module's, and everybody's.
        for name, cell in zip(one.__code__.co_freevars, one.__closure__ or (), strict=True):
            yield f"{path}:{name}", cell
        yield f"{path}.__defaults__", (one.__defaults__, one.__kwdefaults__)
    elif isinstance(one, MethodType):
        yield f"{path}.__self__", one.__self__
    else:
        attributes = getattr(one, "__dict__", None)
        if isinstance(attributes, dict):
            for name, value in attributes.items():
                yield f"{path}.{name}", value
        for part in gc.get_referents(one):
            if part is not attributes:
                yield f"{path}.?", part
