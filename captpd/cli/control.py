"""``captpd status`` and ``stop``: clients of the control plane like any other."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import trio

import captp
from captp.lib.control import Control
from captpd.config.places import StateFolder
from captpd.config.problems import NotRunningError

__all__ = ["ask", "run_status", "run_stop"]

T = TypeVar("T")

ANSWER_S: Final = 10.0
# Above any sensible [daemon] drain_s; a second signal is the way to hurry.
STOP_S: Final = 60.0


def run_status(path: Path, *, as_json: bool) -> int:
    """Write what the daemon says of itself."""
    found = trio.run(ask, path, _status)
    print(json.dumps(found, indent=1) if as_json else _text(found))
    return 0


def run_stop(path: Path) -> int:
    """Ask the daemon to stop, and wait for the end of its process."""
    pid = trio.run(ask, path, _stop)
    print(f"captpd (pid {pid}) has stopped")
    return 0


async def ask(path: Path, question: Callable[[Any], Awaitable[T]]) -> T:
    """Put one question to the control plane. Raises NotRunningError when nobody is there."""
    state = StateFolder(path)
    if not state.control_cap.exists():
        raise NotRunningError(path)
    try:
        return await _connected(state, question)
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


async def _connected(state: StateFolder, question: Callable[[Any], Awaitable[T]]) -> T:
    async with captp.connect(state.control_cap, Control) as control:
        try:
            return await question(control)
        except captp.Unreachable:
            raise NotRunningError(state.path) from None
        except trio.TooSlowError:
            raise captp.Timeout(f"the daemon of {state.path} did not answer in time") from None


async def _status(control: Any) -> Any:
    with trio.fail_after(ANSWER_S):
        return await control.status()


async def _stop(control: Any) -> int:
    with trio.fail_after(ANSWER_S):
        pid: int = (await control.status())["pid"]
        process = _open_process(pid)
        await control.stop()
    if process is not None:
        try:
            with trio.fail_after(STOP_S):
                await trio.lowlevel.wait_readable(process)  # a process descriptor: at its end
        finally:
            os.close(process)
    return pid


def _open_process(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _text(found: Any) -> str:
    lines = [
        f"captpd {found['version']}, pid {found['pid']}, up {found['uptime_s']:.0f} s"
        + (", stopping: it waits for calls that still run" if found["draining"] else ""),
        f"store: {found['store']}; state: {found['state']} (identity and sturdyrefs are kept)",
    ]
    for vat in found["vats"]:
        lines.append(
            f"vat {vat['name']}  {vat['designator'][:12]}…  objects: {vat['objects']}"
            f"  sessions: {vat['sessions']}"
        )
        for at in vat["listeners"]:
            warning = "" if at["secure"] else "  insecure: not encrypted, proves no key"
            lines.append(f"  {at['transport']} {at['address']}{warning}")
        if not vat["listeners"]:
            lines.append("  no listener")
    return "\n".join(lines)
