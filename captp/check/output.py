"""Findings as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from captp.check.finding import Finding, Place

__all__ = ["as_json", "as_text"]


def as_text(findings: Iterable[Finding]) -> str:
    """Return findings with the way to each, and what to do about it."""
    return "".join(f"{line}\n" for finding in findings for line in _lines(finding))


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{_shown(finding.place)}: {finding.code} {finding.message}"
    for step in finding.steps:
        yield f"    {_shown(step.place)}: {step.text}"
    if finding.fix:
        yield f"    fix: {finding.fix}"


def _shown(place: Place) -> str:
    return f"{place.path}:{place.line}:{place.column}"


def as_json(findings: Iterable[Finding]) -> str:
    """Return an object with a list of findings."""
    return json.dumps({"version": 1, "findings": [_record(f) for f in findings]}, indent=1)


def _record(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        **_where(finding.place),
        "function": finding.function,
        "message": finding.message,
        "fix": finding.fix,
        "fingerprint": finding.fingerprint,
        "related": [{**_where(step.place), "message": step.text} for step in finding.steps],
    }


def _where(place: Place) -> dict[str, Any]:
    return {"path": place.path, "line": place.line, "column": place.column}
