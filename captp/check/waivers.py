"""Applies waivers to findings, and reports those that say nothing or allow nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from captp.check.finding import Finding, Place
from captp.check.sources import Source, Waiver

__all__ = ["waive"]


def waive(findings: Iterable[Finding], sources: Iterable[Source]) -> Iterator[Finding]:
    """Return findings that no waiver allows, and findings about the waivers."""
    by_line: dict[tuple[str, int], list[Waiver]] = {}
    every: list[tuple[str, Waiver]] = []
    for source in sources:
        for waiver in source.waivers:
            every.append((source.path, waiver))
            for line in waiver.lines:
                by_line.setdefault((source.path, line), []).append(waiver)
    for finding in findings:
        found = [
            w for w in by_line.get((finding.place.path, finding.place.line), ()) if finding.code in w.codes
        ]
        for waiver in found:
            waiver.is_used = True
        if not found:
            yield finding
    for path, waiver in every:
        place = Place(path, waiver.line, 1)
        if not waiver.codes or not waiver.reason:
            yield Finding(
                "CAP001", place, "this waiver does not say which code it allows and why", (), "<module>"
            )
        elif not waiver.is_used:
            codes = ", ".join(waiver.codes)
            yield Finding(
                "CAP002", place, f"there is no {codes} here that this waiver would allow", (), "<module>"
            )
