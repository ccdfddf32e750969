"""Where the user's code is that called: the first frame that is not ours."""

from __future__ import annotations

import sys
from pathlib import PurePath
from types import FrameType
from typing import Final

__all__ = ["caller", "place"]

#: This room, and what passes keys on to it.
_OURS: Final = ("captp.custody.", "captp.run.")


def caller() -> FrameType:
    """Return the frame of whoever called into this room."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame


def place() -> str:
    """Return the file's name and the line that called into this room."""
    frame = caller()
    return f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}"


def _is_ours(module: str) -> bool:
    return module.startswith(_OURS) or module == "contextlib"
