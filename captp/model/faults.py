"""Exceptions at borders: one function lets them out, one takes them in; neither carries a traceback."""

from __future__ import annotations

import builtins
from typing import Any, Final, Protocol, TypeVar

from captp import errors
from captp.errors import BadClass, Broken, Encapsulated, RemoteFault
from captp.model.locator import mask
from captp.model.values import Fault

C = TypeVar("C", bound=type[Broken])

TEXT_LIMIT: Final = 1_024

_LISTED: Final = frozenset(
    name
    for module in (builtins, errors)
    for name, cls in vars(module).items()
    if isinstance(cls, type) and issubclass(cls, BaseException)
)

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


def portable_error(cls: C) -> C:
    """Register an error class that crosses borders as data: its text and its annotated fields.

    The class derives from ``captp.Broken`` and takes its fields as keywords. Both sides must know it;
    elsewhere it arrives as RemoteFault.
    """
    if not issubclass(cls, Broken):
        raise BadClass(f"{cls.__name__}: a portable error derives from captp.Broken")
    _PORTABLE[_name(cls)] = cls
    return cls


class Owner(Protocol):
    """The capsule that an exception was raised in; its text is the capsule's brand."""

    faults: Any


def portable(exc: BaseException, owner: Owner | None = None) -> Broken:
    """Return the form of an exception that may leave its turn: text and data, no frames, no causes."""
    if isinstance(exc, Broken):
        exc.__traceback__ = exc.__cause__ = exc.__context__ = None
        return exc
    name = type(exc).__name__
    if name in _LISTED:
        try:
            text = mask(str(exc))[:TEXT_LIMIT]
        except Exception:  # user code's own __str__
            text = ""
        return RemoteFault(text, class_name=name)
    text = "the object failed; its owner's log says how"
    if owner is None:
        return RemoteFault(text, class_name="Exception")
    return Encapsulated(text, brand=repr(owner), id=owner.faults.keep(exc), class_name="Exception")


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
    return Fault(mask(str(exc))[:TEXT_LIMIT], data)


def from_wire(value: Any) -> Broken:
    """Return the exception that a peer's reason stands for; unknown classes become RemoteFault."""
    if not isinstance(value, Fault):
        return Broken(f"broken by the peer: {value!r}"[:TEXT_LIMIT], reason=value)
    data = value.data or {}
    name = data.get("class")
    cls = _PORTABLE.get(name) if isinstance(name, str) else None
    message = value.message[:TEXT_LIMIT]
    if cls is None:
        known = name if isinstance(name, str) and name in _LISTED else ""
        return RemoteFault(message, class_name=known, reason=value)
    fields = {k: data[k] for k in _fields(cls) if k in data}
    try:
        return cls(message, **fields)
    except TypeError:
        return RemoteFault(message, reason=value)


def _name(cls: type) -> str:
    return cls.__name__ if cls.__module__ == errors.__name__ else f"{cls.__module__}.{cls.__qualname__}"


def _fields(cls: type) -> list[str]:
    if cls.__module__ == errors.__name__:
        return ["brand", "id", "class_name"] if cls is Encapsulated else []
    return [n for n in getattr(cls, "__annotations__", {}) if not n.startswith("_") and n != "kind"]
