"""Ways to pass a function on that change nothing of what it does: callbacks and decorators around it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from tests.check.edits import Edit, Operator, called, statement, top, unused

__all__ = ["WRAPS"]

Trees = Mapping[str, ast.Module]

WRAPPERS = {
    "lambda": ("", "lambda *given: {f}(*given)"),
    "partial": ("import functools", "functools.partial({f})"),
    "def": (
        "def {n}(inner):\n    def run(*given):\n        return inner(*given)\n    return run",
        "{n}({f})",
    ),
    "class": (
        (
            "class {n}:\n    def __init__(self, inner):\n        self.inner = inner\n"
            "    def __call__(self, *given):\n        return self.inner(*given)"
        ),
        "{n}({f})",
    ),
}
_RUN_ELSEWHERE = {
    "apply",
    "apply_now",
    "apply_then",
    "launch",
    "outside",
    "later",
    "method",
    "bind",
    "isinstance",
    "Cap",
}


def _wrapped(how: str) -> Callable[[Trees], Iterator[Edit]]:
    before, text = WRAPPERS[how]

    def find(trees: Trees) -> Iterator[Edit]:
        for tree in trees.values():
            plain = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
            for node in ast.walk(tree):
                if not isinstance(node, ast.Call) or called(node) in _RUN_ELSEWHERE:
                    continue
                for n, arg in enumerate(node.args):
                    if isinstance(arg, ast.Lambda) or (isinstance(arg, ast.Name) and arg.id in plain):

                        def edit(
                            tree: ast.Module = tree, node: ast.Call = node, n: int = n, arg: ast.expr = arg
                        ) -> None:
                            name = unused(trees, "wrapped")
                            inner = f"({ast.unparse(arg)})"
                            node.args[n] = ast.parse(text.format(f=inner, n=name), mode="eval").body
                            if before:
                                tree.body.insert(top(tree), statement(before.format(n=name)))

                        yield edit

    return find


PASSES = """
def {n}(inner):
    @functools.wraps(inner)
    def run(*args, **kwargs):
        return inner(*args, **kwargs)
    return run
"""


def decorated(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for function in tree.body:
            if isinstance(function, ast.FunctionDef) and not function.decorator_list:

                def edit(tree: ast.Module = tree, function: ast.FunctionDef = function) -> None:
                    name = unused(trees, "passing")
                    function.decorator_list = [ast.Name(name, ast.Load())]
                    tree.body.insert(top(tree), statement(PASSES.format(n=name)))
                    tree.body.insert(top(tree), statement("import functools"))

                yield edit


WRAPS = [
    *[Operator(f"wrap in {how}", _wrapped(how)) for how in WRAPPERS],
    Operator("decorate", decorated),
]
