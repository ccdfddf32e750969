"""What went wrong in words for the command line, and the exit code that goes with it.

Texts are masked here, once: no message that leaves can hold a swiss number.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final, final

from captp.errors import (
    BadArguments,
    Broken,
    Disconnected,
    Error,
    NoSuchMethod,
    NotFound,
    Refused,
    RemoteFault,
    Timeout,
    UsageError,
)
from captp.model.locator import mask

__all__ = [
    "DENIED",
    "FAILED",
    "INTERRUPTED",
    "NOT_RUNNING",
    "NO_CONNECTION",
    "OK",
    "TIMED_OUT",
    "USAGE",
    "Failure",
    "call_failed",
    "failure_of",
    "no_cyclopts",
    "not_running",
    "timed_out",
    "unknown_verb",
    "usage",
]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NO_CONNECTION: Final = 3
DENIED: Final = 4
TIMED_OUT: Final = 5
NOT_RUNNING: Final = 6
INTERRUPTED: Final = 130


@final
class Failure(Exception):
    """The text a command ends with, and its exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(_printable(mask(text)))
        self.code = code


def _printable(text: str) -> str:
    # Part of a text may be a peer's; nothing in it shall steer the terminal.
    return "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)


def usage(text: str) -> Failure:
    """Return the failure for a command line that cannot be understood."""
    return Failure(text, USAGE)


def unknown_verb(word: str, verbs: tuple[str, ...]) -> Failure:
    """Return the failure for a first word that is no verb."""
    close = difflib.get_close_matches(word, verbs, n=1)
    guess = f"; did you mean {close[0]}?" if close else ""
    return usage(f"there is no verb {word!r}{guess}\n`captp` alone shows what there is")


def no_cyclopts() -> Failure:
    """Return the failure for an installation without what the commands need."""
    return usage("this command needs more than the library: pip install 'captp[daemon]'")


def not_running(state: Path) -> Failure:
    """Return the failure for a daemon that does not answer."""
    fix = "captpd run" if state.is_dir() else "captpd init, then captpd run"
    return Failure(
        f"the daemon is not running (state folder {state})\nstart it: {fix}; or say where it is with"
        " CAPTPD_HOME or CAPTP_CONTROL",
        NOT_RUNNING,
    )


def timed_out(what: str, seconds: float, fix: str) -> Failure:
    """Return the failure for an answer that did not come."""
    return Failure(f"{what} did not answer within {seconds:g} s; {fix}", TIMED_OUT)


def failure_of(problem: Error) -> Failure:
    """Return the failure for an error that is not about one step of a call."""
    for kind, code in _CODES:
        if isinstance(problem, kind):
            return Failure(str(problem), code)
    return Failure(str(problem), FAILED)


def call_failed(problem: Error, target: str, step: str, *, at_target: bool) -> Failure:
    """Return the failure for a call: ``step`` is where it broke, or the target itself did."""
    if at_target:
        text = f"{target}: {problem}"
        if isinstance(problem, NotFound):
            text += "\nthe sturdyref may be old or withdrawn: ask its owner for a new one"
        return Failure(text, failure_of(problem).code)
    says, hint, code = f"{problem}", "", FAILED
    match problem:
        case BadArguments():
            hint = "\narguments are text; give numbers, lists and true as JSON: amount:=100"
        case NoSuchMethod():
            hint = "\nmethods are those that its class marks with @captp.method; ask its owner"
        case RemoteFault():
            says = f"{problem.class_name or 'an error'}: {problem}"
            hint = "\nthe log of its daemon may say more"
        case Refused():
            says = f"refused: {problem}"
        case Disconnected() | Timeout() | UsageError():
            code = failure_of(problem).code
    return Failure(f"{target} {step}: {says}{hint}", code)


# The first that fits counts.
_CODES: Final[tuple[tuple[type[Error] | tuple[type[Error], ...], int], ...]] = (
    (UsageError, USAGE),
    (Disconnected, NO_CONNECTION),
    ((NotFound, Refused), DENIED),
    (Timeout, TIMED_OUT),
    (Broken, FAILED),
)
