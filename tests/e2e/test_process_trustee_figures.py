"""What a process trustee says of its own loop, and what becomes of it when that is busy, gone or lying."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from attrs import asdict, evolve

import captp
from captp.peer.load import CLASSES
from captp.run.process_figures import figures_heard
from tests.e2e.process_things import Liar, Tally, Trouble


async def test_a_process_says_how_busy_its_own_loop_is() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        tally = await trustee.entrust_new(Tally)
        before = await trustee.figures()
        for _ in range(5):
            await tally.apply(Tally.add, 1)
        await tally.apply(Tally.work, 0.05)
        after = await trustee.figures()
        loads = await vat.trustee_loads()

    assert before is not None
    assert after is not None
    # The five, the work, and what said it.
    assert after.turns - before.turns == 7
    assert 0.05 <= after.longest_batch_s <= after.busy_s - before.busy_s < after.age_s - before.age_s
    assert (after.depth, after.zero_hop, after.cancelled) == (0, 0, 0)
    assert list(loads) == ["process-1"]
    assert loads["process-1"].turns == after.turns + 1


async def test_a_process_in_a_long_turn_says_nothing_in_time_and_a_lost_one_nothing() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally, Trouble]) as trustee:
        tally = await trustee.entrust_new(Tally)
        trouble = await trustee.entrust_new(Trouble)
        async with vat.trustee("thread"), trio.open_nursery() as nursery:
            nursery.start_soon(tally.apply, Tally.work, 0.5)
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            assert (await trustee.figures(0.05), await vat.trustee_loads(0.05)) == (None, {})
            assert trio.current_time() - began < 0.4
        assert await trustee.figures() is not None

        async with trio.open_nursery() as nursery:

            async def leave() -> None:
                with pytest.raises(captp.BrokenTrustee):
                    await trouble.apply(Trouble.leave, 3)

            nursery.start_soon(leave)
            await trio.testing.wait_all_tasks_blocked()
            assert await trustee.figures() is None
        assert await trustee.figures() is None
    assert await trustee.figures() is None


async def test_what_a_process_says_that_is_no_figures_harms_nobody() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Liar, Tally]) as trustee:
        liar, tally = await trustee.entrust_new(Liar), await trustee.entrust_new(Tally)
        for what in (None, 7, {}, {"turns": 1}, [1] * 50, "x" * 10000):
            await liar.apply(Liar.say, what)
            assert (await trustee.figures(), await vat.trustee_loads()) == (None, {})
        await liar.apply(Liar.say_itself)
        assert await trustee.figures() is None
        await liar.apply(Liar.say_nothing)
        assert await trustee.figures() is None
        assert await tally.apply(Tally.add, 1) == 1


async def test_figures_are_heard_only_with_every_field_as_it_should_be() -> None:
    async with captp.open_vat() as vat:
        stats = vat.view().load
    said: dict[str, Any] = asdict(stats)

    assert figures_heard(said) == stats
    for name, value in said.items():
        assert figures_heard({k: v for k, v in said.items() if k != name}) is None
        wrong: list[Any] = [
            None,
            "1",
            True,
            -1,
            -0.5,
            float("nan"),
            float("inf"),
            1 << 62,
            (-1,),
            (0,) * 41,
            [1],
        ]
        if not isinstance(value, tuple):
            wrong.append(())
        wrong += [{"a b": 1.0}, {"\x1b": 1.0}, {1: 1.0}, {"a": 1}, {"a": -1.0}, {"a" * 200: 1.0}]
        if not isinstance(value, dict):
            wrong.append({})
        for other in wrong:
            assert figures_heard({**said, name: other}) is None, (name, other)
    assert figures_heard({**said, "more": 1}) is None
    most = {f"C{number}": 1.0 for number in range(CLASSES + 1)}
    assert figures_heard({**said, "classes": most}) == evolve(stats, classes=most)
    assert figures_heard({**said, "classes": {**most, "more": 1.0}}) is None
