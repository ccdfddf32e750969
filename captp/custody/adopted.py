"""Capsules in a trustee's care: it holds the key, and each turn runs within the capsule.

adopted --give_back--> given back; what was asked before runs before, and what is asked after raises Moved.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar, final

from captp.custody.access import Access, Brand, run_inside
from captp.custody.freezing import frozen
from captp.custody.home import CapsuleHome, HomeState
from captp.custody.key import Key, spend, unspend
from captp.errors import Moved, UsageError
from captp.model.captures import check_captures
from captp.model.trust import Call, Outcome, Trust, functions_of

__all__ = ["Adopted", "CapsuleTrust", "adopted"]

K = TypeVar("K", bound=Brand)
P = ParamSpec("P")
R = TypeVar("R")


class Adopted:
    """What a trustee holds of a capsule, as the object that was entrusted to it."""

    __slots__ = ("home",)

    def __init__(self, home: CapsuleHome) -> None:
        #: None when the key was given back.
        self.home: CapsuleHome | None = home

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function within the capsule, in a turn of the trustee."""
        home = self._held()
        is_frozen = home.state is HomeState.FROZEN
        return run_inside(home, function, args, kwargs, frozen, is_shared=is_frozen)

    def give_back(self) -> Key[Any]:
        """Return a fresh key, and be empty from then on."""
        home, self.home = self._held(), None
        return Key(home)

    def _held(self) -> CapsuleHome:
        if self.home is None:
            raise Moved("the key of this capsule was given back: use the key that give_back() returned")
        return self.home.root()


@final
class CapsuleTrust(Trust[Access[K]]):
    """A handle on a capsule that a trustee holds the key of; its functions get an ``Access``."""

    __slots__ = ("_trust",)

    def __init__(self, trust: Trust[Adopted]) -> None:
        self._trust = trust

    async def apply(
        self, fn: Callable[Concatenate[Access[K], P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        check_captures(fn)
        return await self._trust.apply(_run, fn, *args, **kwargs)

    def apply_now(
        self, fn: Callable[Concatenate[Access[K], P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        check_captures(fn)
        return self._trust.apply_now(_run, fn, *args, **kwargs)  # type: ignore[no-any-return]

    def apply_then(
        self,
        fn: Callable[Concatenate[Access[K], P], R],
        /,
        *args: Any,
        then: Callable[[Outcome[R]], None] | None = None,
    ) -> None:
        check_captures(fn)
        self._trust.apply_then(_run, fn, *args, then=then)

    async def apply_with(self, fn: Callable[..., R], payload: Any, /, *args: Any) -> R:
        return await self.apply(fn, frozen(payload), *args)

    async def apply_many(self, calls: Iterable[Call[R]]) -> list[Outcome[R]]:
        handed = list(calls)
        for fn in functions_of(handed):
            check_captures(fn)
        return await self._trust.apply_many([Call(_run, c.fn, *c.args, **c.kwargs) for c in handed])

    async def launch(
        self,
        fn: Callable[Concatenate[Access[K], P], Awaitable[R]],  # noqa: ARG002 - it is never called
        /,
        *args: P.args,  # noqa: ARG002
        **kwargs: P.kwargs,  # noqa: ARG002
    ) -> R:
        """Raise UsageError: an access ends with the function that it was given to."""
        raise UsageError(
            "an access ends with its function, so nothing can wait in it: apply() before and after"
        )

    async def give_back(self) -> Key[K]:
        """Return a fresh key when all that was asked before is done; what is asked later raises Moved."""
        return await self._trust.apply(Adopted.give_back)

    def heal(self) -> NoReturn:
        """Raise UsageError: a capsule that a trustee holds is never poisoned."""
        raise UsageError("a capsule in a trustee's care is never poisoned: there is nothing to heal")

    def clone(self) -> CapsuleTrust[K]:
        return CapsuleTrust(self._trust.clone())

    def drop(self) -> None:
        self._trust.drop()


def adopted(entrust: Callable[[Adopted], Trust[Adopted]], key: Key[K]) -> CapsuleTrust[K]:
    """Spend a key, and return the handle on its capsule, which ``entrust`` gives to a trustee."""
    home = spend(key, "adopt()")
    try:
        return CapsuleTrust(entrust(Adopted(home)))
    except BaseException:
        unspend(key, home)
        raise


def _run(held: Adopted, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return held.run(fn, args, kwargs)
