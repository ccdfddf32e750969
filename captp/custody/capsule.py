"""Capsules as users make them and run code within them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, final, overload

from captp.custody.access import Access, Brand, run_inside
from captp.custody.freezing import frozen
from captp.custody.home import CapsuleHome
from captp.custody.key import Key
from captp.custody.password import Password, SharedPassword, opened_by, reading
from captp.errors import UsageError
from captp.model.containers import Tracked
from captp.model.object import Object

__all__ = ["Capsule"]

K = TypeVar("K", bound=Brand)
P = ParamSpec("P")
R = TypeVar("R")


@final
class Capsule:
    """A box of mutable data that one strand of code at a time may touch."""

    @overload
    @staticmethod
    def create(brand: type[K], *, strict: bool = False) -> Key[K]: ...
    @overload
    @staticmethod
    def create(*, strict: bool = False) -> Key[Brand]: ...
    @staticmethod
    def create(brand: type[Brand] = Brand, *, strict: bool = False) -> Key[Any]:
        """Make a capsule, and return its key.

        Type checkers tell capsules apart by the class ``brand``; at run time each is of its own brand.
        With ``strict`` a key that is used twice raises Moved, and else freezes the capsule for good.
        """
        return Key(CapsuleHome(brand.__name__, is_strict=strict))

    @staticmethod
    def access(
        password: Password[K],
        function: Callable[Concatenate[Access[K], P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a function within the capsule, and return its result, which is portable.

        Portable are plain data, which is frozen, references, and ``Data``; raises Unpassable for the rest.
        """
        return run_inside(_home(password, Password), function, args, kwargs, frozen, is_shared=False)  # type: ignore[no-any-return]

    @staticmethod
    def access_local(
        password: Password[K],
        function: Callable[Concatenate[Access[K], P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a function as ``access`` does; its result may also be an Object or a container of the capsule.

        Such a result can be touched in accesses of the same capsule only.
        """
        return run_inside(_home(password, Password), function, args, kwargs, _local_result, is_shared=False)  # type: ignore[no-any-return]

    @staticmethod
    def access_shared(
        password: SharedPassword[K],
        function: Callable[Concatenate[Access[K], P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a function within the capsule as ``access`` does, only to read; many may, on any thread."""
        return run_inside(  # type: ignore[no-any-return]
            _home(password, SharedPassword), reading(password, function), args, kwargs, frozen, is_shared=True
        )

    @staticmethod
    def access_shared_local(
        password: SharedPassword[K],
        function: Callable[Concatenate[Access[K], P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a function as ``access_local`` does, only to read."""
        return run_inside(  # type: ignore[no-any-return]
            _home(password, SharedPassword),
            reading(password, function),
            args,
            kwargs,
            _local_result,
            is_shared=True,
        )


def _home(password: Any, kind: type[Any]) -> CapsuleHome:
    if type(password) is not kind:
        raise UsageError(f"this takes a {kind.__name__}, not a {type(password).__name__}")
    return opened_by(password)


def _local_result(value: Any) -> Any:
    if isinstance(value, Object | Tracked):
        return value
    return frozen(value)
