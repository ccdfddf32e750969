"""Finds references in what sessions give, and puts others in their place; it knows no tables."""

from __future__ import annotations

from typing import Any

from captp.model.object import Object
from captp.model.promise import Message, Promise, Settlement
from captp.model.ref import Far, Ref
from captp.model.values import Fault, FrozenMap, Tagged
from captp.session.inbound import ControlCall


def has_key(anchor: Any) -> bool:
    """Tell whether something can be exported by a number: an object of a vat, or what is imported."""
    return isinstance(anchor, Object) or (
        type(anchor) is Far and anchor.broken is None and anchor.entry is not None
    )


def references(value: Any) -> list[Ref]:
    """Return the references in what a session gave, each as often as it is there."""
    found: list[Ref] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Ref):
            found.append(one)
        else:
            waiting += _parts(one)
    return found


def _parts(value: Any) -> list[Any]:
    kind = type(value)
    if kind is tuple:
        return list(value)
    if kind is FrozenMap:
        return list(value.values())
    if kind is Tagged:
        return [value.value]
    if kind is Fault:
        return [value.data]
    if kind is ControlCall:
        return [value.message]
    if kind is Settlement:
        return [value.value]
    if isinstance(value, Message):
        return [value.target, value.args, value.kwargs]
    return []


def without(value: Any, obj: Any, gone: Promise[Any]) -> Any:
    """Return something that a session gave, with a broken reference for each to ``obj``."""
    kind = type(value)
    if isinstance(value, Ref):
        return gone if value._anchor is obj else value
    if kind is tuple:
        return tuple([without(one, obj, gone) for one in value])
    if kind is FrozenMap:
        return FrozenMap((k, without(one, obj, gone)) for k, one in value.items())
    if kind is Tagged:
        return Tagged(value.tag, without(value.value, obj, gone))
    if kind is Fault:
        return Fault(value.message, without(value.data, obj, gone), value.incident)
    if kind is ControlCall:
        without(value.message, obj, gone)
    elif kind is Settlement:
        value.value = without(value.value, obj, gone)
    elif isinstance(value, Message):
        value.target = without(value.target, obj, gone)
        value.args = without(value.args, obj, gone)
        value.kwargs = without(value.kwargs, obj, gone)
    return value
