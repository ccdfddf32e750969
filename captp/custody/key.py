"""Keys: each owns a capsule, and a capsule has one, until it is used twice.

held --access, destroy, freeze, given to a trustee or a lock--> spent; what consumed it gives a fresh one.
A spent key that is used again shows that two hold it: the capsule is frozen for good, and all its keys are
good for reading from then on. With ``strict=True`` that raises Moved instead, and the capsule is as it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar, final

from captp.custody.access import Access, Brand, run_inside
from captp.custody.freezing import frozen
from captp.custody.home import CapsuleHome, HomeState, current_home
from captp.custody.password import Password, kill
from captp.custody.place import caller, place
from captp.errors import AliasedKey, Contended, Frozen, Moved, UsageError

__all__ = ["Key", "spend", "unspend"]

K_co = TypeVar("K_co", bound=Brand, covariant=True)
P = ParamSpec("P")
R = TypeVar("R")


@final
class Key(Generic[K_co]):
    """Owns a capsule: made by ``Capsule.create``, and by whatever consumed the one before."""

    __slots__ = ("_held", "_home", "_spent_at")

    def __init__(self, home: CapsuleHome) -> None:
        self._home = home
        #: Empty when it is spent. One pop is one step to all threads.
        self._held = [home]
        self._spent_at = ""

    @property
    def is_frozen(self) -> bool:
        """Whether everybody may read the capsule and nobody write it."""
        return self._home.root().state is HomeState.FROZEN

    def access(
        self, function: Callable[Concatenate[Access[K_co], P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, Key[K_co]]:
        """Run a function within the capsule; return its result and a fresh key, as this one is spent.

        The result is portable: plain data, which is frozen, or ``Data``. What the function raises leaves as
        ``Encapsulated`` unless it is portable, and this key is good again then. Of a frozen capsule the
        access only reads.
        """
        home = spend(self, "access()")
        try:
            result = run_inside(
                home, function, args, kwargs, frozen, is_shared=home.state is HomeState.FROZEN
            )
        except BaseException:
            unspend(self, home)
            # This frame is in the traceback of what is raised.
            del home
            raise
        return result, Key(home)

    @contextmanager
    def password(self) -> Iterator[Password[K_co]]:
        """Lend a password for the block; the key is not to be used meanwhile, and is good again after it.

        Raises Frozen for a frozen capsule: ``access`` reads it, anywhere.
        """
        home = spend(self, "password()")
        if not home.lend():
            raise Frozen(f"capsule {home} is frozen, and has no passwords: key.access() reads it, anywhere")
        password: Password[K_co] = Password(home)
        try:
            yield password
        finally:
            kill(password)
            home.take_back()
            unspend(self, home)
        if home.readers:
            raise Contended(
                f"{len(home.readers)} readers of capsule {home} have not ended with the block that lent"
                " their password: wait for them inside it"
            )

    def freeze(self) -> Key[K_co]:
        """Let everybody read the capsule and nobody write it, for good; return a key that may be shared."""
        home = spend(self, "freeze()")
        home.freeze()
        return Key(home)

    def destroy(self) -> Access[Any]:
        """Merge the capsule into the one that runs, in one step however much it holds; return the access.

        What was in it is in that capsule from now on, and ``Data`` of it is unwrapped with the access.
        Raises Frozen for a frozen capsule, as what everybody reads cannot get one owner.
        """
        home = spend(self, "destroy()")
        current = current_home()
        home.merge_into(current)
        return Access(current, None)

    def __repr__(self) -> str:
        state = "frozen" if self.is_frozen else "held" if self._held else "spent"
        return f"<Key of {self._home}, {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be copied or serialised: there is one for each capsule")


def spend(key: Key[Any], what: str) -> CapsuleHome:
    """Use the key up, for what is called ``what``; return its capsule.

    A second use freezes the capsule, or raises Moved where it is strict, or Contended while an access
    that writes is under way.
    """
    if type(key) is not Key:
        raise UsageError(f"{what} takes a Key, not a {type(key).__name__}: Capsule.create() makes one")
    home = key._home
    if home.state is HomeState.FROZEN:
        return home
    if home.state is HomeState.MERGED:
        raise _merged(key, what)
    try:
        key._held.pop()
    except IndexError:
        return _aliased(key, home, what)
    if home.readers:
        unspend(key, home)
        raise Contended(f"{len(home.readers)} readers are in capsule {home}: wait for them")
    key._spent_at = f"{what} at {place()}"
    return home


def unspend(key: Key[Any], home: CapsuleHome) -> None:
    """Have a key be good again, as what it was spent for has ended."""
    key._held.append(home)


def _aliased(key: Key[Any], home: CapsuleHome, what: str) -> CapsuleHome:
    again = _twice(key, what)
    is_used = home.state is HomeState.LENT or home.is_written
    if home.is_strict and not is_used:
        raise Moved(f"{again}: use what the first use returned")
    if is_used or not home.freeze_unused():
        if home.state is HomeState.MERGED:
            raise _merged(key, what)
        raise Contended(f"{again}, while what it opened is open: wait for that to end")
    # Where that was written, as the way here has other lengths.
    frame = caller()
    warnings.warn_explicit(
        f"{again}: the capsule is frozen for good",
        AliasedKey,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )
    return home


def _merged(key: Key[Any], what: str) -> Moved:
    root = key._home.root()
    return Moved(f"{_twice(key, what)}: it was merged into {root}, which has a key of its own")


def _twice(key: Key[Any], what: str) -> str:
    return f"the key of capsule {key._home} was used by {key._spent_at}, and again by {what} at {place()}"
