"""``captp ls``: the daemon's named objects as a table; it shows no sturdyref."""

from __future__ import annotations

import json as json_format
from typing import Any, Final

from captp.cli.daemon import ask
from captp.cli.options import Json, Quiet, note, run

__all__ = ["ls"]

COLUMNS: Final = ("name", "interface", "class", "vat", "state", "problem")


def ls(*, json: Json = False, quiet: Quiet = False) -> None:
    """List the daemon's objects."""
    found = run(lambda: ask(lambda control: control.ls()))
    if json:
        print(json_format.dumps(found, indent=1))
    elif found:
        print(table([COLUMNS, *([str(row[c]) for c in COLUMNS] for row in found)]))
    else:
        note("no objects yet; make one: captp new MODULE:CLASS --name NAME", quiet=quiet)


def table(rows: list[Any]) -> str:
    """Align columns; a column with nothing below its title is left out."""
    columns = [c for c in zip(*rows, strict=True) if any(c[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
