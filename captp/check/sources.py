"""Finds and parses Python files, names their modules, and reads waivers from comments."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from attrs import define, frozen

from captp.check.finding import Finding, Place

__all__ = ["Source", "Waiver", "parse", "read"]

_WAIVER: Final = re.compile(
    r"#\s*captp:\s*allow\b[ \t]*(CAP\d{3}(?:[ \t]*,[ \t]*CAP\d{3})*)?[ \t:]*([^\n#]*)"
)
_SKIPPED: Final = frozenset(("__pycache__", "node_modules", "venv", "site-packages", "build", "dist"))


@define
class Waiver:
    """A comment that allows findings on its line, or on the next when it stands alone."""

    line: int
    codes: tuple[str, ...]
    reason: str
    lines: tuple[int, ...]
    is_used: bool = False


@frozen(eq=False)
class Source:
    """A parsed file; ``tree`` is None when it cannot be parsed."""

    path: str
    module: str
    text: str
    tree: ast.Module | None
    waivers: tuple[Waiver, ...]
    problem: Finding | None


def read(paths: Iterable[str]) -> tuple[dict[str, str], list[Finding]]:
    """Read all Python files under ``paths``; return texts, and a finding for each that is unreadable."""
    texts: dict[str, str] = {}
    problems: list[Finding] = []
    for path in dict.fromkeys(part for given in paths for part in _files(given)):
        try:
            texts[path] = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            problems.append(_unreadable(path, 1, 1, str(problem)))
    return texts, problems


def _files(path: str) -> Iterator[str]:
    if not Path(path).is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and not f.startswith("."))
        yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(".py"))


def parse(texts: Mapping[str, str], *, on_disk: bool) -> list[Source]:
    """Parse texts by path; each module gets a name of its own."""
    sources: list[Source] = []
    taken: set[str] = set()
    for path, text in texts.items():
        module = _module(path, texts, on_disk=on_disk)
        if module in taken:
            module = ".".join(PurePosixPath(path).with_suffix("").parts)
        taken.add(module)
        tree, problem = None, None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text, path)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", 1) or 1
            problem = _unreadable(
                path, line, getattr(error, "offset", 1) or 1, getattr(error, "msg", str(error))
            )
        sources.append(Source(path, module, text, tree, tuple(_waivers(text)), problem))
    return sources


def _module(path: str, texts: Mapping[str, str], *, on_disk: bool) -> str:
    """Return the dotted name that a file is imported by, as far as its packages say."""
    file = PurePosixPath(path)
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    if on_disk:
        folder = PurePosixPath(os.path.abspath(folder))
    while str(folder / "__init__.py") in texts or (on_disk and os.path.exists(folder / "__init__.py")):
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts) or file.parent.name or "__init__"


def _waivers(text: str) -> Iterator[Waiver]:
    if "captp:" not in text:
        return
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        found = _WAIVER.search(line)
        if found is None or _is_text(line, found.start()):
            continue
        codes = tuple(re.findall(r"CAP\d{3}", found[1] or ""))
        stands_alone = not line[: found.start()].strip()
        covered: tuple[int, ...] = (number,)
        if stands_alone:
            after = number
            while after < len(lines) and lines[after].strip().startswith("#"):
                after += 1
            covered = (number, after + 1)
        yield Waiver(number, codes, found[2].strip(" :-"), covered)


def _is_text(line: str, at: int) -> bool:
    """Tell whether a comment sign stands inside a string that begins on its line."""
    before = line[:at]
    return before.count('"') % 2 == 1 or before.count("'") % 2 == 1


def _unreadable(path: str, line: int, column: int, why: str) -> Finding:
    return Finding("CAP003", Place(path, line, column), f"this file cannot be read: {why}", (), "<module>")
