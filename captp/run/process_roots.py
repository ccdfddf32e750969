"""Handles on named objects of a durable process trustee: a call that may run twice outlives its process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

from captp.errors import BrokenTrustee, UsageError
from captp.model.object import Object
from captp.model.trust import Call, Outcome
from captp.vat.remote import FarTrust

R = TypeVar("R")
T = TypeVar("T", bound=Object)

__all__ = ["RootTrust", "check_root", "sent_again"]

#: How often one call is sent: what ends its process each time must not end the trustee.
MOST_SENDS: Final = 3
#: Bytes of a name, which is a key in the store.
MOST_NAME: Final = 64


def check_root(name: str, cls: type[Object], *, has_store: bool) -> None:
    """Raise UsageError unless a trustee can keep such an object by such a name."""
    if not has_store:
        raise UsageError(
            "root(): this trustee stores nothing; open it with a store, or make the object with entrust_new()"
        )
    if not isinstance(name, str) or not 0 < len(name.encode(errors="replace")) <= MOST_NAME:
        raise UsageError(f"root(): a name is a string of 1 to {MOST_NAME} bytes, got {name!r}")
    if not getattr(cls, "_captp_is_durable", True):
        raise UsageError(
            f"root(): a {cls.__name__} has more than state, since it declares __slots__, and is not stored:"
            " make it with entrust_new()"
        )


async def sent_again(send: Callable[[], Awaitable[R]]) -> R:
    """Return what a call gives that may run twice, in one of the next processes if need be."""
    for _ in range(MOST_SENDS - 1):
        try:
            return await send()
        except BrokenTrustee as problem:
            if not problem.may_have_run:
                raise
    return await send()


class RootTrust(FarTrust[T]):
    """Such a handle. It breaks for good with its process; ``find`` gives one on what has its name then."""

    __slots__ = ("_find",)

    def __init__(self, found: FarTrust[T], find: Callable[[], Awaitable[FarTrust[T]]]) -> None:
        super().__init__(found._held(), found._cls, found._explain)
        self._find = find

    async def apply(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not self._is_idempotent(fn):
            return await super().apply(fn, *args, **kwargs)
        handle: FarTrust[T] | None = None

        async def send() -> Any:
            nonlocal handle
            handle = self if handle is None else await self._find()
            return await FarTrust.apply(handle, fn, *args, **kwargs)

        return await sent_again(send)

    async def apply_many(self, calls: Iterable[Call[Any]]) -> list[Outcome[Any]]:
        handed = list(calls)
        outcomes = await FarTrust.apply_many(self, handed)
        for _ in range(MOST_SENDS - 1):
            again = [at for at, outcome in enumerate(outcomes) if self._is_lost(handed[at], outcome)]
            if not again:
                break
            handle = await self._find()
            repeated = await FarTrust.apply_many(handle, [handed[at] for at in again])
            for at, outcome in zip(again, repeated, strict=True):
                outcomes[at] = outcome
        return outcomes

    def clone(self) -> RootTrust[T]:
        return RootTrust(super().clone(), self._find)

    def _is_lost(self, call: Call[Any], outcome: Outcome[Any]) -> bool:
        return isinstance(outcome.error, BrokenTrustee) and self._is_idempotent(call.fn)

    def _is_idempotent(self, fn: Callable[..., Any]) -> bool:
        row = self._row(fn)
        return row is not None and row.idempotent
