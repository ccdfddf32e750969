"""What names a far object: a SturdyRef, a URI, or the path of a ``.cap`` file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

from captp.errors import BadLocator
from captp.model.locator import SturdyRef, parse_sturdyref, read_cap_file

__all__ = ["Source", "read_sturdyref"]

Source: TypeAlias = SturdyRef | str | os.PathLike[str]


def read_sturdyref(source: Source) -> SturdyRef:
    """Return the sturdyref that a URI or a ``.cap`` file holds; refuses files others can read."""
    if isinstance(source, SturdyRef):
        return source
    if isinstance(source, str) and source.startswith("ocapn:"):
        return parse_sturdyref(source)
    if not isinstance(source, str | os.PathLike):
        raise BadLocator(
            f"source is of type {type(source).__name__} and must name an object: give a SturdyRef, an"
            " ocapn:// URI or the path of a .cap file"
        )
    path = Path(source)
    try:
        mode = path.stat().st_mode
        text = path.read_text()
    except OSError as problem:
        raise BadLocator(
            f"{path} cannot be read ({problem.strerror}): give an ocapn:// URI or a .cap file"
        ) from None
    if mode & 0o077:
        raise BadLocator(f"{path} can be read by others: a sturdyref is a password; chmod 600 it")
    return read_cap_file(text)
