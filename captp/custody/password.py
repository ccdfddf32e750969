"""Passwords: permission to access a capsule, lent for the length of one block to one strand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NoReturn, TypeVar, final

from captp.custody.access import Brand
from captp.custody.home import CapsuleHome
from captp.custody.spot import Spot
from captp.errors import Contended, UsageError

__all__ = ["Password", "SharedPassword", "kill", "opened_by", "reading"]

K_co = TypeVar("K_co", bound=Brand, covariant=True)


class _Lent(Generic[K_co]):
    """What both kinds share: a capsule, until the block ends."""

    __slots__ = ("_home", "_is_dead")

    def __init__(self, home: CapsuleHome) -> None:
        self._home = home
        self._is_dead = False

    def _die(self) -> None:
        """Be good for nothing any more."""
        self._is_dead = True

    def _opens(self) -> CapsuleHome:
        """Return the capsule; raises Contended unless the password is good here and now."""
        if self._is_dead:
            raise Contended(
                f"this password of capsule {self._home} is dead: it is good inside the block that lent it"
            )
        return self._home

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._home}{', dead' if self._is_dead else ''}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a password cannot be copied or serialised: it is lent for one block")


@final
class SharedPassword(_Lent[K_co]):
    """Permission to read a capsule, on any thread, until the block ends that it came from; many may read."""

    __slots__ = ()


@final
class Password(_Lent[K_co]):
    """Permission to access a capsule: in the block that ``key.password()`` heads, in its task and thread.

    lent --shared()--> given up for shared ones --block ends--> dead; lent --block ends--> dead.
    """

    __slots__ = ("_shared", "_spot")

    Shared = SharedPassword

    def __init__(self, home: CapsuleHome) -> None:
        super().__init__(home)
        self._shared: SharedPassword[K_co] | None = None
        self._spot = Spot()

    def _opens(self) -> CapsuleHome:
        home = super()._opens()
        if self._shared is not None:
            raise Contended(
                f"this password of capsule {home} was given up for shared ones, which only read, and there is"
                " no way back in this block"
            )
        if not self._spot.is_here():
            raise Contended(
                f"this password of capsule {home} was lent to another task or thread; a shared one may be"
                " used there"
            )
        return home

    def shared(self) -> SharedPassword[K_co]:
        """Give this password up for one that only reads, which others may use too; it is one and the same.

        Raises Contended within an access that writes.
        """
        if self._shared is None:
            home = self._opens()
            if home.is_written:
                raise Contended(
                    f"an access with this password writes in capsule {home}: give the password up for shared"
                    " ones after it"
                )
            self._shared = SharedPassword(home)
        return self._shared

    def _die(self) -> None:
        super()._die()
        if self._shared is not None:
            self._shared._die()


def opened_by(password: Any) -> CapsuleHome:
    """Return the capsule that a password opens here and now; raises Contended if it opens none.

    Raises UsageError for what is no password.
    """
    if not isinstance(password, _Lent):
        name = type(password).__name__
        raise UsageError(f"this takes a password, not a {name}: `with key.password() as password` lends one")
    return password._opens().root()


def reading(password: SharedPassword[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs another unless the password has died meanwhile.

    It is counted as a reader when it looks, so that the block, which ends on another thread, either kills the
    password before that or finds the reader.
    """

    def checked(*args: Any, **kwargs: Any) -> Any:
        password._opens()
        return function(*args, **kwargs)

    return checked


def kill(password: Password[Any]) -> None:
    """Have a password, and the shared ones that came of it, open nothing any more."""
    password._die()
