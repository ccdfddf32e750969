"""``captp why``: the ways by which an object of the daemon is kept, and what each holder has said."""

from __future__ import annotations

import json as json_format
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from cyclopts import Parameter

from captp.cli.call import PETNAME, find
from captp.cli.daemon import ask
from captp.cli.gc import ago
from captp.cli.options import Json, Quiet, run

__all__ = ["shown", "why"]

#: An id, as ``captp gc`` shows it.
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}:(o[0-9]+|c[0-9]+:i[0-9]+)")

STATES: Final = {
    "rooted": "it is in use in this vat",
    "held by peers": "nothing in this vat uses it, but peers hold it",
    "nobody": "nobody holds it; it is about to go",
    "not known": "not known: the vat is too large to look at all of it, or its counts cannot be read",
}
ANSWERS: Final = {
    "live": "it may be used there",
    "claimed": "nothing there uses it by itself; what leads to it there may be held from elsewhere",
    "silent": "no answer in time",
    "no collector": "never asked: it has no collector that could answer, so what it holds is kept",
    "no key yet": "not asked yet: its collector has not introduced itself",
    "not asked": "no answer is known: it was not asked lately",
}
#: What a peer may say for a reason; another one's words are not repeated.
REASONS: Final = {
    "": "",
    "over": " (it did not look: the question came too late)",
    "late": " (it did not look: the question came too late)",
    "hops": " (it did not look: the question went through too many vats)",
    "quota": " (it did not look: it was asked too much)",
    "traces": " (it did not look: it was asked too much)",
    "twice": " (it did not look: it was asked twice)",
}
VERDICTS: Final = {
    "live": "it may be in use somewhere",
    "changed": "it was touched meanwhile",
    "expired": "not everybody confirmed in time",
    "broken off": "a session ended meanwhile",
}


def why(
    target: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="Name in the daemon, an id as captp gc shows it, path of a .cap file, or - to paste.",
        ),
    ],
    /,
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell why the daemon keeps an object: what leads to it, also from vats beside its own."""
    found = run(lambda: _ask(target, quiet=quiet))
    if json:
        print(json_format.dumps(found, indent=1))
    else:
        print(shown(found))


async def _ask(target: str, *, quiet: bool) -> dict[str, Any]:
    if ID.fullmatch(target) or PETNAME.fullmatch(target):
        return await ask(lambda control: control.why(target))
    sturdyref, _ = await find(target, quiet=quiet)
    return await ask(lambda control: control.why(sturdyref))


def shown(told: Mapping[str, Any]) -> str:
    """Return what the daemon tells, as lines."""
    return "\n".join(_lines(told))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    if told["ways"] is None:
        yield f"{told['id']}, of which " + ("more is above" if told["is_above"] else "`captp why` tells more")
        return
    if told["state"] == "collected":
        yield f"{told['id']} {told['type']}: it was garbage"
        yield from _end(told)
        return
    yield f"{told['id']} {told['type']}: {STATES[told['state']]}"
    for way in told["ways"]:
        path = " -> ".join(f"{step['type']} {step['id']}" for step in way["steps"])
        for root in way["roots"]:
            yield f"  {root} -> {path}"
        for holder in way["holders"]:
            yield f"  {holder['peer']} -> {path}"
            yield from (f"    {line}" for line in _holder(holder))
    if told["more"]:
        yield f"  and {told['more']} more ways"
    if told["verdict"]:
        yield f"  asked about {ago(told['asked_s'])} ago: {VERDICTS[told['verdict']]}"


def _end(told: Mapping[str, Any]) -> Iterator[str]:
    untouched = told["untouched_s"]
    since = "last touched: not known" if untouched is None else f"last touched {ago(untouched)} ago"
    yield f"  {since}; collected {ago(told['collected_s'])} ago, by trace {told['trace']}"


def _holder(holder: Mapping[str, Any]) -> Iterator[str]:
    touched = holder["touched_s"]
    named = "last named: not known" if touched is None else f"last named {ago(touched)} ago"
    yield f"export {holder['position']} of c{holder['conn']}; {named}"
    asked = "" if holder["asked_s"] is None else f"asked {ago(holder['asked_s'])} ago: "
    reason = REASONS.get(holder["reason"], " (for a reason of its own)")
    yield f"{asked}{ANSWERS[holder['answer']]}{reason}"
    there = holder["there"]
    if there is not None:
        yield f"in vat {there['vat']} of this daemon:"
        yield from (f"  {line}" for line in _lines(there))
