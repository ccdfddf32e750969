"""What a function may bring along to a trustee: the same in every place, but what belongs to a loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio

import captp
from captp import Call
from tests.trust.places import Place
from tests.trust.things import Counter, Plain


def capturing(held: Any) -> Callable[[Any], Any]:
    return lambda c: (held, c.get())[1]


def nested(held: Any) -> Callable[[Any], Any]:
    def inner() -> Any:
        return held

    return lambda c: (inner, c.get())[1]


def by_default(held: Any) -> Callable[[Any], Any]:
    def function(c: Any, /, keep: Any = held) -> Any:
        return (keep, c.get())[1]

    return function


def by_keyword_default(held: Any) -> Callable[[Any], Any]:
    def function(c: Any, /, *, keep: Any = held) -> Any:
        return (keep, c.get())[1]

    return function


#: Functions that bring what others may change, and the words that name it.
REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "a list": (capturing([1]), "'held' (list)"),
    "a dict": (capturing({"a": 1}), "'held' (dict)"),
    "a set": (capturing({1}), "'held' (set)"),
    "a bytearray": (capturing(bytearray(b"x")), "'held' (bytearray)"),
    "an object": (capturing(Plain()), "'held' (Plain)"),
    "an Object": (capturing(Counter()), "'held' (Counter)"),
    "a list in a tuple": (capturing((1, [2])), "'held' (list)"),
    "a captp.List": (capturing(captp.List([1])), "'held' (List)"),
    "a bound method of it": (capturing(Plain().get), "'held' (method)"),
    "a method of a list": (capturing([1].append), "'held' (list)"),
    "a partial of it": (capturing(partial(Plain.add, Plain())), "'held' (partial)"),
    "a closure in a closure": (nested([1]), "'inner()' (list)"),
    "a default": (by_default([1]), "(list)"),
    "a keyword default": (by_keyword_default({}), "(dict)"),
    "a bound method": (Plain().get, "'self' (Plain)"),
    "a bound method of a list": ([1].append, "'self' (list)"),
    "a partial": (partial(Plain.get), "partial"),
}

#: Values that nobody can change, and names that everybody has.
ACCEPTED: dict[str, Any] = {
    "None": None,
    "True": True,
    "an int": 3,
    "a float": 0.5,
    "a str": "text",
    "bytes": b"bytes",
    "a tuple": (1, ("two", None)),
    "a frozenset": frozenset({1, 2}),
    "a Symbol": captp.Symbol("symbol"),
    "a FrozenMap": captp.FrozenMap({"a": 1}),
    "a class": Plain,
    "a module": math,
    "a function": len,
}


async def test_what_others_may_change_is_refused_by_name(place: Place) -> None:
    found = {}
    for what, (fn, words) in REFUSED.items():
        with pytest.raises(captp.CaptureError) as caught:
            await place.trust.apply(fn)
        found[what] = words in str(caught.value)

    assert found == dict.fromkeys(REFUSED, True)
    assert await place.trust.apply(place.cls.add, 1) == 1


async def test_a_default_is_refused_by_the_name_of_its_parameter(place: Place) -> None:
    with pytest.raises(captp.CaptureError, match="'keep'"):
        await place.trust.apply(by_default([1]))


async def test_every_verb_refuses_it_and_nothing_runs(place: Place) -> None:
    trust, fn = place.trust, capturing([1])

    def fails(c: Any, *_: Any) -> Any:
        return (fn, c.add(1))[1]

    with pytest.raises(captp.CaptureError):
        await trust.apply_with(fails, (1, 2))
    with pytest.raises(captp.CaptureError):
        await trust.apply_many([Call(fails), Call(place.cls.get)])
    with pytest.raises(captp.CaptureError):
        trust.apply_then(fails)
    if place.ways.has_now:
        with pytest.raises(captp.CaptureError):
            trust.apply_now(fails)
    if place.ways.launches == "any":

        async def launched(_: Any) -> Any:
            return fn

        with pytest.raises(captp.CaptureError):
            await trust.launch(launched)
    assert await trust.apply(place.cls.get) == 0


async def test_of_many_calls_with_one_that_is_refused_none_runs(place: Place) -> None:
    with pytest.raises(captp.CaptureError):
        await place.trust.apply_many([Call(place.cls.add, 1), Call(capturing([1]))])
    assert await place.trust.apply(place.cls.get) == 0


async def test_what_nobody_can_change_may_come_along(place: Place) -> None:
    for what, value in ACCEPTED.items():
        for brings in (capturing, nested, by_default, by_keyword_default):
            assert await place.trust.apply(brings(value)) == 0, what
    step = 3
    assert await place.trust.apply(lambda c: c.add(step)) == 3


async def test_references_promises_and_handles_may_come_along_where_their_loop_is(place: Place) -> None:
    near = place.vat.export(Counter())
    promise, resolver = place.vat.promise()
    owned = {
        "a reference": near,
        "a promise": promise,
        "a resolver": resolver,
        "a handle": place.vat.entrust(Plain()),
    }

    for what, value in owned.items():
        for brings in (capturing, by_default):
            if place.ways.loop_capture is None:
                assert await place.trust.apply(brings(value)) == 0, what
            else:
                with pytest.raises(place.ways.loop_capture, match="loop"):
                    await place.trust.apply(brings(value))
    # A handle of the same kind may come along everywhere.
    other = await place.new()
    assert await place.trust.apply(capturing(other)) == 0


async def test_a_turn_may_use_what_it_brought(place: Place) -> None:
    other = await place.new()

    add = place.cls.add
    if place.ways.has_now:
        assert await place.trust.apply(lambda c: c.add(other.apply_now(add, 2))) == 2
    elif place.ways.runs_functions:
        with pytest.raises(captp.NotNow):
            await place.trust.apply(lambda c: c.add(other.apply_now(add, 2)))
    else:
        beside = await other.apply(lambda c: c)
        with trio.fail_after(5):
            # In a plan a reference to an object beside it is called as the object is.
            assert await place.trust.apply(lambda c, b: c.note(b), beside) == 1
        [noted] = await place.noted()
        assert captp.same(noted, beside)
