"""``captp gc``: what the daemon's vats do about garbage that loops through several, as tables."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterable, Mapping
from typing import Any, Final

from captp.cli.daemon import ask
from captp.cli.ls import table
from captp.cli.options import Json, Quiet, run

__all__ = ["ago", "gc", "shown"]

#: Title, and field of a row or of what is counted together from several.
COLUMNS: Final = (
    ("vat", "vat"),
    ("peers", "peers"),
    ("exports", "exports"),
    ("in-use", "rooted"),
    ("unrooted", "unrooted"),
    ("unknown", "unknown"),
    ("suspects", "suspects"),
    ("oldest", "oldest_suspect_s"),
    ("traces", "started"),
    ("garbage", "garbage"),
    ("live", "live"),
    ("other", "other"),
    ("freed", "cut"),
    ("own", "own_circles"),
    ("held", "held"),
    ("words", "words"),
    ("bytes", "bytes"),
    ("nodes", "nodes"),
)
SUSPECTS: Final = ("id", "type", "held by", "untouched", "asked", "it was")
COLLECTED: Final = ("id", "type", "collected", "untouched before", "trace")


def gc(*, json: Json = False, quiet: Quiet = False) -> None:  # noqa: ARG001 - it has no notes
    """Show suspects, traces and what was freed of each of the daemon's vats."""
    found = run(lambda: ask(lambda control: control.gc()))
    if json:
        print(json_format.dumps(found, indent=1))
    else:
        print(shown(found))


def shown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the tables of what the daemon says of its collectors."""
    rows = list(rows)
    parts = [table([[title for title, _ in COLUMNS], *map(_cells, rows)])]
    suspects = [one for row in rows for one in row["suspects_now"]]
    if suspects:
        parts.append("suspects, the oldest of each vat:\n" + table([SUSPECTS, *map(_suspect, suspects)]))
    collected = [one for row in rows for one in row["collected_lately"]]
    if collected:
        parts.append("collected lately:\n" + table([COLLECTED, *map(_collected, collected)]))
    parts += [f"vat {row['vat']} has no collector: [cycles] enabled" for row in rows if not row["enabled"]]
    parts += [f"vat {row['vat']} can tell nothing: {row['fault']}" for row in rows if row["fault"]]
    return "\n\n".join(parts)


def _cells(row: Mapping[str, Any]) -> list[str]:
    known = {
        **row,
        "oldest_suspect_s": ago(row["oldest_suspect_s"]) if row["suspects"] else "",
        "other": row["changed"] + row["expired"] + row["broken_off"],
        "words": sum(row["said"].values()),
        "bytes": sum(row["bytes_said"].values()),
    }
    return [str(known[name]) for _, name in COLUMNS]


def _suspect(one: Mapping[str, Any]) -> list[str]:
    asked = "" if one["asked_s"] is None else f"{ago(one['asked_s'])} ago"
    return [one["id"], one["type"], ", ".join(one["holders"]), ago(one["untouched_s"]), asked, one["verdict"]]


def _collected(one: Mapping[str, Any]) -> list[str]:
    untouched, collected = one["untouched_s"], one["collected_s"]
    before = "not known" if untouched is None else ago(untouched - collected)
    return [one["id"], one["type"], f"{ago(collected)} ago", before, one["trace"]]


def ago(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
