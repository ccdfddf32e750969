"""The captp command: finds the verb, and turns every error into a message and an exit code.

It imports one verb and what that needs, when it runs: ``captp --version`` loads neither trio nor OpenSSL.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Final, TextIO

from captp.version import __version__

__all__ = ["main"]

OVERVIEW: Final = """\
captp: live Python objects shared between hosts that do not trust each other

  captp demo                            see it work: daemons, TLS, a handoff
  captp new MODULE:CLASS --name NAME    make an object in the daemon
  captp share NAME                      write NAME.cap: who has the file has the object
  captp ls                              list the daemon's objects
  captp trustees                        show how busy the daemon's trustees are
  captp gc                              show what the daemon's vats do about garbage in cycles
  captp why TARGET                      tell why the daemon keeps an object
  captp call TARGET METHOD [ARG ...]    call a method of a name, a .cap file, or -
  captp bench                           measure trustees beside locks and others
  captp check PATH ...                  say what is wrong with context and borrows in a program

  captp new captp.examples.bank:Vault --name bank
  captp share bank --out bank.cap
  captp call bank.cap open owner=ada ./deposit amount:=100

captp VERB --help says more; the daemon has a command of its own: captpd --help
"""

VERBS: Final = ("bench", "call", "check", "demo", "gc", "ls", "new", "share", "trustees", "why")


def main(words: list[str] | None = None) -> int:
    """Run one command line; return its exit code."""
    try:
        return _run(sys.argv[1:] if words is None else words)
    except KeyboardInterrupt:
        print("captp: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more at exit.
        _silence(sys.stdout)
        return 0


def _run(words: list[str]) -> int:
    first, *rest = words or [""]
    if first in ("", "-h", "--help", "help"):
        print(OVERVIEW, end="")
        return 0
    if first == "--version":
        print(__version__)
        return 0
    from captp.cli import problems  # noqa: PLC0415

    try:
        if first not in VERBS:
            raise problems.unknown_verb(first, VERBS)
        return _run_verb(first, rest)
    except problems.Failure as failure:
        print(f"captp: {failure}", file=sys.stderr)
        return failure.code


def _run_verb(verb: str, words: list[str]) -> int:
    from captp.cli import problems  # noqa: PLC0415
    from captp.errors import Error  # noqa: PLC0415

    try:
        from cyclopts import App, CycloptsError  # noqa: PLC0415
    except ModuleNotFoundError:
        raise problems.no_cyclopts() from None
    app = App(name=f"captp {verb}", help_format="plaintext", version_flags=())
    app.default(getattr(import_module(f"captp.cli.{verb}"), verb))
    try:
        command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        code = command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except CycloptsError as problem:
        raise problems.usage(f"{problem}\n`captp {verb} --help` shows what there is") from None
    except Error as problem:
        raise problems.failure_of(problem) from problem
    return code if isinstance(code, int) else 0


def _silence(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
