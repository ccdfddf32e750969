"""Which modules have to do with capabilities: those that make some, and all that import one of these.

Only what comes from such modules can need context, so only that is told apart from call to call.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from captp.check.sources import Source

__all__ = ["relevant"]

_NAMES: Final = re.compile(r"\bCap\b")


def relevant(sources: list[Source]) -> set[str]:
    """Return the names of the modules that capabilities may reach."""
    found = {source.module for source in sources if _NAMES.search(source.text) and _makes(source)}
    if not found:
        return found
    imports = {source.module: _imports(source) for source in sources if source.tree is not None}
    while True:
        more = {module for module, names in imports.items() if module not in found and names & found}
        if not more:
            return found
        found |= more


def _makes(source: Source) -> bool:
    """Tell whether a module calls ``Cap``, or gives it another name, by which it may be called."""
    for node in ast.walk(source.tree) if source.tree is not None else ():
        value: ast.expr | None = None
        if isinstance(node, ast.ImportFrom):
            if any(alias.name == "Cap" and alias.asname not in (None, "Cap") for alias in node.names):
                return True
        elif isinstance(node, ast.Call):
            value = node.func
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
            value = node.value
        if isinstance(value, ast.Subscript):
            value = value.value
        if "Cap" in (getattr(value, "id", ""), getattr(value, "attr", "")):
            return True
    return False


def _statements(block: Iterable[Any]) -> Iterator[Any]:
    """Give each statement of a block and in it; expressions, which are most of a tree, hold none."""
    for node in block:
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, part, None)
            if type(inner) is list:
                yield from _statements(inner)


def _imports(source: Source) -> set[str]:
    """Return every module that one imports, and each that a name from it may be."""
    names: set[str] = set()
    assert source.tree is not None
    package = source.module.split(".")
    if not source.path.endswith("__init__.py"):
        package = package[:-1]
    for node in _statements(source.tree.body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package[: len(package) - node.level + 1]
                base = ".".join([*parts, *([base] if base else [])])
            names.add(base)
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names
