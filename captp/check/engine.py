"""Activations: each function evaluated once for each kind of arguments, until nothing changes any more.

An activation is a function with what its parameters may be; its summary is what callers need to know.
What is written in one and read in another goes through the store, whose readers are evaluated anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen

from captp.check import ir
from captp.check.classes import ClassInfo
from captp.check.finding import Finding, Place, Step
from captp.check.state import Trail
from captp.check.values import (
    NOTHING,
    UNKNOWN,
    BindCtx,
    Bound,
    CapMode,
    CapVal,
    ClassVal,
    FuncVal,
    Hidden,
    Id,
    Inst,
    PartialVal,
    PromVal,
    RefVal,
    Value,
    ViewVal,
    bounded,
)

__all__ = ["Activation", "CapInfo", "Engine", "Need", "Summary"]

#: Kinds of arguments that one function is evaluated for; of further ones nothing is known.
CONTEXTS = 24
#: As many, where no argument has behaviour of its own, and once there are very many.
SOME = 3
FEW = 1
BUDGET = 20_000
#: How often one that calls itself is evaluated, and how often what read what was written later.
ROUNDS = 4
SETTLING = 6
#: Calls within calls that are followed at once; deeper ones are evaluated afterwards, and their callers anew.
DEEPEST = 40


@frozen
class CapInfo:
    """A capability: its name, what it holds, and the capabilities it stands for."""

    name: str
    shown: Value
    members: tuple[str, ...] = ()


@frozen
class Need:
    """A need of a binding that is not bound inside; ``is_access`` when a borrow is really taken."""

    trail: Trail
    is_access: bool
    #: The place where it can no longer be met by a caller, if nobody calls that.
    root: Step | None = None


@define(eq=False)
class Summary:
    """What callers need to know of a function."""

    result: Value = NOTHING
    yielded: Value = NOTHING
    needs: dict[tuple[str, str], Need] = field(factory=dict)
    #: Of a module, whose needs nobody can meet: each place that has one.
    missing: dict[tuple[str, str, Place], Need] = field(factory=dict)
    moved: dict[Id, Trail] = field(factory=dict)
    used: dict[Id, Trail] = field(factory=dict)
    #: Views of callers that it looks at, and those at which it looks too late, after what it does itself.
    seen: dict[ViewVal, Trail] = field(factory=dict)
    late: dict[ViewVal, Trail] = field(factory=dict)
    foreign: Trail = ()
    #: Bindings and borrows at the first yield, for context managers.
    bound: tuple[Any, ...] = ()
    held: tuple[Any, ...] = ()
    #: Bindings that are not undone when it returns.
    left: tuple[Any, ...] = ()
    returns: bool = False

    def same(self, other: Summary) -> bool:
        return (
            self.result == other.result
            and self.yielded == other.yielded
            and self.needs.keys() == other.needs.keys()
            and self.moved.keys() == other.moved.keys()
            and self.used.keys() == other.used.keys()
            and self.seen.keys() == other.seen.keys()
            and self.late.keys() == other.late.keys()
            and bool(self.foreign) == bool(other.foreign)
            and len(self.bound) == len(other.bound)
            and len(self.left) == len(other.left)
            and self.returns == other.returns
        )


@define(eq=False)
class Activation:
    """One function with one kind of arguments."""

    function: ir.Function
    frame: Activation | None
    params: dict[str, Value]
    types: dict[str, Value]
    marks: Any = None
    owner: Any = None
    summary: Summary = field(factory=Summary)
    findings: dict[Any, Finding] = field(factory=dict)
    #: Views that were made in it.
    made: set[Id] = field(factory=set)
    callers: set[Activation] = field(factory=set)
    is_running: bool = False
    is_recursive: bool = False
    is_dirty: bool = True
    #: The last round in which it was evaluated: in each it is once.
    round: int = 0


class Engine:
    """Holds the modules, the store and the activations of one program."""

    def __init__(
        self, modules: dict[str, ir.Function], evaluate: Callable[[Engine, Activation], None]
    ) -> None:
        self.modules = modules
        self.evaluate = evaluate
        self.store: dict[Any, Value] = {}
        self.readers: dict[Any, set[Activation]] = {}
        self.memo: dict[Any, Activation] = {}
        self.contexts: dict[ir.Function, int] = {}
        self.classes: dict[ir.ClassDef, ClassInfo] = {}
        self.caps: dict[str, CapInfo] = {}
        #: Every closure that was made, by its function.
        self.made: dict[ir.Function, FuncVal] = {}
        self.globals: dict[tuple[str, str], Value] = {}
        self.resolving: set[Any] = set()
        self.bindings: dict[str, dict[str, list[Any]]] = {}
        self.depth = 0
        #: Modules that have to do with capabilities, or with modules that have.
        self.relevant: set[str] = set()
        self.round = 1
        #: Types of parameters, what annotations say, of parameters, functions and fields, and capabilities
        #: of views by their ids.
        self.types: dict[ir.Param, Value] = {}
        self.says: dict[ir.Param | ir.Function | tuple[Any, str], Value] = {}
        self.views: dict[Id, str] = {}
        #: Marked methods that were evaluated as others reach them.
        self.rooted: set[ir.Function] = set()
        #: Names of capabilities and type parameters, by where they are made.
        self.names: dict[str, str] = {}
        #: Terms of parameters of marked methods.
        self.modes: dict[ir.Function, dict[str, str]] = {}
        #: Tables of what evaluates what, given by the room above.
        self.rules: Any = None
        self.module_activations: dict[str, Activation] = {}
        #: By activation: a run without effects in its scope.
        self.scopes: dict[Activation, Any] = {}

    # The store.

    def read(self, key: Any, reader: Activation | None) -> Value:
        """Return what was written under ``key``; who reads it is evaluated anew when that changes."""
        if reader is not None:
            self.readers.setdefault(key, set()).add(reader)
        return self.store.get(key, NOTHING)

    def write(self, key: Any, value: Value) -> None:
        """Add to what may be found under ``key``."""
        old = self.store.get(key, NOTHING)
        if value <= old or old == UNKNOWN:
            return
        new = bounded(old | value)
        self.store[key] = new
        for reader in self.readers.get(key, ()):
            reader.is_dirty = True

    # Activations.

    def module_activation(self, module: str) -> Activation:
        """Return the activation of a module's body, evaluated or not."""
        found = self.module_activations.get(module)
        if found is None:
            found = self.module_activations[module] = Activation(self.modules[module], None, {}, {})
            self.memo[module] = found
        return found

    def activate(
        self,
        func: FuncVal,
        params: dict[str, Value],
        types: dict[str, Value],
        caller: Activation | None,
    ) -> Activation:
        """Return the activation of ``func`` for these arguments, evaluated as far as that is known."""
        function = func.function
        key = (function, func.frame, tuple(params.values()), tuple(types.items()))
        found = self.memo.get(key)
        if found is None:
            count = self.contexts.get(function, 0)
            most = self._kinds(params)
            if count >= most:
                params = {name: _widened(value) for name, value in params.items()}
                key = (function, func.frame, tuple(params.values()), tuple(types.items()))
                found = self.memo.get(key)
                if found is None and (count >= 2 * most):
                    params = dict.fromkeys(params, UNKNOWN)
                    key = (function, func.frame, tuple(params.values()), ())
                    found = self.memo.get(key)
            if found is None:
                self.contexts[function] = count + 1
                found = Activation(function, func.frame, params, types, func.marks, func.owner)
                self.memo[key] = found
        if caller is not None:
            found.callers.add(caller)
        self.run(found)
        return found

    def _kinds(self, params: dict[str, Value]) -> int:
        """Return how many kinds of arguments a function is evaluated for, of which these are one."""
        if len(self.memo) >= BUDGET:
            return FEW
        return max((self._matters(atom) for value in params.values() for atom in value), default=FEW)

    def _matters(self, atom: Any) -> int:
        if isinstance(atom, Inst):
            if atom.cls.ir.module in self.relevant:
                return CONTEXTS
            return max((self._matters(part) for value in atom.key for part in value), default=FEW)
        if isinstance(atom, FuncVal):
            if atom.function.module in self.relevant:
                return CONTEXTS
            return SOME if atom.function.free else FEW
        if isinstance(atom, Bound):
            return max(self._matters(atom.func), self._matters(atom.receiver))
        if isinstance(atom, ClassVal):
            return CONTEXTS if atom.cls.ir.module in self.relevant else FEW
        if isinstance(atom, RefVal):
            return CONTEXTS if atom.mode != "shared" else FEW
        if isinstance(atom, PromVal):
            return SOME if atom.inner != UNKNOWN else FEW
        if isinstance(atom, PartialVal):
            return SOME
        return CONTEXTS if isinstance(atom, _MATTERS) else FEW

    def run(self, activation: Activation) -> None:
        """Evaluate an activation that is not known; one that calls itself until it is stable."""
        if activation.is_running:
            activation.is_recursive = True
            return
        if not activation.is_dirty or activation.round == self.round or self.depth >= DEEPEST:
            return
        activation.round = self.round
        activation.is_running = True
        self.depth += 1
        try:
            for _ in range(ROUNDS):
                before = activation.summary
                activation.is_dirty = False
                activation.is_recursive = False
                self.evaluate(self, activation)
                if before.same(activation.summary) or not activation.is_recursive:
                    break
        finally:
            self.depth -= 1
            activation.is_running = False

    def settle(self) -> None:
        """Evaluate anew what read what was written later."""
        for _ in range(SETTLING):
            dirty = [a for a in self.memo.values() if a.is_dirty]
            if not dirty:
                return
            self.round += 1
            for activation in dirty:
                self.run(activation)


#: Which of these a function gets decides what it does.
_MATTERS = (CapVal, CapMode, BindCtx, ViewVal, Hidden)


def _widened(value: Value) -> Value:
    """Return a value without what tells apart one reference from another."""
    return (
        frozenset(
            RefVal(a.iface) if isinstance(a, RefVal) else a for a in value if not isinstance(a, ViewVal)
        )
        or UNKNOWN
    )
