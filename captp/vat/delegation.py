"""Delegation in the vat's own loop: a Trust whose turns run where they are asked for, if nothing waits.

A cell stands for one entrusted object: held --the last handle goes--> left in ``vat.let_go`` --driver-->
gone. Its handles are counted by the interpreter, exactly, in whatever thread they are made and go. A
call that cannot run at once travels as a message whose selector is the ``Delegated`` function, through
the same queues as any other, and keeps its place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from types import FunctionType
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from captp.errors import Dropped, LeakedObject, NotNow, Overloaded, Poisoned, Reentrant
from captp.model.captures import check_captures
from captp.model.object import Object
from captp.model.passable import ATOMS, freeze
from captp.model.promise import BROKEN, PENDING, Message, Promise, add_waiter
from captp.model.ref import Ref
from captp.model.trust import Call, Outcome, Trust
from captp.vat.effects import CURRENT_VAT

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

__all__ = ["Delegated", "LoopTrust", "entrust"]

#: Calls that run at once between two checkpoints.
BUDGET: Final = 128


class Holder(Object):
    """Stands in the vat for an entrusted object that is no Object; nothing of it can be called."""


class Shut:
    """Stands in the door of a poisoned object, as busy as a latched one."""

    _latch = ()


class Cell:
    """One entrusted object: what stands for it in the vat, and what a turn is given; its handles hold it.

    sound --a turn raises, if it ``poisons``--> poisoned --heal--> sound. While it is poisoned ``door`` is
    a latched object, so that no call runs at once, and ``error`` is what those raise that ask for one.
    """

    __slots__ = ("checked", "door", "error", "obj", "poisons", "ref", "target", "trustee", "vat")

    def __init__(self, vat: Any, target: Any, obj: Object, ref: Ref, *, poisons: bool) -> None:
        self.vat = vat
        self.trustee = vat.trustee
        self.obj = obj
        self.door: Any = obj
        self.target = target
        self.poisons = poisons
        #: The function that was found to capture nothing, last.
        self.checked: Any = None
        self.error: Exception | None = None
        #: Keeps the object alive, and is what queued calls are sent to.
        self.ref = ref

    def check(self, fn: Callable[..., Any]) -> None:
        """Raise CaptureError for a function that brings along what others may change."""
        check_captures(fn)
        if type(fn) is FunctionType and not fn.__closure__:
            # It captures nothing, now and ever: what a closure has may be another thing next time.
            self.checked = fn

    def fail(self, problem: BaseException, mark: int) -> None:
        """Undo the turn that raised, and what it sent since the outbox had ``mark`` effects."""
        del self.vat.outbox[mark:]
        self.trustee.in_turn = None
        self.trustee.roll_back()
        if self.poisons and isinstance(problem, Exception):
            self.poison(problem)

    def poison(self, error: Exception) -> None:
        """Let nobody use the object until it is healed."""
        self.error = error
        self.door = Shut

    def heal(self) -> None:
        """Let the object be used again."""
        self.error = None
        self.door = self.obj

    def look(self) -> None:
        """Raise Poisoned if the object is."""
        if self.error is not None:
            raise Poisoned(
                f"a turn on this {type(self.target).__name__} raised {self.error!r} and may have left it"
                " half done: look at it with heal() and apply(), or drop it"
            )

    def __del__(self) -> None:
        # It may be any thread, in the middle of any turn: the driver lets the object go in its own.
        self.vat.let_go.append((self.ref, self.target))
        self.vat.nudge()


class Delegated:
    """A function on its way to its turn; it stands in the place of a method's row and of its name."""

    __slots__ = (
        "cell",
        "error",
        "fn",
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
        self.fn = fn
        self.is_fiber = is_fiber
        self.is_heard = True
        self.latch = True
        self.name = getattr(fn, "__name__", "a function")
        self.owner = type(cell.target)
        self.result = None
        self.value: Any = None
        self.error: BaseException | None = None

    def thunk(self, obj: Object, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        """Run the function; its result and its exception stay here, as they are."""
        try:
            if self.is_off:
                return None
            self.cell.look()
            if self.is_fiber:
                return self._run(args, kwargs)
            self.value = checked(self.fn(self.target, *args, **(kwargs or {})), self.target, obj)
        except Exception as problem:
            self._fails(problem)
            raise
        return None

    def _fails(self, problem: Exception) -> None:
        self.error = problem
        if self.cell.poisons and type(problem) is not Poisoned:
            self.cell.poison(problem)

    async def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        try:
            self.value = await self.fn(self.target, *args, **(kwargs or {}))
        except Exception as problem:
            self._fails(problem)
            raise

    def outcome(self, promise: Promise[Any]) -> Outcome[Any]:
        """Say how it ended, once its promise is settled."""
        if promise._state == BROKEN:
            return Outcome(None, self.error or promise._value)
        return Outcome(self.value)


def checked(value: Any, target: Any, obj: Object) -> Any:
    """Return a turn's result as it may leave; raises LeakedObject or Unpassable."""
    if type(value) in ATOMS:
        return value
    if target is obj:
        return freeze(value, obj._home.vat)
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
            vat.turns.faults.append((f"the `then` of {self.call.name}", problem))
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
        while not vat.awake and trustee.in_turn is None and cell.door._latch is None and not trustee.steps:
            if not vat.budget:
                vat.budget = BUDGET
                await vat.pause()
                cell = self._cell or _dropped()
                continue
            vat.budget -= 1
            # What follows is _turn(), in place: to call it would cost a quarter more.
            if fn is not cell.checked:
                cell.check(fn)
            if CURRENT_VAT.get(None) is not vat:
                CURRENT_VAT.set(vat)
            mark = len(vat.outbox)
            trustee.in_turn = cell.obj
            try:
                value = fn(cell.target, *args, **kwargs) if kwargs else fn(cell.target, *args)  # type: ignore[call-arg]
                if type(value) not in ATOMS:
                    value = checked(value, cell.target, cell.obj)
                if vat.awake:
                    vat.turns.check_sends(mark)
            except BaseException as problem:
                cell.fail(problem, mark)
                raise
            trustee.in_turn = None
            if trustee.journal:
                trustee.commit()
            return value
        return await self._queued(cell, fn, args, kwargs)  # type: ignore[no-any-return]

    def apply_now(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        cell = self._cell or _dropped()
        vat = cell.vat
        if vat.trustee.in_turn is cell.obj:
            raise Reentrant("this turn is on that very object: call it, or send it a message")
        cell.look()
        if cell.obj._latch is not None:
            raise NotNow("the object is busy: an async function on it has not finished")
        if vat.trustee.in_turn is not None:
            check_captures(fn)
            return checked(fn(cell.target, *args, **kwargs), cell.target, cell.obj)  # type: ignore[no-any-return]
        if vat.awake or vat.trustee.steps:
            raise NotNow("other calls wait for their turn before it: use apply, or apply_then")
        return _turn(cell, fn, args, kwargs)  # type: ignore[no-any-return]

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
            raise Overloaded(f"{vat.limits.backlog} calls wait already: await one with apply")
        call, promise = _send(cell, fn, args, {})
        call.is_heard = then is not None
        if then is not None:
            add_waiter(promise, _Then(call, promise, then))

    async def apply_with(self, fn: Callable[..., R], payload: Any, /, *args: Any) -> R:
        cell = self._cell or _dropped()
        return await self.apply(fn, freeze(payload, cell.vat), *args)

    async def apply_many(self, calls: Iterable[Call[R]]) -> list[Outcome[R]]:
        cell = self._cell or _dropped()
        sent = [_send(cell, call.fn, call.args, call.kwargs) for call in calls]
        for call, promise in sent:
            await _settled(call, promise)
        return [call.outcome(promise) for call, promise in sent]

    async def launch(
        self, fn: Callable[Concatenate[T, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        return await self._queued(self._cell or _dropped(), fn, args, kwargs, is_fiber=True)  # type: ignore[no-any-return]

    async def _queued(
        self,
        cell: Cell,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        is_fiber: bool = False,
    ) -> Any:
        call, promise = _send(cell, fn, args, kwargs, is_fiber=is_fiber)
        await _settled(call, promise)
        return call.outcome(promise).unwrap()

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


def _turn(cell: Cell, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a function on an object as a turn, now, before anything else does; raises what it raises."""
    trustee, vat = cell.trustee, cell.vat
    if fn is not cell.checked:
        cell.check(fn)
    # It stays set in this task: what needs it works inside turns only.
    if CURRENT_VAT.get(None) is not vat:
        CURRENT_VAT.set(vat)
    mark = len(vat.outbox)
    trustee.in_turn = cell.obj
    try:
        value = fn(cell.target, *args, **kwargs)
        if type(value) not in ATOMS:
            value = checked(value, cell.target, cell.obj)
        if vat.awake:
            vat.turns.check_sends(mark)
    except BaseException as problem:
        cell.fail(problem, mark)
        raise
    trustee.in_turn = None
    if trustee.journal:
        trustee.commit()
    return value


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
            raise


def entrust(vat: Any, target: T, *, poisons: bool) -> LoopTrust[T]:
    """Give an object to the vat's own loop; from now on it is used through the handle alone."""
    obj = target if isinstance(target, Object) else Holder()
    return LoopTrust(Cell(vat, target, obj, vat.reference(obj), poisons=poisons))
