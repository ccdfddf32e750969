"""Findings as SARIF 2.1.0, which code hosts and editors show beside the lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote

from captp.check.codes import CODES
from captp.check.finding import Finding, Place
from captp.version import __version__

__all__ = ["as_sarif"]

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def as_sarif(findings: Iterable[Finding]) -> str:
    """Return a log of one run; the way to a finding is a code flow."""
    rules = list(CODES)
    run = {
        "tool": {
            "driver": {
                "name": "captp check",
                "version": __version__,
                "rules": [_rule(code) for code in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, rules) for finding in findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def _rule(code: str) -> dict[str, Any]:
    about = CODES[code]
    return {
        "id": code,
        "name": "".join(word.capitalize() for word in about.title.replace("-", " ").split()),
        "shortDescription": {"text": about.title},
        "fullDescription": {"text": f"{about.means} {about.matters}"},
        "defaultConfiguration": {"level": "error"},
    }


def _result(finding: Finding, rules: list[str]) -> dict[str, Any]:
    text = f"{finding.message}. Fix: {finding.fix}." if finding.fix else f"{finding.message}."
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rules.index(finding.code),
        "level": "error",
        "message": {"text": text},
        "locations": [_location(finding.place)],
        "partialFingerprints": {"captpCheck/v1": finding.fingerprint},
    }
    if finding.steps:
        steps = [_location(step.place, step.text) for step in finding.steps]
        result["relatedLocations"] = [{"id": number, **step} for number, step in enumerate(steps)]
        result["codeFlows"] = [{"threadFlows": [{"locations": [{"location": step} for step in steps]}]}]
    return result


def _location(place: Place, text: str = "") -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(place.path)},
            "region": {"startLine": place.line, "startColumn": place.column},
        }
    }
    if text:
        location["message"] = {"text": text}
    return location


def _uri(path: str) -> str:
    pure = PurePath(path)
    return pure.as_uri() if pure.is_absolute() else quote(pure.as_posix())
