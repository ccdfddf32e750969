"""Trust: one counted handle on an entrusted object, wherever its trustee runs; it knows no trustee.

A trustee is the only one that touches its objects. What others want done they hand to it as a function
of the object, and it does one after the other, so nothing needs a lock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from captp.errors import Unpassable, UsageError

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

__all__ = ["Call", "Outcome", "Trust"]


class Outcome(Generic[R]):
    """How one delegated call ended: with ``value``, or with ``error`` when that is not None."""

    __slots__ = ("error", "value")

    def __init__(self, value: R, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Outcome):
            return NotImplemented
        return (self.value, self.error) == (other.value, other.error)

    def __hash__(self) -> int:
        return hash((self.value, self.error))

    def __repr__(self) -> str:
        return f"Outcome(value={self.value!r}, error={self.error!r})"

    def unwrap(self) -> R:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


class Call(Generic[R]):
    """One call of many for ``Trust.apply_many``: a function, and what it gets besides the object."""

    __slots__ = ("args", "fn", "kwargs")

    def __init__(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs


def functions_of(calls: list[Call[R]]) -> list[Callable[..., R]]:
    """Return the function of each call; raises UsageError if one is no Call."""
    try:
        return [call.fn for call in calls]
    except AttributeError:
        raise UsageError("apply_many() takes calls: captp.Call(function, argument, ...)") from None


class Trust(Generic[T]):
    """A handle on an object of type T that a trustee owns; every use of the object goes through it.

    Handles are counted by the trustee: ``clone`` makes another one, ``drop`` gives this one back, as does
    the garbage collector. With the last handle and the last reference the object goes. What one client
    asks of one trustee is done in the order it was asked.
    """

    __slots__ = ("__weakref__",)

    async def apply(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``fn(object, ...)`` as one turn and return its result, or raise its exception.

        In the vat's own loop it runs at once when nothing waits before it, and is not always a
        checkpoint: it is one at least every 128 calls. Cancelled before its turn, it never runs.
        """
        raise NotImplementedError

    def apply_now(self, fn: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``fn`` before this returns; raises NotNow where it would have to wait for its turn."""
        raise NotImplementedError

    def apply_then(
        self,
        fn: Callable[Concatenate[T, P], R],
        /,
        *args: Any,
        then: Callable[[Outcome[R]], None] | None = None,
    ) -> None:
        """Have ``fn`` run without waiting for it; ``then`` gets the outcome, and must not raise.

        Without ``then`` an exception is logged. Raises Overloaded when too much waits already.
        """
        raise NotImplementedError

    async def apply_with(self, fn: Callable[..., R], payload: Any, /, *args: Any) -> R:
        """Apply ``fn(object, payload, ...)``, with the payload as it is now: later changes are not seen.

        Raises Unpassable for a payload that cannot cross a border.
        """
        raise NotImplementedError

    async def apply_many(self, calls: Iterable[Call[R]]) -> list[Outcome[R]]:
        """Apply each call as a turn of its own, handed over together; return how each ended, in order."""
        raise NotImplementedError

    async def launch(
        self, fn: Callable[Concatenate[T, P], Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run an ``async def`` on the object, which is latched meanwhile: others wait until it is done."""
        raise NotImplementedError

    @property
    def blocking(self) -> Any:
        """The verbs for OS threads, which they block; handles of a thread trustee alone have them."""
        raise UsageError("OS threads take handles of a thread trustee: vat.trustee('thread') opens one")

    @property
    def reference(self) -> Any:
        """The reference to the object; passing the handle passes this. Raises Unpassable if there is none."""
        raise Unpassable(
            "a handle on an object that is no captp.Object stays in its vat: pass what it gives, or entrust"
            " an Object"
        )

    def heal(self) -> None:
        """Let an object be used again that was entrusted with ``on_error="poison"``, after a turn raised."""
        raise NotImplementedError

    def clone(self) -> Trust[T]:
        """Return another handle on the same object. Raises Dropped when this one was given back."""
        raise NotImplementedError

    def drop(self) -> None:
        """Give this handle back; again is the same as once."""
        raise NotImplementedError

    def __reduce__(self) -> Any:
        # A copy would be a handle that the trustee has not counted.
        raise TypeError(
            "a handle cannot be copied or serialised: clone() makes another one, and passing it passes its"
            " reference"
        )
