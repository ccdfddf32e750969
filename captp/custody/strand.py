"""Which thread runs, and whether it is the first: all that custody asks of the world around it."""

from __future__ import annotations

import sys
import threading
from threading import get_ident
from typing import Any, Final

__all__ = ["get_ident", "is_child", "is_initial", "local"]

#: The main program of a process trustee.
_CHILD: Final = "captp.run.child"

#: What each thread has for itself.
local: Final[Any] = threading.local()


def is_initial() -> bool:
    """Return whether this is the thread that the program began with."""
    return threading.current_thread() is threading.main_thread()


def is_child() -> bool:
    """Return whether this process is a process trustee's, and not the one that was started."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return getattr(spec, "name", "") == _CHILD
