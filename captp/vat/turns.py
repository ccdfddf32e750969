"""Turns and fiber steps: one message, one object, all or nothing; it decides no order and no route."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import Context
from typing import Any, Final

from captp.errors import BorrowEscape, Broken, Cancelled, Moved, NoSuchMethod, Overloaded
from captp.limits import Limits
from captp.model.current import CAPS
from captp.model.faults import number_of, portable
from captp.model.guards import as_interface, compile_thunk
from captp.model.interface import Row
from captp.model.object import Object
from captp.model.passable import ATOMS
from captp.model.promise import BROKEN, FULFILLED, Message, Promise, Reference, Select, add_waiter
from captp.model.values import Symbol
from captp.vat.cold import Cold, Postponed
from captp.vat.fiber import Fiber, explained, followed_by, foreign_await, line_of
from captp.vat.trustee import Trustee

#: Results that count for nothing.
SMALL: Final = frozenset({int, bool, type(None), float})
#: What there is behind the last of several calls.
END: Final = object()


class Turns:
    """Runs turns for one vat; ``fibers`` are those that wait, ``faults`` what user code raised."""

    def __init__(self, vat: Any, trustee: Trustee, limits: Limits) -> None:
        self.vat = vat
        self.trustee = trustee
        self.limits = limits
        self.fibers: dict[Fiber, None] = {}
        self._results: dict[int, Fiber] = {}
        self.fiber_runs = False
        #: Turns and steps of fibers that have begun.
        self.count = 0
        #: Calls whose callers went before their turn, and delegated ones refused as too many waited.
        self.cancelled = self.overloads = 0
        #: Where, what, and the number that callers were told, if it stays with its owner.
        self.faults: list[tuple[str, BaseException, int | None]] = []

    def run(self, obj: Object, row: Row, message: Message) -> None:
        """Run one delivery as a turn, or as the first step of a fiber."""
        if row.is_fiber:
            self._start(obj, row, message)
            return
        value = self.turn(obj, row, message.args, message.kwargs)
        promise = message.promise
        if isinstance(value, Broken):
            if type(value) is Postponed:
                self.trustee.postpone(message, obj, value.obj)
            elif promise is not None:
                self.vat.settle_now(promise, BROKEN, value)
        elif promise is not None:
            self.vat.settle_now(promise, FULFILLED, value)

    def turn(self, obj: Object, row: Row, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
        """Run one turn: commit it and return its result, or roll it back and return a Broken.

        No result is an exception, which cannot cross; raised again it would hold the turn's frames.
        """
        outbox, trustee = self.vat.outbox, self.trustee
        mark = len(outbox)
        self.count += 1
        trustee.in_turn = obj
        try:
            if trustee.steps:
                value = self._run_in_steps(obj, row, args, kwargs)
            elif CAPS:
                value = self.vat.context.copy().run(row.thunk or compile_thunk(row), obj, args, kwargs)
            else:
                value = (row.thunk or compile_thunk(row))(obj, args, kwargs)
            if type(value) not in ATOMS:
                value = self.result(row, value)
            if outbox and len(outbox) != mark:
                self.check_sends(mark)
        except BaseException as problem:
            return self._rolled_back(mark, obj, row, problem)
        finally:
            trustee.in_turn = None
        if trustee.journal:
            trustee.commit()
        return value

    def in_a_row(self, obj: Object, row: Row, calls: Iterator[tuple[Any, ...]], values: list[Any]) -> Any:
        """Run calls of one method, a turn each, and add to ``values`` what they return while it is small.

        Returns the first result that is not in ``SMALL``, a Broken among others, and END with the last call.
        Each turn is as ``turn`` without steps and capabilities; what is the same for all is looked up once.
        """
        outbox, trustee, keep = self.vat.outbox, self.trustee, values.append
        mark = len(outbox)
        for args in calls:
            self.count += 1
            trustee.in_turn = obj
            try:
                value = (row.thunk or compile_thunk(row))(obj, args, None)
                is_small = type(value) in SMALL
                if not is_small and type(value) not in ATOMS:
                    value = self.result(row, value)
                if outbox and len(outbox) != mark:
                    self.check_sends(mark)
                    mark = len(outbox)
            except BaseException as problem:
                return self._rolled_back(mark, obj, row, problem)
            finally:
                trustee.in_turn = None
            if trustee.journal:
                trustee.commit()
            if not is_small:
                return value
            keep(value)
        return END

    def _run_in_steps(
        self, obj: Object, row: Row, args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> Any:
        self.trustee.enter(obj, row)
        value = self.vat.context.copy().run(row.thunk or compile_thunk(row), obj, args, kwargs)
        value = self.result(row, value)
        self.trustee.leave(obj, row, committed=True)
        return value

    def check_sends(self, mark: int) -> None:
        if len(self.vat.outbox) - mark > self.limits.turn_sends:
            raise Overloaded(f"turn-limit: more than {self.limits.turn_sends} sends in one turn")

    def result(self, row: Row, value: Any) -> Any:
        """Return a method's result as it leaves: frozen, and a reference where it says interface."""
        if row.result is not None and isinstance(value, Object | Reference):
            if isinstance(value, Object):
                return self.vat.reference(value, row.result)
            value = as_interface(value, row.result)
        return self.vat.owning.passed_on(value)

    def _roll_back(
        self, mark: int, obj: Object, row: Row, problem: BaseException, promise: Promise[Any] | None
    ) -> None:
        """Undo a turn; user code's errors break the promise, an interrupt goes on up."""
        broken = self._rolled_back(mark, obj, row, problem)
        if promise is not None:
            self.vat.settle_now(promise, BROKEN, broken)

    def _rolled_back(self, mark: int, obj: Object, row: Row, problem: BaseException) -> Broken:
        """Undo a turn and return what its caller may learn of the problem; raises an interrupt as it is."""
        trustee = self.trustee
        del self.vat.outbox[mark:]
        trustee.in_turn = None
        trustee.roll_back()
        if trustee.steps:
            trustee.leave(obj, row, committed=False)
        if type(problem) is Cold:
            return Postponed(problem.obj)
        problem = explained(problem, row)
        broken = portable(row.error or problem, trustee) if isinstance(problem, Exception) else None
        # A stranger may lend or give what a method passes on or keeps, and must not fill the log with it.
        if not issubclass(type(problem), Broken | BorrowEscape | Moved) and not row.is_heard:
            number = None if broken is None else number_of(broken)
            self.faults.append((f"{row.owner.__name__}.{row.name}", problem, number))
        if broken is None:
            raise problem
        return broken

    def _start(self, obj: Object, row: Row, message: Message) -> None:
        """Run the first step; only a fiber that waits becomes an entry of its own."""
        promise = message.promise
        context = self.vat.context.copy() if CAPS else None
        try:
            thunk = row.thunk or compile_thunk(row)
            if context is None:
                coro = thunk(obj, message.args, message.kwargs)
            else:
                coro = context.run(thunk, obj, message.args, message.kwargs)
        except Exception as problem:
            self._roll_back(len(self.vat.outbox), obj, row, problem, promise)
            return
        waits_for = self._advance(coro, obj, row, promise, context=context, cancels=False)
        if waits_for is None:
            return
        fiber = Fiber(coro, obj, row, promise, self.vat.dropped.append)
        fiber.context = context
        self.fibers[fiber] = None
        self._results[fiber.result_id] = fiber
        if row.latch:
            fiber.latched = True
            self.vat.latches.hold(obj, fiber)
        self._park(fiber, waits_for)

    def step(self, fiber: Fiber) -> None:
        """Run the next step of a fiber that was woken or cancelled."""
        promise = fiber.promise()
        if CAPS and fiber.context is None:
            fiber.context = self.vat.context.copy()
        cancels = fiber.cancelled and fiber.waiting_for is None
        if cancels:
            fiber.cancelled = False
        waits_for = None
        try:
            waits_for = self._advance(
                fiber.coro, fiber.obj, fiber.row, promise, context=fiber.context, cancels=cancels
            )
        finally:
            # Also when an interrupt flies through: the object must not stay latched for good.
            if waits_for is None:
                self._end(fiber)
        if waits_for is not None:
            if fiber.cancelled:
                # The result was dropped while this step was already due.
                self.vat.admit(self.vat.local, fiber)
                return
            self._park(fiber, waits_for)

    def _park(self, fiber: Fiber, promise: Promise[Any]) -> None:
        fiber.waiting_for = promise
        add_waiter(promise, fiber)
        self.vat.latches.parked(fiber)

    def _end(self, fiber: Fiber) -> None:
        del self.fibers[fiber]
        if self._results.get(fiber.result_id) is fiber:
            del self._results[fiber.result_id]
        if fiber.latched:
            self.vat.latches.release(fiber.obj, fiber)

    def fiber_of(self, promise: Promise[Any]) -> Fiber | None:
        """Return the fiber that settles a promise."""
        fiber = self._results.get(id(promise))
        # Another promise may have had its place in memory before.
        return fiber if fiber is not None and fiber.promise() is promise else None

    def tied(self) -> list[Fiber]:
        """Return the fibers that wait, one for another, for their own results: nothing can ever wake them."""
        tied: list[Fiber] = []
        walked: set[Fiber] = set()
        for start in self.fibers:
            path: dict[Fiber, None] = {}
            fiber: Fiber | None = start
            while fiber is not None and fiber not in walked:
                walked.add(fiber)
                path[fiber] = None
                awaited = followed_by(fiber)
                fiber = None if awaited is None else self.fiber_of(awaited)
            if fiber in path:
                around = list(path)
                tied += around[around.index(fiber) :]
        return tied

    def close(self) -> None:
        """End all fibers; what their cleanup writes or sends is undone with the turn it runs in."""
        outbox, trustee = self.vat.outbox, self.trustee
        while self.fibers:
            fiber, _ = self.fibers.popitem()
            mark = len(outbox)
            trustee.in_turn = fiber.obj
            try:
                self._close(fiber.coro, fiber.row, fiber.context)
            finally:
                del outbox[mark:]
                trustee.roll_back()
                trustee.in_turn = None

    def _close(self, coro: Any, row: Row, context: Context | None) -> None:
        try:
            # Its cleanup finds what its steps found.
            if context is None:
                coro.close()
            else:
                context.run(coro.close)
        except Exception as problem:  # user code's cleanup must not stop ours
            self.faults.append((f"{row.owner.__name__}.{row.name}", problem, None))

    def _advance(
        self,
        coro: Any,
        obj: Object,
        row: Row,
        promise: Promise[Any] | None,
        *,
        context: Context | None,
        cancels: bool,
    ) -> Promise[Any] | None:
        """Run one step as a turn; return the promise it waits for, None when it has finished."""
        thrown: BaseException | None = None
        if cancels:
            thrown = Cancelled(f"{row.name}() was cancelled: nobody waits for its result")
        trustee = self.trustee
        mark = len(self.vat.outbox)
        self.count += 1
        trustee.in_turn, self.fiber_runs = obj, True
        waits_for: Promise[Any] | None = None
        value = None
        try:
            if trustee.steps:
                trustee.enter(obj, row)
            try:
                while True:
                    if context is None:
                        waits_for = coro.send(None) if thrown is None else coro.throw(thrown)
                    elif thrown is None:
                        waits_for = context.run(coro.send, None)
                    else:
                        waits_for = context.run(coro.throw, thrown)
                    if isinstance(waits_for, Promise) and waits_for._home is self.vat:
                        break
                    thrown = foreign_await(row, line_of(coro, row))
                    del self.vat.outbox[mark:]
                    trustee.roll_back()
            except StopIteration as stop:
                waits_for = None
                value = self.result(row, stop.value)
            self.check_sends(mark)
            if trustee.steps:
                trustee.leave(obj, row, committed=True)
        except BaseException as problem:
            # It may not have begun, or stand at an await: no later step will come.
            self._close(coro, row, context)
            self._roll_back(mark, obj, row, problem, promise)
            return None
        finally:
            trustee.in_turn, self.fiber_runs = None, False
            # Its traceback holds this frame, and with it all that the method held.
            thrown = None
        if trustee.journal:
            trustee.commit()
        if waits_for is None and promise is not None:
            self.vat.settle_now(promise, FULFILLED, value)
        return waits_for


def find(obj: Object, selector: Any, args: tuple[Any, ...]) -> tuple[Row, tuple[Any, ...]]:
    """Look a method up; an object with a marked ``__call__`` takes the whole argument list."""
    rows = type(obj)._captp_rows
    if type(selector) is Select:
        raise Broken(f"bad-select: {selector!r} does not fit an object")
    row = rows.get(selector)
    if row is None:
        row = rows.get(None)
        if row is None or type(selector) is not str or selector.startswith("captp:"):
            # Names with that prefix are between vats, and never an object's.
            raise NoSuchMethod("there is no such method")
        args = (Symbol(selector), *args)
    return row, args
