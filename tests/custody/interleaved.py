"""Two threads, one of which waits at each of its lines in turn until the other has done its part."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["outcome", "waits_after"]


def waits_after(
    lines: int, first: Callable[[], Any], second: Callable[[], Any], modules: str = "captp.custody."
) -> bool:
    """Have ``first`` run on a thread, wait after so many lines of ours until ``second`` has run, and go on.

    Return False if it had ended by then.
    """
    paused, go_on = threading.Event(), threading.Event()
    left, seen = iter(range(lines, -1, -1)), []

    def trace(frame: Any, event: str, _arg: Any) -> Any:
        ours = frame.f_globals.get("__name__", "").startswith(modules)
        if ours and event == "line" and next(left, -1) == 0:
            seen.append(frame.f_lineno)
            paused.set()
            assert go_on.wait(10)
        return trace

    def run() -> None:
        sys.settrace(trace)
        try:
            first()
        finally:
            sys.settrace(None)
            paused.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert paused.wait(10)
    second()
    go_on.set()
    thread.join()
    return bool(seen)


def outcome(function: Callable[[], Any]) -> str:
    """Return the name of what a function raises, or an empty text."""
    try:
        function()
    except Exception as problem:  # it is what is asked for
        return type(problem).__name__
    return ""
