"""Where the user's code is that called: the first frame that is not ours, put into words when asked for."""

from __future__ import annotations

import sys
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Any, Final

from captp.model.codegen import GENERATED

__all__ = ["Place", "caller", "here", "here_or_in", "place", "way_here"]

_OURS: Final = ("captp.custody.", "captp.model.", "captp.run.", "captp.vat.")


class Place:
    """One step of a function; it holds the code and not the frame, whose variables would live on."""

    __slots__ = ("_code", "_step")

    def __init__(self, code: CodeType, step: int) -> None:
        self._code = code
        self._step = step

    def __str__(self) -> str:
        lines = (line for start, end, line in self._code.co_lines() if start <= self._step < end)
        return f"{PurePath(self._code.co_filename).name}:{next(lines, None) or self._code.co_firstlineno}"


def caller() -> FrameType:
    """Return the frame of whoever called into this room."""
    frame = sys._getframe(2)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame


def here() -> Place:
    """Return where this room was called."""
    return _of(caller())


def here_or_in(function: Any) -> Place:
    """Return where this room was called; of a function that a vat calls, where it begins."""
    frame = caller()
    if function is None or frame.f_code.co_filename != GENERATED:
        return _of(frame)
    return Place(function.__code__, -1)


def way_here(function: Any = None) -> tuple[Place, Place]:
    """Return where this room was called, and where the program's own code on the way there begins.

    Both are the beginning of ``function`` where a vat calls it.
    """
    inner = outer = caller()
    if inner.f_code.co_filename == GENERATED:
        begin = here_or_in(function)
        return begin, begin
    while outer.f_back is not None and _is_program(outer.f_back):
        outer = outer.f_back
    return _of(inner), _of(outer)


def place() -> str:
    """Return the file's name and the line that called into this room."""
    return str(_of(caller()))


def _of(frame: FrameType) -> Place:
    return Place(frame.f_code, frame.f_lasti)


def _is_program(frame: FrameType) -> bool:
    """Return whether a frame is of the program that calls us, and not of what runs it."""
    module, file = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
    if file == GENERATED or "site-packages" in file or _is_ours(module):
        return False
    top = module.partition(".")[0]
    return top == "__main__" or top not in sys.stdlib_module_names


def _is_ours(module: str) -> bool:
    return module.startswith(_OURS) or module == "contextlib"
