"""What the verbs have in common: flags, notes to the user, and how they enter trio."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, TypeVar

import trio
from cyclopts import Parameter

__all__ = ["Json", "Quiet", "note", "run"]

T = TypeVar("T")

Json = Annotated[bool, Parameter(negative=(), help="Write JSON.")]
Quiet = Annotated[bool, Parameter(name=["--quiet", "-q"], negative=(), help="No notes on standard error.")]


def note(text: str, *, quiet: bool) -> None:
    """Tell the user something that is not the result."""
    if not quiet:
        print(text, file=sys.stderr)


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a trio function; of several errors the one that ended it leaves alone.

    Nurseries wrap what leaves them; an interrupt is what the user meant, whatever fell over with it.
    """
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        interrupt = next((leaf for leaf in leaves if isinstance(leaf, KeyboardInterrupt)), None)
        if interrupt is None and len(leaves) > 1:
            raise
        raise interrupt or leaves[0] from None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
