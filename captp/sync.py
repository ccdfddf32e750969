"""captp for plain threads: a call returns a handle at once and ``result()`` waits; it has no loop to run.

One anyio portal runs trio in a thread of its own for as long as anything is connected. What a program
calls crosses to that thread in order, and everything of the engine is made, used and dropped there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, Final, NoReturn, TypeVar, final, overload

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
from captp.model.values import FrozenMap, Tagged
from captp.net.base import Netlayer
from captp.run.live import LiveVat, Source, open_vat, read_sturdyref

__all__ = ["Handle", "batch", "connect", "result"]

T = TypeVar("T")
I = TypeVar("I", bound=Interface)  # noqa: E741

_CLOSED: Final = "this connection is closed: its handles work only inside its captp.sync.connect() block"

#: The one loop of the process: the first connection starts it and the last one ends it.
_PORTALS: Final = BlockingPortalProvider(backend="trio")


@overload
def connect(
    source: Source, interface: type[I], *, netlayers: Iterable[Netlayer] = (), retry_for: float = 0.0
) -> AbstractContextManager[I]: ...
@overload
def connect(
    source: Source, interface: None = None, *, netlayers: Iterable[Netlayer] = (), retry_for: float = 0.0
) -> AbstractContextManager[Handle]: ...
def connect(
    source: Source,
    interface: type[Interface] | None = None,
    *,
    netlayers: Iterable[Netlayer] = (),
    retry_for: float = 0.0,
) -> AbstractContextManager[Any]:
    """Open a vat of one's own for the length of the block and enliven one sturdyref in it.

    Gives a handle at once; without an interface, ``captp.E(handle).method(...)`` calls it. Any number
    of threads may use the handles. What was called before the end of the block is still sent.
    """
    return _connected(source, interface, {"netlayers": netlayers}, {"retry_for": retry_for})


@contextmanager
def _connected(
    source: Source, interface: type[Interface] | None, how: dict[str, Any], when: dict[str, Any]
) -> Iterator[Handle]:
    sturdyref = read_sturdyref(source)
    with _PORTALS as portal:
        opened: Future[Door] = Future()
        ended = portal.start_task_soon(_host, opened, how)
        try:
            door = opened.result()
            try:
                yield door.take(lambda vat: vat.enliven(sturdyref, interface, **when), interface)
            finally:
                door.close()
                ended.result()
        except BaseException:
            ended.cancel()
            raise


async def _host(opened: Future[Door], how: dict[str, Any]) -> None:
    """Keep a vat open in the portal's thread until its door closes."""
    try:
        async with open_vat(**how) as vat, trio.open_nursery() as nursery:
            door = Door(vat, nursery)
            opened.set_result(door)
            await door.closing.wait()
            nursery.cancel_scope.cancel()
    except BaseException as problem:
        if not opened.done():
            opened.set_exception(problem)
            return
        raise


@contextmanager
def batch() -> Iterator[None]:
    """Have the calls of this thread in the block cross together at its end: one hand-over, one write.

    ``result()`` inside the block sends what was collected so far. What was called is sent also when
    the block raises.
    """
    if _COLLECTED.get() is not None:
        yield
        return
    token = _COLLECTED.set({})
    try:
        yield
    finally:
        _hand_over()
        _COLLECTED.reset(token)


_COLLECTED: Final[ContextVar[dict[Door, list[Any]] | None]] = ContextVar("captp_batch", default=None)


def _hand_over() -> None:
    collected = _COLLECTED.get()
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

    _home: Door

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
        return self._home.send(self, Select(op, key), (), None, Promise)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Handle) and self._cell.known is not None and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> Any:
        return self._cell.known if self._cell.known is not None else id(self)

    def __await__(self) -> Generator[Any, Any, Any]:
        raise UsageError("handles of captp.sync are not awaited: call result(), or use captp.connect()")

    def __iter__(self) -> Any:
        raise UsageError("a handle cannot be iterated: take its result() first")

    def __bool__(self) -> bool:
        raise UsageError("a handle has no truth yet: take its result() first")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce__(self) -> Any:
        raise TypeError("a handle cannot be copied or serialised: pass it, or its result()")

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

    # What references call, in any thread.

    def send(
        self,
        target: Handle,
        selector: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        promise_class: type[Promise[Any]],
    ) -> Handle:
        """Pass a call on and return the handle for its result; raises Unpassable with the path."""
        args = freeze_args(args, self)
        kwargs = None if kwargs is None else freeze_kwargs(kwargs, self)
        cell = Cell()
        self._pass_on(partial(self._send, cell, target._cell, selector, args, kwargs, promise_class))
        return _handle_class(interface_of(promise_class))(self, cell)

    def send_only(
        self, target: Handle, selector: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None
    ) -> None:
        """Pass a call on whose result nobody wants."""
        args = freeze_args(args, self)
        kwargs = None if kwargs is None else freeze_kwargs(kwargs, self)
        self._pass_on(partial(self._send, Cell(), target._cell, selector, args, kwargs, None))

    def call_now(self, _target: Handle, selector: str | None, *_call: Any) -> NoReturn:
        """Refuse: nothing is near a plain thread."""
        raise NotNear(f"{selector}.now() works on near objects only: call it, and take the result()")

    def reference(self, obj: Object) -> Handle:
        """Return a handle to an object of ours, which the vat owns from now on."""
        return self.take(lambda vat: vat.export(obj), None)

    # Crossing.

    def take(self, make: Callable[[LiveVat], Reference], interface: type | None) -> Handle:
        """Return a handle for what ``make`` will return in the portal's thread."""
        cell = Cell()

        def run() -> None:
            _fill(cell, lambda: make(self._vat))

        self._pass_on(run)
        return _handle_class(interface)(self, cell)

    def wait(self, cell: Cell, timeout: float | None) -> Any:
        """Wait in this thread until what a cell holds is settled."""
        if threading.get_ident() == self._thread:
            raise UsageError("result() would block the vat itself: await in an async method instead")
        waiting = _Waiting(cell)
        _hand_over()
        self.post([partial(self._begin, waiting)])
        try:
            return waiting.settled.result(timeout)
        except TimeoutError:
            raise Timeout(f"no result within {timeout:g} s; it may still come") from None
        finally:
            if not waiting.settled.done():
                self._wake(waiting.scope.cancel)

    def close(self) -> None:
        """Let nothing in any more; what is in is sent."""
        _hand_over()
        with self._order:
            self._is_open = False
            self._work.append(self.closing.set)
        self._wake(self._drain)

    def let_go(self, cell: Cell) -> None:
        """Let go of a cell in the portal's thread; may be called by the garbage collector, anywhere."""
        self._work.append(cell)
        self._wake(self._drain)

    def post(self, work: list[Callable[[], None]]) -> None:
        """Have work done in the portal's thread, after what was posted before. Raises Closed."""
        with self._order:
            if not self._is_open:
                raise Closed(_CLOSED)
            self._work.extend(work)
        self._wake(self._drain)

    def _pass_on(self, work: Callable[[], None]) -> None:
        collected = _COLLECTED.get()
        if collected is None:
            self.post([work])
        else:
            collected.setdefault(self, []).append(work)

    def _wake(self, work: Callable[[], Any]) -> None:
        try:
            self._token.run_sync_soon(work, idempotent=True)
        except trio.RunFinishedError:
            pass  # the loop has ended, and with it everything that could be let go

    # In the portal's thread.

    def _drain(self) -> None:
        work = self._work
        while work:
            item = work.popleft()
            if type(item) is not Cell:
                item()

    def _send(
        self,
        cell: Cell,
        target: Cell,
        selector: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        promise_class: type[Promise[Any]] | None,
    ) -> None:
        def run() -> Any:
            to = _inward(target)
            given = _inward(args)
            named = None if kwargs is None else {k: _inward(v) for k, v in kwargs.items()}
            if promise_class is None:
                return to._home.send_only(to, selector, given, named)
            return to._home.send(to, selector, given, named, promise_class)

        _fill(cell, run)

    def _begin(self, waiting: _Waiting) -> None:
        self._nursery.start_soon(self._settle, waiting)

    async def _settle(self, waiting: _Waiting) -> None:
        settled = waiting.settled
        try:
            with waiting.scope:
                settled.set_result(self._outward(await _inward(waiting.cell)))
        except Exception as problem:  # what broke the promise is for who waits, whatever it is
            settled.set_exception(problem)
        finally:
            if not settled.done():
                settled.set_exception(Closed(_CLOSED))

    def _outward(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return _handle_class(interface_of(type(value)))(self, Cell(value))
        return _mapped(value, self._outward)


@final
class _Waiting:
    """One thread that waits for one cell."""

    __slots__ = ("cell", "scope", "settled")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.scope = trio.CancelScope()
        self.settled: Future[Any] = Future()


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
    return _mapped(value, _inward)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a frozen value with ``change`` made to its parts."""
    if type(value) is tuple:
        return tuple(map(change, value))
    if type(value) is FrozenMap:
        return FrozenMap((k, change(v)) for k, v in value.items())
    if type(value) is Tagged:
        return Tagged(value.tag, change(value.value))
    return value


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
