"""Calls that run exactly once, at their turn: that one ran is told apart from what came of it.

waiting --its turn begins--> begun --its result is there--> settled; waiting --refused--> settled.
What has begun is stored with the turn's own commit, also when the turn is rolled back, and never runs again.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from captp.errors import NotDurable, Overloaded
from captp.model.interface import Row
from captp.model.object import Object
from captp.model.promise import Message, Promise
from captp.vat.turns import find

__all__ = ["DURABLE", "Arrival", "durable_row", "put_back"]


class _Durable:
    """Stands for the method of a durable call, which is its first argument; no peer can spell it."""

    def __repr__(self) -> str:
        return "a durable call"


DURABLE: Final = _Durable()


class Arrival(Promise[Any]):
    """The result of one such call; ``owner`` is told that it begins, and that it is settled."""

    __slots__ = ("call", "message", "owner")

    _reported: ClassVar[bool] = True

    def __init__(self, home: Any, owner: Any, call: Any) -> None:
        super().__init__(home)
        self.owner = owner
        self.call = call
        #: What the message of the call had as its arguments, the method and its own; None until it begins.
        self.message: Any = None


def durable_row(vat: Any, obj: Object, message: Message) -> Row:
    """Return the row of the method that is called, and note that it begins. Raises NotDurable."""
    arrival = message.promise
    assert isinstance(arrival, Arrival)
    row, args = find(obj, *message.args)
    if row.is_fiber:
        raise NotDurable(
            f"not-durable: {row.name}() is async, and what waits does not outlive its vat: call a def method,"
            " which may do its work in messages"
        )
    if arrival.owner.needs_room and not vat.trustee.has_room:
        # Else it would begin, write, and be undone; and nobody would make it again.
        raise Overloaded("storage-full: the disk of this vat is full")
    arrival.message = message.args
    message.args = args
    vat.trustee.begun.append(arrival)
    return row


def put_back(begun: list[Arrival], message: Message) -> None:
    """Let a durable call be as it was before its turn, which is to run again."""
    arrival = message.promise
    if type(arrival) is Arrival:
        message.args, arrival.message = arrival.message, None
        begun.remove(arrival)
