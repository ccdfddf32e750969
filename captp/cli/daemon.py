"""Finds the daemon of this user and asks its control plane; knows it by its file and interface only."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import trio

import captp
from captp.cli.problems import not_running, timed_out
from captp.lib.control import Control

__all__ = ["ask", "control_cap"]

T = TypeVar("T")

ANSWER_S: Final = 15.0


def control_cap(environ: Mapping[str, str]) -> Path:
    """Return where the daemon's control sturdyref is, whether or not there is one."""
    if cap := environ.get("CAPTP_CONTROL"):
        return Path(cap).expanduser().absolute()
    if home := environ.get("CAPTPD_HOME"):
        return Path(home).expanduser().absolute() / "control.cap"
    state = environ.get("XDG_STATE_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    folder = Path(state) if state.startswith("/") else Path("~/.local/state").expanduser()
    return folder / "captpd" / "control.cap"


async def ask(question: Callable[[Control], Awaitable[T]], cap: Path | None = None) -> T:
    """Put one question to the daemon's control plane. Raises Failure when nobody answers."""
    cap = control_cap(os.environ) if cap is None else cap
    if not cap.exists():
        raise not_running(cap.parent)
    try:
        with trio.fail_after(ANSWER_S):
            async with captp.connect(cap, Control) as control:
                return await question(control)
    except trio.TooSlowError:
        raise timed_out(f"the daemon (state folder {cap.parent})", ANSWER_S, "see its log") from None
    except captp.Disconnected:
        raise not_running(cap.parent) from None
