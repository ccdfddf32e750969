"""Exceptions that stay in their capsule: a bounded list, opened with the capsule's own access.

They are kept without frames, which would hold the variables of all that called into the capsule; notes say
where each was raised.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from traceback import TracebackException
from typing import Final

from attrs import frozen

from captp.model.faults import text_of
from captp.model.interrupts import GROUPED, LINKS, NAMES
from captp.model.locator import mask
from captp.model.plain import mro_of

__all__ = ["FaultLog", "FaultReport"]

#: Exceptions that one capsule keeps, the newest ones.
KEPT: Final = 64
#: Calls of a traceback, the innermost, and characters that are kept of it, the last.
MOST_CALLS: Final = 50
MOST_CHARS: Final = 16_384

#: What the class was defined as, whatever its metaclass says.
_NAME: Final = type.__dict__["__qualname__"].__get__


@frozen
class FaultReport:
    """What is kept of an exception that must hold nothing: words."""

    class_name: str
    text: str
    #: As Python prints it, with what it came of.
    traceback: str


class FaultLog:
    """The exceptions that left a capsule as ``Encapsulated``, by its brand and their number.

    An exception holds whatever it was made with. That is the capsule's own business where users made it;
    the objects of vats and of threads go when nobody needs them, so there only a report is kept.
    """

    __slots__ = ("_keeps_live", "_kept", "_last")

    def __init__(self, *, keeps_live: bool) -> None:
        self._keeps_live = keeps_live
        self._kept: OrderedDict[tuple[str, int], BaseException | FaultReport] = OrderedDict()
        self._last = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, brand: str, problem: BaseException) -> int:
        """Keep an exception, or a report of it, and let go of the oldest; return its number."""
        if self._keeps_live:
            _drop_frames(problem)
        self._last += 1
        self._add((brand, self._last), problem)
        return self._last

    def find(self, brand: str, number: int) -> BaseException | FaultReport | None:
        """Return what is still kept of a capsule under a number."""
        return self._kept.get((brand, number))

    def take_in(self, other: FaultLog) -> None:
        """Keep what a log kept whose capsule was merged into this one's, as if it was raised now."""
        for name, problem in other._kept.items():
            self._add(name, problem)
        other._kept.clear()

    def _add(self, name: tuple[str, int], problem: BaseException | FaultReport) -> None:
        if not self._keeps_live and not isinstance(problem, FaultReport):
            problem = report_of(problem)
        self._kept[name] = problem
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def report_of(problem: BaseException) -> FaultReport:
    """Return what is to be known of an exception, in words, without sturdyrefs."""
    cls, trace = type(problem), LINKS[0].__get__(problem)
    lines: list[str] = []
    with suppress(Exception):  # it asks user code for texts and names
        lines += TracebackException(cls, problem, trace, limit=-MOST_CALLS).format()
    return FaultReport(_NAME(cls), text_of(problem), mask("".join(lines))[-MOST_CHARS:])


def _drop_frames(problem: BaseException) -> None:
    """Let go of the frames of an exception, and of those that led to it; runs no code of theirs."""
    trace_of, *others = LINKS
    found: list[BaseException | None] = [problem]
    seen: set[int] = set()
    while found:
        one = found.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        trace, lines = trace_of.__get__(one), []
        while trace is not None:
            code = trace.tb_frame.f_code
            lines.append(f"{code.co_filename}:{trace.tb_lineno}, in {code.co_name}")
            trace = trace.tb_next
        trace_of.__set__(one, None)
        names = NAMES.__get__(one)
        notes = dict.get(names, "__notes__")
        dict.__setitem__(names, "__notes__", [*notes, *lines] if type(notes) is list else lines)
        found += [link.__get__(one) for link in others]
        if any(base is BaseExceptionGroup for base in mro_of(type(one))):
            found += GROUPED.__get__(one)
