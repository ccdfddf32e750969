"""Ways to write a program otherwise that change names, places and annotations only."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

import captp
from captp.model.trust import Trust
from tests.check.edits import Edit, Operator, functions, locals_of, statement, top, unused

__all__ = ["RENAMES"]

Trees = Mapping[str, ast.Module]
_OTHERS = (
    list,
    dict,
    set,
    str,
    Exception,
    captp.Arena,
    captp.Cap,
    captp.Index,
    captp.Object,
    Trust,
    captp.LiveVat,
)
_TAKEN = (
    {name for kind in _OTHERS for name in dir(kind)} | set(dir(captp)) | {"main", "run", "self", "mut", "ref"}
)
_FIELDS = ("id", "attr", "name", "arg", "asname")


def _rename(trees: Trees, old: str, new: str) -> None:
    for tree in trees.values():
        for node in ast.walk(tree):
            for field in _FIELDS:
                if getattr(node, field, None) == old:
                    setattr(node, field, new)
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                node.names = [new if name == old else name for name in node.names]


def renamed(trees: Trees) -> Iterator[Edit]:
    """Rename a function, a class or a variable wherever the program has it."""
    names: set[str] = set()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                names |= {node.name, *locals_of(node)}
            elif isinstance(node, ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign):
                names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    imported = {
        alias.asname or alias.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if not (isinstance(node, ast.ImportFrom) and f"{node.module}".startswith("library"))
    }
    for name in sorted(names - _TAKEN - imported):
        if not name.startswith("__"):
            yield lambda name=name: _rename(trees, name, unused(trees, name))


def aliased_import(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for node in tree.body:
            if (
                not isinstance(node, (ast.Import, ast.ImportFrom))
                or getattr(node, "module", "") == "__future__"
            ):
                continue
            for alias in node.names:
                if alias.asname is None and "." not in alias.name:

                    def edit(tree: ast.Module = tree, alias: ast.alias = alias) -> None:
                        old, new = alias.name, unused(trees, alias.name)
                        alias.asname = new
                        for part in ast.walk(tree):
                            if isinstance(part, ast.Name) and part.id == old:
                                part.id = new

                    yield edit


def aliased_capability(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for node in tree.body:
            text = ast.unparse(node)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and "captp.Cap" in text:

                def edit(tree: ast.Module = tree, node: ast.Assign = node) -> None:
                    target = node.targets[0]
                    assert isinstance(target, ast.Name)
                    old, new = target.id, unused(trees, target.id)
                    for function in functions(tree):
                        for part in function.body:
                            for name in ast.walk(part):
                                if isinstance(name, ast.Name) and name.id == old:
                                    name.id = new
                    tree.body.insert(tree.body.index(node) + 1, statement(f"{new} = {old}"))

                yield edit


def reordered(trees: Trees) -> Iterator[Edit]:
    """Move a function to the end of its module, or of its class."""
    for tree in trees.values():
        for owner in ast.walk(tree):
            if not isinstance(owner, (ast.Module, ast.ClassDef)):
                continue
            for node in owner.body:
                is_plain = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                if is_plain and (isinstance(owner, ast.ClassDef) or not node.decorator_list):

                    def edit(owner: Any = owner, node: ast.stmt = node) -> None:
                        owner.body.remove(node)
                        at = len(owner.body) - isinstance(owner.body[-1], ast.If)
                        owner.body.insert(at, node)

                    if len(owner.body) > 1:
                        yield edit


def moved(trees: Trees) -> Iterator[Edit]:
    """Move the beginning of a module to another one."""
    if not isinstance(trees, dict):
        return
    for path, tree in list(trees.items()):
        if "/" in path:
            continue
        for at in range(top(tree) + 1, len(tree.body)):
            if not isinstance(tree.body[at], ast.If):

                def edit(path: str = path, tree: ast.Module = tree, at: int = at) -> None:
                    name = f"{path.removesuffix('.py')}_parts"
                    names = {n for stmt in tree.body[:at] for n in _defined(stmt)}
                    future = statement("from __future__ import annotations")
                    trees[f"{name}.py"] = ast.Module(tree.body[:at], [])
                    taken = statement(f"from {name} import {', '.join(sorted(names))}")
                    tree.body[:at] = [future, taken]

                yield edit


def _defined(stmt: ast.stmt) -> set[str]:
    if isinstance(stmt, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {stmt.name}
    if isinstance(stmt, (ast.Import, ast.ImportFrom)) and getattr(stmt, "module", "") != "__future__":
        return {(alias.asname or alias.name).partition(".")[0] for alias in stmt.names}
    if isinstance(stmt, (ast.Assign, ast.AnnAssign)):
        return {n.id for n in ast.walk(stmt) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return set()


def annotations(trees: Trees) -> Iterator[Edit]:
    """Annotate with an alias of a type, or as what may be None."""
    for tree in trees.values():
        for function in functions(tree):
            if any("captp.method" in ast.unparse(d) for d in function.decorator_list):
                continue
            for arg in function.args.args:
                text = ast.unparse(arg.annotation) if arg.annotation is not None else ""
                if not text or text.startswith(("captp.Unique", "captp.Borrowed")) or "'" in text:
                    continue

                def optional(tree: ast.Module = tree, arg: ast.arg = arg, text: str = text) -> None:
                    tree.body.insert(top(tree), statement("from typing import Optional"))
                    arg.annotation = ast.parse(f"Optional[{text}]", mode="eval").body

                def alias(tree: ast.Module = tree, arg: ast.arg = arg, text: str = text) -> None:
                    name = unused(trees, "Kind")
                    at = next((n for n, s in enumerate(tree.body) if _is_function(s)), len(tree.body))
                    tree.body.insert(at, statement(f"{name} = {text}"))
                    arg.annotation = ast.Name(name, ast.Load())

                yield optional
                yield alias


def _is_function(stmt: ast.stmt) -> bool:
    return isinstance(stmt, (ast.FunctionDef, ast.AsyncFunctionDef))


RENAMES = [
    Operator("rename", renamed),
    Operator("alias an import", aliased_import),
    Operator("alias a capability", aliased_capability),
    Operator("reorder", reordered),
    Operator("move to a module", moved),
    Operator("annotate", annotations),
]
