"""Where the user's code is that called: the first frame that is not ours, put into words when asked for."""

from __future__ import annotations

import sys
from pathlib import PurePath
from types import FrameType
from typing import Final

from captp.model.codegen import GENERATED

__all__ = ["Place", "caller", "here", "place", "way_here"]

_OURS: Final = ("captp.custody.", "captp.model.", "captp.run.", "captp.vat.")


class Place:
    """One step of a function; it holds the code and not the frame, whose variables would live on."""

    __slots__ = ("_code", "_step")

    def __init__(self, frame: FrameType) -> None:
        self._code = frame.f_code
        self._step = frame.f_lasti

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
    return Place(caller())


def way_here() -> tuple[Place, Place]:
    """Return where this room was called, and where the program's own code on the way there begins."""
    inner = outer = caller()
    while outer.f_back is not None and _is_program(outer.f_back):
        outer = outer.f_back
    return Place(inner), Place(outer)


def place() -> str:
    """Return the file's name and the line that called into this room."""
    return str(Place(caller()))


def _is_program(frame: FrameType) -> bool:
    """Return whether a frame is of the program that calls us, and not of what runs it."""
    module, file = frame.f_globals.get("__name__", ""), frame.f_code.co_filename
    if file == GENERATED or "site-packages" in file or _is_ours(module):
        return False
    top = module.partition(".")[0]
    return top == "__main__" or top not in sys.stdlib_module_names


def _is_ours(module: str) -> bool:
    return module.startswith(_OURS) or module == "contextlib"
