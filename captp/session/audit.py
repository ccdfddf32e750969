"""Tells whether the tables of a session hold together, and shows what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captp.errors import InvariantBroken
from captp.model.promise import Reference
from captp.model.ref import Ref
from captp.session.entries import FINISHED
from captp.session.holders import holders

if TYPE_CHECKING:
    from captp.session.tables import Tables


def check(tables: Tables) -> None:
    """Raise InvariantBroken when a counted invariant does not hold."""
    for position, export in tables.exports.items():
        if export.position != position or export.pending < 0 or export.wire < 0:
            raise InvariantBroken(f"{export!r}: wire {export.wire}, pending {export.pending}")
        if export.wire + export.pending == 0 and position != 0 and not export.lent:
            raise InvariantBroken(f"{export!r} is held by nobody")
    tables.loans.check()
    tables.frozen.check()
    named = [e for e in tables.exports.values() if isinstance(e.target, Reference) and not e.lent]
    if len(named) != len(tables.by_anchor):
        raise InvariantBroken("the export table and its reverse map differ in size")
    for one in named:
        if isinstance(one.target, Ref) and tables not in holders(one.target._anchor):
            raise InvariantBroken(f"{one!r} does not know that this session names it")
    for position, entry in tables.imports.items():
        if entry.position != position or entry.wire < 1:
            raise InvariantBroken(f"{entry!r}: {entry.wire} references received")
    for position, question in tables.questions.items():
        if question.position != position or question.state is FINISHED:
            raise InvariantBroken(f"{question!r} is {question.state.value} but in its table")
    positions = tables.question_positions
    for question in positions.ended:
        at = question.position
        if question.state is not FINISHED or at in tables.questions or at in positions.free:
            raise InvariantBroken(f"{question!r} may be used again, and is in use or free already")
    if any(a.reply is None or a.position >= 0 for a in tables.listeners):
        raise InvariantBroken("a listener was told and is still kept")
    promises = sum(e.is_promise for e in tables.imports.values())
    if promises != tables.promises:
        raise InvariantBroken(f"{promises} promises among the imports, {tables.promises} were counted")
    if tables.pending:
        raise InvariantBroken(f"{len(tables.pending)} references of a message that never ended")


def dump(tables: Tables) -> dict[str, list[str]]:
    """Return one line per entry, by table; shows no values."""
    return {
        "exports": [f"{e!r} x{e.wire} {_what(e.target)}" for e in tables.exports.values()],
        "loans": tables.loans.dump(),
        "imports": [f"{i!r} x{i.wire}" for i in tables.imports.values()],
        "questions": [f"{q!r} {q.state.value}" for q in tables.questions.values()],
        "listeners": [repr(a) for a in tables.listeners],
        "answers": [f"{a!r} {'settled' if a.settled else 'open'}" for a in tables.answers.values()],
    }


def _what(target: Any) -> str:
    return type(target._anchor).__name__ if isinstance(target, Ref) else repr(target)
