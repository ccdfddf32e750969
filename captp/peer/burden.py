"""What the large calls of one peer weigh while they are not answered: it bounds what a session can hold.

Small calls are bounded by their number. A large one weighs what its arguments do, from its arrival until
its message has run and its answer is settled; it is held weakly, and counted again only when the sum has
passed the limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import ref

from attrs import define, field

from captp.model.promise import PENDING, Message, Promise
from captp.model.weight import LARGE, weight_of


@define(eq=False)
class Burden:
    """The large calls of one session that are under way."""

    weight: int = 0
    #: Bytes that came and have not completed a message yet.
    _begun: int = 0
    _calls: list[tuple[ref[Message], ref[Promise[Any]] | None, int]] = field(factory=list)

    def came(self, size: int, count: int, *, is_mid_message: bool) -> bool:
        """Account for bytes that completed ``count`` calls; return whether those are worth a look."""
        size += self._begun
        self._begun = size if is_mid_message and not count else 0
        return size > LARGE * count > 0

    def add(self, messages: Iterable[Message]) -> None:
        """Take on the large ones of some calls."""
        for message in messages:
            weight = _weight(message)
            if weight > LARGE:
                promise = None if message.promise is None else ref(message.promise)
                self._calls.append((ref(message), promise, weight))
                self.weight += weight

    def lighten(self) -> int:
        """Forget what is over; return the weight of the rest."""
        self._calls = [call for call in self._calls if _is_under_way(call)]
        self.weight = sum(weight for _, _, weight in self._calls)
        return self.weight


def is_large(message: Message) -> bool:
    """Say whether one call is worth its weight."""
    return _weight(message) > LARGE


def _weight(message: Message) -> int:
    return weight_of(*message.args, *(message.kwargs or {}).values())


def _is_under_way(call: tuple[ref[Message], ref[Promise[Any]] | None, int]) -> bool:
    message, promise, _ = call
    if message() is not None:
        return True
    answer = None if promise is None else promise()
    return answer is not None and answer._state == PENDING
