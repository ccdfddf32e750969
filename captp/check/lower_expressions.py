"""Lowers expressions: finds which scope has a name, and makes comprehensions and lambdas explicit."""

from __future__ import annotations

import ast
from typing import Any

from captp.check import ir
from captp.check.scopes import has_yield, names_of

__all__ = ["Expressions"]

_CONSTS = {int: "int", float: "int", complex: "int", bool: "bool", str: "str", bytes: "bytes"}


class Expressions:
    """Lowers the expressions of one function, module or class."""

    def __init__(self, function: ir.Function, cls: ir.ClassDef | None) -> None:
        self.function = function
        self.cls = cls
        #: Names of comprehensions that are being lowered, with the function they stand in, innermost last.
        self.renamed: list[tuple[ir.Function, dict[str, str]]] = []

    def at(self, node: Any) -> ir.At:
        return node.lineno, node.col_offset + 1

    def qualified(self, name: str) -> str:
        outer = self.function.qualname
        return f"{outer}.{name}" if outer else name

    # Names.

    def name(self, at: ir.At, name: str) -> ir.Name:
        function: ir.Function | None = self.function
        is_own = True
        while function is not None:
            for home, names in reversed(self.renamed):
                if home is function and name in names:
                    return self._found(at, names[name], function)
            is_seen = function.kind == "function" or (function.kind == "class" and is_own)
            if is_seen and name in function.names:
                return self._found(at, name, function)
            is_own = False
            function = function.outer
        return ir.Name(at, name, None)

    def _found(self, at: ir.At, name: str, home: ir.Function) -> ir.Name:
        if home is not self.function:
            home.captured.add(name)
            user: ir.Function | None = self.function
            while user is not None and user is not home:
                user.free[name] = home
                user = user.outer
        return ir.Name(at, name, home)

    def new_function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, name: str
    ) -> ir.Function:
        """Return an empty function for a definition that stands here."""
        made = ir.Function(
            name,
            self.qualified(name),
            self.function.module,
            self.function.path,
            self.at(node),
            is_async=isinstance(node, ast.AsyncFunctionDef),
            is_generator=has_yield(node),
            owner=self.cls,
            outer=self.function,
        )
        spec = node.args
        plain = [*spec.posonlyargs, *spec.args]
        missing: list[ast.expr | None] = [None] * (len(plain) - len(spec.defaults))
        for arg, default in zip(plain, [*missing, *spec.defaults], strict=True):
            made.params.append(self._param(arg, "plain", default))
        if spec.vararg:
            made.params.append(self._param(spec.vararg, "star", None))
        for arg, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
            made.params.append(self._param(arg, "keyword", default))
        if spec.kwarg:
            made.params.append(self._param(spec.kwarg, "double", None))
        made.names = {param.name for param in made.params}
        if not isinstance(node, ast.Lambda):
            made.names |= names_of(node)
        return made

    def _param(self, arg: ast.arg, kind: str, default: ast.expr | None) -> ir.Param:
        return ir.Param(
            arg.arg,
            kind,
            self.annotation(arg.annotation) if arg.annotation is not None else None,
            self.expr(default) if default is not None else None,
        )

    # Expressions.

    def expr(self, node: ast.expr) -> ir.Expr:
        method = _EXPRESSIONS.get(type(node))
        if method is None:
            return ir.Const(self.at(node), "unknown")
        return method(self, node)  # type: ignore[no-any-return]

    def annotation(self, node: ast.expr) -> ir.Expr:
        """Lower an annotation, which may be text."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                inner = ast.parse(node.value.strip(), mode="eval").body
            except (SyntaxError, ValueError):
                return ir.Const(self.at(node), "unknown")
            for part in ast.walk(inner):
                if hasattr(part, "lineno"):
                    part.lineno, part.col_offset = node.lineno, node.col_offset  # type: ignore[attr-defined]
            return self.annotation(inner)
        if isinstance(node, ast.Subscript):
            return ir.Index(self.at(node), self.expr(node.value), self.annotation(node.slice))
        if isinstance(node, ast.Tuple):
            return ir.Build(self.at(node), "tuple", [self.annotation(e) for e in node.elts])
        if isinstance(node, ast.BinOp):
            parts = [self.annotation(node.left), self.annotation(node.right)]
            return ir.Op(self.at(node), "union", parts)
        return self.expr(node)

    def target(self, node: ast.expr) -> ir.Expr:
        if isinstance(node, (ast.Tuple, ast.List)):
            return ir.Unpack(self.at(node), [self.target(e) for e in node.elts])
        if isinstance(node, ast.Starred):
            return ir.Splat(self.at(node), self.target(node.value))
        return self.expr(node)

    def test(self, node: ast.expr) -> ir.Test:
        """Lower a condition, with what it says of one variable."""
        at = self.at(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.test(node.operand)
            inner.is_negated = not inner.is_negated
            return inner
        value = self.expr(node)
        if isinstance(node, ast.Name):
            name = self.name(at, node.id)
            return ir.Test(at, value, name, "truth")
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "isinstance"
            and len(node.args) == 2
            and isinstance(node.args[0], ast.Name)
        ):
            about = self.expr(node.args[1])
            return ir.Test(at, value, self.name(at, node.args[0].id), "class", about)
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name) and len(node.ops) == 1:
            right = node.comparators[0]
            if (
                isinstance(node.ops[0], (ast.Is, ast.IsNot))
                and isinstance(right, ast.Constant)
                and right.value is None
            ):
                is_negated = isinstance(node.ops[0], ast.IsNot)
                return ir.Test(at, value, self.name(at, node.left.id), "none", None, is_negated)
        return ir.Test(at, value)

    def _const(self, node: ast.Constant) -> ir.Expr:
        if node.value is None:
            return ir.Const(self.at(node), "none")
        return ir.Const(self.at(node), _CONSTS.get(type(node.value), "unknown"), node.value)

    def _name(self, node: ast.Name) -> ir.Expr:
        return self.name(self.at(node), node.id)

    def _attr(self, node: ast.Attribute) -> ir.Expr:
        end = (node.end_lineno or node.lineno, (node.end_col_offset or 0) - len(node.attr) + 1)
        return ir.Attr(end if end[0] != node.lineno else self.at(node), self.expr(node.value), node.attr)

    def _call(self, node: ast.Call) -> ir.Expr:
        return ir.Call(
            self.at(node),
            self.expr(node.func),
            [self.expr(a) for a in node.args],
            [(k.arg, self.expr(k.value)) for k in node.keywords],
        )

    def _starred(self, node: ast.Starred) -> ir.Expr:
        return ir.Starred(self.at(node), self.expr(node.value))

    def _await(self, node: ast.Await) -> ir.Expr:
        return ir.Await(self.at(node), self.expr(node.value))

    def _binary(self, node: ast.BinOp) -> ir.Expr:
        kind = "union" if isinstance(node.op, ast.BitOr) else "arith"
        return ir.Op(self.at(node), kind, [self.expr(node.left), self.expr(node.right)])

    def _unary(self, node: ast.UnaryOp) -> ir.Expr:
        kind = "not" if isinstance(node.op, ast.Not) else "arith"
        return ir.Op(self.at(node), kind, [self.expr(node.operand)])

    def _bool(self, node: ast.BoolOp) -> ir.Expr:
        parts = [self.expr(v) for v in node.values]
        for part in reversed(parts[:-1]):
            test = ir.Test(part.at, part)
            parts[-1] = ir.Choice(self.at(node), test, [ir.Const(part.at, "truth"), parts[-1]])
        return parts[-1]

    def _if(self, node: ast.IfExp) -> ir.Expr:
        parts = [self.expr(node.body), self.expr(node.orelse)]
        return ir.Choice(self.at(node), self.test(node.test), parts)

    def _compare(self, node: ast.Compare) -> ir.Expr:
        op = node.ops[0]
        kind = "compare"
        if isinstance(op, (ast.Is, ast.IsNot)):
            kind = "identity"
        elif isinstance(op, (ast.In, ast.NotIn)):
            kind = "contains"
        elif isinstance(op, (ast.Eq, ast.NotEq)):
            kind = "equal"
        return ir.Op(self.at(node), kind, [self.expr(p) for p in (node.left, *node.comparators)])

    def _index(self, node: ast.Subscript) -> ir.Expr:
        return ir.Index(self.at(node), self.expr(node.value), self.expr(node.slice))

    def _slice(self, node: ast.Slice) -> ir.Expr:
        parts = [self.expr(p) for p in (node.lower, node.upper, node.step) if p is not None]
        return ir.Op(self.at(node), "slice", parts)

    def _build(self, node: ast.Tuple | ast.List | ast.Set) -> ir.Expr:
        return ir.Build(self.at(node), type(node).__name__.lower(), [self.expr(e) for e in node.elts])

    def _dict(self, node: ast.Dict) -> ir.Expr:
        keys = [self.expr(k) for k in node.keys if k is not None]
        parts = [
            self.expr(v) if k is not None else ir.Starred(self.at(v), self.expr(v))
            for k, v in zip(node.keys, node.values, strict=True)
        ]
        return ir.Build(self.at(node), "dict", parts, keys)

    def _format(self, node: ast.JoinedStr) -> ir.Expr:
        values = [v.value for v in node.values if isinstance(v, ast.FormattedValue)]
        return ir.Op(self.at(node), "format", [self.expr(v) for v in values])

    def _lambda(self, node: ast.Lambda) -> ir.Expr:
        function = self.new_function(node, "<lambda>")
        inner = type(self)(function, None)
        inner.renamed = list(self.renamed)
        body = inner.expr(node.body)
        function.body = [ir.Return(body.at, body)]
        return ir.Make(self.at(node), function)

    def _walrus(self, node: ast.NamedExpr) -> ir.Expr:
        hidden, self.renamed = self.renamed, []
        target = self.expr(node.target)
        self.renamed = hidden
        return ir.Walrus(self.at(node), target, self.expr(node.value))

    def _yield(self, node: ast.Yield) -> ir.Expr:
        return ir.Yield(self.at(node), self.expr(node.value) if node.value else None, is_from=False)

    def _yield_from(self, node: ast.YieldFrom) -> ir.Expr:
        return ir.Yield(self.at(node), self.expr(node.value), is_from=True)

    def _comp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> ir.Expr:
        at = self.at(node)
        first = self.expr(node.generators[0].iter)
        names: dict[str, str] = {}
        self.renamed.append((self.function, names))
        for generator in node.generators:
            for part in ast.walk(generator.target):
                if isinstance(part, ast.Name):
                    names[part.id] = f"{part.id}#{at[0]}:{at[1]}"
        self.function.names.update(names.values())
        loops: list[tuple[ir.At, ir.Expr, ir.Expr, list[ir.Test], bool]] = []
        for number, generator in enumerate(node.generators):
            items = self.expr(generator.iter) if number else first
            tests = [self.test(t) for t in generator.ifs]
            loops.append((items.at, items, self.target(generator.target), tests, bool(generator.is_async)))
        if isinstance(node, ast.DictComp):
            key = self.expr(node.key)
            body: ir.Block = [ir.Assign(key.at, [], key), ir.Emit(at, self.expr(node.value))]
        else:
            body = [ir.Emit(at, self.expr(node.elt))]
        for where, items, target, tests, is_async in reversed(loops):
            for test in reversed(tests):
                body = [ir.Branch(where, test, body, [])]
            body = [ir.Loop(where, items, target, None, body, [], is_async)]
        self.renamed.pop()
        kind = type(node).__name__.removesuffix("Comp").removesuffix("Exp").lower()
        return ir.Comp(at, kind, body)


_EXPRESSIONS: dict[type, Any] = {
    ast.Constant: Expressions._const,
    ast.Name: Expressions._name,
    ast.Attribute: Expressions._attr,
    ast.Call: Expressions._call,
    ast.Starred: Expressions._starred,
    ast.Await: Expressions._await,
    ast.BinOp: Expressions._binary,
    ast.UnaryOp: Expressions._unary,
    ast.BoolOp: Expressions._bool,
    ast.IfExp: Expressions._if,
    ast.Compare: Expressions._compare,
    ast.Subscript: Expressions._index,
    ast.Slice: Expressions._slice,
    ast.Tuple: Expressions._build,
    ast.List: Expressions._build,
    ast.Set: Expressions._build,
    ast.Dict: Expressions._dict,
    ast.JoinedStr: Expressions._format,
    ast.Lambda: Expressions._lambda,
    ast.NamedExpr: Expressions._walrus,
    ast.Yield: Expressions._yield,
    ast.YieldFrom: Expressions._yield_from,
    ast.ListComp: Expressions._comp,
    ast.SetComp: Expressions._comp,
    ast.DictComp: Expressions._comp,
    ast.GeneratorExp: Expressions._comp,
}
