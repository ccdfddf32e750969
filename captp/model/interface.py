"""What may be called: methods marked once, typed on both sides; knows no vat and no wire.

A class that derives from Interface says how others see an object. For each interface two reference
classes are made at first use, a settled view and a lazy promise, with one generated send per method.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, overload

from captp.errors import BadClass, UsageError
from captp.model.promise import FULFILLED, Promise
from captp.model.ref import Ref
from captp.model.sends import make_send
from captp.model.terms import modes_of

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
T = TypeVar("T")
if typing.TYPE_CHECKING:
    from typing_extensions import TypeVar as _TypeVar

    #: The class that marks a method; any, where nobody says.
    O_co = _TypeVar("O_co", covariant=True, default=Any)
else:
    O_co = TypeVar("O_co", covariant=True)
RI = TypeVar("RI", bound="Interface")


class Send(Generic[P, R_co]):
    """A method of a reference: calling it sends and returns at once."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self: Send[P, RI], *args: P.args, **kwargs: P.kwargs
    ) -> RI: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self: Send[P, Coroutine[Any, Any, RI]], *args: P.args, **kwargs: P.kwargs
    ) -> RI: ...
    @overload
    def __call__(self: Send[P, Coroutine[Any, Any, S]], *args: P.args, **kwargs: P.kwargs) -> Promise[S]: ...
    @overload
    def __call__(self: Send[P, S], *args: P.args, **kwargs: P.kwargs) -> Promise[S]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Send the call; return a promise, or a reference typed as the interface it will be."""
        raise NotImplementedError

    def only(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Send the call and want no answer."""
        raise NotImplementedError

    def now(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the method of a near object at once and return its result."""
        raise NotImplementedError


class Method(Generic[P, R_co, O_co]):
    """A marked method in a class body; the metaclasses turn it into what each side calls."""

    def __init__(
        self, function: Callable[Concatenate[O_co, P], R_co], *, latch: bool, idempotent: bool = False
    ) -> None:
        self.function = function
        self.latch = latch
        self.idempotent = idempotent
        self.name = ""
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __call__(self, obj: O_co, /, *args: P.args, **kwargs: P.kwargs) -> R_co:  # type: ignore[misc]
        """Call the method of an object that implements it, as a trustee does."""
        return getattr(obj, self.name)(*args, **kwargs)  # type: ignore[no-any-return]

    @overload
    def __get__(self, obj: LocalCall, owner: type[Any] | None = None) -> Callable[P, R_co]: ...
    @overload
    def __get__(self, obj: Interface, owner: type[Any] | None = None) -> Send[P, R_co]: ...
    @overload
    def __get__(self, obj: None, owner: type[Any]) -> Method[P, R_co, O_co]: ...
    def __get__(self, obj: Any, owner: Any = None) -> Any:
        if obj is None:
            return self
        raise BadClass(f"{type(obj).__name__} does not implement {self.name}()")


class LocalCall:
    """Base that tells the type checkers where a marked method is a plain call: captp.Object."""

    __slots__ = ()

    if typing.TYPE_CHECKING:
        _home: Any


@overload
def method(function: Callable[Concatenate[T, P], R_co], /) -> Method[P, R_co, T]: ...
@overload
def method(
    *, latch: bool = True, idempotent: bool = False
) -> Callable[[Callable[Concatenate[T, P], R_co]], Method[P, R_co, T]]: ...
def method(function: Any = None, /, *, latch: bool = True, idempotent: bool = False) -> Any:
    """Mark a method as reachable by reference; nothing else ever is.

    A ``def`` is one atomic turn; an ``async def`` is a fiber that may await promises.
    ``latch=False`` lets other messages to the object run while the fiber waits.
    ``idempotent=True`` promises that to run it twice is as good as once: the call of a root of a process
    trustee is then made again where its process ended before it answered.
    """
    if function is None:
        return lambda f: Method(f, latch=latch, idempotent=idempotent)
    return Method(function, latch=latch, idempotent=idempotent)


class Row:
    """One method in a class's frozen table, with what dispatch needs compiled at first use."""

    __slots__ = (
        "carried",
        "doc",
        "first",
        "function",
        "idempotent",
        "is_fiber",
        "is_heard",
        "latch",
        "modes",
        "name",
        "needs",
        "owner",
        "promised",
        "result",
        "selector",
        "signature",
        "thunk",
    )  # fmt: skip

    #: What a delegated function, which stands in the place of a row, raised, as it leaves.
    error: ClassVar[None] = None

    def __init__(self, mark: Method[..., Any], owner: type) -> None:
        function = mark.function
        self.name = mark.name
        self.selector = selector_of(mark.name)
        self.function: Callable[..., Any] = function
        #: What stood in the class until the first plain call, and whoever took it then still has.
        self.first: Callable[..., Any] | None = None
        self.owner = owner
        self.latch = mark.latch
        self.idempotent = mark.idempotent
        #: Whether an exception goes to somebody who sees it as it is, so that it need not be logged.
        self.is_heard = False
        self.is_fiber = inspect.iscoroutinefunction(function)
        self.signature = inspect.signature(function)
        self.doc = function.__doc__
        self.result: type[Interface] | None = None
        #: The class of promises for what it returns, once asked for.
        self.promised: type[Promise[Any]] | None = None
        self.thunk: Callable[[Any, tuple[Any, ...], dict[str, Any] | None], Any] | None = None
        #: How parameters and the result are held, where they are not shared.
        self.modes = modes_of(function)
        #: What its context must have, as captp.needs declares.
        self.needs: tuple[Any, ...] = getattr(function, "_captp_needs", ())
        #: Gives and takes what callers have of it; None where they give nothing.
        self.carried: Any = getattr(function, "_captp_carried", None)


class InterfaceMeta(type):
    """Collects the marked methods of a class into its frozen table."""

    _captp_rows: dict[str | None, Row]
    _captp_views: tuple[type[Ref], type[Promise[Any]]] | None

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **kwargs: Any
    ) -> InterfaceMeta:
        namespace.setdefault("__slots__", ())
        # Only the checker asks for it, and it reads the source.
        kwargs.pop("must_use", False)
        cls = super().__new__(mcls, name, bases, namespace, **kwargs)
        cls._captp_rows = collect_rows(cls, namespace)
        cls._captp_views = None
        return cls


def selector_of(name: str) -> str | None:
    """Return what a method is called on the wire; a marked ``__call__`` takes bare arguments."""
    return None if name == "__call__" else name


def collect_rows(cls: type, namespace: dict[str, Any]) -> dict[str | None, Row]:
    """Join the tables of the bases with the methods marked in ``namespace``."""
    rows: dict[str | None, Row] = {}
    for base in reversed(cls.__mro__[1:]):
        rows.update(base.__dict__.get("_captp_rows", {}))
    for name, value in namespace.items():
        if isinstance(value, Method):
            _check_mark(cls, name, value)
            row = Row(value, cls)
            if row.idempotent and row.modes.keys() - {"return"}:
                raise BadClass(
                    f"{cls.__name__}.{name}: an idempotent method may be called again with the same"
                    " arguments, and one that is given away or lent is gone then: share it"
                )
            _check_carried(row, rows.get(row.selector))
            rows[row.selector] = row
        elif selector_of(name) in rows:
            raise BadClass(
                f"{cls.__name__}.{name} overrides a method of {rows[selector_of(name)].owner.__name__}:"
                " mark it with @captp.method, or give it another name"
            )
    for row in rows.values():
        first = next(c for c in cls.__mro__ if row.name in c.__dict__)
        if first is not row.owner:
            raise BadClass(
                f"{cls.__name__}.{row.name} comes from {first.__name__}, which does not mark it: a call and"
                " a send would run different code"
            )
    return rows


def _check_mark(cls: type, name: str, mark: Method[..., Any]) -> None:
    where = f"{cls.__name__}.{name}"
    if name.startswith("_") and name != "__call__":
        raise BadClass(f"{where}: a name that starts with _ can never be reached by reference")
    if mark.idempotent and not inspect.isfunction(mark.function):
        raise BadClass(f"{where}: idempotent=True is for a def or an async def, and this is neither")
    if inspect.isasyncgenfunction(mark.function) or "AsyncIterator" in str(
        mark.function.__annotations__.get("return", "")
    ):
        raise BadClass(f"{where}: streams are not there yet; return a list or take a callback object")


def _check_carried(row: Row, before: Row | None) -> None:
    """Raise BadClass unless callers, who see a method as it was first declared, give it what it takes."""
    taken, given = ({n for n in r.needs if n.is_carried} if r else set() for r in (row, before))
    if before is not None and taken != given:
        mine, theirs = (", ".join(sorted(map(repr, part))) or "nothing" for part in (taken, given))
        raise BadClass(
            f"{row.owner.__name__}.{row.name} needs {mine}, and as {before.owner.__name__} has it, {theirs}:"
            " callers give what is declared where they see it, so declare both alike"
        )


class Interface(metaclass=InterfaceMeta):
    """How others see an object: a value typed as an Interface is a reference.

    Calling a method of a reference sends a message and returns at once. Awaiting a reference gives
    the settled reference under the same interface.
    """

    def __await__(self: T) -> Generator[Any, Any, T]:
        yield from ()
        raise UsageError(f"{type(self).__name__} is the object itself, not a reference: nothing to await")


def rows_of(cls: type) -> dict[str | None, Row]:
    """Return the frozen method table of an interface or Object class."""
    return cls._captp_rows  # type: ignore[attr-defined, no-any-return]


def ref_class(interface: type) -> type[Ref]:
    """Return the class of settled references under ``interface``."""
    return _views(interface)[0]


def promise_class(interface: type) -> type[Promise[Any]]:
    """Return the class of promises for a reference under ``interface``."""
    return _views(interface)[1]


def interface_of(cls: type) -> type | None:
    """Return the interface under which a reference class shows its target."""
    return getattr(cls, "_captp_shows", None)


def _views(shown: type) -> tuple[type[Ref], type[Promise[Any]]]:
    made = shown.__dict__.get("_captp_views")
    if made is None:
        sends = {r.name: make_send(r, partial(result_class, r)) for r in rows_of(shown).values()}
        common = {"__slots__": (), "_captp_shows": shown, "__module__": shown.__module__, **sends}
        bases = _interfaces_of(shown)
        made = (
            ViewMeta(f"{shown.__name__}Ref", (Ref, *bases), dict(common)),
            ViewMeta(f"{shown.__name__}Promise", (Promise, *bases), {**common, "_lazy": True}),
        )
        shown._captp_views = made  # type: ignore[attr-defined]
    return typing.cast("tuple[type[Ref], type[Promise[Any]]]", made)


def _interfaces_of(shown: type) -> list[type]:
    if is_interface(shown):
        return [shown]
    found = [c for c in shown.__mro__ if is_interface(c) and c is not Interface]
    return [c for c in found if not any(c is not d and issubclass(d, c) for d in found)]


def shown_as(cls: type) -> type:
    """Return what references to an instance of ``cls`` show: its one interface, or all its methods."""
    known = cls.__dict__.get("_captp_shown")
    if known is None:
        interfaces = _interfaces_of(cls)
        only = len(interfaces) == 1 and rows_of(interfaces[0]).keys() == rows_of(cls).keys()
        known = interfaces[0] if only else cls
        cls._captp_shown = known  # type: ignore[attr-defined]
    return typing.cast("type", known)


class ViewMeta(InterfaceMeta):
    """Makes reference classes: their methods are generated sends, not marked methods."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **kwargs: Any
    ) -> ViewMeta:
        return type.__new__(mcls, name, bases, namespace, **kwargs)


def as_promise(promise: Promise[Any], interface: type) -> Promise[Any]:
    """Return ``promise``, or one that follows it, with the methods of ``interface``."""
    if isinstance(promise, interface):
        return promise
    cls = promise_class(interface)
    waiters = promise._waiters
    for waiter in waiters if type(waiters) is list else (waiters,):
        # One is enough: state that is read again and again would have it followed by more and more.
        if type(waiter) is cls and waiter._value is promise:
            return waiter
    follower = cls(promise._home)
    promise._home.settle(follower, FULFILLED, promise)
    return follower


def is_interface(annotation: object) -> bool:
    """Tell whether an annotation is an Interface class that is not an Object class."""
    return type(annotation) is InterfaceMeta


def result_class(row: Row) -> type[Promise[Any]]:
    """Return the promise class for a method's declared result."""
    if row.promised is None:
        annotation = hints_of(row).get("return")
        row.promised = promise_class(annotation) if is_interface(annotation) else Promise  # type: ignore[arg-type]
    return row.promised


def hints_of(row: Row) -> dict[str, Any]:
    """Evaluate a method's annotations, in its module and beside its own class."""
    names = {row.owner.__name__: row.owner}
    try:
        return typing.get_type_hints(row.function, localns=names)
    except NameError as problem:
        raise BadClass(
            f"{row.owner.__name__}.{row.name}: cannot resolve {problem.name!r} in its annotations;"
            " define or import it at module level"
        ) from None
