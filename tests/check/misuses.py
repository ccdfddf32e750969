"""Mistakes with references: a unique one that is used again, and a borrowed one that is kept."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from tests.check.edits import Edit, blocks, called, functions, own_nodes, statement, top

__all__ = ["KEEPS", "borrow_kept", "reuse"]

Trees = Mapping[str, ast.Module]


def _uniques(tree: ast.AST) -> Iterator[tuple[list[ast.stmt], int, str]]:
    """Give each statement that passes a unique reference on, with its name."""
    for function in functions(tree):
        names = {
            arg.arg
            for arg in function.args.args
            if arg.annotation is not None and "Unique" in ast.unparse(arg.annotation)
        }
        for node in own_nodes(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                text = ast.unparse(node.value)
                if text.startswith(("await new_job", "await captp.make_unique")):
                    names.add(node.targets[0].id)
        for block in blocks(function):
            for number, stmt in enumerate(block):
                if isinstance(stmt, (ast.Expr, ast.Assign, ast.Return)):
                    for call in ast.walk(stmt):
                        passed = call.args if isinstance(call, ast.Call) else []
                        is_passed = called(call) in ("take", "hand_on", "keep", "share")
                        for arg in passed if is_passed else ():
                            if isinstance(arg, ast.Name) and arg.id in names:
                                yield block, number, arg.id


def reuse(how: str) -> Callable[[Trees], Iterator[Edit]]:
    def find(trees: Trees) -> Iterator[Edit]:
        for tree in trees.values():
            for block, number, name in _uniques(tree):

                def edit(block: list[ast.stmt] = block, number: int = number, name: str = name) -> None:
                    stmt = block[number]
                    if how == "loop":
                        loop = statement("for _again in range(2): pass")
                        assert isinstance(loop, ast.For)
                        loop.body = [stmt]
                        block[number] = loop
                        if isinstance(stmt, ast.Return):
                            assert stmt.value is not None
                            loop.body = [ast.Assign([ast.Name("given", ast.Store())], stmt.value)]
                            block.insert(number + 1, statement("return given"))
                    elif how == "branch":
                        block.insert(number, statement(f"if str(1): captp.share({name})"))
                    else:
                        after = f"captp.share({name})" if how == "after" else f"print(captp.E({name}))"
                        if isinstance(stmt, ast.Return):
                            assert stmt.value is not None
                            block[number] = ast.Assign([ast.Name("given", ast.Store())], stmt.value)
                            block.insert(number + 1, statement("return given"))
                        block.insert(number + 1, statement(after))

                yield edit

    return find


KEEPS = {
    "field": ("kept_{n}: Any = None", "self.kept_{n} = {n}"),
    "container": ("all_{n}: captp.List[Any]", "self.all_{n}.append({n})"),
    "global": ("", "KEPT.append({n})"),
    "captured": ("", "captp.outside(lambda: {n})"),
    "returned": ("", "return {n}"),
}


def borrow_kept(how: str) -> Callable[[Trees], Iterator[Edit]]:
    field, text = KEEPS[how]

    def find(trees: Trees) -> Iterator[Edit]:
        for tree in trees.values():
            for cls in ast.walk(tree):
                for function in cls.body if isinstance(cls, ast.ClassDef) else ():
                    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                        continue
                    if len(function.body) == 1 and "..." in ast.unparse(function.body[0]):
                        continue
                    for arg in function.args.args:
                        if arg.annotation is None or "Borrowed" not in ast.unparse(arg.annotation):
                            continue
                        for at in range(len(function.body)):

                            def edit(
                                tree: ast.Module = tree,
                                cls: ast.AST = cls,
                                function: ast.FunctionDef | ast.AsyncFunctionDef = function,
                                name: str = arg.arg,
                                at: int = at,
                            ) -> None:
                                assert isinstance(cls, ast.ClassDef)
                                function.body.insert(at, statement(text.format(n=name)))
                                if field:
                                    cls.body.insert(0, statement(field.format(n=name)))
                                if how == "global":
                                    tree.body.insert(top(tree), statement("KEPT: list[Any] = []"))

                            yield edit

    return find
