"""Who waits for whom, where the last to wait waits for no object himself, and how far that is followed."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.vat.latches import DEEPEST
from tests.support import Solo, outcome


class Between(captp.Object):
    @captp.method(latch=False)
    async def pass_on(self, target: Any) -> Any:
        return await captp.E(target).number()

    @captp.method(latch=False)
    async def wait(self, what: Any) -> Any:
        return await what


class Holder(captp.Object):
    count: int = 0

    @captp.method
    def number(self) -> int:
        self.count += 1
        return self.count

    @captp.method
    async def ask(self, between: Any, me: Any, when: captp.Promise[None]) -> Any:
        asked = captp.E(between).pass_on(me)
        await when
        return await asked

    @captp.method
    async def hold(self, when: Any) -> Any:
        return await when


def test_a_ring_is_found_when_the_last_to_wait_waits_for_another_fiber() -> None:
    solo = Solo()
    holder, between = solo.ref(Holder()), solo.ref(Between())
    when, resolver = solo.promise()
    promise = captp.E(holder).ask(between, holder, when)
    solo.vat.want(promise)
    solo.run()
    assert not promise.settled
    resolver.fulfill(None)
    solo.run()

    with pytest.raises(captp.Deadlock):
        outcome(promise)
    assert solo.vat.latches.dump() == []
    assert not solo.vat.turns.fibers


@pytest.mark.parametrize("deep", [DEEPEST - 2, 4 * DEEPEST])
def test_fibers_that_wait_one_for_another_are_followed_so_far(deep: int) -> None:
    solo = Solo()
    holder, between = solo.ref(Holder()), solo.ref(Between())
    first, resolver = solo.promise()
    last: Any = first
    chain = []
    for _ in range(deep):
        last = captp.E(between).wait(last)
        chain.append(last)
    solo.run()
    held = captp.E(holder).hold(last)
    solo.run()
    number = captp.E(holder).number()
    resolver.fulfill(number)
    solo.run()

    # A longer ring is not looked for: what its walk costs, a peer could have done for each of its calls.
    assert number.settled is (deep < DEEPEST)
    assert held.settled is number.settled
    if number.settled:
        with pytest.raises(captp.Deadlock):
            outcome(number)
