"""What every object answers besides its own methods, to vats that know how to ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from captp.model.interface import Row
from captp.model.object import Object
from captp.model.own import MAKE_UNIQUE, SHARE
from captp.model.plan import MANY, PLAN
from captp.model.promise import Message
from captp.vat.many import run_many
from captp.vat.owning import SHARE_ROW, unique_row
from captp.vat.plans import PLAN_ROW

#: By selector: the row of the turn to run, or None where it has been done.
SPECIALS: Final[dict[Any, Callable[[Any, Object, Message], Row | None]]] = {
    PLAN: lambda _vat, _obj, _message: PLAN_ROW,
    MANY: run_many,
    MAKE_UNIQUE: unique_row,
    SHARE: lambda _vat, _obj, _message: SHARE_ROW,
}
