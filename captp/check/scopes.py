"""Which names a scope has of its own: what its body assigns, but for what it declares to be elsewhere."""

from __future__ import annotations

import ast

__all__ = ["has_yield", "names_of"]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_OTHERS = (*_SCOPES, ast.Lambda)
_INNER = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def names_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """Return the names that the body of a function or a class assigns as its own."""
    found: set[str] = set()
    elsewhere: set[str] = set()
    stack: list[ast.AST] = list(node.body)
    while stack:
        part = stack.pop()
        if isinstance(part, _SCOPES):
            found.add(part.name)
            stack += part.decorator_list
            continue
        if isinstance(part, _INNER):
            found.update(_walruses(part))
            continue
        if isinstance(part, (ast.Global, ast.Nonlocal)):
            elsewhere.update(part.names)
        elif isinstance(part, ast.Name):
            if not isinstance(part.ctx, ast.Load):
                found.add(part.id)
            continue
        elif isinstance(part, (ast.Import, ast.ImportFrom)):
            found.update(alias.asname or alias.name.partition(".")[0] for alias in part.names)
            continue
        elif isinstance(part, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            if part.name:
                found.add(part.name)
        elif isinstance(part, ast.MatchMapping) and part.rest:
            found.add(part.rest)
        stack += children(part)
    return found - elsewhere


def _walruses(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Lambda):
        return set()
    return {
        part.target.id
        for part in ast.walk(node)
        if isinstance(part, ast.NamedExpr) and isinstance(part.target, ast.Name)
    }


def has_yield(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    """Tell whether a function is a generator."""
    stack: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
    while stack:
        part = stack.pop()
        if isinstance(part, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(part, _OTHERS):
            stack += children(part)
    return False


def children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes in a node, but for what says only how a name is used."""
    found: list[ast.AST] = []
    for name in node._fields:
        part = getattr(node, name, None)
        if type(part) is list:
            found += [inner for inner in part if isinstance(inner, ast.AST)]
        elif name != "ctx" and isinstance(part, ast.AST):
            found.append(part)
    return found
