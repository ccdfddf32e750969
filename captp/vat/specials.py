"""What every object answers besides its own methods, to vats that know how to ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from captp.errors import Refused
from captp.model.interface import Row
from captp.model.object import Object
from captp.model.own import MAKE_UNIQUE, Lent
from captp.model.plan import MANY, PLAN
from captp.model.promise import Message
from captp.vat.arrivals import DURABLE, durable_row
from captp.vat.dropping import FAREWELL, farewell_row
from captp.vat.many import run_many
from captp.vat.owning import unique_row
from captp.vat.plans import LENT_PLAN_ROW, PLAN_ROW


def _plan_row(_vat: Any, obj: Object, message: Message) -> Row:
    """Return a row whose plans cannot pass on the object, for who has no reference to share."""
    return LENT_PLAN_ROW if obj._entry.sole or type(message.target._home) is Lent else PLAN_ROW


def _unique_row(vat: Any, obj: Object, message: Message) -> Row:
    """Let nobody who borrows an object say on what terms it is held."""
    if type(message.target._home) is Lent:
        raise Refused(f"this {type(obj).__name__} is lent for a call: its terms are its lender's")
    return unique_row(vat, obj, message)


#: By selector: the row of the turn to run, or None where it has been done.
SPECIALS: Final[dict[Any, Callable[[Any, Object, Message], Row | None]]] = {
    PLAN: _plan_row,
    MANY: run_many,
    MAKE_UNIQUE: _unique_row,
    FAREWELL: farewell_row,
    DURABLE: durable_row,
}
