"""Promises for what stays in its vat: they are awaited there, and leave by no way."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.model.promise import FULFILLED, Kept, Settlement
from tests.support import Solo, outcome


class Odd:
    """No value that could cross a border."""


class Taker(captp.Object):
    kept: Any = None
    typed: captp.Promise[int] | None = None
    all: captp.List[Any]

    @captp.method
    def take(self, value: Any) -> Any:
        return value


def test_a_promise_for_what_stays_is_refused_at_every_border() -> None:
    solo = Solo()
    promise: Any = Kept(solo.vat)
    resolver = solo.promise()[1]
    taker = Taker()
    ref = solo.ref(taker)

    for way in (
        lambda: captp.E(ref).take(promise),
        lambda: captp.E(ref).take([{"deep": promise}]),
        lambda: resolver.fulfill(promise),
        lambda: Taker(kept=promise),
        lambda: Taker(kept=(promise,)),
        lambda: Taker(typed=promise),
        lambda: Taker(all=[promise]),
    ):
        with pytest.raises(captp.Unpassable, match="await it"):
            way()


def test_what_follows_one_in_time_stays_too_and_steps_into_it_break() -> None:
    solo = Solo()
    promise: Any = Kept(solo.vat)
    follower = solo.turn(lambda: captp.within(5, promise))
    field, call = promise["field"], captp.E(promise).method()
    solo.vat.emit(Settlement(promise, FULFILLED, Odd()))
    solo.run()

    assert type(follower) is Kept
    assert type(outcome(follower)) is Odd
    for step in (field, call):
        with pytest.raises(captp.Broken, match=r"bad-select|not-callable"):
            outcome(step)
