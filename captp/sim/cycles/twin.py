"""Copies a small world, and tells when two worlds are the same; it follows whatever their parts hold."""

from __future__ import annotations

from collections import Counter, deque
from operator import itemgetter
from random import Random
from types import MethodType, NoneType
from typing import Any

from captp.cycles import Cycles
from captp.limits import Limits
from captp.peer.cycles.ground import Holding, Import
from captp.peer.cycles.statements import Claims, Standing
from captp.sim.cycles.seals import Registry
from captp.sim.cycles.values import (
    Certificate,
    Deliver,
    Deposit,
    Far,
    Forget,
    Given,
    Mine,
    Own,
    Release,
    Result,
    Said,
    Side,
    Withdraw,
    Yours,
)

#: What never changes, or may be shared by all copies.
_PLAIN = {int, float, str, bytes, bool, NoneType, tuple, frozenset}
_SHARED = {Holding, Import, Claims, Standing, Cycles, Limits, Random, Registry}
_SAID = {Mine, Yours, Certificate, Result, Deliver, Deposit, Withdraw, Given, Release, Forget, Said}
_VALUES: set[type] = {*_PLAIN, *_SHARED, *_SAID, Own, Far, Side}

#: What does not tell two states of a world apart: what never changes, and what nothing is decided by.
_ASIDE = {
    *("counts", "registry", "instants", "agreed", "settings", "limits", "_limits", "random", "tap", "ground"),
    *("signatures", "_signatures", "seals", "jitter", "_jitter", "_read", "verdicts", "watched", "debts"),
    *("_c", "edges_of", "neighbours", "_actions", "_round", "_swept"),
}

_FIRST = itemgetter(0)
_fields: dict[type, list[str]] = {}


def _names(value: Any) -> list[str]:
    """Return the names of what an object holds."""
    kind = type(value)
    if kind not in _fields:
        slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
        _fields[kind] = [name for name in slots if name != "__weakref__"]
    return _fields[kind] or list(vars(value))


def twin(value: Any, known: dict[int, Any]) -> Any:
    """Return a copy that shares nothing with the original that may change."""
    kind = type(value)
    if kind in _VALUES:
        return value
    found = known.get(id(value))
    if found is not None:
        return found
    made: Any
    if kind is dict or kind is Counter:
        made = known[id(value)] = kind()
        for key, one in value.items():
            made[key] = one if type(one) in _VALUES else twin(one, known)
    elif kind is list or kind is deque or kind is set:
        made = known[id(value)] = kind([one if type(one) in _VALUES else twin(one, known) for one in value])
    elif hasattr(kind, "__next__"):
        # How far a walk over all has come: the copy begins it anew.
        made = iter(())
    elif kind is MethodType:
        made = MethodType(value.__func__, twin(value.__self__, known))
    else:
        made = known[id(value)] = object.__new__(kind)
        for name in _names(value):
            one = getattr(value, name, known)
            if one is not known:
                object.__setattr__(made, name, one if type(one) in _VALUES else twin(one, known))
    return made


def state(value: Any) -> Any:
    """Return something hashable that is equal for two worlds which nothing can tell apart from now on."""
    kind = type(value)
    if kind in _VALUES:
        return value
    if kind is dict or kind is Counter:
        named = [(repr(key), one if type(one) in _VALUES else state(one)) for key, one in value.items()]
        return tuple(sorted(named, key=_FIRST)) if len(named) > 1 else tuple(named)
    if kind is list or kind is deque:
        return tuple([one if type(one) in _VALUES else state(one) for one in value])
    if kind is set:
        return frozenset(value)
    parts = [getattr(value, name, None) for name in _names(value) if name not in _ASIDE]
    return tuple([one if type(one) in _VALUES else state(one) for one in parts])
