"""What a function body is once it is lowered: few kinds of statements and expressions, each with its place.

It knows no syntax tree: comprehensions are loops, decorators are calls, match is a choice of blocks.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import define, field

__all__ = [
    "Assign",
    "At",
    "Attr",
    "Await",
    "Block",
    "Branch",
    "Build",
    "Call",
    "Choice",
    "ClassDef",
    "Comp",
    "Const",
    "Delete",
    "Emit",
    "Expr",
    "Function",
    "Import",
    "Index",
    "Jump",
    "Loop",
    "Make",
    "MakeClass",
    "Name",
    "Node",
    "Op",
    "Param",
    "Return",
    "Splat",
    "Starred",
    "Stmt",
    "Test",
    "Try",
    "Unpack",
    "Walrus",
    "With",
    "Yield",
]

#: Line and column, both from 1.
At: TypeAlias = tuple[int, int]


@define(eq=False)
class Node:
    """Any part of a body."""

    at: At


@define(eq=False)
class Expr(Node):
    """What has a value."""


@define(eq=False)
class Stmt(Node):
    """What is done."""


Block: TypeAlias = list[Stmt]


@define(eq=False)
class Const(Expr):
    """A literal: ``value`` is kept for texts, which may be annotations or names of attributes."""

    kind: str
    value: object = None


@define(eq=False)
class Name(Expr):
    """A variable: ``home`` is the function that has it, None for the module and the builtins."""

    name: str
    home: Function | None = None


@define(eq=False)
class Attr(Expr):
    obj: Expr
    name: str


@define(eq=False)
class Call(Expr):
    """A call; an argument may be a Starred, a keyword None stands for ``**``."""

    func: Expr
    args: list[Expr]
    kwargs: list[tuple[str | None, Expr]]


@define(eq=False)
class Starred(Expr):
    value: Expr


@define(eq=False)
class Await(Expr):
    value: Expr


@define(eq=False)
class Op(Expr):
    """Something done with plain values: arith, compare, identity, contains, not or format."""

    kind: str
    parts: list[Expr]


@define(eq=False)
class Index(Expr):
    obj: Expr
    key: Expr


@define(eq=False)
class Build(Expr):
    """A new tuple, list, set or dict; of a dict the values, and its keys apart."""

    kind: str
    parts: list[Expr]
    keys: list[Expr] = field(factory=list)


@define(eq=False)
class Make(Expr):
    """A closure."""

    function: Function


@define(eq=False)
class MakeClass(Expr):
    cls: ClassDef


@define(eq=False)
class Choice(Expr):
    """One of several values: ``tests`` are looked at for truth first."""

    test: Test | None
    parts: list[Expr]


@define(eq=False)
class Walrus(Expr):
    target: Expr
    value: Expr


@define(eq=False)
class Yield(Expr):
    value: Expr | None
    is_from: bool


@define(eq=False)
class Comp(Expr):
    """A comprehension: a loop that ends in Emit; a generator runs when somebody iterates."""

    kind: str
    body: Block


@define(eq=False)
class Splat(Expr):
    """The target of an unpacking that takes the rest."""

    target: Expr


@define(eq=False)
class Unpack(Expr):
    """Several targets of one value."""

    targets: list[Expr]


@define(eq=False)
class Test(Node):
    """A condition: what it evaluates, and what it says of one variable where it holds."""

    value: Expr
    name: Name | None = None
    #: "class" with ``about`` as the class, "none", or "truth".
    says: str = ""
    about: Expr | None = None
    is_negated: bool = False


@define(eq=False)
class Assign(Stmt):
    """Give targets a value; without one it is a bare annotation."""

    targets: list[Expr]
    value: Expr | None
    annotation: Expr | None = None
    is_augmented: bool = False


@define(eq=False)
class Emit(Stmt):
    """Evaluate; the value is that of a comprehension's element, where there is one."""

    value: Expr


@define(eq=False)
class Return(Stmt):
    value: Expr | None


@define(eq=False)
class Jump(Stmt):
    """A raise, break or continue; ``parts`` are evaluated first."""

    kind: str
    parts: list[Expr]


@define(eq=False)
class Branch(Stmt):
    test: Test | None
    then: Block
    orelse: Block


@define(eq=False)
class Loop(Stmt):
    """A for loop has ``items`` and a target, a while loop a test."""

    items: Expr | None
    target: Expr | None
    test: Test | None
    body: Block
    orelse: Block
    is_async: bool = False
    is_endless: bool = False


@define(eq=False)
class With(Stmt):
    item: Expr
    target: Expr | None
    body: Block
    is_async: bool


@define(eq=False)
class Try(Stmt):
    body: Block
    handlers: list[Block]
    orelse: Block
    final: Block


@define(eq=False)
class Delete(Stmt):
    targets: list[Expr]


@define(eq=False)
class Import(Stmt):
    """Names bound to ``module`` or to ``attr`` of it."""

    names: list[tuple[str, str, str | None]]


@define(eq=False)
class Param:
    name: str
    #: "plain", "star", "keyword" or "double".
    kind: str
    annotation: Expr | None
    default: Expr | None


@define(eq=False)
class Function:
    """A function, a lambda, or the body of a module or a class."""

    name: str
    qualname: str
    module: str
    path: str
    at: At
    params: list[Param] = field(factory=list)
    body: Block = field(factory=list)
    decorators: list[Expr] = field(factory=list)
    returns: Expr | None = None
    is_async: bool = False
    is_generator: bool = False
    is_static: bool = False
    #: Names assigned in it that are its own.
    names: set[str] = field(factory=set)
    #: Those of them that functions inside it use.
    captured: set[str] = field(factory=set)
    #: Names that functions inside it assign.
    rebound: set[str] = field(factory=set)
    #: Names that it or a function inside it uses of functions around it.
    free: dict[str, Function] = field(factory=dict)
    #: The class whose body it stands in, and the function around it.
    owner: ClassDef | None = None
    outer: Function | None = None
    kind: str = "function"


@define(eq=False)
class ClassDef:
    """A class: its attributes by name, each with every value that the body gives it."""

    name: str
    qualname: str
    module: str
    path: str
    at: At
    bases: list[Expr]
    decorators: list[Expr]
    outer: Function | None
    #: Whether a unique reference to it is not to be dropped.
    must_use: bool = False
    #: Its body, whose names are its attributes.
    scope: Function | None = None
    attrs: dict[str, list[Expr]] = field(factory=dict)
    annotations: dict[str, tuple[Expr, At]] = field(factory=dict)
