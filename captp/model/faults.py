"""Exceptions at borders: one function for each way out and one for the way in; none lets anything along.

What leaves shares nothing with what was raised that anybody could change: no traceback, whose frames hold
what they worked on, no cause or context, no notes, no attribute but data.
"""

from __future__ import annotations

import builtins
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from captp import errors
from captp.errors import BadClass, Broken, Encapsulated, RemoteFault, Unpassable
from captp.model.interrupts import emptied
from captp.model.locator import mask
from captp.model.plain import mro_of, plain
from captp.model.values import Fault

__all__ = [
    "Owner",
    "described",
    "from_wire",
    "left",
    "number_of",
    "portable",
    "portable_error",
    "rebuilt",
    "text_of",
    "to_wire",
]

C = TypeVar("C", bound=type[Broken])

TEXT_LIMIT: Final = 1_024
BRAND_LIMIT: Final = 200
_MOST: Final = 1 << 63

_SILENT: Final = "the object failed; its owner's log says how"

#: Classes are found by their number, as a metaclass may say that they equal others.
_BUILTIN, _OURS = (
    {
        id(cls): cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, BaseException)
    }
    for module in (builtins, errors)
)
_LISTED: Final = {cls.__name__: cls for cls in (*_BUILTIN.values(), *_OURS.values())}

#: What these mean to whoever runs a generator or a coroutine is not meant by who let one fly.
_SIGNALS: Final = (StopIteration, StopAsyncIteration, GeneratorExit)

_ARGS: Final = BaseException.__dict__["args"].__get__

#: What errors of each class have besides their text.
_DATA: Final[dict[type, tuple[str, ...]]] = {
    errors.Unpassable: ("path",),
    errors.RemoteProtocolError: ("code", "detail"),
    errors.Broken: ("reason",),
    errors.RemoteFault: ("class_name",),
    errors.Encapsulated: ("brand", "id"),
    errors.BrokenTrustee: ("may_have_run",),
    errors.Disconnected: ("peer", "incarnation", "may_have_run"),
    # Of these the arguments do not tell all that is data.
    OSError: ("filename", "filename2"),
    ImportError: ("name", "path"),
    NameError: ("name",),
    AttributeError: ("name",),
}

#: Error classes that cross as themselves: ours, and those that programs register.
_PORTABLE: Final[dict[str, type[Broken]]] = {
    cls.__name__: cls
    for cls in (
        errors.Refused,
        errors.NotFound,
        errors.NoSuchMethod,
        errors.BadArguments,
        errors.NotDurable,
        errors.Cancelled,
        errors.Deadlock,
        errors.BrokenTrustee,
        errors.Timeout,
        errors.Overloaded,
        errors.Disconnected,
        errors.HandoffFailed,
        errors.Unreachable,
        errors.WrongPeer,
        errors.Encapsulated,
    )
}
_REGISTERED: Final[dict[int, type[Broken]]] = {}


def portable_error(cls: C) -> C:
    """Register an error class that crosses borders as data: its text and its annotated fields.

    The class derives from ``captp.Broken`` and takes its fields as keywords. Both sides must know it;
    elsewhere it arrives as RemoteFault.
    """
    if not issubclass(cls, Broken):
        raise BadClass(f"{cls.__name__}: a portable error derives from captp.Broken")
    _PORTABLE[_name(cls)] = cls
    _REGISTERED[id(cls)] = cls
    return cls


class Owner(Protocol):
    """The capsule that an exception was raised in."""

    def keep(self, problem: BaseException) -> tuple[str, int]:
        """Keep an exception for those who may access the capsule; return its brand and the number there."""
        ...


def rebuilt(exc: BaseException, owner: Owner) -> BaseException:
    """Return the form in which an exception leaves a capsule or a trustee of this process.

    Our errors, registered ones, and exactly Python's own with arguments that are data, are made anew;
    anything else stays with its owner, as ``Encapsulated``.
    """
    try:
        return _likeness(exc)
    except Exception:  # it has what is no data, or its class's own code failed
        return _encapsulated(exc, owner)


def left(exc: BaseException, owner: Owner) -> BaseException:
    """Return what leaves a border in this process of what was raised: made anew, or emptied.

    What is no ``Exception`` ends more than this call, and stays itself.
    """
    try:
        return rebuilt(exc, owner) if issubclass(type(exc), Exception) else emptied(exc)
    except BaseException as worse:  # of user code that was asked, or there is no memory for more
        return emptied(worse)


def portable(exc: BaseException, owner: Owner | None = None) -> Broken:
    """Return the form of an exception that breaks promises, and crosses the wire: text and data."""
    if any(base is Broken for base in mro_of(type(exc))):
        try:
            made = _likeness(exc)
        except Exception:  # it has what is no data, or its class's own code failed
            made = _nearest(type(exc), _OURS)(text_of(exc))
        assert isinstance(made, Broken)
        return made
    cls = _BUILTIN.get(id(type(exc))) or _OURS.get(id(type(exc)))
    if cls is not None:
        return RemoteFault(text_of(exc), class_name=cls.__name__)
    if owner is None:
        return RemoteFault(_SILENT, class_name="Exception")
    return _encapsulated(exc, owner)


def text_of(exc: BaseException) -> str:
    """Return the text of an exception, masked and cut; nothing if user code makes it, and fails."""
    try:
        # What user code returns may be of a class derived from str, with attributes.
        return _cut(str.__str__(str(exc)))
    except Exception:  # user code's own __str__
        return ""


def _cut(text: str) -> str:
    return mask(text)[:TEXT_LIMIT]


def described(exc: BaseException) -> str:
    """Return class and text of an exception that ``rebuilt`` made."""
    return f"{type(exc).__name__}({text_of(exc)!r})"


def number_of(exc: BaseException) -> int | None:
    """Return under which number the owner keeps what an ``Encapsulated`` stands for; else None."""
    return exc.id if type(exc) is Encapsulated else None


def _encapsulated(exc: BaseException, owner: Owner) -> Encapsulated:
    brand, number = owner.keep(exc)
    nearest = _nearest(type(exc), {**_BUILTIN, **_OURS})
    return Encapsulated(_SILENT, brand=brand, id=number, class_name=nearest.__name__)


def _nearest(cls: type, known: dict[int, Any]) -> Any:
    return next(known[id(base)] for base in mro_of(cls) if id(base) in known)


def _likeness(exc: BaseException) -> BaseException:
    """Return an exception of the same class that shares nothing mutable; raises for what has none."""
    cls = type(exc)
    if id(cls) in _REGISTERED:
        return _registered_anew(_REGISTERED[id(cls)], exc)
    if id(cls) in _OURS:
        made = cls.__new__(cls, text_of(exc))
        for name in _data_of(cls):
            setattr(made, name, plain(getattr(exc, name)))
        return made
    if id(cls) not in _BUILTIN or issubclass(cls, _SIGNALS):
        raise Unpassable("its class is not for borders")
    # What another class stands for in some cases, as OSError does, is made as that one.
    made = cls(*plain(_ARGS(exc)))
    if type(made) is not cls:
        raise Unpassable("its arguments make another")
    for name in _data_of(cls):
        value = getattr(exc, name)
        with suppress(Unpassable):
            # None that was set shows in the text, and None that was not does not.
            if value is not None:
                setattr(made, name, plain(value))
    return made


def _registered_anew(cls: type[Broken], exc: BaseException) -> Broken:
    fields = {name: plain(getattr(exc, name, None)) for name in _fields(cls)}
    args = _ARGS(exc)
    # Not what its own __str__ makes of it, which would do the same again at the next border.
    made = cls(_cut(args[0]) if args and type(args[0]) is str else text_of(exc), **fields)
    if type(made) is not cls:
        raise Unpassable("its class makes another")
    made.reason = getattr(exc, "reason", None)
    return _bare(made)


def _bare(made: Broken) -> Broken:
    """Return what a registered class made, without what all of its kind may share."""
    made.__traceback__ = made.__cause__ = made.__context__ = None
    for name, value in list(vars(made).items()):
        vars(made)[name] = plain(value)
    made.args = plain(_ARGS(made))
    return made


def _data_of(cls: type) -> list[str]:
    return [name for base in mro_of(cls) for name in _DATA.get(base, ())]


def to_wire(exc: BaseException) -> Any:
    """Return the passable value that tells a peer why a promise broke; a given reason goes verbatim."""
    exc = portable(exc)
    if exc.reason is not None:
        return exc.reason
    data: dict[str, Any] = {"class": _name(type(exc))}
    if type(exc) is RemoteFault:
        data = {"class": exc.class_name}
    else:
        data.update((k, getattr(exc, k, None)) for k in _fields(type(exc)))
    return Fault(text_of(exc), data)


def from_wire(value: Any) -> Broken:
    """Return the exception that a peer's reason stands for; unknown classes become RemoteFault."""
    if not isinstance(value, Fault):
        return Broken(f"broken by the peer: {value!r}"[:TEXT_LIMIT], reason=value)
    data = value.data or {}
    name = data.get("class")
    cls = _PORTABLE.get(name) if isinstance(name, str) else None
    message = value.message[:TEXT_LIMIT]
    if cls is None:
        return RemoteFault(message, class_name=_listed(name), reason=value)
    if cls is Encapsulated:
        return _encapsulated_elsewhere(message, data)
    fields = {k: data[k] for k in _fields(cls) if k in data}
    try:
        return _bare(cls(message, **fields))
    except Exception:  # the class's own check of what a peer says, or what it adds
        return RemoteFault(message, reason=value)


def _encapsulated_elsewhere(message: str, data: Any) -> Encapsulated:
    brand, number = data.get("brand"), data.get("id")
    return Encapsulated(
        message,
        brand=brand[:BRAND_LIMIT] if type(brand) is str else "",
        id=number if type(number) is int and 0 <= number < _MOST else 0,
        class_name=_listed(data.get("class_name")),
    )


def _listed(name: Any) -> str:
    return name if type(name) is str and name in _LISTED else ""


def _name(cls: type) -> str:
    return cls.__name__ if cls.__module__ == errors.__name__ else f"{cls.__module__}.{cls.__qualname__}"


def _fields(cls: type) -> list[str]:
    if cls.__module__ == errors.__name__:
        return ["brand", "id", "class_name"] if cls is Encapsulated else []
    return [n for n in getattr(cls, "__annotations__", {}) if not n.startswith("_") and n != "kind"]
