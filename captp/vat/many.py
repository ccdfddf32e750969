"""Runs a batch of calls that came as one delivery, each as a turn of its own; one may fail alone.

The batch is a peer's word: ``(names, counts, arguments)``, and perhaps keyword arguments. There is one
name for all calls or a list of them, how many arguments each has in the same way, and the arguments of
all of them in one list; what is one for all must leave no doubt how many calls there are. The answer is
``(values, ((index, fault), ...))``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from captp.errors import BadArguments, Broken, NotNow, Overloaded
from captp.model.current import CAPS
from captp.model.faults import from_wire, portable, to_wire
from captp.model.interface import Row, rows_of
from captp.model.object import Object
from captp.model.promise import BROKEN, FULFILLED, Message
from captp.model.values import FrozenMap
from captp.model.weight import PART, SIZED, weight_of
from captp.vat.cold import Postponed
from captp.vat.turns import END, SMALL, Turns, find

#: The one method of all calls, which are argument lists then; or None, for calls that have each its own.
_Calls = tuple[str | None, list[Any]]

__all__ = ["calls_in", "failures", "run_many"]

#: Bytes that each call of a batch may have in its answer at least: that its result is too large.
SHORT: Final = 256


class _Under:
    """A batch that is under way: its calls, what those gave that have run, and bytes left for the others."""

    __slots__ = ("_left", "_most", "broken", "calls", "name", "values")

    def __init__(self, name: str | None, calls: list[Any], most: int) -> None:
        self.name = name
        self.calls = calls
        self.values: list[Any] = []
        self.broken: list[tuple[int, Any]] = []
        # The calls may be small and what they give large, and all of it is one message.
        self._left = self._most = most - SHORT * len(calls)

    @property
    def weight(self) -> int:
        """What the answer keeps in memory, roughly."""
        return self._most - self._left + PART * len(self.values)

    def keep(self, value: Any, most: int) -> None:
        """Add what the next call gave, as far as there is room in a message of ``most`` bytes."""
        fault = to_wire(value) if isinstance(value, Broken) else None
        weight = weight_of(fault or value) if fault or type(value) in SIZED else 0
        if weight > self._left:
            fault = to_wire(Overloaded(f"its turn is done, but the answer has more than {most} bytes"))
        else:
            self._left -= weight
        if fault is not None:
            self.broken.append((len(self.values), fault))
        self.values.append(value if fault is None else None)


def run_many(vat: Any, obj: Object, message: Message) -> Row | None:
    """Run the calls of a batch, one turn after the other, and answer it.

    One that looks into an object that is not in memory has the rest of the batch wait for that.
    """
    batch: Any = message.args
    if type(batch) is not _Under:
        calls = _calls(message.args, vat.limits.plan_steps)
        if isinstance(calls, Broken):
            if message.promise is not None:
                vat.settle_now(message.promise, BROKEN, calls)
            return None
        # Each counts as a delivery of its own: others have their go as soon.
        vat.also_ran += len(calls[1])
        batch = _Under(*calls, vat.limits.message_bytes)
    cold = _go_on(vat, obj, batch)
    if cold is not None:
        rest: Any = batch
        message.args = rest
        vat.trustee.postpone(message, obj, cold)
    elif message.promise is not None:
        answer = (tuple(batch.values), tuple(batch.broken))
        vat.settle_now(message.promise, FULFILLED, answer, batch.weight)
    return None


def _go_on(vat: Any, obj: Object, batch: _Under) -> Object | None:
    """Run the calls of a batch that have not run; return the object that the next of them waits for."""
    turns, values, most = vat.turns, batch.values, vat.limits.message_bytes
    calls = batch.calls[len(values) :] if values else batch.calls
    rows, name = rows_of(type(obj)), batch.name
    if name is not None:
        row = rows.get(name)
        if row is not None and not row.is_fiber and not (CAPS or vat.trustee.steps):
            rest = iter(calls)
            while (value := turns.in_a_row(obj, row, rest, values)) is not END:
                if type(value) is Postponed:
                    return value.obj
                batch.keep(value, most)
            return None
        calls = [(name, args, None) for args in calls]
    for name, args, kwargs in calls:
        row = rows.get(name)
        if row is None or row.is_fiber:
            value = _run(turns, obj, name, args, kwargs)
        else:
            value = turns.turn(obj, row, args, kwargs)
        if type(value) in SMALL:
            values.append(value)
        elif type(value) is Postponed:
            return value.obj
        else:
            batch.keep(value, most)
    return None


def _calls(batch: tuple[Any, ...], most: int) -> _Calls | BadArguments:
    """Return the calls, with name, arguments and keyword arguments each, or what is wrong with them."""
    if len(batch) == 3:
        # The way of nearly all batches: cut into pieces of one length, in C.
        name, count, all_args = batch
        if type(name) is str and type(count) is int and count > 0 and type(all_args) is tuple:
            calls, left = divmod(len(all_args), count)
            if left:
                return BadArguments("bad-args: the counts of a batch are those of its arguments")
            if calls > most:
                return _too_many(most)
            return name, list(zip(*[iter(all_args)] * count, strict=True))
    match batch:
        case (names, counts, tuple(given), *more) if len(more) <= 1:
            kwargses = more[0] if more else None
        case _:
            return BadArguments("bad-args: a batch has names, counts and arguments")
    size = _size(names, counts, given, kwargses)
    if size is None:
        return BadArguments("bad-args: how many calls a batch has shows in a list, or in its arguments")
    if size > most:
        return _too_many(most)
    if type(names) is str:
        names = (names,) * size
    if type(counts) is int and counts >= 0:
        counts = (counts,) * size
    if kwargses is None:
        kwargses = (None,) * size
    parts: tuple[Any, ...] = (names, counts, kwargses)
    if not all(type(part) is tuple and len(part) == size for part in parts):
        return BadArguments("bad-args: a batch has as many names as counts")
    made: list[tuple[str, tuple[Any, ...], Any]] = []
    end = 0
    for name, count, kwargs in zip(*parts, strict=True):
        if type(count) is not int or count < 0 or type(name) is not str:
            return BadArguments("bad-args: a call in a batch has a name, and so many arguments")
        if kwargs is not None:
            if type(kwargs) is not FrozenMap:
                return BadArguments("bad-args: keyword arguments are a struct")
            kwargs = dict(kwargs) or None
        start, end = end, end + count
        made.append((name, given[start:end], kwargs))
    if end != len(given):
        return BadArguments("bad-args: the counts of a batch are those of its arguments")
    return None, made


def _too_many(most: int) -> BadArguments:
    return BadArguments(f"bad-args: a batch has at most {most} calls")


def _size(names: Any, counts: Any, given: tuple[Any, ...], kwargses: Any) -> int | None:
    """Return how many calls a batch says that it has; None if that does not show."""
    for part in (names, counts, kwargses):
        if type(part) is tuple:
            return len(part)
    return len(given) // counts if type(counts) is int and counts > 0 else None


def calls_in(batch: Any) -> int:
    """Return how many calls a batch is while it waits; at least one, also for what is no batch."""
    if type(batch) is _Under:
        return len(batch.calls) - len(batch.values)
    match batch:
        case (names, counts, tuple(given), *more) if len(more) <= 1:
            return _size(names, counts, given, more[0] if more else None) or 1
    return 1


def _run(turns: Turns, obj: Object, name: str, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Run a call of a method that is not in the table, or that may wait."""
    try:
        row, args = find(obj, name, args)
    except Broken as problem:
        return portable(problem)
    if row.is_fiber:
        return portable(NotNow(f"{row.name}() may wait, so it cannot be called in a batch: send to it"))
    return turns.turn(obj, row, args, kwargs)


def failures(broken: tuple[Any, ...], count: int) -> Iterator[tuple[int, Broken]]:
    """Yield which calls of a batch failed and how, as far as the host's answer makes sense."""
    for part in broken:
        match part:
            case (int(at), reason) if type(at) is int and 0 <= at < count:
                yield at, from_wire(reason)
