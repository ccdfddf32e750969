"""What a batch tells its driver: whom to wake, what to run outside, when to come back, what has changed."""

from __future__ import annotations

import pytest

import captp
from captp.model.send import E
from captp.peer.outputs import Call, Woken, Write
from tests.unit.peer.pair import Counter, outcome, pair


class Waiter(captp.Object):
    """Asks for what only a driver can give."""

    @captp.method
    def outside(self) -> captp.Promise[str]:
        return captp.outside(str.upper, "word")

    @captp.method
    async def nap(self) -> None:
        await captp.sleep(2)


def test_nothing_leaves_before_drain_for_peers_or_for_local_callers() -> None:
    it = pair()
    local = it.a.vat.reference(Counter())
    it.a.want(E(local).add(1), "local caller")
    it.ref.add(1)
    it.a.woken.clear()

    it.a.peer.run(1_000)
    before = (list(it.a.woken), bytes(it.wire.far.inbox))
    batch = it.a.peer.drain()

    assert before == ([], b"")
    assert {type(o) for o in batch.outputs} == {Woken, Write}
    assert it.a.peer.drain().outputs == []


def test_outside_calls_reach_the_driver_after_the_commit_and_can_be_scripted() -> None:
    it = pair()
    ref = it.b.vat.reference(Waiter())
    result = it.b.want(E(ref).outside(), "caller")
    it.net.rest()

    (call,) = it.b.calls
    woken = list(it.b.woken)
    it.b.vat.settle(call.promise, 1, "a scripted answer")
    it.net.rest()

    assert isinstance(call, Call)
    assert (call.function, call.args) == (str.upper, ("word",))
    assert woken == []
    assert outcome(result) == "a scripted answer"
    assert it.b.woken == ["caller"]


def test_a_wake_is_asked_for_with_its_time() -> None:
    it = pair()

    it.b.want(E(it.b.vat.reference(Waiter())).nap())
    batch = it.b.run()

    assert batch.wake_at == pytest.approx(it.net.now + 2)
