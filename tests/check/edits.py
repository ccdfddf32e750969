"""Edits of syntax trees, and what several of them ask of a tree: blocks, functions, names and borrows."""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Callable, Iterator, Mapping

from attrs import frozen

from tests.check.corpus import Program

__all__ = [
    "Edit", "Operator", "blocks", "called", "edited", "functions", "is_call", "locals_of", "names_in",
    "own_nodes", "sites", "statement", "top", "unused", "with_borrows",
]  # fmt: skip

#: Changes the trees that it was found in.
Edit = Callable[[], None]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@frozen
class Operator:
    """A kind of edit: ``find`` gives each that could be made in the trees of a program."""

    name: str
    find: Callable[[Mapping[str, ast.Module]], Iterator[Edit]]


def sites(program: Program, operator: Operator) -> int:
    """Return how many edits of a kind there could be."""
    return sum(1 for _ in operator.find(copy.deepcopy(dict(program.trees))))


def edited(program: Program, operator: Operator, number: int) -> Program:
    """Return a program with one edit."""
    trees = copy.deepcopy(dict(program.trees))
    edit = next(itertools.islice(operator.find(trees), number, None))
    edit()
    for tree in trees.values():
        ast.fix_missing_locations(tree)
    return Program(program.name, trees, program.main)


def statement(text: str) -> ast.stmt:
    """Return a statement of some text."""
    return ast.parse(text).body[0]


def blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """Give each list of statements."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            part = getattr(node, name, None)
            if isinstance(part, list) and part and isinstance(part[0], ast.stmt):
                yield part


def functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Give what is in a node, but for what is in functions and classes that it defines."""
    stack = list(ast.iter_child_nodes(node))
    while stack:
        part = stack.pop(0)
        yield part
        if not isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            stack += ast.iter_child_nodes(part)


def called(node: ast.AST) -> str:
    """Return the last name of what is called; nothing for what is no call."""
    if not isinstance(node, ast.Call):
        return ""
    func = node.func
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def is_call(node: ast.AST | None, name: str) -> bool:
    return node is not None and called(node) == name


def names_in(node: ast.AST, kind: type[ast.expr_context] = ast.Load) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}


def locals_of(function: Function) -> set[str]:
    """Return the names that a function assigns, with its parameters."""
    spec = function.args
    given = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]
    found = {arg.arg for arg in given if arg is not None}
    for node in own_nodes(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif (isinstance(node, ast.ExceptHandler) and node.name) or isinstance(
            node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        ):
            found.add(node.name)
    return found


def with_borrows(tree: ast.AST, mode: str = "") -> Iterator[tuple[ast.With, ast.withitem, ast.expr]]:
    """Give each with statement that borrows, with its item and the capability."""
    for node in ast.walk(tree):
        for item in node.items if isinstance(node, ast.With) else ():
            call = item.context_expr
            if (
                isinstance(call, ast.Call)
                and not call.args
                and called(call) in ((mode,) if mode else ("mut", "ref"))
            ):
                assert isinstance(call.func, ast.Attribute)
                if isinstance(call.func.value, (ast.Name, ast.Attribute)) and isinstance(node, ast.With):
                    yield node, item, call.func.value


def top(tree: ast.Module) -> int:
    """Return where a definition can stand first: behind the imports."""
    last = 0
    for number, node in enumerate(tree.body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            last = number + 1
    return last


def unused(trees: Mapping[str, ast.Module], name: str) -> str:
    """Return a name that no tree has, made of another."""
    taken = set()
    for tree in trees.values():
        for node in ast.walk(tree):
            taken |= {getattr(node, field, None) for field in ("id", "attr", "name", "arg", "asname")}
    return next(f"{name}_{n}" for n in itertools.count(2) if f"{name}_{n}" not in taken)
