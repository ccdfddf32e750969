"""``captp trustees``: how busy each trustee of the daemon is, and how long calls wait there, as a table."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterable, Mapping
from typing import Any, Final

from captp.cli.daemon import ask
from captp.cli.ls import table
from captp.cli.options import Json, Quiet, run
from captp.model.histogram import below

__all__ = ["shown", "trustees"]

#: Title, and the fields that may have the figure, by kind of trustee: the first that is there counts.
COLUMNS: Final = (
    ("vat", ("vat",)),
    ("trustee", ("trustee",)),
    ("state", ("state",)),
    ("load", ("load",)),
    ("busy", ("busy_s", "cpu_s")),
    ("turns", ("turns",)),
    ("turns/s", ("turn_rate",)),
    ("zero-hop", ("zero_hop",)),
    ("waiting", ("waiting", "depth")),
    ("most", ("high_water",)),
    ("wait-p50", ("wait_p50_s",)),
    ("wait-p99", ("wait_p99_s",)),
    ("longest-wait", ("longest_wait_s",)),
    ("longest-batch", ("longest_batch_s",)),
    ("longest-hold", ("longest_hold_s",)),
    ("busiest", ("busiest",)),
    ("overloads", ("overloads",)),
    ("restarts", ("restarts",)),
    ("durable", ("durable",)),
)


def trustees(*, json: Json = False, quiet: Quiet = False) -> None:  # noqa: ARG001 - it has no notes
    """Show load, queue and waits of the daemon's trustees."""
    found = run(lambda: ask(lambda control: control.trustees()))
    if json:
        print(json_format.dumps(found, indent=1))
    else:
        print(shown(found))


def shown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of what the daemon says of its trustees."""
    return table([[title for title, _ in COLUMNS], *map(_cells, rows)])


def _cells(row: Mapping[str, Any]) -> list[str]:
    """Return what the table says of one trustee."""
    known = dict(row)
    known["durable"] = "yes" if row.get("is_durable") else None
    if row.get("age_s"):
        known["load"] = f"{row['busy_s'] / row['age_s']:.1%}"
        known["turn_rate"] = f"{(row['turns'] + row.get('zero_hop', 0)) / row['age_s']:.3g}"
    seconds = row.get("classes") or {}
    if total := sum(seconds.values()):
        busiest = max(seconds, key=seconds.__getitem__)
        known["busiest"] = f"{busiest} {seconds[busiest] / total:.0%}"
    for name, share in (("wait_p50_s", 0.5), ("wait_p99_s", 0.99)):
        microseconds = below(row.get("waits", ()), share)
        known[name] = None if microseconds is None else microseconds / 1e6
    return [
        next((_cell(name, known[name]) for name in names if known.get(name) is not None), "")
        for _, names in COLUMNS
    ]


def _cell(name: str, value: Any) -> str:
    if name in ("busy_s", "cpu_s"):
        return f"{value:.2f} s"
    if name.startswith("wait_"):
        return f"< {1000 * value:.3g} ms"
    return f"{1000 * value:.1f} ms" if name.endswith("_s") else str(value)
