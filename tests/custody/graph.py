"""What can be reached from an exception, by any way that needs no code of the objects' own."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any, Final

__all__ = ["reaches"]

_TESTS: Final = Path(__file__).parents[1]

#: Objects that are looked at; what leads to more leads nowhere near.
MOST: Final = 200_000

_LEAVES: Final = (str, bytes, int, float, complex, bool, type(None), ModuleType, CodeType)


def reaches(start: Any, sought: tuple[Any, ...], handles: tuple[Any, ...] = ()) -> str:
    """Return the way from ``start`` to one of ``sought``, empty if there is none.

    It leads through no module, no class that can be imported, and none of ``handles``, which the caller
    has anyway.
    """
    wanted = {id(one) for one in sought}
    seen = {id(one) for one in handles}
    # Each with what it was found by; all are held, so that no number comes to stand for another.
    stack: list[tuple[Any, str]] = [(start, type(start).__name__)]
    held: list[Any] = [handles]
    while stack:
        one, path = stack.pop()
        if id(one) in wanted:
            return path
        if id(one) in seen or any(type(one) is leaf for leaf in _LEAVES) or _is_importable(one):
            continue
        seen.add(id(one))
        held.append(one)
        assert len(held) < MOST, path
        stack += [(part, f"{path} > {name}") for name, part in _parts(one)]
    return ""


def _parts(one: Any) -> list[tuple[str, Any]]:
    if isinstance(one, TracebackType):
        return [("tb_next", one.tb_next), (one.tb_frame.f_code.co_name, one.tb_frame)]
    if isinstance(one, FrameType) and _is_callers(one):
        return []
    if isinstance(one, FrameType):
        return [(f"local {name}", value) for name, value in one.f_locals.items()]
    if isinstance(one, FunctionType):
        return [
            ("closure", one.__closure__),
            ("defaults", (one.__defaults__, one.__kwdefaults__, one.__dict__)),
        ]
    if isinstance(one, BuiltinFunctionType):
        return [("__self__", one.__self__)]
    parts: list[tuple[str, Any]] = []
    if type(one) is weakref.ref:
        parts.append(("weak", one()))
    if isinstance(one, BaseException):
        parts += [(name, getattr(one, name, None)) for name in ("args", "__notes__", "__cause__")]
        parts += [("__context__", one.__context__), ("__traceback__", one.__traceback__)]
    # What the type has only for the interpreter is there too: slots, cells, members in C.
    return parts + [(type(part).__name__, part) for part in gc.get_referents(one)]


def _is_callers(frame: FrameType) -> bool:
    """Whether a frame is of a test or of what drives a vat for it: what that holds is the caller's."""
    path = Path(frame.f_code.co_filename)
    return path.is_relative_to(_TESTS) and path.name != "ways.py"


def _is_importable(one: Any) -> bool:
    if not isinstance(one, type):
        return False
    found: Any = sys.modules.get(type.__getattribute__(one, "__module__"))
    for name in type.__getattribute__(one, "__qualname__").split("."):
        found = getattr(found, name, None)
    return found is one
