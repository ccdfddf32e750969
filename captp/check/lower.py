"""Lowers a module's syntax tree to its IR: resolves scopes, knows no types and no other module."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from captp.check import ir
from captp.check.lower_expressions import Expressions
from captp.check.scopes import names_of

__all__ = ["lower"]


def lower(tree: ast.Module, module: str, path: str) -> ir.Function:
    """Return the body of a module as a function that nobody calls."""
    function = ir.Function("<module>", "", module, path, (1, 1), kind="module")
    maker = Statements(function, None)
    function.body = maker.block(tree.body)
    return function


class Statements(Expressions):
    """Lowers the statements of one function, module or class."""

    def block(self, nodes: Iterable[ast.stmt]) -> ir.Block:
        out: ir.Block = []
        for node in nodes:
            method = _STATEMENTS.get(type(node))
            if method is not None:
                method(self, node, out)  # type: ignore[operator]
        return out

    # Simple statements.

    def _expr(self, node: ast.Expr, out: ir.Block) -> None:
        if not isinstance(node.value, ast.Constant):
            out.append(ir.Emit(self.at(node), self.expr(node.value)))

    def _assign(self, node: ast.Assign, out: ir.Block) -> None:
        targets = [self.target(t) for t in node.targets]
        out.append(ir.Assign(self.at(node), targets, self.expr(node.value)))

    def _annotated(self, node: ast.AnnAssign, out: ir.Block) -> None:
        value = self.expr(node.value) if node.value is not None else None
        out.append(
            ir.Assign(self.at(node), [self.target(node.target)], value, self.annotation(node.annotation))
        )

    def _augmented(self, node: ast.AugAssign, out: ir.Block) -> None:
        at = self.at(node)
        value = ir.Op(at, "arith", [self.expr(node.target), self.expr(node.value)])
        out.append(ir.Assign(at, [self.target(node.target)], value, is_augmented=True))

    def _return(self, node: ast.Return, out: ir.Block) -> None:
        out.append(ir.Return(self.at(node), self.expr(node.value) if node.value is not None else None))

    def _raise(self, node: ast.Raise, out: ir.Block) -> None:
        parts = [self.expr(part) for part in (node.exc, node.cause) if part is not None]
        out.append(ir.Jump(self.at(node), "raise", parts))

    def _break(self, node: ast.Break, out: ir.Block) -> None:
        out.append(ir.Jump(self.at(node), "break", []))

    def _continue(self, node: ast.Continue, out: ir.Block) -> None:
        out.append(ir.Jump(self.at(node), "continue", []))

    def _delete(self, node: ast.Delete, out: ir.Block) -> None:
        out.append(ir.Delete(self.at(node), [self.target(t) for t in node.targets]))

    def _assert(self, node: ast.Assert, out: ir.Block) -> None:
        failed = ir.Jump(self.at(node), "raise", [self.expr(node.msg)] if node.msg else [])
        out.append(ir.Branch(self.at(node), self.test(node.test), [], [failed]))

    def _import(self, node: ast.Import, out: ir.Block) -> None:
        names: list[tuple[str, str, str | None]] = []
        for alias in node.names:
            if alias.asname:
                names.append((alias.asname, alias.name, None))
            else:
                top = alias.name.partition(".")[0]
                names.append((top, top, None))
        out.append(ir.Import(self.at(node), names))

    def _import_from(self, node: ast.ImportFrom, out: ir.Block) -> None:
        base = node.module or ""
        if node.level:
            package = self.function.module.split(".")
            drop = node.level - (1 if self.function.path.endswith("__init__.py") else 0)
            package = package[: len(package) - drop]
            base = ".".join([*package, *([node.module] if node.module else [])])
        out.append(ir.Import(self.at(node), [(a.asname or a.name, base, a.name) for a in node.names]))

    def _nonlocal(self, node: ast.Nonlocal, _out: ir.Block) -> None:
        for name in node.names:
            home = self.name(self.at(node), name).home
            if home is not None:
                home.rebound.add(name)

    # Compound statements.

    def _if_else(self, node: ast.If, out: ir.Block) -> None:
        out.append(
            ir.Branch(self.at(node), self.test(node.test), self.block(node.body), self.block(node.orelse))
        )

    def _for(self, node: ast.For | ast.AsyncFor, out: ir.Block) -> None:
        out.append(
            ir.Loop(
                self.at(node),
                self.expr(node.iter),
                self.target(node.target),
                None,
                self.block(node.body),
                self.block(node.orelse),
                isinstance(node, ast.AsyncFor),
            )
        )

    def _while(self, node: ast.While, out: ir.Block) -> None:
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        out.append(
            ir.Loop(
                self.at(node),
                None,
                None,
                self.test(node.test),
                self.block(node.body),
                self.block(node.orelse),
                is_endless=endless,
            )
        )

    def _with(self, node: ast.With | ast.AsyncWith, out: ir.Block) -> None:
        items = [
            (self.at(i.context_expr), self.expr(i.context_expr), self.target(i.optional_vars))
            if i.optional_vars is not None
            else (self.at(i.context_expr), self.expr(i.context_expr), None)
            for i in node.items
        ]
        body = self.block(node.body)
        for at, item, target in reversed(items):
            outer: ir.Block = [ir.With(at, item, target, body, isinstance(node, ast.AsyncWith))]
            body = outer
        out += body

    def _try(self, node: ast.Try | ast.TryStar, out: ir.Block) -> None:
        body = self.block(node.body)
        handlers = []
        for handler in node.handlers:
            block: ir.Block = []
            if handler.name:
                name = self.name(self.at(handler), handler.name)
                block.append(ir.Assign(self.at(handler), [name], ir.Const(self.at(handler), "unknown")))
            handlers.append(block + self.block(handler.body))
        out.append(ir.Try(self.at(node), body, handlers, self.block(node.orelse), self.block(node.finalbody)))

    def _match(self, node: ast.Match, out: ir.Block) -> None:
        subject = self.expr(node.subject)
        out.append(ir.Emit(self.at(node), subject))
        same = subject if isinstance(subject, ir.Name) else None
        rest: ir.Block = []
        for case in reversed(node.cases):
            at = self.at(case.pattern)
            test = ir.Test(at, ir.Const(at, "unknown"))
            if isinstance(case.pattern, ast.MatchClass) and same is not None:
                test = ir.Test(at, ir.Const(at, "unknown"), same, "class", self.expr(case.pattern.cls))
            body: ir.Block = []
            for part in ast.walk(case.pattern):
                bound = getattr(part, "name", None) or getattr(part, "rest", None)
                if isinstance(bound, str):
                    is_whole = part is case.pattern and same is not None
                    value = same if is_whole and same is not None else ir.Const(at, "unknown")
                    body.append(ir.Assign(at, [self.name(at, bound)], value))
            if case.guard is not None:
                body.append(ir.Emit(at, self.expr(case.guard)))
            body += self.block(case.body)
            if isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None:
                rest = body
            else:
                rest = [ir.Branch(at, test, body, rest)]
        out += rest

    # Definitions.

    def _def(self, node: ast.FunctionDef | ast.AsyncFunctionDef, out: ir.Block) -> None:
        function = self.new_function(node, node.name)
        function.returns = self.annotation(node.returns) if node.returns else None
        function.decorators = [self.expr(d) for d in node.decorator_list]
        inner = Statements(function, None)
        function.body = inner.block(node.body)
        at = self.at(node)
        value: ir.Expr = ir.Make(at, function)
        for decorator in reversed(function.decorators):
            value = ir.Call(decorator.at, decorator, [value], [])
        if self.cls is not None:
            self.cls.attrs.setdefault(node.name, []).append(value)
        out.append(ir.Assign(at, [self.name(at, node.name)], value))

    def _class(self, node: ast.ClassDef, out: ir.Block) -> None:
        at = self.at(node)
        outer = self.function
        cls = ir.ClassDef(
            node.name,
            self.qualified(node.name),
            outer.module,
            outer.path,
            at,
            [self.expr(b) for b in node.bases],
            [self.expr(d) for d in node.decorator_list],
            None if outer.kind == "module" else outer,
            any(k.arg == "must_use" and getattr(k.value, "value", False) is True for k in node.keywords),
        )
        body = ir.Function(node.name, cls.qualname, outer.module, outer.path, at, outer=outer, kind="class")
        body.names = names_of(node)
        body.body = Statements(body, cls).block(node.body)
        cls.scope = body
        body.owner = cls
        for stmt in body.body:
            if isinstance(stmt, ir.Assign):
                for target in stmt.targets:
                    if not isinstance(target, ir.Name):
                        continue
                    if stmt.annotation is not None:
                        cls.annotations[target.name] = (stmt.annotation, stmt.at)
                    if stmt.value is not None and not isinstance(stmt.value, ir.Make):
                        cls.attrs.setdefault(target.name, [])
                        if stmt.value not in cls.attrs[target.name]:
                            cls.attrs[target.name].append(stmt.value)
        value: ir.Expr = ir.MakeClass(at, cls)
        out.append(ir.Assign(at, [self.name(at, node.name)], value))


_STATEMENTS = {
    ast.Expr: Statements._expr,
    ast.Assign: Statements._assign,
    ast.AnnAssign: Statements._annotated,
    ast.AugAssign: Statements._augmented,
    ast.Return: Statements._return,
    ast.Raise: Statements._raise,
    ast.Break: Statements._break,
    ast.Continue: Statements._continue,
    ast.Delete: Statements._delete,
    ast.Assert: Statements._assert,
    ast.Import: Statements._import,
    ast.ImportFrom: Statements._import_from,
    ast.Nonlocal: Statements._nonlocal,
    ast.If: Statements._if_else,
    ast.For: Statements._for,
    ast.AsyncFor: Statements._for,
    ast.While: Statements._while,
    ast.With: Statements._with,
    ast.AsyncWith: Statements._with,
    ast.Try: Statements._try,
    ast.TryStar: Statements._try,
    ast.Match: Statements._match,
    ast.FunctionDef: Statements._def,
    ast.AsyncFunctionDef: Statements._def,
    ast.ClassDef: Statements._class,
}
