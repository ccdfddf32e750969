"""What an open vat tells of its load, and of the trustees beside its loop."""

from __future__ import annotations

import time
from typing import Any

import pytest
import trio
import trio.testing
from attrs import evolve

import captp
from captp.net.tcp import TcpNetlayer
from captp.vat.delegation import BUDGET


class Till(captp.Object):
    total: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.total += amount
        return self.total

    @captp.method
    def grind(self, seconds: float) -> None:
        time.sleep(seconds)


async def test_the_loop_of_a_vat_tells_of_its_turns_and_of_a_batch_that_took_long() -> None:
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as client:
        till = captp.E(client.enliven(host.mint(Till())))
        before = host.view().load
        await till.add(1)
        quick = host.view().load
        await till.grind(0.06)
        slow = host.view().load
        there = client.view().load

    assert (quick.turns - before.turns, slow.turns - quick.turns) == (1, 1)
    assert (quick.batches - before.batches, slow.batches - quick.batches) == (1, 1)
    assert quick.longest_batch_s < 0.06 <= slow.longest_batch_s
    assert 0.06 <= slow.busy_s - quick.busy_s < slow.age_s - quick.age_s + 0.01
    assert (there.turns, there.busy_s > 0) == (0, True)


async def test_what_arrives_at_once_shows_as_high_water_and_as_a_wait() -> None:
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as client:
        till = captp.E(client.enliven(host.mint(Till())))
        await till.add(1)
        calls = [till.grind(0.05), *(till.add(1) for _ in range(20))]
        await calls[-1]
        load = host.view().load

    assert load.high_water == 21
    assert load.depth == 0
    assert 0.05 <= load.longest_wait_s < load.age_s


@pytest.mark.parametrize("calls", [BUDGET - 1, BUDGET, BUDGET + 1, 3 * BUDGET + 1])
async def test_calls_that_run_at_once_are_counted_though_nothing_is_done_for_each(calls: int) -> None:
    async with captp.open_vat() as vat:
        trust = vat.entrust(Till())
        for _ in range(calls):
            await trust.apply(Till.add, 1)
        load = vat.view().load

    assert (load.zero_hop, load.turns) == (calls, 0)


async def test_trustees_are_listed_by_name_with_their_figures_while_they_are_open() -> None:
    async with captp.open_vat() as vat:
        alone = vat.view().trustees
        async with vat.trustee("thread") as first, vat.trustee("thread", quota=1):
            await (await first.entrust_new(list)).apply(len)
            both = vat.view().trustees
            assert evolve(both["thread-1"], age_s=0.0) == evolve(first.stats(), age_s=0.0)
            assert 0 < both["thread-1"].age_s < first.stats().age_s
        async with vat.trustee("thread"):
            later = list(vat.view().trustees)

    assert (list(alone), list(both), later) == ([], ["thread-1", "thread-2"], ["thread-3"])
    assert (both["thread-1"].turns, both["thread-2"].turns) == (2, 0)


async def test_a_trustee_whose_block_fails_is_listed_no_more() -> None:
    async with captp.open_vat() as vat:
        with pytest.raises(ValueError, match="enough"):
            async with vat.trustee("thread"):
                raise ValueError("enough")
        with trio.move_on_after(0):
            async with vat.trustee("thread"):
                await trio.sleep_forever()

        assert list(vat.view().trustees) == []


class Gate(captp.Object):
    @captp.method
    async def hold(self, until: captp.Promise[None]) -> None:
        await until

    @captp.method
    def look(self) -> None:
        """Do nothing in a turn."""


async def test_calls_that_were_called_off_and_those_refused_are_counted() -> None:
    limits = captp.Limits(backlog=3)
    async with captp.open_vat(listen=[TcpNetlayer()], limits=limits) as host, captp.open_vat() as client:
        gate, (until, opens) = Gate(), host.promise()
        far = captp.trust(await client.enliven(host.mint(gate)), Gate)
        near = host.entrust(gate)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.launch, Gate.hold, until)
            await trio.testing.wait_all_tasks_blocked(0.01)
            for handle in (near, far):
                # It waits for the object, and its caller does not wait for it.
                with trio.move_on_after(0.05):
                    await handle.apply(Gate.look)
            with trio.fail_after(10):
                while not host.peer.vat.settling.called_off:
                    await trio.sleep(0)
            opens.fulfill(None)
        await near.apply(Gate.look)
        await far.apply(Gate.look)
        for _ in range(3):
            near.apply_then(Gate.look)
        with pytest.raises(captp.Overloaded):
            near.apply_then(Gate.look)
        load = host.view().load

    assert (load.cancelled, load.overloads) == (2, 1)


async def test_how_long_a_fiber_had_its_object_to_itself_is_told_while_it_has_and_afterwards() -> None:
    async with captp.open_vat() as vat:
        (until, opens), near = vat.promise(), vat.entrust(Gate())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.launch, Gate.hold, until)
            await trio.sleep(0.03)
            during = vat.view().load
            opens.fulfill(None)
        await near.launch(Gate.hold, until)
        after = vat.view().load

    assert 0.02 < during.longest_hold_s == during.hold_s < during.age_s
    assert during.hold_s <= after.longest_hold_s <= after.hold_s < after.age_s


async def test_what_nobody_holds_any_more_is_counted_by_how_much_went_together() -> None:
    async with captp.open_vat() as vat, vat.trustee("thread") as trustee:
        near, far = ([owner.entrust(Till()) for _ in range(5)] for owner in (vat, vat))
        threads = [trustee.entrust(bytearray()) for _ in range(6)]
        alone = threads.pop()
        with trio.fail_after(5):
            await alone.apply(len)
            before = trustee.stats().reaped
            for handles in (near, far):
                handles.clear()
                await trio.testing.wait_all_tasks_blocked()
            threads.clear()
            while trustee.stats().reaped < before + 5:
                await trio.sleep(0)
        load, stats = vat.view().load, trustee.stats()

    assert (load.reaped, load.reaps) == (10, (0, 0, 0, 2))
    assert (stats.reaped, stats.live) == (before + 5, 2)
    assert 1 <= sum(stats.reaps) <= stats.reaped


def spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


class Back(captp.Object):
    @captp.method
    def work(self) -> None:
        spin(0.0004)


class Front(captp.Object):
    """Each of its turns leads to one behind it, in the same batch."""

    back: Any

    @captp.method
    def ask(self) -> None:
        spin(0.0001)
        captp.E(self.back).work()


@pytest.fixture
def many_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have more turns timed than are worth their cost."""
    monkeypatch.setattr("captp.peer.load.SAMPLED", 16)


@pytest.mark.usefixtures("many_samples")
async def test_one_turn_in_so_many_says_whose_class_takes_the_time() -> None:
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as client:
        front = captp.E(await client.enliven(host.mint(Front(back=host.export(Back())))))
        for _ in range(30):
            for call in [front.ask() for _ in range(30)]:
                await call
        await front.ask()
        load = host.view().load

    # Each sample is of a turn that takes so long at least, and stands for SAMPLED or more.
    assert set(load.classes) == {"Back", "Front"}
    assert load.classes["Back"] >= 16 * 0.0004
    assert load.classes["Front"] >= 16 * 0.0001


@pytest.mark.usefixtures("many_samples")
async def test_a_fiber_and_an_entrusted_object_are_sampled_too() -> None:
    async with captp.open_vat() as vat:
        plain, slow = vat.entrust([]), captp.E(vat.export(Napper()))
        for _ in range(200):
            await plain.apply_many([captp.Call(list.copy)] * 4)
            await slow.nap()

        assert set(vat.view().load.classes) == {"list", "Napper"}


class Napper(captp.Object):
    @captp.method
    async def nap(self) -> None:
        await captp.sleep(0)
        await captp.sleep(0)
