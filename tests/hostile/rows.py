"""What a row of the corpus is, how a whole table of them is run, and what must hold after each.

A table runs once per netlayer, encoding and limits, all its rows against one node; each row is a test
of its own, which reports what became of it. After a row that failed the next one gets a fresh node.
"""

from __future__ import annotations

import gc
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pytest
import trio
from attrs import field, frozen

from captp.limits import MIB, Limits
from captp.model.values import Fault
from tests.hostile.node import MARK, PATIENCE_S, Hostile, Node, a_busy_node, fields_of, resident, trim
from tests.hostile.spell import Speaker

NETLAYERS = ("tcp-testing-only", "tls")
CODECS = ("native", "syrup")
MEMORY = 16 * MIB
#: Faults whose text begins with no code: their class, which OCapN does not carry, and how their text reads.
TOLD = {
    "no-such-method": ("NoSuchMethod", r"there is no such method$"),
    "bad-args": ("BadArguments", r"\w+(: expected|\(\) takes|\(.*\).*: )"),
    "overloaded": ("Overloaded", r"\d+ calls already wait"),
}

Script = Callable[[Hostile], Awaitable[None]]


@frozen(kw_only=True)
class Row:
    """One attack.

    ``expect`` is C (closed, nothing said), L (closed, and no word about why: the peer did not read),
    ``A:code`` (abort with one of the codes, then closed), ``B:code`` (the call at answer position 1 breaks;
    ``*`` is any text), I (the session lives on and nothing came of it) or W (the script itself looked, and
    the session lives on). ``log`` is the code of the log line of a C or L.
    """

    id: str
    expect: str
    script: Script = field(repr=False)
    codecs: tuple[str, ...] = CODECS
    netlayers: tuple[str, ...] = NETLAYERS
    limits: Limits = field(factory=Limits)
    #: Whether the session is open, and the door fetched, before the script begins.
    opens: bool = True
    #: Whether the script looks at what the node says by itself.
    alone: bool = False
    #: Whether the connection is bare TCP, whatever the netlayer is, and closed without a word by the node.
    bare: bool = False
    weighs: bool = False
    #: By how much memory may grow, if it is looked at.
    most: int = MEMORY
    log: str | None = None
    #: Seconds that what must come is waited for.
    patience: float = PATIENCE_S


def says(identity: str, expect: str, spell: Callable[[Speaker], bytes | list[bytes]], **more: Any) -> Row:
    """Make a row that is nothing but bytes: one write, or several in a list."""

    async def script(hostile: Hostile) -> None:
        spelled = spell(hostile.says)
        for piece in [spelled] if isinstance(spelled, bytes) else spelled:
            await hostile.wire.send(piece)

    return Row(id=identity, expect=expect, script=script, **more)


def does(identity: str, expect: str, **more: Any) -> Callable[[Script], Row]:
    """Make a row of a script."""

    def made(script: Script) -> Row:
        return Row(id=identity, expect=expect, script=script, **more)

    return made


#: The way that is least like the others.
ODD: Final = frozenset({("tls", "syrup")})


def cases(table: list[Row], slow: frozenset[tuple[str, str]] = ODD) -> pytest.MarkDecorator:
    """Give every row on every netlayer and in every encoding where it applies a test of its own.

    One half of the ways shows nearly all; ``slow`` ones are run with the long tests.
    """
    names = [(row.id, codec) for row in table for codec in row.codecs]
    assert len(set(names)) == len(names), "two rows of one name"
    made = []
    for row in table:
        for netlayer in row.netlayers:
            for codec in row.codecs:
                is_slow = (netlayer, codec) in slow and len(row.netlayers) * len(row.codecs) > 1
                marks = [pytest.mark.slow] if is_slow else []
                made.append(
                    pytest.param(row, netlayer, codec, id=f"{row.id}-{netlayer}-{codec}", marks=marks)
                )
    return pytest.mark.parametrize(("row", "netlayer", "codec"), made)


_OUTCOMES: dict[tuple[int, str, str], dict[str, str]] = {}


def check(table: list[Row], row: Row, netlayer: str, codec: str) -> None:
    """Fail with what is wrong after a row, if anything is; the first check of a table runs all of it."""
    key = (id(table), netlayer, codec)
    if key not in _OUTCOMES:
        rows = [r for r in table if netlayer in r.netlayers and codec in r.codecs]
        _OUTCOMES[key] = trio.run(_run_table, rows, netlayer, codec)
    problem = _OUTCOMES[key][row.id]
    assert not problem, f"{row.id} over {netlayer} in {codec}: {problem}"


async def _run_table(rows: list[Row], netlayer: str, codec: str) -> dict[str, str]:
    by_limits: dict[Limits, list[Row]] = defaultdict(list)
    for row in rows:
        by_limits[row.limits].append(row)
    outcomes: dict[str, str] = {}
    for limits, group in by_limits.items():
        left = iter(group)
        while len(outcomes) < len(rows):
            before = len(outcomes)
            try:
                async with a_busy_node(netlayer, limits) as node:
                    await _run_rows(left, node, codec, outcomes)
            except Exception as problem:
                # A crash is that of the row that ran; the others go on without it.
                last = list(outcomes)[-1] if len(outcomes) > before else ""
                if not last:
                    raise
                outcomes[last] = f"the node died: {_told(problem)}"
                continue
            if len(outcomes) == before or all(r.id in outcomes for r in group):
                break
    return outcomes


async def _run_rows(left: Iterator[Row], node: Node, codec: str, outcomes: dict[str, str]) -> None:
    for row in left:
        outcomes[row.id] = "it never ended"
        problem = await _run(row, node, codec)
        outcomes[row.id] = problem
        if problem:
            return


async def _run(row: Row, node: Node, codec: str) -> str:
    """Run one row and return what is wrong, or an empty text."""
    if row.weighs:
        gc.collect()
        trim()
    objects, node.log.records, node.peak = node.vat.view().objects, [], resident()
    before = node.peak
    node.patience = row.patience
    try:
        with trio.fail_after(6 * PATIENCE_S):
            async with node.hostile(codec, bare=row.bare) as hostile:
                hostile.patience = node.patience
                if row.opens and not row.bare:
                    await hostile.open()
                await row.script(hostile)
                problem = "" if row.alone else await _outcome(row, hostile)
                if not row.alone and row.expect[0] in "BIW":
                    await hostile.goodbye()
    except (Exception, trio.Cancelled) as error:
        if isinstance(error, trio.Cancelled):
            raise
        problem = _told(error)
    return problem or await _aftermath(row, node, objects, before)


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def _outcome(row: Row, hostile: Hostile) -> str:
    kind, _, codes = row.expect.partition(":")
    if kind == "L":
        with trio.move_on_after(hostile.patience):
            while await hostile.wire.receive():
                pass
            return ""
        return f"it is not closed in {hostile.patience:g} s"
    if kind in "AC":
        if not await hostile.end():
            return f"it is not closed in {hostile.patience:g} s, heard {hostile.heard!r:.300}"
        aborts = [value.partition(":")[0] for what, _, value in hostile.heard if what == "abort"]
        if kind == "C":
            return f"the node said {hostile.heard!r:.300}" if hostile.heard else ""
        if len(aborts) != 1 or hostile.heard[-1][0] != "abort":
            return f"no abort came, or not as the last word: {hostile.heard!r:.300}"
        return "" if aborts[0] in codes.split("|") else f"aborted with {hostile.heard[-1][2]!r:.300}"
    if kind == "B":
        value = await hostile.hears("broken", 1)
        if not isinstance(value, Fault):
            return f"broken with {value!r:.300}, which is no error"
        name, reads = TOLD.get(codes, (None, "$^"))
        is_told = (value.data or {}).get("class") == name if value.data else re.match(reads, value.message)
        if codes != "*" and not (value.message.startswith(codes) or is_told):
            return f"broken with {value!r:.300}"
        if MARK in value.message:
            return f"the error repeats what was sent: {value!r:.300}"
    return "" if await hostile.lives() else f"the session is gone: {hostile.heard!r:.300}"


async def _aftermath(row: Row, node: Node, objects: int, before: int) -> str:
    """Look for traces: of the attack in the node, and at the callers."""
    if not await node.until(lambda: len(node.vat.peer.router.links) == len(node.callers)):
        return f"{len(node.vat.view().sessions)} sessions are left, not {len(node.callers)}"
    if not await node.everybody_is_served():
        return f"the others lost calls: {node.lost or 'no answer in time'}"

    def is_clean() -> bool:
        view = node.vat.view()
        return (view.objects, view.fibers) == (objects, 0)

    def is_clean_after_all() -> bool:
        gc.collect()
        return is_clean()

    if not is_clean() and not await node.until(is_clean_after_all):
        view = node.vat.view()
        return f"left over: {view.objects - objects} objects, {view.fibers} fibers"
    node.vat.peer.check()
    grown = node.peak - before
    if row.weighs and grown > row.most:
        return f"memory grew by {grown / 2**20:.1f} MiB"
    return _log_problem(row, node)


def _log_problem(row: Row, node: Node) -> str:
    records = [r for r in node.log.records if r.getMessage() != "session up"]
    lines = [f"{r.levelname} {r.getMessage()} {fields_of(r)}" for r in records]
    if any(r.exc_info and r.exc_info[0] for r in records):
        return f"a traceback was logged: {[str(r.exc_info[1])[:200] for r in records if r.exc_info]}"
    if any(MARK in line for line in lines):
        return f"a log line shows what was sent: {lines}"
    if row.alone:
        return ""
    ends = [fields_of(r) for r in records]
    if any(r.getMessage() != "session ended" for r in records) or len(ends) != 1:
        # What is refused by a netlayer never was a session.
        return "" if row.expect == "C" and not lines and row.log is None else f"the log says {lines}"
    codes = row.expect[2:].split("|") if row.expect[0] == "A" else [row.log or "aborted"]
    if row.expect == "C" and row.log is None:
        return ""
    by = "this side" if row.expect[0] == "A" else None
    if ends[0]["code"] not in codes or (by is not None and ends[0]["by"] != by):
        return f"the log says {lines}"
    return ""
