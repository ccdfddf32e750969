"""What ``captp.outside`` does in a process trustee: as in any vat, and its process ends all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp import E
from captp.errors import BrokenTrustee
from captp.run.process import ProcessTrustee
from tests.e2e.process_errands import Errands, Watch
from tests.e2e.process_things import Spy, Tally

TURN_S = 0.5


@asynccontextmanager
async def opened(
    turn_s: float = 5.0, limits: captp.Limits | None = None
) -> AsyncIterator[tuple[ProcessTrustee, Any, Any]]:
    """A trustee with an object that leaves its loop and one that watches it."""
    with trio.fail_after(40):
        async with (
            captp.open_vat(limits=limits) as vat,
            vat.trustee("process", [Errands, Watch], turn_s=turn_s) as trustee,
        ):
            _, errands = await trustee._new(Errands, (), {})
            _, watch = await trustee._new(Watch, (), {})
            yield trustee, errands, watch


async def test_an_async_function_runs_there_and_not_in_the_thread_of_the_turns() -> None:
    async with opened() as (trustee, errands, _):
        assert list(await E(errands).do("where", [])) == [trustee.stats().pid, False]


async def test_trio_is_loaded_by_the_first_outside_call_and_no_sooner() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally, Spy]) as trustee:
        tally, spy = await trustee.entrust_new(Tally), await trustee.entrust_new(Spy)

        before = await spy.apply(Spy.place)
        await tally.launch(Tally.outside)
        after = await spy.apply(Spy.place)

    assert [before[3], after[3]] == [False, True]


async def test_turns_go_on_while_a_plain_function_blocks() -> None:
    async with opened() as (_, errands, watch):
        waiting = E(errands).do("wait_for_opening", [])
        assert await E(watch).until("began")

        await E(watch).open()

        assert await waiting is True


@pytest.mark.parametrize("name", ["meet", "meet_in_threads"])
async def test_two_run_at_once(name: str) -> None:
    async with opened() as (trustee, one, _):
        _, other = await trustee._new(Errands, (), {})

        met = [E(one).do(name, []), E(other).do(name, [])]

        assert [await promise for promise in met] == [2, 2]


@pytest.mark.parametrize("name", ["fail", "fail_in_thread"])
async def test_an_exception_breaks_the_promise_and_no_more(name: str) -> None:
    async with opened() as (trustee, errands, _):
        with pytest.raises(captp.RemoteFault, match="a mistake outside"):
            await E(errands).do(name, [])

        assert list(await E(errands).do("where", [])) == [trustee.stats().pid, False]


async def test_a_result_that_cannot_cross_breaks_the_promise() -> None:
    async with opened() as (_, errands, _):
        with pytest.raises(captp.RemoteFault) as caught:
            await E(errands).do("misfit", [])

    assert caught.value.class_name == "Unpassable"


async def test_a_function_has_no_vat() -> None:
    async with opened() as (_, errands, _):
        with pytest.raises(captp.RemoteFault) as caught:
            await E(errands).do("ask_for_the_vat", [])

    assert caught.value.class_name == "UsageError"


async def test_letting_go_of_the_result_cancels_the_function() -> None:
    async with opened() as (_, errands, watch):
        waiting = E(errands).do("stay", [])
        assert await E(watch).until("began")
        assert not await E(watch).seen("left")

        del waiting

        assert await E(watch).until("left")


async def test_within_gives_up_on_a_function_and_cancels_it() -> None:
    async with opened() as (_, errands, watch):
        assert await E(errands).give_up(0.05) == "gave up"
        assert await E(watch).until("left")


async def test_a_function_that_nobody_waits_for_goes_on_to_its_end() -> None:
    async with opened() as (_, errands, watch):
        assert await E(errands).send_off() == "sent"
        assert await E(watch).until("ended")
        # Also when the loop is there already and takes it at once.
        await E(watch).forget("ended")
        assert await E(errands).send_off() == "sent"
        assert await E(watch).until("ended")


async def test_outcomes_wake_a_vat_that_waits() -> None:
    async with opened() as (_, errands, _):
        await E(errands).again_and_again(1)
        began = trio.current_time()
        assert await E(errands).again_and_again(40) == 40

    # By itself the vat looks four times a second.
    assert trio.current_time() - began < 5


async def test_the_clock_of_a_vat_goes_on_while_outcomes_come_without_end() -> None:
    async with opened() as (trustee, sleeper, _):
        some = [(await trustee._new(Errands, (), {}))[1] for _ in range(8)]
        await E(some[0]).again_and_again(1)
        began = trio.current_time()

        busy = [E(one).without_end() for one in some]
        assert await E(sleeper).nap(0.1) == "slept"
        slept = trio.current_time() - began
        del busy

    assert 0.1 <= slept < 3


@pytest.mark.parametrize("name", ["sleep", "sleep_in_thread"])
async def test_a_function_may_take_longer_than_a_turn(name: str) -> None:
    async with opened(TURN_S) as (trustee, errands, _):
        pid = trustee.stats().pid
        began = trio.current_time()

        await getattr(E(errands), name)(3 * TURN_S)

        assert trio.current_time() - began >= 3 * TURN_S
        assert trustee.stats().pid == pid


@pytest.mark.parametrize("name", ["stay", "wait_long"])
async def test_a_stuck_turn_is_killed_while_a_function_waits(name: str) -> None:
    async with opened(TURN_S) as (_, errands, watch):
        waiting = E(errands).do(name, [])
        assert await E(watch).until("began")

        await killed_in_time(watch)

        with pytest.raises(captp.Disconnected, match="its turn ran over"):
            await waiting


async def test_functions_that_end_meanwhile_do_not_prolong_a_stuck_turn() -> None:
    async with opened(TURN_S) as (trustee, errands, watch):
        sleepers = [(await trustee._new(Errands, (), {}))[1] for _ in range(60)]
        assert await E(errands).again_and_again(1) == 1
        naps = [E(one).sleep(0.05 * (at + 1)) for at, one in enumerate(sleepers)]

        await killed_in_time(watch)

        with pytest.raises(captp.Disconnected):
            await naps[-1]


async def killed_in_time(watch: Any) -> None:
    began = trio.current_time()
    with pytest.raises(captp.Disconnected, match="its turn ran over"):
        await E(watch).hang()
    assert TURN_S <= trio.current_time() - began < TURN_S + 1.5


@pytest.mark.parametrize("name", ["stay", "stay_for_good", "wait_long"])
async def test_a_trustee_ends_promptly_and_by_itself_with_a_function_under_way(
    name: str, tmp_path: Path
) -> None:
    left = tmp_path / "left"
    args = [str(left)] if name == "stay" else []
    async with opened() as (trustee, errands, watch):
        waiting = E(errands).do(name, args)
        assert await E(watch).until("began")
        began = trio.current_time()
    took = trio.current_time() - began
    with pytest.raises(captp.Broken):
        await waiting

    assert trustee.why_broken() == "exited with status 0"
    assert took < 3
    assert left.exists() is (name == "stay")


async def test_a_function_that_exits_ends_the_process() -> None:
    async with opened() as (trustee, _, _):
        handle = await trustee.entrust_new(Errands)
        with pytest.raises(BrokenTrustee, match="exited with status"):
            await handle.launch(Errands.do, "leave", [])


async def test_a_function_has_the_stack_that_the_recursion_limit_needs() -> None:
    async with opened() as (_, errands, _):
        assert await E(errands).do("recur", []) == "deep enough"


async def test_one_call_too_many_is_refused_until_another_has_ended() -> None:
    async with opened(limits=captp.Limits(outside_calls=2)) as (trustee, errands, watch):
        _, other = await trustee._new(Errands, (), {})
        waiting = E(errands).do("stay", [])
        assert await E(watch).until("began")

        # One after another they are never more than two.
        assert await E(other).again_and_again(200) == 200
        too_many = [E(other).do("wait_for_opening", [])]
        with pytest.raises(captp.Overloaded, match="outside-full: 2 outside calls"):
            await E(watch).until("opened")
        await E(watch).open()
        assert await too_many[0] is True
        del waiting
        assert await E(watch).until("left")
