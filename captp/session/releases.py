"""Releases on their way to the peer: what has ended since the last batch, and when it is worth a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from captp.session.entries import FINISHED, NOT_YET, QUEUED, SENT, Import, Question
from captp.wire.ops import GC_ANSWERS, GC_EXPORTS, Kind

if TYPE_CHECKING:
    from captp.session.outbound import Outbound

__all__ = ["collect"]

#: Releases that are worth a write of their own.
RELEASES: Final = 512


def collect(out: Outbound) -> None:
    """Write the releases of everything that ended since the last batch.

    They go with other messages; alone they wait for the next beat, or until there are many, and so do
    answers whose positions may be used again as they are.
    """
    tables, finished = out.tables, out.finished
    ended, dropped = tables.question_positions.ended, tables.dropped_questions
    if not (ended or finished or dropped or tables.dropped_imports):
        return
    is_due = out.release_alone or len(finished) + len(ended) >= RELEASES
    if not (finished or dropped or tables.dropped_imports or is_due):
        return
    if not out.results.may_release or not (out.messages or is_due):
        return
    out.release_alone = False
    while dropped:
        question = dropped.popleft()
        if question.state is not FINISHED:
            _dropped(out, question)
    if tables.dropped_imports:
        _release_imports(out)
    if is_due:
        finished += ended
        ended.clear()
    if finished:
        _release_answers(out)


def _dropped(out: Outbound, question: Question) -> None:
    via = question.via
    if via is not None and not question.wanted:
        _ask_for_unheard(out, question, via._route)
    if question.promise_dropped(is_awaited=out.native or via is not None):
        out.finish(question)
    elif out.native and question.released is NOT_YET:
        question.released = QUEUED
        out.finished.append(question)


def _ask_for_unheard(out: Outbound, question: Question, route: Question | Import) -> None:
    """See that nothing overtakes a call whose result nobody wants any more."""
    if out.native and not route.wanted:
        # The promise it went through settles for nobody, as things are; see listen().
        route.unsure = True
        return
    question.wanted = True
    desc = question.desc or out.codec.target(Kind.ANSWER, question.position)
    out.send(out.results.listen(desc, question, own=True))


def _release_imports(out: Outbound) -> None:
    size, gone = out.limits.gc_entries, out.tables.take_dropped_imports()
    for start in range(0, len(gone), size):
        positions, counts = zip(*gone[start : start + size], strict=True)
        out.encode((GC_EXPORTS, positions, counts))


def _release_answers(out: Outbound) -> None:
    size, finished = out.limits.gc_entries, out.finished
    for start in range(0, len(finished), size):
        some = finished[start : start + size]
        out.encode((GC_ANSWERS, tuple([q.position for q in some])))
        for question in some:
            question.released = SENT
            if question.state is FINISHED:
                out.tables.question_positions.free.append(question.position)
    finished.clear()
