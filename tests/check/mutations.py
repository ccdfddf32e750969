"""Kinds of mistakes, and where a program could have one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

from attrs import frozen

from captp import errors
from tests.check.edits import (
    Edit,
    Operator,
    blocks,
    called,
    functions,
    is_call,
    statement,
    top,
    with_borrows,
)
from tests.check.misuses import KEEPS, borrow_kept, reuse

__all__ = ["MUTATIONS", "Mutation"]

Trees = Mapping[str, ast.Module]


@frozen
class Mutation:
    """A kind of mistake, the codes that tell of it, and what it raises if it shows when the program runs."""

    operator: Operator
    codes: tuple[str, ...]
    raised: tuple[type[BaseException], ...] = ()
    told: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.operator.name


def _binds(trees: Trees) -> Iterator[tuple[list[ast.stmt], int, ast.With, ast.withitem, ast.Call]]:
    for tree in trees.values():
        for block in blocks(tree):
            for number, node in enumerate(block):
                for item in node.items if isinstance(node, ast.With) else ():
                    call = item.context_expr
                    if isinstance(call, ast.Call) and called(call) == "bind" and isinstance(node, ast.With):
                        yield block, number, node, item, call


def bind_removed(trees: Trees) -> Iterator[Edit]:
    for block, number, node, _item, call in _binds(trees):
        for term in call.args:
            if len(call.args) > 1:
                yield lambda call=call, term=term: call.args.remove(term)
            elif len(node.items) == 1:

                def unwrap(
                    block: list[ast.stmt] = block, number: int = number, node: ast.With = node
                ) -> None:
                    block[number : number + 1] = node.body

                yield unwrap
    for tree in trees.values():
        for block in blocks(tree):
            for node in block:
                if (
                    isinstance(node, ast.Expr)
                    and is_call(node.value, "enter_context")
                    and any(is_call(part, "bind") for part in ast.walk(node))
                ):
                    yield lambda block=block, node=node: block.__setitem__(block.index(node), ast.Pass())


def bind_ref(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for node in ast.walk(tree):
            if is_call(node, "bind") and isinstance(node, ast.Call):
                for term in node.args:
                    if isinstance(term, ast.Call) and is_call(term, "mut") and term.args:
                        yield lambda term=term: setattr(term.func, "attr", "ref")


def bind_late(trees: Trees) -> Iterator[Edit]:
    for block, number, node, _item, _call in _binds(trees):
        if len(node.body) > 1:

            def move(block: list[ast.stmt] = block, number: int = number, node: ast.With = node) -> None:
                block.insert(number, node.body.pop(0))

            yield move


def _view_kept(how: str) -> Callable[[Trees], Iterator[Edit]]:
    def find(trees: Trees) -> Iterator[Edit]:
        for tree in trees.values():
            for node, item, _cap in with_borrows(tree):
                if not isinstance(item.optional_vars, ast.Name):
                    continue
                name = item.optional_vars.id
                if how == "global":

                    def keep(tree: ast.Module = tree, node: ast.With = node, name: str = name) -> None:
                        node.body.insert(0, statement(f"KEPT.append({name})"))
                        tree.body.insert(top(tree), statement("KEPT = []"))

                    yield keep
                for block in blocks(tree):
                    is_left = not any(isinstance(part, (ast.Return, ast.Raise)) for part in node.body)
                    if how == "after" and node in block and is_left:

                        def use(
                            block: list[ast.stmt] = block, node: ast.With = node, name: str = name
                        ) -> None:
                            block.insert(block.index(node) + 1, statement(f"print(len({name}))"))

                        yield use

    return find


def _nested(how: str) -> Callable[[Trees], Iterator[Edit]]:
    def find(trees: Trees) -> Iterator[Edit]:
        for tree in trees.values():
            for node, _item, cap in with_borrows(tree):
                text = ast.unparse(cap)
                body = {
                    "directly": f"with {text}.mut(): pass",
                    "read": f"print(len({text}.get()))",
                    "call": "touch_all()",
                    "callback": "list(map(lambda _: touch_all(), [1]))",
                }[how]

                def edit(
                    tree: ast.Module = tree, node: ast.With = node, text: str = text, body: str = body
                ) -> None:
                    node.body.insert(0, statement(body))
                    if how in ("call", "callback"):
                        helper = statement(f"def touch_all():\n    with {text}.mut(): pass")
                        # Behind what it uses, and before what is run.
                        guard = next(
                            (n for n, s in enumerate(tree.body) if isinstance(s, ast.If)), len(tree.body)
                        )
                        tree.body.insert(guard, helper)

                yield edit

    return find


def nested_loop(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.For)
                and is_call(node.iter, "list")
                and ".get()" in ast.unparse(node.iter)
            ):
                call = node.iter
                assert isinstance(call, ast.Call)
                yield lambda node=node, call=call: setattr(node, "iter", call.args[0])


def nested_around(trees: Trees) -> Iterator[Edit]:
    caps = {
        ast.unparse(node.targets[0])
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.Assign) and is_call(node.value, "Cap")
    }
    for tree in trees.values():
        seen = {
            name for name in caps if any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(tree))
        }
        for function in functions(tree):
            for block in blocks(function):
                for number, stmt in enumerate(block):
                    if isinstance(stmt, ast.Expr) and isinstance(stmt.value, ast.Call):
                        for cap in sorted(seen):

                            def edit(
                                block: list[ast.stmt] = block, number: int = number, cap: str = cap
                            ) -> None:
                                around = statement(f"with {cap}.mut(): pass")
                                assert isinstance(around, ast.With)
                                around.body = [block[number]]
                                block[number] = around

                            yield edit


def carry_missing(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        names = sorted(
            {
                function.name
                for function in functions(tree)
                if any("carry=True" in ast.unparse(d) for d in function.decorator_list)
            }
        )
        for name in names:
            for whole in (False, True):

                def edit(tree: ast.Module = tree, name: str = name, whole: bool = whole) -> None:
                    for function in functions(tree):
                        for decorator in list(function.decorator_list) if function.name == name else ():
                            if is_call(decorator, "needs") and isinstance(decorator, ast.Call):
                                if whole:
                                    function.decorator_list.remove(decorator)
                                else:
                                    decorator.keywords.clear()

                yield edit


def await_removed(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr):
                continue
            for field, value in ast.iter_fields(node):
                if isinstance(value, ast.Await) and isinstance(value.value, ast.Call):
                    yield lambda node=node, field=field, value=value: setattr(node, field, value.value)
                for n, part in enumerate(value) if isinstance(value, list) else ():
                    if isinstance(part, ast.Await) and isinstance(part.value, ast.Call):
                        yield lambda value=value, n=n, part=part: value.__setitem__(n, part.value)


def foreign_sleep(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for cls in ast.walk(tree):
            if not isinstance(cls, ast.ClassDef) or "captp.Object" not in map(ast.unparse, cls.bases):
                continue
            for function in cls.body:
                if isinstance(function, ast.AsyncFunctionDef):
                    for block in blocks(function):
                        for at in range(len(block)):

                            def edit(
                                tree: ast.Module = tree, block: list[ast.stmt] = block, at: int = at
                            ) -> None:
                                block.insert(at, statement("await trio.sleep(0)"))
                                tree.body.insert(top(tree), statement("import trio"))

                            yield edit


def capture_list(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for block in blocks(tree):
            for number, stmt in enumerate(block):
                for call in ast.walk(stmt) if isinstance(stmt, (ast.Expr, ast.Assign, ast.Return)) else ():
                    if called(call) in ("apply", "launch") and isinstance(call, ast.Call) and call.args:

                        def edit(
                            block: list[ast.stmt] = block, number: int = number, call: ast.Call = call
                        ) -> None:
                            inner = ast.unparse(call.args[0])
                            text = f"lambda *given: (seen.append(1), ({inner})(*given))[1]"
                            call.args[0] = ast.parse(text, mode="eval").body
                            block.insert(number, statement("seen: list[int] = []"))

                        yield edit


def object_for_interface(trees: Trees) -> Iterator[Edit]:
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and is_call(node.value, "export"):
                assert isinstance(node.value, ast.Call)
                yield lambda node=node, inner=node.value.args[0]: setattr(node, "value", inner)


_MISSING = (errors.MissingContext,)
_CONFLICT = (errors.BorrowConflict,)
_BOUND = ("nothing binds it there", "it is bound to be read only")


def _make(
    name: str,
    find: Callable[[Trees], Iterator[Edit]],
    codes: tuple[str, ...],
    raised: tuple[type[BaseException], ...] = (),
    told: tuple[str, ...] = (),
) -> Mutation:
    return Mutation(Operator(name, find), codes, raised, told)


MUTATIONS = [
    _make("bind removed", bind_removed, ("CAP303", "CAP302"), _MISSING, _BOUND),
    _make("bind ref for mut", bind_ref, ("CAP303",), _MISSING, _BOUND),
    _make("bind after use", bind_late, ("CAP303", "CAP302"), _MISSING, _BOUND),
    *[
        _make(f"unique reused {how}", reuse(how), ("CAP401",), (errors.Moved,), ("moved",))
        for how in ("after", "branch", "loop", "by E")
    ],
    *[_make(f"borrowed {how}", borrow_kept(how), ("CAP402",)) for how in KEEPS],
    *[_make(f"view {how}", _view_kept(how), ("CAP304", "CAP301")) for how in ("global", "after")],
    *[
        _make(f"mut nested, {how}", _nested(how), ("CAP301", "CAP303"), _CONFLICT, ("borrowed", "being read"))
        for how in ("directly", "read", "call", "callback")
    ],
    _make("mut nested, loop", nested_loop, ("CAP301",), _CONFLICT, ("used too late",)),
    _make("mut nested, around", nested_around, ("CAP301",), _CONFLICT, ("borrowed",)),
    _make("carry missing", carry_missing, ("CAP302", "CAP303"), (*_MISSING, errors.UnsizeError), _BOUND),
    _make("await removed", await_removed, ("CAP504", "CAP503"), (Exception,)),
    _make("trio.sleep in method", foreign_sleep, ("CAP502",)),
    _make("list captured", capture_list, ("CAP501",), (errors.CaptureError,)),
    _make("object for interface", object_for_interface, ("CAP503",), (Exception,)),
]
