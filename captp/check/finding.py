"""One thing that is wrong in a program: where, what, and the way there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from attrs import field, frozen

__all__ = ["Finding", "Place", "Step"]


@frozen(order=True)
class Place:
    """A line of a file, both from 1."""

    path: str
    line: int
    column: int


@frozen
class Step:
    """One place on the way to a finding, and what happens there."""

    place: Place
    text: str


@frozen
class Finding:
    """A finding, with the steps that lead to it, outermost first."""

    code: str
    place: Place
    message: str
    steps: tuple[Step, ...] = ()
    function: str = ""
    fix: str = field(default="", eq=False)

    @property
    def fingerprint(self) -> str:
        """What it is known by while lines move: the code, the file, the function and the text."""
        text = re.sub(r"\bline \d+", "line", self.message)
        whole = f"{self.code}\0{self.place.path}\0{self.function}\0{text}"
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by place, each once."""
    unique = {(f.code, f.place, f.message): f for f in findings}
    return sorted(unique.values(), key=lambda f: (f.place, f.code, f.message))
