"""Views: a value as one may read it, however deep, and nobody write through; good until its stamp is spoilt.

What a view gives is a view, or an atom. Methods written in Python run with the view in the place of the
object, so that what they write is refused; of those written in C only the ones that are known to read run.
"""

from __future__ import annotations

import enum
import operator
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property, lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from captp.custody.place import here
from captp.errors import BorrowConflict, UsageError
from captp.model.passable import ATOMS
from captp.model.promise import Reference
from captp.model.trust import Trust

__all__ = ["Root", "Stamp", "View", "is_atom", "is_view", "shown_by", "value_of", "view_of"]

#: Nothing can be written through them, or they are handles, which send.
_AS_THEY_ARE: Final = (
    float, complex, range, slice, enum.Enum, type, Reference, Trust,
    types.FunctionType, types.ModuleType, types.GenericAlias,
)  # fmt: skip
#: The like, of modules that this one does not import.
_BY_NAME: Final = frozenset(
    {
        *("datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta", "datetime.timezone"),
        *("pathlib.PosixPath", "pathlib.PurePosixPath", "pathlib.PureWindowsPath", "pathlib.WindowsPath"),
        *("decimal.Decimal", "fractions.Fraction", "uuid.UUID", "zoneinfo.ZoneInfo"),
        *("re.Match", "re.Pattern"),
    }
)
#: The methods of Python's own containers that only read.
_SET_READS: Final = "copy difference intersection isdisjoint issubset issuperset symmetric_difference union"
_READ_NAMES: Final[dict[type, str]] = {
    list: "copy count index",
    tuple: "count index",
    dict: "copy get items keys values",
    set: _SET_READS,
    frozenset: _SET_READS,
    deque: "copy count index",
    bytearray: "count decode endswith find hex index startswith",
    type({}.keys()): "isdisjoint",
    type({}.items()): "isdisjoint",
    types.MappingProxyType: "copy get items keys values",
    # Classes of one's own that derive of these may have more, and these themselves nothing that writes.
    str: " ".join(dir(str)),
    bytes: " ".join(dir(bytes)),
    int: " ".join(dir(int)),
}
_READS: Final = {kind: frozenset(names.split()) for kind, names in _READ_NAMES.items()}


class Stamp:
    """Says whether views that were taken together are still good, and if not, why."""

    __slots__ = ("cap", "problem")

    def __init__(self, cap: str) -> None:
        self.cap = cap
        self.problem: tuple[type[UsageError], tuple[Any, ...]] | None = None

    def spoil(self, kind: type[UsageError], words: tuple[Any, ...]) -> None:
        """Have the views be good no more; ``words``, put into text when asked for, say since when."""
        self.problem = kind, words

    def refuse(self) -> NoReturn:
        """Raise what says that a view is used too late."""
        assert self.problem is not None
        kind, words = self.problem
        raise kind(
            f"a view of {self.cap} is used too late, at {here()}: {' '.join(map(str, words))}; take what is"
            " to be known before that"
        )


class View:
    """A value that is only read; what it gives is good as long as it is."""

    __slots__ = ("__weakref__", "_captp_stamp", "_captp_value")

    _captp_stamp: Stamp
    _captp_value: Any
    _captp_is_view: Final = True

    def __init__(self, value: Any, stamp: Stamp) -> None:
        object.__setattr__(self, "_captp_value", value)
        object.__setattr__(self, "_captp_stamp", stamp)

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> type:
            """The class of the value: a view passes for it."""
            return type(value_of(self))

    def __getattr__(self, name: str) -> Any:
        value = value_of(self)
        kind: Any = type(value)
        if name in getattr(kind, "_captp_reads", ()):
            return _reader(self, name)
        base = _container(kind)
        if base is not None and not hasattr(base, name):
            base = None
        if base is not None and name not in _READS[base]:
            _refuse_write(self, f".{name}()")
        found = _found(kind, name)
        if type(found) is types.FunctionType:
            return types.MethodType(found, self)
        if base is not None:
            return _reader(self, name)
        if isinstance(found, types.MethodDescriptorType | types.WrapperDescriptorType):
            _refuse_write(self, f".{name}()")
        compute = _computing(kind, name, found)
        if compute is not None and (type(found) is property or name not in getattr(value, "__dict__", ())):
            return compute(self)
        return view_of(getattr(value, name), self._captp_stamp)

    def __setattr__(self, name: str, _value: Any) -> None:
        _refuse_write(self, f".{name}")

    def __delattr__(self, name: str) -> None:
        _refuse_write(self, f".{name}")

    def __setitem__(self, _key: Any, _value: Any) -> None:
        _refuse_write(self, "[...]")

    def __delitem__(self, _key: Any) -> None:
        _refuse_write(self, "[...]")

    def __iter__(self) -> Iterator[Any]:
        value = value_of(self)
        if hasattr(type(value), "__next__"):
            _refuse_write(self, ", which iterating would use up,")
        kind: Any = type(value)
        own = _own(kind, "__iter__")
        return _views(own(self) if own else iter(value), self._captp_stamp)

    def __reversed__(self) -> Iterator[Any]:
        value = value_of(self)
        kind: Any = type(value)
        own = _own(kind, "__reversed__")
        return _views(own(self) if own else reversed(value), self._captp_stamp)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        kind: Any = type(value_of(self))
        own = _own(kind, "__call__")
        return own(self, *args, **kwargs) if own else _refuse_write(self, "(...)")

    def __dir__(self) -> list[str]:
        return dir(value_of(self))

    def __reduce_ex__(self, _protocol: Any) -> NoReturn:
        raise TypeError(
            f"a view of {self._captp_stamp.cap} is neither copied nor serialised; take what is to be known"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        import copy  # noqa: PLC0415 - few do it

        return copy.deepcopy(value_of(self), memo)


class Root(View):
    """What a capability gives to those who only read: no good while somebody changes it, then good again."""

    __slots__ = ("_captp_binding",)

    def __init__(self, binding: Stamped) -> None:
        object.__setattr__(self, "_captp_binding", binding)

    if not TYPE_CHECKING:

        @property
        def _captp_stamp(self) -> Stamp:
            return self._captp_binding.stamp

        @property
        def _captp_value(self) -> Any:
            return self._captp_binding.value


class Stamped(Protocol):
    """A value, and the stamp that what is read of it gets now."""

    stamp: Stamp
    value: Any


def view_of(value: Any, stamp: Stamp) -> Any:
    """Return a value as it may be read; atoms and handles as they are."""
    kind: Any = type(value)
    if is_atom(kind):
        return value
    if issubclass(kind, View):
        return value
    if kind is tuple:
        return tuple([view_of(part, stamp) for part in value])
    if kind is types.MethodType:
        return types.MethodType(value.__func__, view_of(value.__self__, stamp))
    if kind is types.BuiltinFunctionType and (
        value.__self__ is None or isinstance(value.__self__, type | types.ModuleType)
    ):
        return value
    return View(value, stamp)


@lru_cache(maxsize=1024)
def _container(kind: type) -> type | None:
    return next((base for base in _READS if issubclass(kind, base)), None)


@lru_cache(maxsize=1024)
def is_atom(kind: type) -> bool:
    """Return whether values of a class are given as they are."""
    return (
        kind in ATOMS
        or issubclass(kind, _AS_THEY_ARE)
        or f"{kind.__module__}.{kind.__name__}" in _BY_NAME
        or hasattr(kind, "_captp_is_atom")
    )


def is_view(value: Any) -> bool:
    """Return whether a value is a view, which passes for what it shows."""
    return issubclass(type(value), View)


def shown_by(view: Any) -> Any:
    """Return what a view shows, out of date or not; anything else as it is."""
    return view._captp_value if is_view(view) else view


def value_of(view: Any) -> Any:
    """Return what a view shows; anything else as it is. Raises what its stamp says when it is out of date."""
    if not is_view(view):
        return view
    if view._captp_stamp.problem is not None:
        view._captp_stamp.refuse()
    return view._captp_value


def _refuse_write(view: View, what: str) -> NoReturn:
    cap, kind = view._captp_stamp.cap, type(view._captp_value).__name__
    raise BorrowConflict(
        f"this view of {cap} is read only, and {kind}{what} may write: change it in `with {cap}.mut()`"
    )


def _views(values: Iterator[Any], stamp: Stamp) -> Iterator[Any]:
    while True:
        if stamp.problem is not None:
            stamp.refuse()
        try:
            value = next(values)
        except StopIteration:
            return
        yield view_of(value, stamp)


def _reader(view: View, name: str) -> Callable[..., Any]:
    def read(*args: Any, **kwargs: Any) -> Any:
        result = getattr(value_of(view), name)(*map(value_of, args), **kwargs)
        if hasattr(type(result), "__next__"):
            return _views(result, view._captp_stamp)
        return view_of(result, view._captp_stamp)

    return read


def _found(kind: type, name: str) -> Any:
    return next((c.__dict__[name] for c in kind.__mro__ if name in c.__dict__), None)


@lru_cache(maxsize=4096)
def _own(kind: type, name: str) -> Callable[..., Any] | None:
    """Return what a special method does where that runs Python code which is not known only to read."""
    if name in getattr(kind, "_captp_reads", ()):
        return None
    found = _found(kind, name)
    if isinstance(found, types.FunctionType):
        return found
    if name == "__getitem__" and issubclass(kind, dict) and hasattr(kind, "__missing__"):
        return _item
    instead, act = _INSTEAD.get(name, ("", None))
    is_own = found is None or found is object.__dict__.get(name)
    return act if is_own and act is not None and _own(kind, instead) is not None else None


def _computing(kind: Any, name: str, found: Any) -> Callable[[View], Any] | None:
    """Return Python code that gives an attribute of a view; None where it is what the value has."""
    if type(found) is property:
        return None if name in getattr(kind, "_captp_fields", ()) else found.fget
    if type(found) is cached_property:
        # Called as it is, it would keep its result in the value.
        return found.func
    if isinstance(_found(type(found), "__get__"), types.FunctionType):
        return lambda view: found.__get__(view, kind)
    own = _own(kind, "__getattr__") if found is None else None
    return None if own is None else lambda view: own(view, name)


def _item(view: View, key: Any) -> Any:
    """Return an item of a dict that has something for a missing one, which may be an item that it makes."""
    value, asked = value_of(view), value_of(key)
    if asked in value:
        return view_of(value[asked], view._captp_stamp)
    kind: Any = type(value)
    own = _own(kind, "__missing__")
    return own(view, key) if own else _refuse_write(view, "[...]")


def _by_index(view: Any) -> Iterator[Any]:
    with suppress(IndexError):
        for at in count():
            yield view[at]


#: What a special method does that a class has not: by way of another one.
_INSTEAD: Final[dict[str, tuple[str, Callable[..., Any]]]] = {
    "__bool__": ("__len__", lambda view: len(view) > 0),
    "__contains__": ("__iter__", lambda view, item: any(one is item or one == item for one in view)),
    "__float__": ("__index__", lambda view: float(operator.index(view))),
    "__format__": ("__str__", object.__format__),
    "__int__": ("__index__", operator.index),
    "__iter__": ("__getitem__", _by_index),
    "__ne__": ("__eq__", object.__ne__),
    "__reversed__": ("__getitem__", lambda view: (view[at] for at in range(len(view) - 1, -1, -1))),
    "__str__": ("__repr__", object.__str__),
}


def _special(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
    def special(self: View, *args: Any) -> Any:
        stamp = self._captp_stamp
        if stamp.problem is not None:
            stamp.refuse()
        value = self._captp_value
        kind: Any = type(value)
        own = _own(kind, name)
        if own is not None:
            return own(self, *args)
        return view_of(act(value, *map(value_of, args)), stamp)

    special.__name__ = name
    return special


def _in_place(name: str) -> Callable[..., Any]:
    def in_place(self: View, _other: Any) -> Any:
        # Without this Python would make a new value, and leave this one silently as it was.
        return _refuse_write(self, f".{name}()") if hasattr(value_of(self), name) else NotImplemented

    return in_place


def _turned(act: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda value, other: act(other, value)


_SPECIAL: Final[dict[str, Callable[..., Any]]] = {
    "__abs__": abs, "__bool__": bool, "__complex__": complex, "__contains__": operator.contains,
    "__eq__": operator.eq, "__float__": float, "__format__": format, "__ge__": operator.ge,
    "__getitem__": operator.getitem, "__gt__": operator.gt, "__hash__": hash, "__index__": operator.index,
    "__int__": int, "__invert__": operator.invert, "__le__": operator.le, "__len__": len,
    "__lt__": operator.lt, "__ne__": operator.ne, "__neg__": operator.neg, "__pos__": operator.pos,
    "__repr__": repr, "__round__": round, "__str__": str,
}  # fmt: skip
_BINARY: Final = {
    "add": operator.add, "and": operator.and_, "floordiv": operator.floordiv, "lshift": operator.lshift,
    "matmul": operator.matmul, "mod": operator.mod, "mul": operator.mul, "or": operator.or_,
    "pow": operator.pow, "rshift": operator.rshift, "sub": operator.sub, "truediv": operator.truediv,
    "xor": operator.xor,
}  # fmt: skip
for _name, _act in _SPECIAL.items():
    setattr(View, _name, _special(_name, _act))
for _name, _act in _BINARY.items():
    setattr(View, f"__{_name}__", _special(f"__{_name}__", _act))
    setattr(View, f"__r{_name}__", _special(f"__r{_name}__", _turned(_act)))
    setattr(View, f"__i{_name}__", _in_place(f"__i{_name}__"))
