"""Migrations: in a class body, each says what stored state of one version is in the next."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, final

from captp.errors import BadClass

__all__ = ["Fields", "Migration", "migrate", "migrations_of"]

#: By the name of a field, its value; containers as list, dict and set.
Fields: TypeAlias = dict[str, Any]


@final
class Migration(staticmethod):  # type: ignore[type-arg]
    """A plain function in a class body, from the state of one version to that of the next."""

    def __init__(self, function: Any, from_version: int) -> None:
        super().__init__(function)
        self.from_version = from_version


def migrate(
    *, from_version: int
) -> Callable[[Callable[[Fields], Fields] | staticmethod[[Fields], Fields]], staticmethod[[Fields], Fields]]:
    """Mark a function in the body of an Object's class as the step from a version to the next.

    It takes the state as a dict and returns the state; it neither sends nor waits, and runs once for each
    stored object when a durable vat is opened.
    """

    def mark(
        function: Callable[[Fields], Fields] | staticmethod[[Fields], Fields],
    ) -> staticmethod[[Fields], Fields]:
        plain = function.__func__ if isinstance(function, staticmethod) else function
        return Migration(plain, from_version)

    return mark


def migrations_of(
    name: str, version: object, namespace: Mapping[str, Any]
) -> dict[int, Callable[[Fields], Fields]]:
    """Return the migrations in a class body by the version each starts from. Raises BadClass."""
    if type(version) is not int or version < 1:
        raise BadClass(f"{name}: version={version!r} is no version; count from 1")
    found: dict[int, Callable[[Fields], Fields]] = {}
    for key, value in namespace.items():
        if not isinstance(value, Migration):
            continue
        start, function = value.from_version, value.__func__
        if type(start) is not int or not 0 < start < version:
            raise BadClass(
                f"{name}.{key} migrates from version {start!r}, and the class is in version {version}:"
                f" give the class version={start + 1 if type(start) is int and start > 0 else 2},"
                " or more"
            )
        if start in found:
            raise BadClass(f"{name}.{key}: there is a migration from version {start} already; keep one")
        if inspect.iscoroutinefunction(function) or not callable(function):
            raise BadClass(f"{name}.{key} is no plain function; migrate with a def that returns the state")
        found[start] = function
    return found
