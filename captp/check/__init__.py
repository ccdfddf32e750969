"""The static checker: reads programs and never runs them; see docs/reference/check.md."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Mapping

from captp.check.analysis import analyse
from captp.check.finding import Finding, Place, Step, in_order
from captp.check.sources import parse, read
from captp.check.waivers import waive

#: Frames of the deepest expression in the deepest call that is followed at once.
FRAMES = 12_000

__all__ = ["Finding", "Place", "Step", "check"]


def check(what: Iterable[str] | Mapping[str, str]) -> list[Finding]:
    """Return the findings in the files under some paths, or in texts by path; they are one program."""
    limit, collects = sys.getrecursionlimit(), gc.isenabled()
    sys.setrecursionlimit(max(limit, FRAMES))
    gc.disable()  # a tree of a whole program has few circles, and much that is looked at for them
    try:
        return _check(what)
    finally:
        sys.setrecursionlimit(limit)
        if collects:
            gc.enable()


def _check(what: Iterable[str] | Mapping[str, str]) -> list[Finding]:
    problems: list[Finding] = []
    if isinstance(what, Mapping):
        sources = parse(what, on_disk=False)
    else:
        texts, problems = read(what)
        sources = parse(texts, on_disk=True)
    problems += [source.problem for source in sources if source.problem is not None]
    return in_order([*problems, *waive(in_order(analyse(sources)), sources)])
