"""What the verbs have in common: flags, notes to the user, and how they enter trio."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, Final, TypeVar

import trio
from cyclopts import Parameter

from captp.cli.problems import Failure
from captp.errors import Error

__all__ = ["Json", "Quiet", "note", "run"]

T = TypeVar("T")

Json = Annotated[bool, Parameter(negative=(), help="Write JSON.")]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative=(), help="No notes on standard error.")]


def note(text: str, *, quiet: bool) -> None:
    """Tell the user something that is not the result."""
    if not quiet:
        print(text, file=sys.stderr)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a trio function; what nurseries wrapped leaves as itself.

    Of several errors at once the one for the user leaves: an interrupt is what they meant, whatever
    fell over with it, and a Failure is what they can read.
    """
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        readable = [leaf for kind in _READABLE for leaf in leaves if isinstance(leaf, kind)]
        if not readable and len(leaves) > 1:
            raise
        raise [*readable, *leaves][0] from None


_READABLE: Final = (KeyboardInterrupt, Failure, Error)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
