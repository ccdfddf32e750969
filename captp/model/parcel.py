"""What stands among the calls of a peer and says something of those behind it; see Parcel and Closing."""

from __future__ import annotations

from typing import Any

from captp.model.own import Sole
from captp.model.promise import ENDED, PENDING, Message, Promise, add_waiter
from captp.model.ref import Ref, settled
from captp.model.values import FrozenMap, Tagged

__all__ = ["Closing", "Parcel"]


class Parcel(Message):
    """A call that brings what is unique from a third vat, where it is still to be withdrawn.

    waiting --all that it brings has come, or is lost--> opened: what has come stands in it as if its host
    had sent it, and what is lost is a broken promise. The calls behind it wait too, for their order.
    """

    __slots__ = ("_waits_for", "brings", "call", "until")

    def __init__(self, call: Message, brings: list[Promise[Any]]) -> None:
        super().__init__(call.target, call.selector, call.args, call.kwargs, call.promise, call.sender)
        #: The call itself: whoever weighs what is under way looks whether it is there.
        self.call = call
        self.brings = brings
        #: When what has not come is lost.
        self.until = 0.0
        self._waits_for: Promise[Any] | None = None

    @property
    def missing(self) -> list[Promise[Any]]:
        """What has neither come nor is lost."""
        return [promise for promise in self.brings if promise._state == PENDING]

    def run(self, vat: Any, source: Any) -> None:
        """Open it, or put it back and hold its source until that can be."""
        missing = self.missing
        if not missing:
            vat.deliver(self.opened())
            return
        source.messages.appendleft(self)
        vat.queues.hold(source)
        # Others may release the source meanwhile: each promise wakes it once.
        if self._waits_for is not missing[0]:
            self._waits_for = missing[0]
            add_waiter(missing[0], _Wake(vat.queues, source))

    def opened(self) -> Message:
        """Return the call with what it brings in it."""
        brought = set(map(id, self.brings))
        args = _with(self.args, brought)
        kwargs = None if self.kwargs is None else _with(FrozenMap(self.kwargs), brought)
        call = self.call
        call.target, call.args, call.kwargs = self.target, args, kwargs
        return call


class Closing(Message):
    """Stands where an owner gave something up: what it sends behind reaches that by no promise either."""

    __slots__ = ("_given",)

    def __init__(self, given: Sole) -> None:
        super().__init__(None, None, (), None, None)
        self._given = given

    def run(self, _vat: Any, _source: Any) -> None:
        """Let the promises that the owner had it by reach nothing."""
        self._given.close()


class _Wake:
    """Stands among the waiters of a promise for a source that is held."""

    __slots__ = ("_queues", "_source")

    def __init__(self, queues: Any, source: Any) -> None:
        self._queues = queues
        self._source = source

    def end(self) -> None:
        self._queues.release(self._source)


ENDED.add(_Wake)


def _with(value: Any, brought: set[int]) -> Any:
    kind = type(value)
    if kind is tuple:
        return tuple([_with(part, brought) for part in value])
    if kind is FrozenMap:
        return FrozenMap((key, _with(part, brought)) for key, part in value.items())
    if kind is Tagged:
        return Tagged(value.tag, _with(value.value, brought))
    came = settled(value) if id(value) in brought else value
    return came if isinstance(came, Ref) else value
