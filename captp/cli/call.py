"""``captp call``: a chain of calls in one round trip; it knows names, files and text, no interface."""

from __future__ import annotations

import getpass
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import Parameter

import captp
from captp.cli.daemon import ask
from captp.cli.options import Json, Quiet, note, run
from captp.cli.problems import call_failed, failure_of, timed_out, usage
from captp.cli.words import Step, parse_steps, to_json
from captp.model.locator import parse_sturdyref, read_cap_file
from captp.model.promise import Reference
from captp.run.sources import read_sturdyref

__all__ = ["PETNAME", "call", "find"]

STDIN_CHARS: Final = 8192
SAY_DIALLING_AFTER_S: Final = 0.4

PETNAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_WARNING: Final = (
    "warning: a sturdyref is a password, and other users see command lines (ps) and your shell keeps"
    " them\nput it in a file (chmod 600) and give its path, or give - and paste it"
)


def call(
    target: Annotated[
        str,
        Parameter(allow_leading_hyphen=True, help="Name in the daemon, path of a .cap file, or - to paste."),
    ],
    method: Annotated[str, Parameter(help="Method of the target.")],
    /,
    *words: Annotated[
        str, Parameter(name="ARG", help="text, :=json, key=text, key:=json, or ./METHOD to go on.")
    ],
    timeout: Annotated[float, Parameter(help="Seconds to wait for the answer.")] = 30.0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Call a method and print its result as JSON.

    Steps that start with ./ are called on what the step before will give, all in one round trip:
    captp call bank open owner=ada ./deposit amount:=100
    """
    del json  # the result is JSON in any case
    steps = parse_steps(method, words)
    result = run(lambda: _call(target, steps, within=timeout, quiet=quiet))
    print(to_json(result))
    if isinstance(result, Reference):
        note("the reference ends with this command; go on with ./METHOD", quiet=quiet)


async def _call(target: str, steps: list[Step], *, within: float, quiet: bool) -> Any:
    sturdyref, name = await find(target, quiet=quiet)
    try:
        with trio.fail_after(within):
            async with captp.connect(sturdyref) as ref, trio.open_nursery() as nursery:
                nursery.start_soon(_say_dialling, sturdyref, quiet)
                result = await _run_steps(ref, steps, name)
                nursery.cancel_scope.cancel()
                return result
    except trio.TooSlowError:
        raise timed_out(name, within, "--timeout SECONDS gives it longer") from None


async def _run_steps(ref: Any, steps: list[Step], name: str) -> Any:
    """Send all steps at once, wait for the last, and tell which one broke."""
    promises = [ref]
    shown = [_shown(step, index) for index, step in enumerate(steps)]
    for step, text in zip(steps, shown, strict=True):
        try:
            promises.append(getattr(captp.E(promises[-1]), step.method)(*step.args, **step.kwargs))
        except captp.Unpassable as problem:
            raise call_failed(problem, name, text, at_target=False) from problem
    try:
        return await promises[-1]
    except captp.Error as problem:
        broken = [await _is_broken(p) for p in promises[:-1]]
        at = broken.index(True) if True in broken else len(steps)
        raise call_failed(problem, name, shown[max(at - 1, 0)], at_target=at == 0) from problem


async def _is_broken(promise: Any) -> bool:
    """Tell whether a promise broke, as far as is known: the end of the chain has settled already."""
    if not promise.settled:
        return False
    try:
        await promise
    except captp.Error:
        return True
    return False


def _shown(step: Step, index: int) -> str:
    return f"./{step.method}" if index else f"{step.method}"


async def find(target: str, *, quiet: bool) -> tuple[captp.SturdyRef, str]:
    """Return the sturdyref that a target stands for, and what to call it in messages."""
    if target == "-":
        return _read_cap(await trio.to_thread.run_sync(_read_stdin)), "the object"
    if target.startswith("ocapn:"):
        note(_WARNING, quiet=quiet)
        return parse_sturdyref(target), "the object"
    if PETNAME.fullmatch(target):
        return await ask(lambda control: control.share(target)), target
    if target.startswith("-"):
        raise usage(f"there is no option {target}\n`captp call --help` shows what there is")
    return read_sturdyref(Path(target)), target


def _read_stdin() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("sturdyref (not shown): ")
    return sys.stdin.read(STDIN_CHARS)


def _read_cap(text: str) -> captp.SturdyRef:
    try:
        return read_cap_file(text)
    except captp.UsageError as problem:
        raise failure_of(problem) from None


async def _say_dialling(sturdyref: captp.SturdyRef, quiet: bool) -> None:
    """After a moment, tell who waits at a terminal what is waited for."""
    if os.isatty(2) and not quiet:
        await trio.sleep(SAY_DIALLING_AFTER_S)
        where = ", ".join(f"{key} {value}" for key, value in sturdyref.peer.place)
        note(f"calling {sturdyref.peer.designator[:8]}… by {sturdyref.peer.transport} ({where})", quiet=quiet)
