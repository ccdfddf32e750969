"""Capabilities by name: what code may ask for without being handed it, where somebody has bound it."""

from __future__ import annotations

import typing
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NoReturn,
    ParamSpec,
    TypeVar,
    TypeVarTuple,
    final,
    overload,
)

from captp.custody.context.binding import Binding
from captp.custody.context.views import View
from captp.custody.freezing import frozen
from captp.custody.opening import turning_vat
from captp.custody.place import Place, here, way_here
from captp.errors import BorrowConflict, MissingContext, UsageError
from captp.model.current import CAPS

__all__ = ["Borrow", "Bound", "Cap", "CapGroup", "GroupTerm", "Term", "missing"]

T = TypeVar("T")
S = TypeVar("S")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
Ts = TypeVarTuple("Ts")


@final
class Bound(Generic[T]):
    """A value on its way to a capability; ``captp.bind`` takes it."""

    __slots__ = ("binding", "term", "value")

    def __init__(self, term: Term[T], value: T) -> None:
        self.term = term
        self.value = value
        self.binding: Binding | None = None


@final
class Borrow(Generic[T]):
    """A borrow for the length of one ``with`` block, which gives the value."""

    __slots__ = ("_binding", "_pick", "_place", "_term")

    def __init__(self, term: Term[Any], pick: Callable[[Any], T] | None = None) -> None:
        self._term = term
        self._pick = pick
        self._binding: Binding | None = None
        self._place: Place | None = None

    def map(self, pick: Callable[[T], S]) -> Borrow[S]:
        """Return a borrow of the same capability that gives what ``pick`` takes of the value."""
        before = self._pick
        return Borrow(self._term, pick if before is None else lambda value: pick(before(value)))

    def __enter__(self) -> T:
        if self._binding is not None:
            raise BorrowConflict(f"{self!r} is in use since {self._place}: ask for another one")
        place = here()
        binding = self._term.found()
        value = binding.write(place) if self._term.is_mut else binding.read(place)
        self._binding, self._place = binding, place
        if self._pick is None:
            return value  # type: ignore[no-any-return]
        try:
            return self._pick(value)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        binding, place = self._binding, self._place
        assert binding is not None, "entered before"
        assert place is not None, "entered before"
        self._binding = None
        if self._term.is_mut:
            binding.end_write()
        else:
            binding.end_read(place)

    def __repr__(self) -> str:
        return f"{self._term!r}()"


@final
class Term(Generic[T]):
    """One way to have a capability: ``.ref`` to read it, ``.mut`` to change it."""

    __slots__ = ("cap", "is_mut")

    def __init__(self, cap: Cap[T], *, is_mut: bool) -> None:
        self.cap = cap
        self.is_mut = is_mut

    @overload
    def __call__(self) -> Borrow[T]: ...
    @overload
    def __call__(self, value: T, /) -> Bound[T]: ...
    def __call__(self, *value: Any) -> Any:
        """Borrow what is bound, for a ``with`` block; with a value, make what ``captp.bind`` takes."""
        return Bound(self, self.cap._captp_accept(*value)) if value else Borrow(self)

    def use(self, function: Callable[[T], S]) -> S:
        """Borrow for one call of ``function``, and return its result, which is portable: it outlives this."""
        with Borrow[T](self) as value:
            return frozen(function(value))  # type: ignore[no-any-return]

    def found(self) -> Binding:
        """Return the innermost binding; raises MissingContext where there is none."""
        binding = self.cap._captp_binding()
        if binding is None:
            raise missing(self)
        return binding

    def __repr__(self) -> str:
        return f"{self.cap.name}.{'mut' if self.is_mut else 'ref'}"


@final
class Cap(Generic[T]):
    """A capability: a name and a type. Made once, at module level; bound with ``captp.bind``.

    ``get()`` returns the value as it may be read, deep, at the cost of one look at a context variable. What
    it returns raises MissingContext when it is used where nothing is bound, and BorrowConflict while
    somebody changes it; what was taken out of it before that is good no more.
    """

    __slots__ = ("_bindings", "_kind", "_nothing", "_shown", "get", "mut", "name", "ref", "type")

    def __init__(self, name: str, type: type[T]) -> None:  # noqa: A002 - it is one
        if not name.isidentifier():
            raise UsageError(f"Cap({name!r}, ...): give the name of the variable that it is in")
        if turning_vat() is not None:
            raise UsageError(f"Cap({name!r}, ...) is made in a turn: make it once, at module level")
        self.name = name
        self.type = type
        self._kind = _class_of(type, name)
        self.ref: Final = Term(self, is_mut=False)
        self.mut: Final = Term(self, is_mut=True)
        self._nothing = Nothing(self)
        self._bindings: ContextVar[Binding | None] = ContextVar(name, default=None)
        self._shown: ContextVar[Any] = ContextVar(name, default=self._nothing)
        # As it is: a function around it would cost three times as much.
        self.get: Final[Callable[[], T]] = self._shown.get
        CAPS.add(name)

    @overload
    @staticmethod
    def group(one: Cap[A], two: Cap[B], /) -> CapGroup[A, B]: ...
    @overload
    @staticmethod
    def group(one: Cap[A], two: Cap[B], three: Cap[C], /) -> CapGroup[A, B, C]: ...
    @overload
    @staticmethod
    def group(one: Cap[A], two: Cap[B], three: Cap[C], four: Cap[D], /) -> CapGroup[A, B, C, D]: ...
    @overload
    @staticmethod
    def group(*caps: Cap[Any]) -> CapGroup[*tuple[Any, ...]]: ...
    @staticmethod
    def group(*caps: Any) -> Any:
        """Return a name for several capabilities, which are bound and needed together."""
        return CapGroup(caps)

    def _captp_accept(self, value: Any) -> Any:
        """Return a value that may be bound; raises UsageError for one of another type."""
        if not isinstance(value, self._kind):
            raise UsageError(
                f"{self.name} is bound to a {self._kind.__name__}, not to a {type(value).__name__}"
            )
        return value

    def _captp_binding(self) -> Binding | None:
        """Return the innermost binding; None where nothing binds it."""
        return self._bindings.get()

    def _captp_enter(self, binding: Binding) -> None:
        """Have code from here on find ``binding``."""
        binding.outer = self._bindings.get()
        self._bindings.set(binding)
        self._shown.set(binding.shown())

    def _captp_leave(self, binding: Binding) -> None:
        """Have code from here on find what it found before, if that is not over as well."""
        # Generators end in any order, and in other tasks than they were begun in, where they hid nothing.
        if self._bindings.get() is not binding:
            return
        outer = binding.outer
        while outer is not None and outer.is_over:
            outer = outer.outer
        self._bindings.set(outer)
        self._shown.set(self._nothing if outer is None else outer.shown())

    def __repr__(self) -> str:
        return f"<Cap {self.name}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a capability is made once in each program; import it from its module")


class CapGroup(Generic[*Ts]):
    """Several capabilities, which are bound and needed together."""

    __slots__ = ("caps", "mut", "ref")

    def __init__(self, caps: tuple[Cap[Any], ...]) -> None:
        self.caps = caps
        self.ref: Final = GroupTerm[*Ts](tuple([cap.ref for cap in caps]))
        self.mut: Final = GroupTerm[*Ts](tuple([cap.mut for cap in caps]))


@final
class GroupTerm(Generic[*Ts]):
    """One way to have all capabilities of a group."""

    __slots__ = ("terms",)

    def __init__(self, terms: tuple[Term[Any], ...]) -> None:
        self.terms = terms

    def __call__(self, *values: *Ts) -> tuple[Bound[Any], ...]:
        """Make what ``captp.bind`` takes of one value for each, in their order."""
        if len(values) != len(self.terms):
            names = ", ".join(term.cap.name for term in self.terms)
            raise UsageError(f"give {len(self.terms)} values, for {names}, not {len(values)}")
        given: tuple[Any, ...] = values
        return tuple([term(value) for term, value in zip(self.terms, given, strict=True)])


def missing(term: Term[Any], function: Any = None) -> MissingContext:
    """Return the error for a capability that nothing binds, here or in ``function``."""
    place, root = way_here(function)
    way = "there" if str(root) == str(place) else f"on the way there from {root}"
    vat = turning_vat()
    why = (
        f"bind it around this call, `with captp.bind({term!r}(...)):`"
        if vat is None
        else "a turn inherits nothing from who sent the message: bind it in the method, or have callers"
        f" give it, @captp.needs({term!r}, carry=True)"
    )
    return MissingContext(f"{term!r} is needed at {place}, and nothing binds it {way}: {why}")


class Nothing(View):
    """What a capability gives where nothing is bound."""

    __slots__ = ("_captp_cap",)

    def __init__(self, cap: Cap[Any]) -> None:
        object.__setattr__(self, "_captp_cap", cap)

    if not TYPE_CHECKING:

        @property
        def _captp_stamp(self) -> NoReturn:
            raise missing(self._captp_cap.ref)


def _class_of(annotation: Any, name: str) -> type:
    """Return the class that values are checked against; raises UsageError for what names no class."""
    for part in _parts(annotation):
        if isinstance(part, TypeVar | ParamSpec | TypeVarTuple):
            raise UsageError(
                f"Cap({name!r}, ...): {part} stands for any type, and a value has one: give a class, or an"
                " Interface that all of them implement"
            )
    kind = typing.get_origin(annotation) or annotation
    if not isinstance(kind, type) or kind is Any:
        raise UsageError(
            f"Cap({name!r}, ...) takes a class, with its arguments or without, not {annotation!r}"
        )
    if getattr(kind, "_is_protocol", False) and not getattr(kind, "_is_runtime_protocol", False):
        raise UsageError(
            f"Cap({name!r}, ...): nobody can tell at run time what implements the Protocol {kind.__name__}:"
            " mark it @typing.runtime_checkable, or make it a captp.Interface"
        )
    return kind


def _parts(annotation: Any) -> list[Any]:
    return [annotation, *(part for inner in typing.get_args(annotation) for part in _parts(inner))]
