"""One pass over one activation: its state, its summary so far, and what it reports."""

from __future__ import annotations

from typing import Any

from captp.check import ir
from captp.check.engine import Activation, Engine, Need, Summary
from captp.check.finding import Finding, Place, Step
from captp.check.state import Bind, Event, Held, State, Trail, join
from captp.check.values import NOTHING, UNKNOWN, Id, Made, Value

__all__ = ["Run"]

#: Steps of a path that are kept.
LONGEST = 16
#: Libraries whose awaitables no fiber of a vat can wait for.
FOREIGN = frozenset(("trio", "asyncio", "anyio", "curio"))


class Run:
    """Evaluates the body of one activation; a muted one has values and no effects."""

    def __init__(self, engine: Engine, act: Activation, *, is_muted: bool = False) -> None:
        self.engine = engine
        self.rules: Any = engine.rules
        self.act = act
        self.function = act.function
        self.is_muted = is_muted
        self.state = State(env=dict(act.params))
        self.summary = Summary()
        self.findings: dict[Any, Finding] = {}
        self.exits: list[State] = []
        #: What loops around this point go to: states at break and at continue.
        self.loops: list[tuple[list[State], list[State]]] = []
        #: Values of comprehension elements, innermost last.
        self.emitted: list[Value] = []
        self.results: Value = NOTHING
        #: Views that were made here, not by a caller, and the numbers of their bindings.
        self.act_made: dict[Id, int] = {}
        #: Unique references that were used, one after the other.
        self.spent: list[Id] = []

    # Evaluation.

    def expr(self, node: ir.Expr) -> Value:
        """Return what an expression may be, after its effects."""
        return self.rules.expressions[type(node)](self, node)  # type: ignore[no-any-return]

    def block(self, stmts: ir.Block) -> None:
        table = self.rules.statements
        for stmt in stmts:
            if not self.state.is_alive:
                return
            table[type(stmt)](self, stmt)

    def call(self, func: Value, args: list[Value], kwargs: dict[str, Value], at: ir.At) -> Value:
        """Call what is known of ``func``; return what comes of it."""
        return self.rules.call(self, func, args, kwargs, at)  # type: ignore[no-any-return]

    def branch(self, *parts: Any) -> None:
        """Run each of several ways on from here, and go on where they meet."""
        start, ends = self.state, []
        for part in parts:
            self.state = start.copy()
            part()
            ends.append(self.state)
        self.state = join(ends)

    def finish(self) -> Summary:
        """Return the summary, once the body has been run."""
        if self.state.is_alive:
            self.summary.returns = True
            self.exits.append(self.state)
        end = join(self.exits)
        self.summary.result = self.results or (NOTHING if not end.is_alive else self.results)
        self.summary.left = end.bound
        start = self.act.summary
        for id, moved in end.moved.items():
            self.summary.moved[id] = moved.trail
        for key, need in start.needs.items():
            self.summary.needs.setdefault(key, need)
        return self.summary

    # Places and reports.

    def place(self, at: ir.At) -> Place:
        return Place(self.function.path, at[0], at[1])

    def step(self, at: ir.At, text: str) -> Step:
        return Step(self.place(at), text)

    def id(self, at: ir.At, kind: str) -> Id:
        """Return the name of what is made here."""
        return (kind, self.function.path, *at)

    @property
    def where(self) -> str:
        """The function that this is, for people."""
        return self.function.qualname or self.function.module

    def report(self, code: str, at: ir.At, message: str, steps: Trail = (), fix: str = "") -> None:
        if self.is_muted:
            return
        key = (code, at, message)
        if key not in self.findings:
            self.findings[key] = Finding(
                code, self.place(at), message, tuple(steps), self.function.qualname or "<module>", fix
            )

    # Names of capabilities.

    def cap_name(self, cap: str, mode: str = "") -> str:
        info = self.engine.caps.get(cap)
        name = info.name if info is not None else cap
        return f"{name}.{mode}" if mode else name

    # Context.

    def number(self, cap: str) -> int:
        """Return which binding is found for a capability here: -1 for one that callers have."""
        bound = self.state.bound
        return next((n for n in range(len(bound) - 1, -1, -1) if bound[n].cap in (cap, "*")), -1)

    def need(self, cap: str, mode: str, need: Need, at: ir.At) -> bool:
        """Meet a need from what is bound here, or leave it to the caller; return whether it conflicts."""
        number = self.number(cap)
        has_conflict = need.is_access and self._conflicts(cap, mode, need, at, number)
        found = self.state.bound[number] if number >= 0 else None
        if found is None:
            self._ask(cap, mode, need)
        elif found.mode == "ref" and mode == "mut":
            self.report(
                "CAP303",
                at,
                f"{self.cap_name(cap, 'mut')} is needed, and only {self.cap_name(cap, 'ref')} is bound"
                f"{_path_text(need.trail)}",
                (found.step, *need.trail),
                f"bind {self.cap_name(cap, 'mut')}, or read only",
            )
        if need.is_access and mode == "mut" and not has_conflict:
            self.state.changed[cap, number] = need.trail
            for key in [key for key, other in self.state.fresh.items() if other == (cap, number)]:
                del self.state.fresh[key]
        return has_conflict

    def _ask(self, cap: str, mode: str, need: Need) -> None:
        key = (cap, mode)
        if self.function.kind == "module":
            self.summary.missing.setdefault((cap, mode, need.trail[0].place), need)
        old = self.summary.needs.get(key)
        if old is None or (len(need.trail), not need.is_access) < (len(old.trail), not old.is_access):
            is_access = need.is_access or (old is not None and old.is_access)
            root = need.root or (old.root if old is not None else None)
            self.summary.needs[key] = Need(need.trail[:LONGEST], is_access, root)
        elif need.is_access and not old.is_access:
            self.summary.needs[key] = Need(old.trail, is_access=True, root=old.root)

    def _conflicts(self, cap: str, mode: str, need: Need, at: ir.At, number: int) -> bool:
        has_conflict = False
        for held in self.state.held:
            if held.cap != cap or (held.mode == "ref" and mode == "ref"):
                continue
            if number != held.number:
                continue  # it was bound anew since, so that this is another value
            self.report(
                "CAP301",
                at,
                f"{self.cap_name(cap, mode)} is borrowed while {self.cap_name(cap, held.mode)} is held"
                f"{_path_text(need.trail)}",
                (held.step, *need.trail),
                f"end the borrow of {self.cap_name(cap)} first, or pass what it gave as an argument",
            )
            has_conflict = True
        return has_conflict

    def bind(self, items: list[tuple[str, str]], at: ir.At) -> None:
        for cap, mode in items:
            step = self.step(at, f"{self.cap_name(cap, mode)} is bound")
            self.state.bound = (*self.state.bound, Bind(cap, mode, step))

    def hold(self, cap: str, mode: str, at: ir.At) -> None:
        step = self.step(at, f"{self.cap_name(cap, mode)} is held from here")
        self.state.held = (*self.state.held, Held(cap, mode, step, self.number(cap)))

    # Awaiting what is no promise.

    def foreign(self, at: ir.At, what: str) -> None:
        """Note that something is awaited that belongs to another loop."""
        if not self.summary.foreign:
            self.summary.foreign = (self.step(at, f"awaits {what}"),)

    def foreign_made(self, at: ir.At, made: Made) -> None:
        if made.path.partition(".")[0] in FOREIGN:
            self.foreign(at, f"{made.path}()")

    # Moves.

    def move(self, id: Id, trail: Trail) -> None:
        facts = tuple(sorted(self.state.facts.items()))
        self.state.moved[id] = Event(trail, facts)

    def use(self, id: Id, at: ir.At, trail: Trail) -> None:
        """Note that a unique reference is used, which it must not be once it moved."""
        moved = self.state.moved.get(id)
        if moved is None:
            self.summary.used.setdefault(id, trail)
        elif not self.state.contradicts(moved):
            first = moved.trail[0]
            self.report(
                "CAP401",
                at,
                f"this unique reference is used after it was {first.text} (line {first.place.line})",
                (*moved.trail, *trail),
                "use what its new holder gives, or captp.share() it before it is passed on",
            )

    # Variables.

    def variable(self, name: ir.Name) -> Value:
        """Return what a variable of this function or of one around it may be."""
        home = name.home
        if home is not None and home is self.function and name.name in home.rebound:
            own = self.state.env.get(name.name, NOTHING)
            return (own | self.engine.read(("v", self.act, name.name), self.act)) or UNKNOWN
        if home is self.function:
            value = self.state.env.get(name.name, UNKNOWN if self.is_muted else NOTHING) or UNKNOWN
            if self.state.owed and not self.is_muted:
                self.rules.spend(self, value)
            return value
        frame = self.frame_of(home)
        if frame is None:
            return UNKNOWN
        return self.engine.read(("v", frame, name.name), self.act) or UNKNOWN

    def frame_of(self, home: ir.Function | None) -> Activation | None:
        frame = self.act.frame
        while frame is not None and frame.function is not home:
            frame = frame.frame
        return frame

    def assign(self, name: str, value: Value) -> None:
        self.state.forget(name)
        self.state.env[name] = value
        if not self.is_muted and (name in self.function.captured or self.function.kind == "class"):
            self.engine.write(("v", self.act, name), value)


def _path_text(trail: Trail) -> str:
    """Return the functions on a path, for the end of a message."""
    names = [step.text.removeprefix("calls ") for step in trail if step.text.startswith("calls ")]
    return f" ({' -> '.join(names)})" if names else ""
