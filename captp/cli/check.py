"""``captp check``: read programs, never run them, and say where context, borrows or references go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from captp.check import baseline as baselines
from captp.check import check as findings_in
from captp.check import codes
from captp.check.finding import Finding
from captp.check.output import as_json, as_text
from captp.check.sarif import as_sarif
from captp.cli import problems

__all__ = ["check"]

#: What ``captp check`` ends with when it found something.
FOUND = 1


def check(
    *paths: Path,
    format: Annotated[Literal["text", "json", "sarif"], Parameter(help="How findings are written.")] = "text",  # noqa: A002 - it is the option's name
    explain: Annotated[str, Parameter(help="Say what a code means, and nothing else.")] = "",
    baseline: Annotated[Path | None, Parameter(help="Leave out the findings in this file.")] = None,
    write_baseline: Annotated[Path | None, Parameter(help="Write all findings to this file.")] = None,
) -> int:
    """Check the Python files under PATHS as one program.

    It ends with 0 when there is nothing to say, with 1 when there are findings, and with 2 when the
    command line is wrong.
    """
    if explain:
        return _explain(explain)
    if not paths:
        raise problems.usage("no PATH is given: say which files or folders are the program")
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise problems.usage(f"there is no {missing[0]}")
    found = findings_in([str(path) for path in paths])
    if write_baseline is not None:
        _write(write_baseline, found)
        return problems.OK
    if baseline is not None:
        found = baselines.unknown_to(baselines.read_baseline(baseline), found)
    if format == "text":
        print(as_text(found), end="")
        print(f"{len(found)} findings" if len(found) != 1 else "1 finding")
    else:
        print(as_json(found) if format == "json" else as_sarif(found))
    return FOUND if found else problems.OK


def _explain(code: str) -> int:
    if code.upper() not in codes.CODES:
        raise problems.usage(f"there is no code {code}; there are {', '.join(codes.CODES)}")
    print(codes.explain(code.upper()), end="")
    return problems.OK


def _write(path: Path, found: list[Finding]) -> None:
    baselines.write_baseline(path, found)
    print(f"{len(found)} findings are in {path}")
