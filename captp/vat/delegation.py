"""Delegation in the vat's own loop: a Trust whose turns run where they are asked for, if nothing waits.

A call that cannot run at once travels as a message whose selector is the ``Delegated`` function, through
the same queues as any other, and keeps its place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from inspect import iscoroutinefunction
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from captp.errors import Dropped, LeakedObject, NotNow, Overloaded, Reentrant, UsageError
from captp.model.captures import check_captures
from captp.model.current import CAPS, CURRENT_VAT, not_in_access
from captp.model.faults import rebuilt
from captp.model.fresh import fresh
from captp.model.interrupts import emptied
from captp.model.object import Object
from captp.model.passable import ATOMS
from captp.model.promise import BROKEN, PENDING, Message, Promise, add_waiter
from captp.model.trust import Call, Outcome, Trust, functions_of
from captp.vat.cells import Cell, Holder
from captp.vat.fiber import explained

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

__all__ = ["Delegated", "LoopTrust", "entrust"]

#: By a name of this module: of an imported one Python makes a bound method for each call.
current: Final = CURRENT_VAT

#: Calls that run at once between two checkpoints.
BUDGET: Final = 128


class Delegated:
    """A function on its way to its turn; it stands in the place of a method's row and of its name."""

    __slots__ = (
        "cell",
        "error",
        "function",
        "is_fiber",
        "is_heard",
        "is_off",
        "latch",
        "name",
        "owner",
        "result",
        "target",
        "value",
    )

    def __init__(self, cell: Cell, fn: Callable[..., Any], *, is_fiber: bool = False) -> None:
        self.cell = cell
        self.target = cell.target
        #: Whether whoever asked for it has gone before its turn.
        self.is_off = False
        self.function = fn
        self.is_fiber = is_fiber
        self.is_heard = True
        self.latch = True
        self.name = getattr(fn, "__name__", "a function")
        self.owner = type(cell.target)
        self.result = None
        self.value: Any = None
        self.error: BaseException | None = None

    def thunk(self, obj: Object, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        """Run the function; its result stays here as it is, its exception as it may leave."""
        try:
            if self.is_off:
                self.cell.vat.turns.cancelled += 1
                return None
            self.cell.look()
            if self.is_fiber:
                return self._run(args, kwargs)
            self.value = checked(self.function(self.target, *args, **(kwargs or {})), self.target, obj)
        except Exception as problem:
            self.error = self.cell.told(explained(problem, self))
            raise
        return None

    async def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        try:
            self.value = await self.function(self.target, *args, **(kwargs or {}))
        except Exception as problem:
            self.error = self.cell.told(explained(problem, self))
            raise

    def outcome(self, promise: Promise[Any]) -> Outcome[Any]:
        """Say how it ended, once its promise is settled."""
        if promise._state == BROKEN:
            return Outcome(None, self.error or fresh(promise._value))
        return Outcome(self.value)


def checked(value: Any, target: Any, obj: Object) -> Any:
    """Return a turn's result as it may leave; raises LeakedObject or Unpassable."""
    if type(value) in ATOMS:
        return value
    if isinstance(value, Coroutine):
        value.close()
        raise UsageError("this is an async def function, which may wait: launch() it")
    if target is obj:
        return obj._home.vat.owning.passed_on(value)
    if value is target:
        raise LeakedObject("a turn must not give out the object itself: return what is to be known of it")
    return value


class _Then:
    """Waits for the outcome of a call that nobody awaits."""

    __slots__ = ("call", "promise", "then")

    def __init__(self, call: Delegated, promise: Promise[Any], then: Callable[[Outcome[Any]], None]) -> None:
        self.call = call
        self.promise = promise
        self.then = then

    def wake(self) -> None:
        """Tell of the outcome."""
        try:
            self.then(self.call.outcome(self.promise))
        except Exception as problem:  # the driver tells of it: nobody else waits for it
            vat: Any = self.promise._home
            vat.turns.faults.append((f"the `then` of {self.call.name}", problem, None))
            vat.ring()


class LoopTrust(Trust[T]):
    """A handle on an object of the vat's own loop."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell: Cell | None = cell

    def __repr__(self) -> str:
        cell = self._cell
        return "<Trust, dropped>" if cell is None else f"<Trust of a {type(cell.target).__name__}>"

    async def apply(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        cell = self._cell or _dropped()
        vat, trustee = cell.vat, cell.trustee
        while not vat.awake and trustee.in_turn is None and cell.door._latch is None:
            budget = vat.budget
            if not budget:
                vat.budget = BUDGET
                await vat.pause()
                cell = self._cell or _dropped()
                continue
            vat.budget = budget - 1
            # What follows is _turn(), in place: to call it would cost a quarter more.
            if fn is not cell.checked and not cell.check(fn):
                break
            if current.get(None) is not vat:
                current.set(vat)
            mark = len(vat.outbox)
            trustee.in_turn = cell.obj
            try:
                if kwargs or CAPS:
                    value = _called(vat, fn, cell.target, args, kwargs)
                elif len(args) == 1:
                    # The same as below, at two thirds of its price.
                    value = fn(cell.target, args[0])  # type: ignore[call-arg, arg-type]
                else:
                    value = fn(cell.target, *args)  # type: ignore[call-arg]
                if type(value) not in ATOMS:
                    value = checked(value, cell.target, cell.obj)
                if vat.awake:
                    vat.turns.check_sends(mark)
            except Exception as problem:
                error = cell.fail(problem, mark)
            except BaseException as problem:
                cell.undo(mark)
                error = emptied(problem)
            else:
                trustee.in_turn = None
                if trustee.journal:
                    trustee.commit()
                return value  # type: ignore[no-any-return]
            # Here, as what is raised while another is handled brings that along; and this frame is in its
            # traceback, where whoever catches it looks.
            del cell, vat, trustee
            raise error
        del cell, vat, trustee
        return await self._queued(fn, args, kwargs)  # type: ignore[no-any-return]

    def apply_now(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        cell = self._cell or _dropped()
        vat = cell.vat
        not_in_access("apply_now()")
        if vat.trustee.in_turn is cell.obj:
            raise Reentrant("this turn is on that very object: call it, or send it a message")
        cell.look()
        if vat.is_closed:
            raise vat.closed()
        if cell.obj._latch is not None:
            raise NotNow("the object is busy: an async function on it has not finished")
        if vat.trustee.in_turn is not None:
            check_captures(fn)
            try:
                return checked(fn(cell.target, *args, **kwargs), cell.target, cell.obj)  # type: ignore[no-any-return]
            except Exception as problem:
                error = rebuilt(problem, vat.trustee)
            del cell, vat
            raise error
        if vat.awake or vat.trustee.steps:
            raise NotNow("other calls wait for their turn before it: use apply, or apply_then")
        try:
            return _turn(cell, fn, args, kwargs)  # type: ignore[no-any-return]
        except BaseException:
            # This frame is in the traceback.
            del cell, vat
            raise

    def apply_then(
        self,
        fn: Callable[Concatenate[T, P], R],
        /,
        *args: Any,
        then: Callable[[Outcome[R]], None] | None = None,
    ) -> None:
        cell = self._cell or _dropped()
        vat = cell.vat
        if len(vat.outbox) + len(vat.local.messages) >= vat.limits.backlog:
            vat.turns.overloads += 1
            raise Overloaded(f"{vat.limits.backlog} calls wait already: await one with apply")
        call, promise = _send(cell, fn, args, {})
        call.is_heard = then is not None
        if then is not None:
            add_waiter(promise, _Then(call, promise, then))

    async def apply_with(self, fn: Callable[..., R], payload: Any, /, *args: Any) -> R:
        cell = self._cell or _dropped()
        return await self.apply(fn, cell.vat.owning.passed_on(payload), *args)

    async def apply_many(self, calls: Iterable[Call[R]]) -> list[Outcome[R]]:
        cell, handed = self._cell or _dropped(), list(calls)
        for fn in functions_of(handed):
            # All of them first: either all are handed over, or none.
            check_captures(fn)
        sent = [_send(cell, call.fn, call.args, call.kwargs) for call in handed]
        try:
            for delegated, promise in sent:
                await _settled(delegated, promise)
        except BaseException:
            for delegated, _promise in sent:
                delegated.is_off = True
            raise
        return [delegated.outcome(promise) for delegated, promise in sent]

    async def launch(
        self, fn: Callable[Concatenate[T, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        if not iscoroutinefunction(fn):
            name = getattr(fn, "__name__", "this")
            raise UsageError(f"{name} is no async def function: apply() it, as one turn")
        return await self._queued(fn, args, kwargs, is_fiber=True)  # type: ignore[no-any-return]

    async def _queued(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, is_fiber: bool = False
    ) -> Any:
        carried: Any = getattr(fn, "_captp_carried", None)
        if carried is None:
            return await self._sent(fn, args, kwargs, is_fiber=is_fiber)
        # A fiber that is called off may have a step to go: what it has to change is a copy.
        with carried.given(fn, copies=is_fiber) as given:
            return await self._sent(given, args, kwargs, is_fiber=is_fiber)

    async def _sent(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, is_fiber: bool
    ) -> Any:
        cell = self._cell or _dropped()
        call, promise = _send(cell, fn, args, kwargs, is_fiber=is_fiber)
        await _settled(call, promise)
        outcome = call.outcome(promise)
        if outcome.error is not None:
            # This frame is in the traceback of what is raised.
            del cell, call, promise
        return outcome.unwrap()

    @property
    def reference(self) -> Any:
        cell = self._cell or _dropped()
        return cell.ref if cell.target is cell.obj else super().reference

    def heal(self) -> None:
        (self._cell or _dropped()).heal()

    def clone(self) -> LoopTrust[T]:
        return LoopTrust(self._cell or _dropped())

    def drop(self) -> None:
        self._cell = None


class GatedTrust(LoopTrust[T]):
    """A handle in a durable vat, where a result is there when what caused it is stored."""

    __slots__ = ()

    async def apply(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._queued(fn, args, kwargs)  # type: ignore[no-any-return]

    def apply_now(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        if (self._cell or _dropped()).trustee.in_turn is None:
            raise NotNow("this vat is durable, and a result is there when it is stored: use apply")
        return super().apply_now(fn, *args, **kwargs)

    def clone(self) -> GatedTrust[T]:
        return GatedTrust(self._cell or _dropped())


def _turn(cell: Cell, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function on an object as a turn, now, before anything else does."""
    trustee, vat = cell.trustee, cell.vat
    if fn is not cell.checked:
        cell.check(fn)
    # It stays set in this task: what needs it works inside turns only.
    if current.get(None) is not vat:
        current.set(vat)
    mark = len(vat.outbox)
    trustee.in_turn = cell.obj
    try:
        value = _called(vat, fn, cell.target, args, kwargs)
        if type(value) not in ATOMS:
            value = checked(value, cell.target, cell.obj)
        if vat.awake:
            vat.turns.check_sends(mark)
    except Exception as problem:
        error = cell.fail(problem, mark)
    except BaseException as problem:
        cell.undo(mark)
        error = emptied(problem)
    else:
        trustee.in_turn = None
        if trustee.journal:
            trustee.commit()
        return value
    del cell, vat, trustee
    raise error


def _called(vat: Any, fn: Any, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return vat.context.copy().run(fn, target, *args, **kwargs) if CAPS else fn(target, *args, **kwargs)


def _dropped() -> Cell:
    raise Dropped("this handle was given back: clone it before, for whoever needs it longer")


def _send(
    cell: Cell,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    is_fiber: bool = False,
) -> tuple[Delegated, Promise[Any]]:
    check_captures(fn)
    call, promise = Delegated(cell, fn, is_fiber=is_fiber), Promise[Any](cell.vat)
    cell.vat.emit(Message(cell.ref, call, args, kwargs or None, promise))
    return call, promise


async def _settled(call: Delegated, promise: Promise[Any]) -> None:
    """Wait until a call has ended, however; cancelled before its turn it never runs."""
    try:
        await promise
    except BaseException as problem:
        if promise._state == PENDING or not isinstance(problem, Exception):
            call.is_off = True
            vat: Any = promise._home
            fiber = vat.turns.fiber_of(promise)
            if fiber is not None:
                # Now, and not when the promise is gone: nobody says when the others have their object.
                vat.cancel(fiber)
                vat.ring()
            raise


def entrust(vat: Any, target: T, *, poisons: bool) -> LoopTrust[T]:
    """Give an object to the vat's own loop; from now on it is used through the handle alone."""
    obj = target if isinstance(target, Object) else Holder(type(target).__name__)
    handle = GatedTrust if vat.is_gated else LoopTrust
    return handle(Cell(vat, target, obj, vat.reference(obj), poisons=poisons))
