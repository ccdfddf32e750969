"""Eventual values: references' common base, promises, resolvers; they know a home, not what it is.

A promise is settled by its home only, at a turn's commit, so what user code sees never goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from captp.errors import Broken, UsageError
from captp.model.fresh import fresh

R_co = TypeVar("R_co", covariant=True)

PENDING: Final = 0
FULFILLED: Final = 1
BROKEN: Final = 2


class Home(Protocol):
    """The vat as its references see it: compared with ``is``, called to send and to wait."""

    #: Whether what is settled here may be seen outside turns only when it is stored, so that all wait.
    is_gated: bool

    def send(
        self,
        target: Reference,
        selector: str | Select | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        promise_class: type[Promise[Any]],
    ) -> Promise[Any]:
        """Queue a message and return the promise for its result."""
        ...

    def delegate(
        self, target: Reference, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> Promise[Any]:
        """Have what ``function`` does with its first argument done at the target, in one turn."""
        ...

    def send_only(
        self,
        target: Reference,
        selector: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> None:
        """Queue a message whose result nobody wants."""
        ...

    def call_now(
        self,
        target: Reference,
        selector: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> Any:
        """Run a method of a near object at once; raises NotNow where that is not possible."""
        ...

    def park(self, promise: Promise[Any]) -> Iterable[Any]:
        """Suspend the caller, a fiber or a task, until ``promise`` is settled."""
        ...

    def settle(self, promise: Promise[Any], state: int, value: Any) -> None:
        """Queue the settlement of a local promise."""
        ...

    def on_roll_back(self, undo: Callable[..., Any], *args: Any) -> None:
        """Have ``undo`` called when the turn that runs now, if any, is rolled back."""
        ...

    def release(self, ref: Any) -> None:
        """Let nobody use this reference any more, and let go of what it stands for."""
        ...


class Message:
    """One call on its way: to whom, what, and the promise that its result settles.

    ``sender`` is the session of the peer that sent it, if one did: no detour of this vat's own sends applies
    to it then.
    """

    __slots__ = ("__weakref__", "args", "kwargs", "promise", "selector", "sender", "target")

    def __init__(  # noqa: PLR0917
        self,
        target: Any,
        selector: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        promise: Promise[Any] | None,
        sender: Any = None,
    ) -> None:
        self.target = target
        self.selector = selector
        self.args = args
        self.kwargs = kwargs
        self.promise = promise
        self.sender = sender

    def __repr__(self) -> str:
        return f"<{self.selector or 'call'}/{len(self.args)} to {self.target!r}>"


class Settlement:
    """A promise to settle once the turn that decided it has committed."""

    __slots__ = ("promise", "state", "value")

    def __init__(self, promise: Promise[Any], state: int, value: Any) -> None:
        self.promise = promise
        self.state = state
        self.value = value


class Reference:
    """Anything that can be sent to; tell references by this class, never by an interface."""

    __slots__ = ()

    #: Whether it may be sent, be a result, and be state.
    _crosses: ClassVar[bool] = True

    _home: Home
    _state: int

    def apply(self, function: Callable[..., Any], /, *args: Any) -> Promise[Any]:
        """Run a critical section where the object is: one turn there, all of it or nothing.

        ``function`` gets a ``Recorder`` and ``args``. It runs here once, and what it does with the
        recorder, calls of ``def`` methods, look-ups, arithmetic, comparisons, ``captp.select``, is sent as
        a plan; no code travels. Raises UsageError with advice for what cannot be recorded. The promise
        breaks as ``Refused`` for objects that are not there or busy; nothing is done then.
        """
        return self._home.delegate(self, function, args)

    def release(self) -> None:
        """Say early that this reference is not used any more; what was sent with it before still leaves.

        Using it later raises ``Dropped``; other references to the same object stay as they are. Its host
        hears of it with the next batch once none is left here. Promises are let go of, and not released.
        """
        raise UsageError("a promise is not released: let go of it, or await it and release what it gives")


class Promise(Reference, Generic[R_co]):
    """A value that is not here yet; call it, pass it, await it.

    pending --settle--> fulfilled | broken, once.
    While pending, ``_value`` may be another promise that this one follows, ``_route`` says where
    messages to it go (None: they wait here) and ``_waiters`` holds one waiter, or a list of them.
    Awaiting a settled promise returns at once, without a checkpoint.
    """

    __slots__ = ("__weakref__", "_home", "_route", "_state", "_value", "_waiters")

    #: A lazy promise asks its peer for the result only when somebody waits for it.
    _lazy: ClassVar[bool] = False
    #: A reported promise goes to its home's outbox when it is settled.
    _reported: ClassVar[bool] = False

    def __init__(self, home: Any) -> None:
        self._home = home
        self._state = PENDING
        self._value: Any = None
        self._waiters: Any = None
        self._route: Any = None

    def __await__(self) -> Generator[Any, Any, R_co]:
        if self._state == PENDING or self._home.is_gated:
            yield from self._home.park(self)
        if self._state == FULFILLED:
            return self._value  # type: ignore[no-any-return]
        raise fresh(self._value)

    def __getitem__(self, key: str | int) -> Promise[Any]:
        """Return a promise for one field of a struct or one item of a list."""
        op = "get" if type(key) is str else "index"
        if op == "index" and type(key) is not int:
            raise UsageError(f"a promise is indexed by str or int, not {type(key).__name__}")
        return self._home.send(self, Select(op, key), (), None, Promise)

    def __iter__(self) -> Any:
        raise UsageError("a promise cannot be iterated: await it first")

    def __bool__(self) -> bool:
        raise UsageError("a promise has no truth yet: await it first")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {('pending', 'fulfilled', 'broken')[self._state]}>"

    def result(self, timeout: float | None = None) -> R_co:  # noqa: ARG002
        """Wait for the value; only handles of ``captp.sync`` can, and they are typed as promises."""
        raise UsageError("await a promise; result() is for what captp.sync.connect() gave")

    def __reduce__(self) -> Any:
        raise TypeError("a promise cannot be copied or serialised: pass it, or await it")

    @property
    def settled(self) -> bool:
        """Whether the promise is fulfilled or broken."""
        return self._state != PENDING


class Kept(Promise[R_co]):
    """A promise for what no other vat can have: it is awaited, and neither sent nor kept in state."""

    __slots__ = ()

    _crosses: ClassVar[bool] = False


class Select:
    """Stands where a method name stands, for a step into data: get, index or untag."""

    __slots__ = ("key", "op")

    def __init__(self, op: str, key: Any) -> None:
        self.op = op
        self.key = key

    def __repr__(self) -> str:
        return f"{self.op}({self.key!r})"


def untag(promise: Promise[Any], tag: str) -> Promise[Any]:
    """Return a promise for the payload of a tagged value; it breaks when the tag differs."""
    return promise._home.send(promise, Select("untag", tag), (), None, Promise)


class Resolver:
    """The one who may settle a promise, once; the first settlement wins, a second is an error."""

    __slots__ = ("_promise",)

    def __init__(self, promise: Promise[Any]) -> None:
        self._promise: Promise[Any] | None = promise

    def fulfill(self, value: Any) -> None:
        """Fulfil the promise with a passable value, a reference or another promise."""
        self._settle(FULFILLED, value)

    def break_(self, error: BaseException) -> None:
        """Break the promise: everybody who waits sees ``error``."""
        self._settle(BROKEN, error)

    def _settle(self, state: int, value: Any) -> None:
        promise = self._promise
        if promise is None:
            raise UsageError("this promise is already resolved: a resolver settles once")
        home = promise._home
        home.settle(promise, state, value)
        self._promise = None
        # A turn that is rolled back has not settled anything.
        home.on_roll_back(self._restore, promise)

    def _restore(self, promise: Promise[Any]) -> None:
        self._promise = promise


def broken(home: Any, problem: Broken) -> Promise[Any]:
    """Return a promise that is broken already."""
    promise: Promise[Any] = Promise(home)
    promise._state = BROKEN
    promise._value = problem
    return promise


def fulfilled(home: Any, value: Any) -> Promise[Any]:
    """Return a promise that is fulfilled already, with what is no promise."""
    promise: Promise[Any] = Promise(home)
    promise._state = FULFILLED
    promise._value = value
    return promise


#: The classes of waiters that hear at once, by ``end()``, and not from the driver.
ENDED: Final[set[type]] = set()


def add_waiter(promise: Promise[Any], waiter: Any) -> int:
    """Add one waiter, kept in order of arrival; return how many there are."""
    waiters = promise._waiters
    if waiters is None:
        promise._waiters = waiter
        return 1
    if type(waiters) is list:
        waiters.append(waiter)
        return len(waiters)
    promise._waiters = [waiters, waiter]
    return 2


def take_waiters(promise: Promise[Any]) -> list[Any]:
    """Remove and return all waiters, first come first."""
    waiters, promise._waiters = promise._waiters, None
    if waiters is None:
        return []
    return waiters if type(waiters) is list else [waiters]
