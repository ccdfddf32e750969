"""Runs recorded plans: steps on one object and its neighbours, as one turn, all or nothing.

The plan is a peer's word: every verb, operand and size is checked here. It calls marked ``def`` methods
only, with their guards, on objects that are near in the capsule of the one it was sent to; an error at
any step rolls the turn back. See model/plan.py for what a plan looks like.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from captp.errors import BadArguments, Refused, Unpassable
from captp.model.guards import compile_thunk
from captp.model.interface import Method, Row
from captp.model.object import Object
from captp.model.own import Lent
from captp.model.passable import equal, freeze
from captp.model.plan import BINARY, PLAN, RESULT, UNARY
from captp.model.ref import Ref
from captp.model.values import FrozenMap, Symbol, Tagged
from captp.model.weight import PART, weight_of
from captp.vat.cold import look_into
from captp.vat.turns import find

_OPERATORS: Final = {verb: getattr(operator, verb) for verb in (*BINARY, *UNARY) if verb != "not"}
_COMPARE: Final = ("lt", "le", "gt", "ge")
_ORDERED: Final = (int, float, str, bytes)
_JOINED: Final = (str, bytes, tuple)


def _run(self: Object, plan: Any) -> Any:
    """Run a plan on ``self``."""
    return _run_on(self._home.vat.reference(self), self, plan)


def _run_lent(self: Object, plan: Any) -> Any:
    """Run a plan on ``self`` that can call it, and neither keep it nor pass it on."""
    vat = self._home.vat
    return _run_on(Ref(Lent(vat, self, f"the {type(self).__name__} of a plan"), self), self, plan)


def _run_on(root: Ref, self: Object, plan: Any) -> Any:
    match plan:
        case (tuple(steps), result) if all(type(s) is tuple and s and type(s[0]) is str for s in steps):
            pass
        case _:
            raise BadArguments("bad-args: a plan is a list of steps and a result")
    vat = self._home.vat
    limits = vat.limits
    if len(steps) > limits.plan_steps:
        raise BadArguments(f"bad-args: a plan has at most {limits.plan_steps} steps")
    results = _Results(root, vat)
    for number, (verb, *operands) in enumerate(steps, 1):
        where = f"step {number}"
        values = [results.called(part, where) for part in operands[: verb == "call"]]
        values += [results.put_into(part, where) for part in operands[len(values) :]]
        results.add(_step(verb, values, self, where), where)
    return results.put_into(result, "the result")


class _Results:
    """What the steps of one plan gave; what they weigh, and each use of it, counts as one message does."""

    def __init__(self, root: Ref, vat: Any) -> None:
        self._vat = vat
        self._values: list[Any] = [root]
        self._weights = [PART]
        self._left: int = self._vat.limits.message_bytes

    def add(self, value: Any, where: str) -> None:
        """Keep what a step gave."""
        weight = weight_of(value)
        self._spend(weight, where)
        self._values.append(value)
        self._weights.append(weight)

    def put_into(self, part: Any, where: str) -> Any:
        """Return an operand with results in the places where it names them."""
        try:
            # What is put in has levels of its own, and they add up.
            return freeze(self._filled(part, where), self._vat)
        except Unpassable as problem:
            raise BadArguments(f"bad-args: {where} makes what cannot cross: {problem}") from None

    def called(self, part: Any, where: str) -> Any:
        """Return what a step calls, which is not passed on."""
        return self._filled(part, where) if type(part) is Tagged else self.put_into(part, where)

    def _filled(self, part: Any, where: str) -> Any:
        kind = type(part)
        if kind is tuple:
            return tuple([self._filled(p, where) for p in part])
        if kind is FrozenMap:
            return FrozenMap({k: self._filled(v, where) for k, v in part.items()})
        if kind is not Tagged:
            return part
        if part.tag != RESULT:
            return Tagged(part.tag, self._filled(part.value, where))
        number = part.value
        if type(number) is not int or not 0 <= number < len(self._values):
            raise BadArguments(f"bad-args: {where} uses the result of a step that comes later")
        self._spend(self._weights[number], where)
        return self._values[number]

    def _spend(self, weight: int, where: str) -> None:
        self._left -= weight
        if self._left < 0:
            most = self._vat.limits.message_bytes
            raise BadArguments(f"bad-args: at {where} the values of this plan are more than {most} bytes")


def _row(function: Callable[..., Any]) -> Row:
    row = Row(Method(function, latch=True), Object)
    row.name = PLAN
    return row


#: What the table of every class has besides its own methods.
PLAN_ROW: Final = _row(_run)
LENT_PLAN_ROW: Final = _row(_run_lent)


def _step(verb: str, values: list[Any], root: Object, where: str) -> Any:
    match verb, values:
        case "call", (target, Symbol(name=name), tuple(args), FrozenMap() as kwargs):
            return _call(_near(target, root, where), name, args, dict(kwargs) or None, where)
        case "item", (FrozenMap() as struct, str(key)) if key in struct:
            return struct[key]
        case "item", (tuple(items), int(index)) if type(index) is int and 0 <= index < len(items):
            return items[index]
        case "select", (bool(condition), one, other):
            return one if condition else other
        case "not", (bool(value),):
            return not value
        case (("eq" | "ne"), (one, other)):
            return equal(one, other) is (verb == "eq")
    if verb in _OPERATORS and len(values) == (2 if verb in BINARY else 1):
        return _computed(verb, values, root._home.vat.limits.int_digits, where)
    raise BadArguments(f"bad-args: {where} does not fit its operands, or is no step of a plan")


def _near(target: Any, root: Object, where: str) -> Object:
    """Return the object that a step calls: the one the plan was sent to, or one beside it."""
    obj = target._anchor if isinstance(target, Ref) else target
    if (
        not isinstance(obj, Object)
        or obj._home is not root._home
        or obj._entry.capsule != root._entry.capsule
    ):
        raise Refused(f"{where} calls what is not near: a plan is one turn of one vat; send to it instead")
    if obj._latch is not None:
        look_into(root._home.vat, obj)
        raise Refused(f"{where} calls an object that is busy: an async method of it has not finished")
    return obj


def _call(obj: Object, name: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None, where: str) -> Any:
    row, args = find(obj, name, args)
    if row.is_fiber:
        raise Refused(f"{where} calls {name}(), which may wait: a plan calls def methods only")
    thunk = row.thunk or compile_thunk(row)
    return obj._home.vat.turns.result(row, thunk(obj, args, kwargs))


def _computed(verb: str, values: list[Any], digits: int, where: str) -> Any:
    kinds = {type(value) for value in values}
    numbers = kinds <= {int, float}
    fits = numbers or (verb in _COMPARE and len(kinds) == 1 and kinds <= set(_ORDERED))
    if not fits and not (verb == "add" and len(kinds) == 1 and kinds <= set(_JOINED)):
        names = ", ".join(type(value).__name__ for value in values)
        raise BadArguments(f"bad-args: {where} cannot {verb} {names}")
    try:
        result = _OPERATORS[verb](*values)
    except ArithmeticError as problem:
        raise BadArguments(f"bad-args: {where}: {problem}") from None
    # Eight bits hold more than two digits, so most are told apart without the power.
    if type(result) is int and result.bit_length() > digits * 3 and abs(result) >= 10**digits:
        raise BadArguments(f"bad-args: {where} gives an integer of more than {digits} digits")
    return result
