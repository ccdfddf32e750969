"""The captpd command: parses, dispatches, and turns every error into a line and an exit code.

The commands import what they need when they run, so that ``--help`` loads neither trio nor OpenSSL.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, CycloptsError, Parameter

from captp.errors import Broken, Disconnected, Error, NotFound, Refused, Timeout, UsageError
from captp.model.locator import mask
from captp.version import __version__
from captpd.config.load import state_of
from captpd.config.problems import ConfigError, ListeningError, NotRunningError

__all__ = ["app", "main"]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NO_CONNECTION: Final = 3
DENIED: Final = 4
TIMED_OUT: Final = 5
NOT_RUNNING: Final = 6
BAD_CONFIG: Final = 7
INTERRUPTED: Final = 130

State = Annotated[Path | None, Parameter(name="--state", help="State folder; default: $CAPTPD_HOME.")]
Listen = Annotated[
    list[str] | None, Parameter(name="--listen", negative=(), help="HOST:PORT for TLS; may be repeated.")
]
Advertise = Annotated[
    str | None, Parameter(name="--advertise", help="HOST:PORT to write into sturdyrefs instead.")
]

app = App(name="captpd", help="Host live objects for others.", version=__version__, help_format="plaintext")
config_app = App(name="config", help="Look at configurations.", help_format="plaintext")
app.command(config_app)


@app.command
def init(
    *,
    listen: Listen = None,
    advertise: Advertise = None,
    durable: Annotated[
        bool, Parameter(negative=(), help="Keep the objects of the vat main on disk.")
    ] = False,
    state: State = None,
) -> int:
    """Make a state folder with a configuration and an identity; changes nothing that is there."""
    from captpd.cli.init import run_init  # noqa: PLC0415

    return run_init(_state(state), listen or [], advertise, is_durable=durable, is_default=state is None)


@app.command
def run(
    config: Annotated[Path | None, Parameter(help="Configuration; default: the state folder's.")] = None,
    /,
    *,
    listen: Listen = None,
    advertise: Advertise = None,
    state: State = None,
) -> int:
    """Run the daemon until it is told to stop."""
    from captpd.cli.run import run_daemon  # noqa: PLC0415

    return run_daemon(config, listen, advertise, state)


@app.command
def status(
    *,
    state: State = None,
    json: Annotated[bool, Parameter(negative=(), help="Write JSON.")] = False,
) -> int:
    """Say how the daemon is doing."""
    from captpd.cli.control import run_status  # noqa: PLC0415

    return run_status(_state(state), as_json=json)


@app.command
def stop(*, state: State = None) -> int:
    """Stop the daemon, and return when it has stopped."""
    from captpd.cli.control import run_stop  # noqa: PLC0415

    return run_stop(_state(state))


@app.command(name="check")
def check_stores(*, state: State = None) -> int:
    """Say whether what the durable vats have stored is whole; the daemon must not run."""
    from captpd.cli.care import run_check  # noqa: PLC0415

    return run_check(_state(state))


@app.command
def backup(
    file: Annotated[Path, Parameter(help="The file to write; there must be none.")],
    /,
    *,
    state: State = None,
) -> int:
    """Write all that is stored, and the sturdyrefs, into one sealed file; the daemon may run."""
    from captpd.cli.care import run_backup  # noqa: PLC0415

    return run_backup(_state(state), file)


@app.command
def restore(
    file: Annotated[Path, Parameter(help="What captpd backup wrote.")],
    /,
    *,
    state: State = None,
    force: Annotated[bool, Parameter(negative=(), help="Put newer stores aside.")] = False,
) -> int:
    """Bring back what is in a backup; the daemon must not run."""
    from captpd.cli.care import run_restore  # noqa: PLC0415

    return run_restore(_state(state), file, is_forced=force)


@app.command
def compact(*, state: State = None) -> int:
    """Give back to the system what deleted objects took on disk; the daemon may run."""
    from captpd.cli.care import run_compact  # noqa: PLC0415

    return run_compact(_state(state))


@config_app.command
def show(
    config: Annotated[Path | None, Parameter(help="Configuration; default: the state folder's.")] = None,
    /,
    *,
    origin: Annotated[bool, Parameter(negative=(), help="Say where each value comes from.")] = False,
    state: State = None,
) -> int:
    """Write every value that would hold, with its origin if wanted."""
    from captpd.cli.config import run_show  # noqa: PLC0415

    return run_show(config, state, with_origins=origin)


@config_app.command
def check(file: Annotated[Path, Parameter(help="Configuration to check.")], /) -> int:
    """Say whether a configuration file can be used, without using it."""
    from captpd.cli.config import run_check  # noqa: PLC0415

    return run_check(file)


def _state(given: Path | None) -> Path:
    return state_of(os.environ, given)


def main(tokens: list[str] | None = None) -> None:
    """Run one command line and exit."""
    sys.exit(_run(sys.argv[1:] if tokens is None else tokens))


def _run(tokens: list[str]) -> int:
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        code = command(*bound.args, **bound.kwargs)
    except CycloptsError as problem:
        return _say(problem, USAGE, hint="captpd --help says what there is")
    except Error as problem:
        return _say(problem, exit_code(problem))
    except OSError as problem:
        return _say(f"{problem.filename or 'input or output'}: {problem.strerror}", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def exit_code(problem: Error) -> int:
    """Return the exit code that stands for an error."""
    for kinds, code in _CODES:
        if isinstance(problem, kinds):
            return code
    return FAILED


def _say(problem: Exception | str, code: int, hint: str = "") -> int:
    lines = [f"captpd: {problem}", *([hint] if hint else [])]
    print(mask("\n".join(lines)), file=sys.stderr)
    return code


# The first that fits counts.
_CODES: Final[tuple[tuple[type[Error] | tuple[type[Error], ...], int], ...]] = (
    (NotRunningError, NOT_RUNNING),
    (ConfigError, BAD_CONFIG),
    (ListeningError, NO_CONNECTION),
    (UsageError, USAGE),
    (Disconnected, NO_CONNECTION),
    ((NotFound, Refused), DENIED),
    (Timeout, TIMED_OUT),
    (Broken, FAILED),
)
