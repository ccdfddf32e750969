"""Twins of object classes whose fields ask the capsule before they are read.

An Object in a capsule is an instance of its class's twin, so that what is in no capsule pays nothing. Writes
need no twin: every field and every container asks the object's home already.
"""

from __future__ import annotations

from typing import Any

from captp.model.object import Object

__all__ = ["guarded", "unguard"]


def guarded(cls: type[Object]) -> type[Object]:
    """Return the twin of a class, made when it is first asked for; of a twin, the twin itself."""
    if "_captp_plain" in cls.__dict__:
        return cls
    twin: type[Object] | None = cls.__dict__.get("_captp_twin")
    if twin is None:
        names: dict[str, Any] = {
            "__slots__": (),
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "_captp_plain": cls,
        }
        names.update((name, _field(cls, name)) for name in cls._captp_fields)
        # Not the metaclass's own way of making classes: nothing of a twin is the user's.
        twin = type.__new__(type(cls), cls.__name__, (cls,), names)
        cls._captp_twin = twin  # type: ignore[attr-defined]
    return twin


def unguard(obj: Object) -> None:
    """Let the fields of an object be read by everybody again."""
    plain = type(obj).__dict__.get("_captp_plain")
    if plain is not None:
        obj.__class__ = plain


def _field(cls: type[Object], name: str) -> property:
    field: property = getattr(cls, name)
    read = field.fget
    assert read is not None

    def get(self: Any) -> Any:
        self._home.look(self)
        return read(self)

    return property(get, field.fset)
