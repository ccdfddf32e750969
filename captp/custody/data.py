"""Data: pointers into a capsule, the only things of one that others may hold.

What is wrapped becomes tracked: lists, dicts and sets become captp containers, and Objects belong to the
capsule. Anything else is held as it is, for those alone who may write: it cannot be read by many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar, cast, final

from captp.custody.access import Access, Brand, inside, run_inside
from captp.custody.freezing import frozen
from captp.custody.home import CapsuleHome, HomeState, in_capsule
from captp.custody.password import Password, SharedPassword, opened_by, reading
from captp.errors import BrandMismatch, Contended, Frozen, Unpassable, UsageError
from captp.model.boxed import Boxed
from captp.model.captures import check_captures
from captp.model.containers import Tracked
from captp.model.object import Object
from captp.model.passable import ATOMS

__all__ = ["Data", "arrived"]

K = TypeVar("K", bound=Brand)
T = TypeVar("T")
S = TypeVar("S")
J = TypeVar("J", bound=Brand)


class Content(Object):
    """Holds one wrapped value, as an Object holds its state."""

    value: object


class _Whole:
    """One wrapped value, and the Object whose state it is; None where it cannot be tracked."""

    __slots__ = ("_value", "owner")

    def __init__(self, home: CapsuleHome, value: Any) -> None:
        owner = value._owner() if isinstance(value, Tracked) else None
        if owner is not None and in_capsule(owner, home):
            # A part of what is there already, and no copy of it.
            self._value, self.owner = value, owner
            return
        try:
            content = Content(value=value)
        except Unpassable:
            self._value, self.owner = value, None
        else:
            home.adopt(content)
            self._value, self.owner = content._f_value, content  # type: ignore[attr-defined]

    def value(self) -> Any:
        return self._value

    def opaque_kind(self) -> str:
        return type(self._value).__name__ if self.owner is None else ""


class _Kept:
    """One value that nobody can change, and that was never in another capsule."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def value(self) -> Any:
        return self._value

    def opaque_kind(self) -> str:
        return ""


class _Pair:
    """Two of one capsule as one."""

    __slots__ = ("left", "right")

    def __init__(self, left: Data[Any, Any], right: Data[Any, Any]) -> None:
        self.left = left
        self.right = right

    def value(self) -> Any:
        return (self.left._from.value(), self.right._from.value())

    def opaque_kind(self) -> str:
        kind: str = self.left._from.opaque_kind() or self.right._from.opaque_kind()
        return kind


class _Item:
    """One half of a wrapped pair."""

    __slots__ = ("index", "pair")

    def __init__(self, pair: Data[Any, Any], index: int) -> None:
        self.pair = pair
        self.index = index

    def value(self) -> Any:
        return self.pair._from.value()[self.index]

    def opaque_kind(self) -> str:
        kind: str = self.pair._from.opaque_kind()
        return kind


@final
class Data(Boxed, Generic[T, K]):
    """A value in a capsule, as others hold it: only an access, or a password, leads to what it is.

    It may be passed on, captured by functions for trustees, and sent: a frozen value of plain data travels
    itself, and is data of a frozen capsule there; any other stays, and peers get a reference to it.
    """

    __slots__ = ("_cached", "_from", "_home")

    def __init__(self, home: CapsuleHome, source: Any) -> None:
        super().__init__()
        self._home = home
        self._from: Any = source
        self._cached: list[Any] = []

    @staticmethod
    def wrap(access: Access[J], value: S) -> Data[S, J]:
        """Put a value into the capsule that runs; raises Contended for what is in another, or in a vat."""
        home = inside(access)
        return Data(home, _Whole(home, value))

    @staticmethod
    def create(function: Callable[[], S], within: Any) -> Data[S, Any]:
        """Put what ``function`` makes into the capsule of a key, a password or other data.

        It needs no permission, as nothing of the capsule is touched; ``function`` captures nothing that
        others may change, or CaptureError is raised.
        """
        check_captures(function)
        home = home_of_holder(within)
        return Data(home, _Whole(home, function()))

    @staticmethod
    def inject(value: S, within: Any) -> Data[S, Any]:
        """Put portable data into the capsule of a key, a password or other data; raises Unpassable."""
        home = home_of_holder(within)
        return Data(home, _Whole(home, frozen(value)))

    def unwrap(self, access: Access[K]) -> T:
        """Return the value itself; with an access that only reads, what cannot change or refuses to."""
        home = self._checked(inside(access))
        return cast("T", self._readable(home) if access.is_shared else self._from.value())

    def project(self) -> T:
        """Return the value without any access: what is portable by itself, or in a frozen capsule."""
        home = self._home.root()
        value = self._from.value()
        if home.state is HomeState.FROZEN:
            return cast("T", self._readable(home))
        if type(value) in ATOMS or type(value) is float:
            return cast("T", value)
        raise home.contended(f"a {type(value).__name__}")

    def both(self, other: Data[S, K]) -> Data[tuple[T, S], K]:
        """Return the two as one, of a pair; both are of one capsule."""
        if type(other) is not Data:
            raise UsageError(f"both() takes Data, not a {type(other).__name__}")
        self._checked(other._home.root())
        return Data(self._home, _Pair(self, other))

    def fst(self: Data[tuple[S, Any], K]) -> Data[S, K]:
        """Return the first of a pair."""
        return self._half(0)

    def snd(self: Data[tuple[Any, S], K]) -> Data[S, K]:
        """Return the second of a pair."""
        return self._half(1)

    def map(self, password: Password[K] | SharedPassword[K], function: Callable[[T], S]) -> Data[S, K]:
        """Run a function on the value, within the capsule, and keep what it returns there."""

        def wrapped(result: Any) -> Any:
            return Data(self._home, _Whole(self._home.root(), result))

        return cast("Data[S, K]", self._run(password, function, wrapped))

    def extract(self, password: Password[K] | SharedPassword[K], function: Callable[[T], S]) -> S:
        """Run a function on the value, within the capsule, and return its result, which is portable."""
        return cast("S", self._run(password, function, frozen))

    def iter(self, password: Password[K] | SharedPassword[K], function: Callable[[T], None]) -> None:
        """Run a function on the value, within the capsule, for what it does there."""
        self._run(password, function, _none)

    def bind(
        self, password: Password[K] | SharedPassword[K], function: Callable[[T], Data[S, J]]
    ) -> Data[S, J]:
        """Run a function on the value that finds other data, of whichever capsule; return that."""
        return cast("Data[S, J]", self._run(password, function, _is_data))

    def _run(self, password: Any, function: Callable[[Any], Any], leave: Callable[[Any], Any]) -> Any:
        def on_value(access: Access[Any]) -> Any:
            return function(self.unwrap(access))

        home = self._checked(opened_by(password))
        is_shared = type(password) is SharedPassword
        run = reading(password, on_value) if is_shared else on_value
        try:
            return run_inside(home, run, (), {}, leave, is_shared=is_shared)
        finally:
            # This frame is in the traceback of what is raised.
            del home

    def _half(self, index: int) -> Data[Any, K]:
        source = self._from
        if type(source) is _Pair:
            half: Data[Any, K] = source.right if index else source.left
            return half
        value = source.value()
        if type(value) is not tuple or len(value) != 2:
            raise UsageError(f"this is no pair, but a {type(value).__name__}: map() it to what is wanted")
        return Data(self._home, _Item(self, index))

    def _checked(self, home: CapsuleHome) -> CapsuleHome:
        own = self._home.root()
        if home is not own:
            raise BrandMismatch(f"this data is in capsule {own}, and what opens it is for capsule {home}")
        return own

    def _readable(self, home: CapsuleHome) -> Any:
        """Return the value for those who only read: frozen for good, or refusing their writes."""
        kind = self._from.opaque_kind()
        if kind:
            raise Contended(
                f"a {kind} of capsule {home} cannot be read by many, as nothing keeps them from changing it:"
                " make it a captp.Object, or take a password that is not shared"
            )
        if home.state is not HomeState.FROZEN:
            return self._from.value()
        if not self._cached:
            # Two threads may do it at once, and both find the same.
            self._cached.append(frozen(self._from.value(), keeps_objects=True))
        return self._cached[0]

    def _captp_content(self) -> Any:
        """Return the value, if everybody may read it for good; raises Unpassable."""
        home = self._home.root()
        if home.state is not HomeState.FROZEN or self._from.opaque_kind():
            raise Unpassable(f"data of capsule {home} is not for everybody: freeze the capsule")
        return self._readable(home)

    def __repr__(self) -> str:
        return f"<Data in capsule {self._home.root()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("data of a capsule cannot be copied or serialised: pass it")


def arrived(value: Any) -> Data[Any, Any]:
    """Return plain data that nobody can change as data of a frozen capsule of its own."""
    home = CapsuleHome("frozen")
    home.freeze()
    data: Data[Any, Any] = Data(home, _Kept(value))
    data._cached.append(value)
    return data


def home_of_holder(holder: Any) -> CapsuleHome:
    """Return the capsule of a key, a password, an access or data."""
    home = getattr(holder, "_home", None)
    if not isinstance(home, CapsuleHome):
        raise UsageError(f"a {type(holder).__name__} is of no capsule: give a key, a password or Data")
    root = home.root()
    if root.state is HomeState.FROZEN:
        raise Frozen(f"capsule {root} is frozen: nothing is put into it any more")
    return root


def _none(result: Any) -> None:
    if result is not None:
        raise UsageError("what iter() runs returns nothing: extract() what is to be known")


def _is_data(result: Any) -> Any:
    if type(result) is not Data:
        name = type(result).__name__
        raise UsageError(f"what bind() runs returns Data, not a {name}: map() keeps a value inside")
    return result
