"""Runs a batch of calls that came as one delivery, each as a turn of its own; one may fail alone.

The batch is a peer's word, ``(names, arguments)`` and perhaps keyword arguments, one of each per call.
The answer is ``(values, ((index, fault), ...))``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from captp.errors import BadArguments, Broken, NotNow, Overloaded
from captp.model.faults import from_wire, portable, to_wire
from captp.model.interface import Row, rows_of
from captp.model.object import Object
from captp.model.promise import BROKEN, FULFILLED, Message
from captp.model.values import FrozenMap
from captp.model.weight import SIZED, weight_of
from captp.vat.turns import Turns, find

__all__ = ["failures", "run_many"]

#: Bytes that each call of a batch may have in its answer at least: that its result is too large.
SHORT: Final = 256


def run_many(vat: Any, obj: Object, message: Message) -> Row | None:
    """Run the calls of a batch, one turn after the other, and answer it."""
    answer = _answer(vat, obj, message.args)
    if message.promise is not None:
        vat.settle_now(message.promise, BROKEN if isinstance(answer, Broken) else FULFILLED, answer)
    return None


def _answer(vat: Any, obj: Object, batch: tuple[Any, ...]) -> Any:
    turns, limits = vat.turns, vat.limits
    kwargses: Any
    match batch:
        case (tuple(names), tuple(argses)):
            kwargses = (None,) * len(names)
        case (tuple(names), tuple(argses), tuple(kwargses)):
            pass
        case _:
            return BadArguments("bad-args: a batch has names and arguments, one of each per call")
    if not len(names) == len(argses) == len(kwargses):
        return BadArguments("bad-args: a batch has as many names as arguments")
    if len(names) > limits.plan_steps:
        return BadArguments(f"bad-args: a batch has at most {limits.plan_steps} calls")
    # Each counts as a delivery of its own: others have their go as soon.
    vat.also_ran += len(names)
    values: list[Any] = []
    broken: list[Any] = []
    # The calls may be small and what they give large, and all of it is one message.
    left = limits.message_bytes - SHORT * len(names)
    for name, args, kwargs in zip(names, argses, kwargses, strict=True):
        value = _run(turns, obj, name, args, kwargs)
        fault = to_wire(value) if isinstance(value, Broken) else None
        weight = weight_of(fault or value) if fault or type(value) in SIZED else 0
        if weight > left:
            most = limits.message_bytes
            fault = to_wire(Overloaded(f"its turn is done, but the answer has more than {most} bytes"))
        else:
            left -= weight
        if fault is not None:
            broken.append((len(values), fault))
        values.append(value if fault is None else None)
    return tuple(values), tuple(broken)


def _run(turns: Turns, obj: Object, name: Any, args: Any, kwargs: Any) -> Any:
    row = rows_of(type(obj)).get(name) if type(name) is str else None
    if type(args) is not tuple or not (kwargs is None or type(kwargs) is FrozenMap):
        return BadArguments("bad-args: a call in a batch has a list of arguments")
    if row is None:
        try:
            row, args = find(obj, name, args)
        except Broken as problem:
            return portable(problem)
    if row.is_fiber:
        return portable(NotNow(f"{row.name}() may wait, so it cannot be called in a batch: send to it"))
    return turns.turn(obj, row, args, dict(kwargs) if kwargs else None)


def failures(broken: tuple[Any, ...], count: int) -> Iterator[tuple[int, Broken]]:
    """Yield which calls of a batch failed and how, as far as the host's answer makes sense."""
    for part in broken:
        match part:
            case (int(at), reason) if type(at) is int and 0 <= at < count:
                yield at, from_wire(reason)
