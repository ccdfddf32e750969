"""Ways to write a program otherwise that change nothing of what it does: statements, blocks and callbacks."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping

from tests.check.edits import (
    Edit,
    Function,
    Operator,
    blocks,
    functions,
    is_call,
    locals_of,
    names_in,
    statement,
    top,
    unused,
)
from tests.check.renaming import RENAMES
from tests.check.wrapping import WRAPS

__all__ = ["REWRITES"]

Trees = Mapping[str, ast.Module]
_JUMPS = (ast.Return, ast.Yield, ast.YieldFrom, ast.Break, ast.Continue, ast.Nonlocal, ast.Global)


def _bodies(trees: Trees) -> Iterator[tuple[ast.Module, Function, list[ast.stmt]]]:
    for tree in trees.values():
        for function in functions(tree):
            for block in blocks(function):
                yield tree, function, block


# Extracting and inlining.


def _extract(as_method: bool) -> Callable[[Trees], Iterator[Edit]]:
    def find(trees: Trees) -> Iterator[Edit]:
        for tree in trees.values():
            for owner in [tree, *(n for n in tree.body if isinstance(n, ast.ClassDef))]:
                if isinstance(owner, ast.ClassDef) is not as_method:
                    continue
                for function in owner.body:
                    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                        continue
                    for block in blocks(function):
                        for at, stmt in enumerate(block):
                            if _is_whole(function, stmt) and (not as_method or "self" in locals_of(function)):
                                yield _extraction(trees, tree, owner, function, block, at)

    return find


def _is_whole(function: Function, stmt: ast.stmt) -> bool:
    """Tell whether a statement can stand in a function of its own."""
    if not isinstance(stmt, (ast.Expr, ast.With, ast.For, ast.If)) or any(
        isinstance(part, _JUMPS) for part in ast.walk(stmt)
    ):
        return False
    stored = names_in(stmt, ast.Store)
    inside = {id(part) for part in ast.walk(stmt)}
    others = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and id(n) not in inside} | {
        arg.arg for arg in function.args.args
    }
    return not stored & others


def _extraction(  # noqa: PLR0917 - of one place
    trees: Trees,
    tree: ast.Module,
    owner: ast.Module | ast.ClassDef,
    function: Function,
    block: list[ast.stmt],
    at: int,
) -> Edit:
    def edit() -> None:
        stmt = block[at]
        is_method = isinstance(owner, ast.ClassDef)
        used = names_in(stmt) & locals_of(function) - names_in(stmt, ast.Store)
        given = sorted(used - {"self"} if is_method else used)
        name = unused(trees, "_step" if is_method else "step")
        is_async = any(isinstance(p, (ast.Await, ast.AsyncWith)) for p in ast.walk(stmt))
        params = ["self", *given] if is_method else given
        made = statement(f"{'async ' if is_async else ''}def {name}({', '.join(params)}): pass")
        assert isinstance(made, (ast.FunctionDef, ast.AsyncFunctionDef))
        made.body = [stmt]
        target = f"self.{name}" if is_method else name
        block[at] = statement(f"{'await ' if is_async else ''}{target}({', '.join(given)})")
        if is_method:
            owner.body.insert(owner.body.index(function), made)
        else:
            owner.body.insert(owner.body.index(function) + 1, made)

    return edit


def to_local(trees: Trees) -> Iterator[Edit]:
    """Give the first argument of a call a name of its own."""
    for _tree, function, block in _bodies(trees):
        for at, stmt in enumerate(block):
            call = getattr(stmt, "value", None)
            if isinstance(call, ast.Await):
                call = call.value
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.args:
                first = call.args[0]
                if isinstance(first, (ast.Call, ast.Attribute, ast.Subscript, ast.BinOp)):

                    def edit(
                        block: list[ast.stmt] = block,
                        at: int = at,
                        call: ast.Call = call,
                        first: ast.expr = first,
                    ) -> None:
                        name = unused(trees, "value")
                        call.args[0] = ast.Name(name, ast.Load())
                        block.insert(at, ast.Assign([ast.Name(name, ast.Store())], first))

                    _ = function
                    yield edit


def inlined(trees: Trees) -> Iterator[Edit]:
    """Write a value where its name is used, in the statement behind it."""
    for _tree, function, block in _bodies(trees):
        for at, (one, other) in enumerate(itertools.pairwise(block)):
            if not isinstance(one, ast.Assign) or not isinstance(one.targets[0], ast.Name):
                continue
            name = one.targets[0].id
            uses = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == name]
            value = getattr(other, "value", None)
            call = value.value if isinstance(value, ast.Await) else value
            if (
                (
                    len(uses) == 2
                    and isinstance(call, ast.Call)
                    and call.args
                    and isinstance(call.args[0], ast.Name)
                )
                and call.args[0].id == name
                and isinstance(call.func, ast.Name)
            ):

                def edit(
                    block: list[ast.stmt] = block,
                    at: int = at,
                    call: ast.Call = call,
                    one: ast.Assign = one,
                ) -> None:
                    call.args[0] = one.value
                    del block[at]

                yield edit


# Control flow.


def inverted(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "__name__" not in ast.unparse(node.test):

                def edit(node: ast.If = node) -> None:
                    node.test = ast.UnaryOp(ast.Not(), node.test)
                    node.body, node.orelse = node.orelse or [ast.Pass()], node.body

                yield edit


def nested_rest(trees: Trees) -> Iterator[Edit]:
    """Put what comes behind an early return into an else."""
    for _tree, _function, block in _bodies(trees):
        for at, stmt in enumerate(block[:-1]):
            if (
                isinstance(stmt, ast.If)
                and not stmt.orelse
                and isinstance(stmt.body[-1], (ast.Return, ast.Raise))
            ):

                def edit(block: list[ast.stmt] = block, at: int = at, stmt: ast.If = stmt) -> None:
                    stmt.orelse = block[at + 1 :]
                    del block[at + 1 :]

                yield edit


def early_return(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for function in functions(tree):
            last = function.body[-1]
            if isinstance(last, ast.If) and not last.orelse:

                def edit(function: Function = function, last: ast.If = last) -> None:
                    guard = ast.If(ast.UnaryOp(ast.Not(), last.test), [ast.Return(None)], [])
                    function.body[-1:] = [guard, *last.body]

                yield edit


def walrus(trees: Trees) -> Iterator[Edit]:
    for _tree, _function, block in _bodies(trees):
        for stmt in block:
            if isinstance(stmt, ast.If):

                def edit(stmt: ast.If = stmt) -> None:
                    stmt.test = ast.NamedExpr(ast.Name(unused(trees, "holds"), ast.Store()), stmt.test)

                yield edit


def tuples(trees: Trees) -> Iterator[Edit]:
    for _tree, _function, block in _bodies(trees):
        for at, stmt in enumerate(block):
            if not isinstance(stmt, ast.Assign) or not isinstance(stmt.targets[0], ast.Name):
                continue

            def alone(stmt: ast.Assign = stmt) -> None:
                rest = ast.Name(unused(trees, "rest"), ast.Store())
                stmt.targets = [ast.Tuple([stmt.targets[0], rest], ast.Store())]
                stmt.value = ast.Tuple([stmt.value, ast.Constant(None)], ast.Load())

            yield alone
            after = block[at + 1] if at + 1 < len(block) else None
            if not isinstance(after, ast.Assign) or not isinstance(after.targets[0], ast.Name):
                continue
            if stmt.targets[0].id not in names_in(after.value):

                def joined(
                    block: list[ast.stmt] = block, stmt: ast.Assign = stmt, after: ast.Assign = after
                ) -> None:
                    stmt.targets = [ast.Tuple([stmt.targets[0], after.targets[0]], ast.Store())]
                    stmt.value = ast.Tuple([stmt.value, after.value], ast.Load())
                    block.remove(after)

                yield joined


def with_split(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.With) and len(node.items) > 1:

                def split(node: ast.With = node) -> None:
                    node.body = [ast.With(node.items[1:], node.body)]
                    del node.items[1:]

                yield split
            for item in node.items if isinstance(node, ast.With) else ():
                call = item.context_expr
                if isinstance(node, ast.With) and isinstance(call, ast.Call) and is_call(call, "bind"):
                    if len(call.args) > 1:

                        def parted(
                            node: ast.With = node, item: ast.withitem = item, call: ast.Call = call
                        ) -> None:
                            rest = ast.Call(call.func, call.args[1:], [])
                            node.items.insert(node.items.index(item) + 1, ast.withitem(rest))
                            del call.args[1:]

                        yield parted

                    def by_stack(
                        tree: ast.Module = tree,
                        node: ast.With = node,
                        item: ast.withitem = item,
                        call: ast.Call = call,
                    ) -> None:
                        tree.body.insert(top(tree), statement("import contextlib"))
                        item.context_expr = ast.parse("contextlib.ExitStack()", mode="eval").body
                        item.optional_vars = ast.Name("bound_here", ast.Store())
                        enter = ast.parse("bound_here.enter_context()", mode="eval").body
                        assert isinstance(enter, ast.Call)
                        enter.args = [call]
                        node.body.insert(0, ast.Expr(enter))

                    if len(node.items) == 1:
                        yield by_stack


def with_joined(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.With) and len(node.body) == 1 and isinstance(node.body[0], ast.With):

                def join(node: ast.With = node) -> None:
                    inner = node.body[0]
                    assert isinstance(inner, ast.With)
                    node.items += inner.items
                    node.body = inner.body

                yield join


def context_by_name(trees: Trees) -> Iterator[Edit]:
    """Make what a with statement enters before it."""
    for _tree, _function, block in _bodies(trees):
        for at, node in enumerate(block):
            if isinstance(node, ast.With) and isinstance(node.items[0].context_expr, ast.Call):

                def edit(block: list[ast.stmt] = block, at: int = at, node: ast.With = node) -> None:
                    name = unused(trees, "context")
                    made = ast.Assign([ast.Name(name, ast.Store())], node.items[0].context_expr)
                    node.items[0].context_expr = ast.Name(name, ast.Load())
                    block.insert(at, made)

                yield edit


def loops(trees: Trees) -> Iterator[Edit]:
    """Make a loop of a comprehension, and a list of what is iterated once."""
    for _tree, _function, block in _bodies(trees):
        for at, stmt in enumerate(block):
            value = getattr(stmt, "value", None)
            is_simple = isinstance(value, ast.ListComp) and len(value.generators) == 1
            if is_simple and isinstance(stmt, (ast.Return, ast.Assign)):  # noqa: SIM102 - one by one
                if isinstance(stmt, ast.Return) or isinstance(stmt.targets[0], ast.Name):

                    def unroll(
                        block: list[ast.stmt] = block, at: int = at, value: ast.ListComp = value
                    ) -> None:
                        stmt = block[at]
                        part = value.generators[0]
                        name = unused(trees, "made")
                        append = ast.parse(f"{name}.append()", mode="eval").body
                        assert isinstance(append, ast.Call)
                        append.args = [value.elt]
                        inner: ast.stmt = ast.Expr(append)
                        for test in reversed(part.ifs):
                            inner = ast.If(test, [inner], [])
                        loop = ast.For(part.target, part.iter, [inner], [])
                        assert isinstance(stmt, (ast.Return, ast.Assign))
                        stmt.value = ast.Name(name, ast.Load())
                        block[at:at] = [statement(f"{name} = []"), loop]

                    yield unroll
    for tree in trees.values():
        for node in ast.walk(tree):
            for n, arg in enumerate(node.args) if isinstance(node, ast.Call) else ():
                if isinstance(arg, ast.GeneratorExp) and isinstance(node, ast.Call):
                    yield lambda node=node, n=n, arg=arg: node.args.__setitem__(
                        n, ast.ListComp(arg.elt, arg.generators)
                    )


REWRITES = [
    *RENAMES,
    Operator("extract function", _extract(as_method=False)),
    Operator("extract method", _extract(as_method=True)),
    Operator("name an argument", to_local),
    Operator("inline", inlined),
    Operator("invert if", inverted),
    Operator("nest the rest", nested_rest),
    Operator("return early", early_return),
    Operator("walrus", walrus),
    Operator("tuple assignment", tuples),
    Operator("split with", with_split),
    Operator("join with", with_joined),
    Operator("name a context", context_by_name),
    Operator("comprehension", loops),
    *WRAPS,
]
