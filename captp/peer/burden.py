"""What the large calls of one peer weigh while they are not answered: it bounds what a session can hold.

Small calls are bounded by their number. A large one weighs what its arguments do, from its arrival until
its message has run and its answer is settled; it is held weakly, and counted again only when the sum has
passed the limit. A frozen value weighs once, however many calls name it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import ref

from attrs import define, field, frozen

from captp.model.parcel import Parcel
from captp.model.promise import PENDING, Message, Promise
from captp.model.weight import LARGE, boxes_in, weight_of


@frozen(eq=False)
class _Call:
    message: ref[Message]
    promise: ref[Promise[Any]] | None
    weight: int
    #: By hash, what the frozen values weigh that it names.
    boxes: dict[bytes, int]

    @property
    def is_under_way(self) -> bool:
        if self.message() is not None:
            return True
        answer = None if self.promise is None else self.promise()
        return answer is not None and answer._state == PENDING


@define(eq=False)
class Burden:
    """The large calls of one session that are under way."""

    weight: int = 0
    #: Bytes that came and have not completed a message yet.
    _begun: int = 0
    _calls: list[_Call] = field(factory=list)

    def came(self, size: int, count: int, *, is_mid_message: bool) -> bool:
        """Account for bytes that completed ``count`` calls; return whether those are worth a look."""
        whole = size + self._begun
        # No more of these bytes than came last can be of a message that began behind a call.
        self._begun = 0 if not is_mid_message else size if count else whole
        return whole > LARGE * count > 0

    def add(self, messages: Iterable[Message]) -> None:
        """Take on the large ones of some calls."""
        for message in messages:
            weight, boxes = _weight(message), _boxes(message)
            if weight <= LARGE:
                weight = 0
            if weight or boxes:
                promise = None if message.promise is None else ref(message.promise)
                call = message.call if isinstance(message, Parcel) else message
                self._calls.append(_Call(ref(call), promise, weight, boxes))
                self.weight += weight + sum(boxes.values())

    def lighten(self) -> int:
        """Forget what is over; return the weight of the rest."""
        self._calls = [call for call in self._calls if call.is_under_way]
        boxes: dict[bytes, int] = {}
        for call in self._calls:
            boxes |= call.boxes
        self.weight = sum(call.weight for call in self._calls) + sum(boxes.values())
        return self.weight


def is_large(message: Message) -> bool:
    """Say whether one call is worth its weight."""
    return _weight(message) > LARGE or bool(_boxes(message))


def _weight(message: Message) -> int:
    return weight_of(*message.args, *(message.kwargs or {}).values())


def _boxes(message: Message) -> dict[bytes, int]:
    found = boxes_in(*message.args, *(message.kwargs or {}).values())
    return {seal.digest: seal.weight for box in found if (seal := box._captp_sealed) is not None}
