"""Plans: a critical section recorded as data, so that it can run where its object is; no code travels.

``record`` runs a function once with a stand-in for the object. What the function does with it becomes
steps, each on the results of earlier ones; what it returns is the plan's result. A plan is passable:
``(steps, result)``, where a step is ``(verb, operands...)`` and ``Tagged("captp:step", n)`` stands for
the result of step n, 0 for the object itself. See vat/plans.py for how it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from captp.errors import UsageError
from captp.model.containers import List
from captp.model.values import Symbol, Tagged

__all__ = ["BINARY", "MANY", "PLAN", "RESULT", "UNARY", "Recorder", "record", "select"]

#: The method name of a plan; no object can have it.
PLAN: Final = "captp:plan"

#: The method name of a batch of calls; see vat/many.py.
MANY: Final = "captp:many"

#: The tag of an operand that is the result of a step.
RESULT: Final = "captp:step"

#: Steps that a plan made here has at most; a host has its own limit.
MOST_STEPS: Final = 256

#: Operators of two operands and of one, by the name of their step.
BINARY: Final = ("add", "sub", "mul", "truediv", "floordiv", "mod", "eq", "ne", "lt", "le", "gt", "ge")
UNARY: Final = ("neg", "abs", "not")

_ADVICE: Final = {
    "bool": "a plan has no branches: use captp.select(condition, one, other), or ask first and plan then",
    "len": "send len() as a method of the object, or await the value first",
    "iter": "a plan has no loops over what is not here: let a method of the object do it",
    "hash": "what a step gives is not known here: use it as an argument or an operand only",
    "str": "what a step gives is not known here: return it from the plan and format it then",
    "int": "what a step gives is not known here: return it from the plan and convert it then",
    "await": "a plan is one turn and waits for nothing: call def methods, and await the whole plan",
    "with": "a plan has no blocks: it is all or nothing by itself",
    "set": "a plan changes objects by their methods only",
    "foreign": "it belongs to another plan",
    "power": "a plan has + - * / // % and comparisons: let a method of the object do the rest",
    "escape": "it belongs to a plan that has been recorded already",
    "slice": "a plan takes one entry, by its index or its key: let a method of the object do the rest",
    "call": "a plan calls methods of objects by their names",
    "copy": "what a step gives is not known here: there is nothing to copy or serialise",
}


class _Tape:
    """The steps of one plan while it is recorded."""

    __slots__ = ("is_done", "steps")

    def __init__(self) -> None:
        self.steps: list[tuple[Any, ...]] = []
        self.is_done = False

    def add(self, *step: Any) -> Recorder:
        if self.is_done:
            _refuse("escape")
        if len(self.steps) >= MOST_STEPS:
            raise UsageError(f"a plan has at most {MOST_STEPS} steps: let a method of the object do the work")
        self.steps.append(tuple(self.operand(part) for part in step))
        return Recorder(self, len(self.steps))

    def operand(self, value: Any) -> Any:
        """Return a value as it stands in a plan, with recorders inside it as results of steps."""
        kind = type(value)
        if kind is Recorder:
            tape, number = object.__getattribute__(value, "_captp_at")
            if tape is not self:
                _refuse("escape" if tape.is_done else "foreign")
            return Tagged(RESULT, number)
        if kind is _Method:
            value.refuse()
        if kind is Tagged:
            if value.tag == RESULT:
                raise UsageError(f"the tag {RESULT!r} stands for the result of a step here")
            return Tagged(value.tag, self.operand(value.value))
        if kind is list or kind is tuple or kind is List:
            return tuple(self.operand(part) for part in value)
        if isinstance(value, dict):
            return {key: self.operand(part) for key, part in value.items()}
        return value


def _refuse(what: str) -> NoReturn:
    raise UsageError(f"this is recorded to run where the object is, so it cannot be used so; {_ADVICE[what]}")


def _refusal(what: str) -> Callable[..., NoReturn]:
    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        _refuse(what)

    return refuse


class Recorder:
    """Stands for a value that a plan will have when it runs; what is done with it is written down.

    ``r.method(...)`` calls a marked ``def`` method; ``r[key]`` looks into a struct or a list; the
    operators of ``BINARY`` and ``UNARY`` compute. Everything that would need the value now raises.
    """

    __slots__ = ("_captp_at",)

    def __init__(self, tape: _Tape, number: int) -> None:
        object.__setattr__(self, "_captp_at", (tape, number))

    def __getattr__(self, name: str) -> Callable[..., Recorder]:
        if name.startswith("_"):
            raise AttributeError(f"{name}: names that start with _ are no methods of a reference")
        return _Method(self, name)

    def __getitem__(self, key: Any) -> Recorder:
        if type(key) is slice:
            _refuse("slice")
        return _tape(self).add("item", self, key)

    __setattr__ = __setitem__ = __delattr__ = __delitem__ = _refusal("set")
    __bool__ = __contains__ = _refusal("bool")
    __len__ = _refusal("len")
    __iter__ = __reversed__ = __next__ = _refusal("iter")
    __hash__ = _refusal("hash")
    __str__ = __format__ = __bytes__ = _refusal("str")
    __int__ = __float__ = __index__ = __complex__ = __round__ = __trunc__ = _refusal("int")
    __pow__ = __rpow__ = __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refusal("power")
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _refusal("power")
    __matmul__ = __rmatmul__ = __divmod__ = __rdivmod__ = __pos__ = _refusal("power")
    __call__ = _refusal("call")
    __reduce_ex__ = _refusal("copy")
    __await__ = __aiter__ = _refusal("await")
    __enter__ = __exit__ = __aenter__ = __aexit__ = _refusal("with")

    def __repr__(self) -> str:
        return f"<step {object.__getattribute__(self, '_captp_at')[1]} of a plan>"


def _tape(recorder: Recorder) -> _Tape:
    tape: _Tape = object.__getattribute__(recorder, "_captp_at")[0]
    return tape


def _operator(verb: str, *, reflected: bool = False) -> Callable[..., Recorder]:
    def apply(self: Recorder, *other: Any) -> Recorder:
        operands = (*other, self) if reflected else (self, *other)
        return _tape(self).add(verb, *operands)

    return apply


for _verb in BINARY:
    setattr(Recorder, f"__{_verb}__", _operator(_verb))
    if _verb not in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Recorder, f"__r{_verb}__", _operator(_verb, reflected=True))
for _name, _verb in (("neg", "neg"), ("abs", "abs"), ("invert", "not")):
    setattr(Recorder, f"__{_name}__", _operator(_verb))


class _Method:
    """A method of a recorded value before it is called; like a plain attribute it is good for nothing else.

    A mere function would be true, and equal to nothing, without a word.
    """

    __slots__ = ("_name", "_of")

    def __init__(self, of: Recorder, name: str) -> None:
        object.__setattr__(self, "_of", of)
        object.__setattr__(self, "_name", name)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Recorder:
        return _tape(self._of).add("call", self._of, Symbol(self._name), args, kwargs)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(f"{name}: names that start with _ are no methods of a reference")
        self.refuse()

    def refuse(self, *_args: Any) -> NoReturn:
        raise UsageError(
            f"{self._name} stands for a method of an object that is elsewhere, and is not called: write"
            f" {self._name}(); fields can be read by methods only"
        )

    def __repr__(self) -> str:
        return f"<method {self._name} of {self._of!r}>"


# Whatever can be done with a recorded value, and what it refuses, a method of it refuses.
for _name in vars(Recorder).keys() - vars(_Method).keys() - {"_captp_at"}:
    setattr(_Method, _name, _Method.refuse)
for _name in ("__eq__", "__hash__"):
    setattr(_Method, _name, _Method.refuse)


def select(condition: Any, one: Any, other: Any) -> Any:
    """Choose by a condition that is known only where the plan runs; both values are computed there."""
    for part in (condition, one, other):
        if type(part) is Recorder:
            return _tape(part).add("select", condition, one, other)
    return one if condition else other


def record(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Return what a function does with its first argument as a plan; raises UsageError with advice."""
    tape = _Tape()
    try:
        result = tape.operand(function(Recorder(tape, 0), *args, **kwargs))
    finally:
        tape.is_done = True
    return (tuple(tape.steps), result)
