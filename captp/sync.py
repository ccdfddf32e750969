"""captp for plain threads: a call returns a handle at once and ``result()`` waits; it has no loop to run.

One anyio portal runs trio in a thread of its own for as long as anything is connected. What a program
calls crosses to that thread in order, and everything of the engine is made, used and dropped there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, Final, NoReturn, TypeAlias, TypeVar, final, overload

import trio

try:
    from anyio.from_thread import BlockingPortalProvider
except ModuleNotFoundError as _problem:
    raise ImportError("captp.sync needs anyio: pip install 'captp[sync]'") from _problem

from captp.errors import Closed, NotNear, Timeout, UsageError
from captp.model.interface import Interface, ViewMeta, interface_of, is_interface, result_class, rows_of
from captp.model.object import Object
from captp.model.passable import freeze_args, freeze_kwargs
from captp.model.promise import Promise, Reference, Select
from captp.model.sends import make_send
from captp.model.terms import lent_out
from captp.model.values import FrozenMap, mapped
from captp.net.base import Netlayer
from captp.run.arguments import check_interface
from captp.run.live import LiveVat, open_vat
from captp.run.sources import Source, read_sturdyref

__all__ = ["Handle", "batch", "connect", "result"]

Collected: TypeAlias = dict["Door", list[Callable[[], None]]]

T = TypeVar("T")
I = TypeVar("I", bound=Interface)  # noqa: E741

_CLOSED: Final = "this connection is closed: its handles work only inside its captp.sync.connect() block"

#: Seconds until what was dropped is let go, if nothing else crosses meanwhile.
LET_GO_S: Final = 0.25

#: The one loop of the process: the first connection starts it and the last one ends it.
_PORTALS: Final = BlockingPortalProvider(backend="trio")

#: What a thread called since its batch() began.
_COLLECTED: Final[ContextVar[Collected | None]] = ContextVar("captp_batch", default=None)


@overload
def connect(
    source: Source, interface: type[I], *, netlayers: Iterable[Netlayer] = (), retry_for: float = 0.0
) -> AbstractContextManager[I]: ...
@overload
def connect(
    source: Source, *, netlayers: Iterable[Netlayer] = (), retry_for: float = 0.0
) -> AbstractContextManager[Handle]: ...
@contextmanager
def connect(
    source: Source, interface: Any = None, *, netlayers: Iterable[Netlayer] = (), retry_for: float = 0.0
) -> Iterator[Any]:
    """Open a vat of one's own for the length of the block and enliven one sturdyref in it.

    Gives a handle at once; without an interface, ``captp.E(handle).method(...)`` calls it. Any number
    of threads may use the handles. What nobody has waited for at the end of the block may be lost.
    """
    sturdyref = read_sturdyref(source)
    check_interface(interface)
    with _PORTALS as portal:
        opened: Future[Door] = Future()
        ended = portal.start_task_soon(_host, opened, netlayers)
        try:
            door = opened.result()
            try:
                yield door.take(lambda vat: vat.enliven(sturdyref, interface, retry_for=retry_for), interface)
            finally:
                door.close()
                ended.result()
        except BaseException:
            ended.cancel()
            raise


async def _host(opened: Future[Door], netlayers: Iterable[Netlayer]) -> None:
    """Keep a vat open in the portal's thread until its door closes."""
    try:
        async with open_vat(netlayers=netlayers) as vat, trio.open_nursery() as nursery:
            door = Door(vat, nursery)
            opened.set_result(door)
            while not door.closing.is_set():
                with trio.move_on_after(LET_GO_S):
                    await door.closing.wait()
                door.drain()
            await trio.lowlevel.checkpoint()  # the vat sends what came last
            nursery.cancel_scope.cancel()
    except Exception as problem:
        if opened.done():
            raise
        opened.set_exception(problem)


@contextmanager
def batch() -> Iterator[None]:
    """Have the calls of this thread in the block cross together at its end: one hand-over, one write.

    ``result()`` inside the block sends what was collected so far. What was called is sent also when
    the block raises.
    """
    if _COLLECTED.get() is not None:
        yield
        return
    collected: Collected = {}
    token = _COLLECTED.set(collected)
    try:
        yield
    finally:
        _COLLECTED.reset(token)
        _hand_over(collected)


def _hand_over(collected: Collected | None) -> None:
    while collected:
        door, work = collected.popitem()
        door.post(work)


@overload
def result(handle: Promise[T], timeout: float | None = None) -> T: ...
@overload
def result(handle: I, timeout: float | None = None) -> I: ...
def result(handle: Any, timeout: float | None = None) -> Any:
    """Wait for a handle, as ``handle.result(timeout)`` does, in a way that type checkers follow."""
    if not isinstance(handle, Handle):
        raise UsageError(f"result() takes a handle of captp.sync, not {type(handle).__name__}")
    return handle.result(timeout)


class Handle(Reference):
    """What a call will give, or an object it gave: call it, pass it on, or wait for it.

    Handles of one object that ``result()`` returned compare equal; any other equals only itself.
    """

    __slots__ = ("__weakref__", "_cell", "_home")

    _home: Any  # a Door: a Home as far as sending goes

    def __init__(self, door: Door, cell: Cell) -> None:
        self._home = door
        self._cell = cell

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the value; raises what broke it, or Timeout after ``timeout`` seconds.

        A wait that times out does not cancel the call: ``result()`` may be called again. Data comes as
        it is, an object as a handle.
        """
        return self._home.wait(self._cell, timeout)

    def __getitem__(self, key: str | int) -> Handle:
        """Return a handle for one field of a struct or one item of a list."""
        op = "get" if type(key) is str else "index"
        if op == "index" and type(key) is not int:
            raise UsageError(f"a handle is indexed by str or int, not {type(key).__name__}")
        return self._home.send(self, Select(op, key), (), None, Promise)  # type: ignore[no-any-return]

    def _captp_lent(self) -> Handle:
        """Return a handle for a loan of it, made behind the calls before and over with the next one."""
        return self._home.take(lambda _vat: lent_out(_inward(self)), None)  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        known = self._cell.known
        return self is other or (
            known is not None and isinstance(other, Handle) and known == other._cell.known
        )

    def __hash__(self) -> int:
        known = self._cell.known
        return id(self) if known is None else hash(known)

    def __await__(self) -> Generator[Any, Any, Any]:
        raise UsageError("handles of captp.sync are not awaited: call result(), or use captp.connect()")

    def __iter__(self) -> Any:
        raise UsageError("a handle cannot be iterated: take its result() first")

    def __bool__(self) -> bool:
        raise UsageError("a handle has no truth yet: take its result() first")

    def __del__(self) -> None:
        # The engine is not made for many threads: what the handle stands for is let go in its own.
        self._home.let_go(self._cell)


class Cell:
    """The engine's side of a handle; only the portal's thread looks at ``value``.

    empty --sent--> a promise or reference, or the error that came instead. ``known`` is the reference
    of a handle that was made of a result; it never changes.
    """

    __slots__ = ("known", "value")

    def __init__(self, known: Reference | None = None) -> None:
        self.known = known
        self.value: Reference | Exception | None = known


@final
class Door:
    """The home of one connection's handles: everything goes through it to the portal's thread, in order.

    open --close()--> closing --its turn comes--> gone.
    """

    def __init__(self, vat: LiveVat, nursery: trio.Nursery) -> None:
        self.closing = trio.Event()
        self._vat = vat
        self._nursery = nursery
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._work: deque[Any] = deque()
        self._order = threading.Lock()
        self._is_open = True

    def send(
        self,
        target: Handle,
        selector: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        promise_class: type[Promise[Any]],
    ) -> Handle:
        """Pass a call on and return the handle for its result; raises Unpassable with the path."""

        def run(arrived: Callable[[], Any]) -> Any:
            to, args, kwargs = arrived()
            return to._home.send(to, selector, args, kwargs, promise_class)

        return self.call_there(run, target, args, kwargs, interface_of(promise_class))

    def send_only(
        self, target: Handle, selector: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> None:
        """Pass a call on whose result nobody wants."""

        def run(arrived: Callable[[], Any]) -> Any:
            to, args, kwargs = arrived()
            return to._home.send_only(to, selector, args, kwargs)

        self.call_there(run, target, args, kwargs, None)

    def call_there(
        self, run: Callable[..., Any], target: Handle, args: Any, kwargs: Any, interface: type | None
    ) -> Handle:
        """Have ``run`` make a call in the portal's thread: given what asks for target and arguments there."""
        args = freeze_args(args, self)
        kwargs = None if kwargs is None else FrozenMap(freeze_kwargs(kwargs, self))
        return self.take(lambda _vat: run(lambda: map(_inward, (target, args, kwargs))), interface)

    def call_now(self, _target: Handle, selector: str | None, *_call: Any) -> NoReturn:
        """Refuse: nothing is near a plain thread."""
        raise NotNear(f"{selector}.now() works on near objects only: call it, and take the result()")

    def reference(self, obj: Object, _interface: type | None = None) -> Handle:
        """Return a handle to an object of ours, which the vat owns from now on."""
        return self.take(lambda vat: vat.export(obj), None)

    def take(self, make: Callable[[LiveVat], Any], interface: type | None) -> Handle:
        """Return a handle for what ``make`` will return in the portal's thread."""
        cell = Cell()
        work = partial(_fill, cell, lambda: make(self._vat))
        collected = _COLLECTED.get()
        if collected is None:
            self.post([work])
        else:
            collected.setdefault(self, []).append(work)
        return _handle_class(interface)(self, cell)

    def wait(self, cell: Cell, timeout: float | None) -> Any:
        """Wait in this thread until what a cell holds is settled."""
        if threading.get_ident() == self._thread:
            raise UsageError("result() would block the vat itself: await in an async method instead")
        waiting = _Waiting(cell)
        _hand_over(_COLLECTED.get())
        self.post([partial(self._begin, waiting)])
        try:
            return waiting.result(timeout)
        except TimeoutError:
            raise Timeout(f"no result within {timeout:g} s; it may still come") from None
        finally:
            if not waiting.done():
                self._wake(waiting.scope.cancel)

    def close(self) -> None:
        """Let nothing in any more; what is in is sent."""
        _hand_over(_COLLECTED.get())
        with self._order:
            self._is_open = False
            self._work.append(self.closing.set)
        self._wake(self.drain)

    def let_go(self, cell: Cell) -> None:
        """Let go of a cell in the portal's thread, soon; the garbage collector calls this, anywhere."""
        self._work.append(cell)

    def post(self, work: list[Callable[[], None]]) -> None:
        """Have work done in the portal's thread, after what was posted before. Raises Closed."""
        with self._order:
            if not self._is_open:
                raise Closed(_CLOSED)
            self._work.extend(work)
        self._wake(self.drain)

    def _wake(self, work: Callable[[], Any]) -> None:
        with suppress(trio.RunFinishedError):  # with the loop ended everything that is to be done here
            self._token.run_sync_soon(work, idempotent=True)

    def drain(self) -> None:
        """Do what was posted; in the portal's thread, as all that follows."""
        work = self._work
        while work:
            item = work.popleft()
            if type(item) is not Cell:
                item()

    def _begin(self, waiting: _Waiting) -> None:
        try:
            self._nursery.start_soon(self._settle, waiting)
        except RuntimeError:  # the vat has failed; its error leaves with the block
            waiting.set_exception(Closed(_CLOSED))

    async def _settle(self, waiting: _Waiting) -> None:
        try:
            with waiting.scope:
                waiting.set_result(self._outward(await _inward(waiting.cell)))
        except Exception as problem:  # what broke the promise is for who waits, whatever it is
            waiting.set_exception(problem)
        finally:
            if not waiting.done():
                waiting.set_exception(Closed(_CLOSED))

    def _outward(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return _handle_class(interface_of(type(value)))(self, Cell(value))
        return mapped(value, self._outward)


@final
class _Waiting(Future[Any]):
    """One thread that waits for one cell."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell
        self.scope = trio.CancelScope()


def _fill(cell: Cell, make: Callable[[], Any]) -> None:
    try:
        cell.value = make()
    except Exception as problem:  # who waits for the cell gets it; the portal's loop must go on
        cell.value = problem


def _inward(value: Any) -> Any:
    """Return what the engine knows for what crosses; raises the error that came instead."""
    if isinstance(value, Handle):
        value = value._cell
    if type(value) is Cell:
        if isinstance(value.value, Exception):
            raise value.value
        return value.value
    return mapped(value, _inward)


@cache
def _handle_class(interface: type | None) -> type[Handle]:
    """Return the class of handles that show ``interface``."""
    if interface is None:
        return Handle
    # A method with the name of one of ours is called through captp.E(handle).
    sends = {
        row.name: make_send(row, partial(result_class, row))
        for row in rows_of(interface).values()
        if row.name not in vars(Handle)
    }
    bases = (Handle, interface) if is_interface(interface) else (Handle,)
    names = {"__slots__": (), "__module__": interface.__module__, **sends}
    return ViewMeta(f"{interface.__name__}Handle", bases, names)  # type: ignore[return-value]
