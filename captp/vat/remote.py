"""A Trust over a reference: what is delegated travels as a call or a recorded plan, never as code.

The object may be far or near, and the reference may still be a promise. A handle is its reference: the
host counts it as it counts any other, and ``drop`` lets go of this one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from captp.errors import BadClass, Broken, Deadlock, Dropped, NotNow, Overloaded, Timeout, UsageError
from captp.model.captures import check_captures
from captp.model.fresh import fresh
from captp.model.guards import as_interface
from captp.model.interface import Method, Row, interface_of, result_class, rows_of, shown_as
from captp.model.own import Hold
from captp.model.passable import ATOMS
from captp.model.plan import MANY, PLAN, record
from captp.model.promise import BROKEN, PENDING, Promise, Reference, add_waiter
from captp.model.ref import Ref
from captp.model.terms import on_their_way
from captp.model.trust import Call, Outcome, Trust, functions_of
from captp.vat.effects import CallOff
from captp.vat.many import failures
from captp.vat.powers import within

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

__all__ = ["FarTrust", "trust"]

#: Calls that travel as one delivery; a host has its own limit.
MOST_CALLS: Final = 256


class _Then:
    """Waits for the outcome of a call that nobody awaits."""

    __slots__ = ("explain", "name", "promise", "then")

    def __init__(
        self,
        promise: Promise[Any],
        name: str,
        then: Callable[[Outcome[Any]], None] | None,
        explain: Callable[[Broken], Exception] | None,
    ) -> None:
        self.promise = promise
        self.name = name
        self.then = then
        self.explain = explain

    def wake(self) -> None:
        """Tell of the outcome, or have it logged."""
        vat: Any = self.promise._home
        vat.unheard.discard(self)
        problem: Exception | None = None
        if self.then is None:
            if self.promise._state == BROKEN:
                problem = self.promise._value
        else:
            try:
                self.then(_outcome(self.promise, self.explain))
            except Exception as raised:  # the driver tells of it: nobody else waits for it
                problem = raised
        if problem is not None:
            vat.turns.faults.append((self.name, problem, None))
            vat.ring()


class FarTrust(Trust[T]):
    """A handle on an object of another vat."""

    __slots__ = ("_cls", "_explain", "_ref")

    def __init__(
        self, ref: Reference, cls: type, explain: Callable[[Broken], Exception] | None = None
    ) -> None:
        self._ref: Reference | None = ref
        self._cls = cls
        #: Says what the loss of the object's vat means, where more is known of it than that.
        self._explain = explain

    def __repr__(self) -> str:
        return "<Trust, dropped>" if self._ref is None else f"<Trust of a far {self._cls.__name__}>"

    async def apply(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Have a marked method called, or run ``fn`` here with a stand-in and send what it did as a plan.

        It is one turn where the object is. Cancelled, it is called off, and never runs unless it has begun
        by the time its host hears of that.
        """
        promise = self._send(fn, args, kwargs)
        return await self._awaited(promise)  # type: ignore[no-any-return]

    def apply_now(
        self,
        fn: Callable[Concatenate[T, P], R],  # noqa: ARG002 - it is never called
        /,
        *args: P.args,  # noqa: ARG002
        **kwargs: P.kwargs,  # noqa: ARG002
    ) -> R:
        """Raise NotNow: the object's turns are elsewhere."""
        raise NotNow("the object may be on another host: use apply, or apply_then")

    def apply_then(
        self,
        fn: Callable[Concatenate[T, P], R],
        /,
        *args: Any,
        then: Callable[[Outcome[R]], None] | None = None,
    ) -> None:
        home: Any = self._held()._home
        vat = home.vat if isinstance(home, Hold) else home
        if len(vat.outbox) >= vat.limits.backlog:
            vat.turns.overloads += 1
            raise Overloaded(f"{vat.limits.backlog} calls wait already: await one with apply")
        promise = self._send(fn, args, {})
        waiter = _Then(promise, _name_of(fn), then, self._explain)
        add_waiter(promise, waiter)
        vat.unheard.add(waiter)

    async def apply_with(self, fn: Callable[..., R], payload: Any, /, *args: Any) -> R:
        promise = self._send(fn, (payload, *args), {})
        return await self._awaited(promise)  # type: ignore[no-any-return]

    async def apply_many(self, calls: Iterable[Call[R]]) -> list[Outcome[R]]:
        """Apply each call as a turn of its own; up to 256 calls of marked methods travel as one.

        Plans and ``async def`` methods go one by one, in the same order.
        """
        handed = list(calls)
        ref = self._held()
        rows, lends = {fn: self._row(fn) for fn in set(functions_of(handed))}, False
        for row in rows.values():
            if row is None or row.is_fiber or row.selector is None:
                return await self._one_by_one(handed)
            lends = lends or bool(row.modes)
        vat: Any = ref._home
        sent = []
        for start in range(0, len(handed), MOST_CALLS):
            some = handed[start : start + MOST_CALLS]
            if lends:
                some = [_lent(rows[call.fn], call) for call in some]
            sent.append((some, vat.send(ref, MANY, _batch(rows, some), None, Promise)))
        outcomes: list[Outcome[R]] = []
        try:
            for some, promise in sent:
                outcomes += await self._outcomes(promise, rows, some)
        except BaseException:
            _call_off([promise for _, promise in sent])
            raise
        return outcomes

    async def _one_by_one(self, calls: list[Call[R]]) -> list[Outcome[R]]:
        ref = self._held()
        # All of them first: either all are sent, or none.
        ready = [self._prepared(self._row(call.fn), call.fn, call.args, call.kwargs) for call in calls]
        promises: list[Promise[Any]] = [ref._home.send(ref, *message) for message in ready]
        try:
            return [await self._outcome(promise) for promise in promises]
        except BaseException:
            _call_off(promises)
            raise

    async def launch(
        self, fn: Callable[Concatenate[T, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Have a marked ``async def`` method called; raises UsageError for any other function."""
        row = self._row(fn)
        if row is None or not row.is_fiber:
            raise UsageError(
                f"{_name_of(fn)} does not travel: launch a marked async method of {self._cls.__name__}, or"
                " apply a function, await here, and apply another"
            )
        promise = self._send(fn, args, kwargs)
        vat: Any = promise._home
        if not vat.turns.fiber_runs:
            return await self._awaited(promise)  # type: ignore[no-any-return]
        seconds = vat.limits.launch_s
        try:
            return await within(seconds, promise)
        except Timeout:
            if promise.settled:
                raise
            raise Deadlock(
                f"{_name_of(fn)}() has not ended in {seconds:g} s, and this method has its object to itself"
                " meanwhile: perhaps it waits for that; call before or after the await"
            ) from None

    @property
    def reference(self) -> Any:
        return as_interface(self._held(), shown_as(self._cls))

    def heal(self) -> None:
        """Do nothing: a far object's turn that raised has been undone."""

    def clone(self) -> FarTrust[T]:
        return FarTrust(self._held(), self._cls, self._explain)

    def drop(self) -> None:
        self._ref = None

    def _held(self) -> Reference:
        if self._ref is None:
            raise Dropped("this handle was given back: clone it before, for whoever needs it longer")
        return self._ref

    def _row(self, fn: Callable[..., Any]) -> Row | None:
        """Return the method that a function is, of this class; None for any other function."""
        marked: Any = fn
        if isinstance(marked, Method):
            return rows_of(self._cls).get(marked.name)
        name = getattr(fn, "__name__", "")
        row = rows_of(self._cls).get(name)
        return row if row and (fn is getattr(self._cls, name, None) or fn is row.first) else None

    def _send(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Promise[Any]:
        ref: Any = self._held()
        row = self._row(fn)
        selector, args, named, kind = self._prepared(row, fn, args, kwargs)
        sent: Promise[Any]
        if row is not None and row.carried is not None:
            sent = row.carried.send(ref, selector, args, named or {}, kind)
        else:
            sent = ref._home.send(ref, selector, args, named, kind)
        return sent

    def _prepared(
        self, row: Row | None, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str | None, tuple[Any, ...], dict[str, Any] | None, type[Promise[Any]]]:
        """Return a call as a message: of a marked method, or of a plan; raises what is wrong with it."""
        if row is None:
            check_captures(fn)
            return PLAN, (record(fn, *args, **kwargs),), None, Promise
        if row.modes:
            args, kwargs = on_their_way(row, args, kwargs)
        return row.selector, args, kwargs or None, result_class(row)

    async def _awaited(self, promise: Promise[Any]) -> Any:
        try:
            return await promise
        except BaseException as problem:
            _call_off((promise,))
            if self._explain is None or promise._state != BROKEN or not isinstance(problem, Broken):
                raise
            explained = self._explain(problem)
        raise explained

    async def _outcome(self, promise: Promise[Any]) -> Outcome[Any]:
        try:
            return Outcome(await promise)
        except Broken:
            return _outcome(promise, self._explain)

    async def _outcomes(
        self, promise: Promise[Any], rows: Mapping[Any, Any], calls: list[Call[Any]]
    ) -> list[Outcome[Any]]:
        """Return how each call of a batch ended, which the host tells as values, and what broke them."""
        count = len(calls)
        try:
            answer = await promise
        except Broken:
            return [_outcome(promise, self._explain)] * count
        values, broken = answer if type(answer) is tuple and len(answer) == 2 else (None, None)
        if type(values) is not tuple or type(broken) is not tuple or len(values) != count:
            problem = Broken("bad-args: the host's answer is not that of a batch")
            return [Outcome(None, problem)] * count
        outcomes = list(map(Outcome, values))
        if not ATOMS.issuperset(map(type, values)):
            for at, value in enumerate(values):
                if isinstance(value, Promise):
                    outcomes[at] = await self._outcome(value)
                elif isinstance(value, Ref):
                    interface = interface_of(result_class(rows[calls[at].fn]))
                    outcomes[at] = Outcome(value if interface is None else as_interface(value, interface))
        if broken:
            for at, problem in failures(broken, count):
                outcomes[at] = Outcome(None, problem)
        return outcomes


def _call_off(promises: Iterable[Promise[Any]]) -> None:
    """Have calls that are not answered not run, since whoever asked for them is told of no answer."""
    for promise in promises:
        if promise._state == PENDING:
            vat: Any = promise._home
            vat.emit(CallOff(promise))


def _batch(rows: Mapping[Any, Any], calls: list[Call[Any]]) -> tuple[Any, ...]:
    """Return the arguments of a message that says all calls: names, counts, and all that is handed over."""
    lists = [call.args for call in calls]
    given = tuple(chain.from_iterable(lists))
    counts = {*map(len, lists)}
    # What is the same for all is said once, where that leaves no doubt how many they are.
    told: Any = counts.pop() if len(counts) == 1 else 0
    named = {call.fn for call in calls} if len(rows) > 1 else rows
    names: Any = (
        rows[calls[0].fn].selector if len(named) == 1 else tuple([rows[call.fn].selector for call in calls])
    )
    args: tuple[Any, ...] = (names, told or tuple(map(len, lists)), given)
    kwargs = [call.kwargs for call in calls]
    return (*args, tuple(kwargs)) if any(kwargs) else args


def _lent(row: Any, call: Call[Any]) -> Call[Any]:
    """Return a call of a marked method with those arguments lent that its method borrows."""
    if not row.modes:
        return call
    args, kwargs = on_their_way(row, call.args, call.kwargs)
    return Call(call.fn, *args, **kwargs)


def _outcome(promise: Promise[Any], explain: Callable[[Broken], Exception] | None) -> Outcome[Any]:
    if promise._state != BROKEN:
        return Outcome(promise._value)
    problem = fresh(promise._value)
    return Outcome(None, problem if explain is None else explain(problem))


def _name_of(fn: Callable[..., Any]) -> str:
    return str(getattr(fn, "__name__", None) or getattr(fn, "name", "a function"))


def trust(reference: Any, cls: type[T]) -> Trust[T]:
    """Return a handle on the object that a reference reaches, typed as its class or an interface of it.

    The same verbs as for an entrusted object: marked methods travel as calls, other functions as plans.
    The handle holds the reference. Raises UsageError for what is no reference.
    """
    if not isinstance(reference, Reference):
        kind = type(reference).__name__
        raise UsageError(f"a {kind} is no reference: vat.entrust(obj) is for one's own object")
    if not hasattr(cls, "_captp_rows"):
        raise BadClass(f"{cls.__name__} is no captp.Object or Interface: only those have marked methods")
    return FarTrust(reference, cls)
