"""What child processes say of their own loops, and what their parent takes of that, who trusts none."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import trio
from attrs import fields

from captp.model.histogram import SIZES
from captp.peer.load import CLASSES, LoopStats

__all__ = ["ask_all", "figures_heard"]

#: What a number of calls, or of anything else, can come to.
MOST: Final = 1 << 62
#: Characters of a class's name that are one too many.
NAME: Final = 200


async def ask_all(
    askers: Mapping[str, Callable[[float], Awaitable[LoopStats | None]]], within: float
) -> dict[str, LoopStats]:
    """Ask them all at once; return what they say within so many seconds, by name."""
    said: dict[str, LoopStats] = {}

    async def ask(name: str) -> None:
        stats = await askers[name](within)
        if stats is not None:
            said[name] = stats

    async with trio.open_nursery() as nursery:
        for name in askers:
            nursery.start_soon(ask, name)
    return said


def figures_heard(said: Any) -> LoopStats | None:
    """Return the figures that a LoopStats as a dict is; None for whatever else a process may say."""
    if not isinstance(said, Mapping) or set(said) != set(_TESTS):
        return None
    if not all(test(said[name]) for name, test in _TESTS.items()):
        return None
    return LoopStats(**{**said, "classes": dict(said["classes"])})


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def _is_seconds(value: Any) -> bool:
    return type(value) is float and 0 <= value < math.inf


def _are_counts(value: Any) -> bool:
    return type(value) is tuple and len(value) <= SIZES and all(map(_is_count, value))


def _are_seconds(value: Any) -> bool:
    is_short = isinstance(value, Mapping) and len(value) <= CLASSES + 1
    return is_short and all(map(_is_name, value)) and all(map(_is_seconds, value.values()))


def _is_name(value: Any) -> bool:
    # People see it.
    return type(value) is str and len(value) < NAME and value.isidentifier()


_KINDS: Final[dict[str, Callable[[Any], bool]]] = {
    "int": _is_count,
    "float": _is_seconds,
    "tuple[int, ...]": _are_counts,
    "Mapping[str, float]": _are_seconds,
}
_TESTS: Final = {field.name: _KINDS[str(field.type)] for field in fields(LoopStats)}
