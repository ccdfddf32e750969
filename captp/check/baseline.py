"""A file of findings that are known: those are not reported again, also when their lines move."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from captp.check.finding import Finding
from captp.errors import UsageError

__all__ = ["read_baseline", "unknown_to", "write_baseline"]


def write_baseline(path: Path, findings: Iterable[Finding]) -> None:
    """Write what is known; the text beside each fingerprint is for people."""
    rows = [
        {"fingerprint": f.fingerprint, "code": f.code, "path": f.place.path, "message": f.message}
        for f in findings
    ]
    path.write_text(json.dumps({"version": 1, "findings": rows}, indent=1) + "\n", encoding="utf-8")


def read_baseline(path: Path) -> Counter[str]:
    """Return how often each fingerprint is known. Raises UsageError for what is no baseline."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["findings"]
        return Counter(str(row["fingerprint"]) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UsageError(f"{path} is no baseline: {problem}; --write-baseline makes one") from problem


def unknown_to(known: Counter[str], findings: Iterable[Finding]) -> list[Finding]:
    """Return findings that are not known; of equal ones as many are left out as are."""
    left = Counter(known)
    new: list[Finding] = []
    for finding in findings:
        if left[finding.fingerprint] > 0:
            left[finding.fingerprint] -= 1
        else:
            new.append(finding)
    return new
