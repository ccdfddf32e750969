"""Objects in a process of their own: calls, plans and bytes reach them, and what the process has not."""

from __future__ import annotations

import math
import os
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp import Call, E
from captp.errors import Closed, UsageError
from captp.run.child_opening import START_S
from captp.run.process import FIRST_REST_S, LONGEST_REST_S, MOST_ENDS, WINDOW_S, open_process_trustee
from captp.run.threads import open_thread_trustee
from tests.e2e.process_things import Counted, Nested, Spy, Tally


async def test_calls_and_plans_run_in_another_process() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        tally = await trustee.entrust_new(Tally, count=5)

        assert await tally.apply(Tally.add, 2) == 7
        assert await tally.apply(lambda t: t.add(t.add(1))) == 16
        assert await tally.apply(Tally.work, 0.0) not in (0, os.getpid())
        with pytest.raises(captp.Refused, match="not today"):
            await tally.apply(Tally.refuse)
        with pytest.raises(captp.RemoteFault, match="a mistake"):
            await tally.apply(Tally.fail)
        assert await tally.apply(Tally.add, 0) == 16
        assert trustee.why_broken() is None


async def test_many_calls_are_answered_in_order() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        tally = await trustee.entrust_new(Tally)

        outcomes = await tally.apply_many([Call(Tally.add, 1) for _ in range(1000)])

        assert [o.unwrap() for o in outcomes] == list(range(1, 1001))


async def test_two_tasks_and_two_classes_share_one_process() -> None:
    totals: list[int] = []
    async with captp.open_vat() as vat, vat.trustee("process", [Nested.Inner, Tally]) as trustee:
        tally = await trustee.entrust_new(Tally)
        inner = await trustee.entrust_new(Nested.Inner)

        async def work() -> None:
            totals.extend([await tally.apply(Tally.add, 1) for _ in range(100)])

        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(work)

        assert sorted(totals) == list(range(1, 201))
        assert await inner.apply(Nested.Inner.name) == "Nested.Inner"
        assert trustee.stats().live == 2
        assert trustee.stats().restarts == 0


async def test_megabytes_cross_intact_both_ways_also_many_at_once() -> None:
    values = [os.urandom(3_000_000) for _ in range(4)]
    found: dict[int, bytes] = {}
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        tally = await trustee.entrust_new(Tally)

        async def cross(at: int) -> None:
            found[at] = await tally.apply(Tally.echo, values[at])

        async with trio.open_nursery() as nursery:
            for at in range(len(values)):
                nursery.start_soon(cross, at)

    assert [found[at] for at in range(len(values))] == values


async def test_a_value_of_more_than_the_hosts_usual_limit_crosses_where_the_vat_allows_it() -> None:
    limits = captp.Limits(message_bytes=64 << 20, in_flight_bytes=64 << 20)
    value = os.urandom(20_000_000)
    async with captp.open_vat(limits=limits) as vat, vat.trustee("process", [Tally]) as trustee:
        tally = await trustee.entrust_new(Tally)

        assert await tally.apply(Tally.echo, value) == value


async def test_more_results_than_buffers_hold_wait_for_their_reader() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        _, tally = await trustee._new(Tally, (), {})

        promises = [E(tally).blob(100_000) for _ in range(400)]
        sizes = [len(await promise) for promise in promises]

    assert sizes == [100_000] * 400


async def test_fibers_call_back_sleep_and_leave_their_loop() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally, Spy]) as trustee:
        tally = await trustee.entrust_new(Tally)
        spy = await trustee.entrust_new(Spy)
        here = Tally()

        assert await tally.launch(Tally.ask, vat.export(here)) == 3
        assert await tally.launch(Tally.outside) == await spy.apply(Spy.pid)
        assert here.count == 2


async def test_objects_of_two_trustees_reach_each_other_through_the_vat() -> None:
    async with (
        captp.open_vat() as vat,
        vat.trustee("process", [Tally]) as one,
        vat.trustee("process", [Tally]) as other,
    ):
        _, asked = await one._new(Tally, (), {})
        _, asks = await other._new(Tally, (), {})

        assert await E(asks).ask(asked) == 3
        assert await E(asks).echo(asked) == asked


class Owner(captp.Interface):
    """What gives a reference, which nobody asks for before it is awaited."""

    @captp.method
    def me(self) -> Counted: ...


class Middle(captp.Object):
    """Stands before an object in a process, on this side."""

    far: Owner
    near: Any

    @captp.method
    def find(self) -> Any:
        return self.far.me()

    @captp.method
    async def find_later(self) -> Any:
        found = self.far.me()
        await E(self.near).add(1)
        return found


@pytest.mark.parametrize("method", [Middle.find, Middle.find_later])
async def test_a_result_that_becomes_a_promise_of_the_process_is_asked_for(method: Any) -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        tally = await trustee.entrust_new(Tally)
        middle = vat.export(Middle(far=tally.reference, near=vat.export(Tally())))
        for count in (1, 2):
            with trio.fail_after(5):
                found = await getattr(E(middle), method.__name__)()
                assert await found.add(1) == count


async def test_an_object_goes_with_its_last_handle() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        kept, dropped = await trustee.entrust_new(Tally), await trustee.entrust_new(Tally)
        assert trustee.stats().live == 2

        dropped.drop()

        with trio.fail_after(5):
            while trustee.stats().live == 2:
                await trio.sleep(0.01)
        assert await kept.apply(Tally.add, 1) == 1
        assert trustee.stats().live == 1


async def test_a_child_reaches_nobody_but_its_parent() -> None:
    stranger = captp.PrivateKey.from_seed(os.urandom(32)).public.designator
    uri = f"ocapn://{stranger}.unix/s/AAAA?exts=mp1&path=%2Ftmp%2Fsock"
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        tally = await trustee.entrust_new(Tally)

        with pytest.raises(captp.Disconnected, match="reaches nobody"):
            await tally.launch(Tally.reach, uri)


async def test_a_child_inherits_its_socket_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hush")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        async with captp.open_vat() as vat, vat.trustee("process", [Spy]) as trustee:
            spy = await trustee.entrust_new(Spy)
            files = dict(await spy.apply(Spy.files))
            names = await spy.apply(Spy.environment)
            folder, parent, words, has_trio = await spy.apply(Spy.place)

            with pytest.raises(captp.RemoteFault, match="File too large"):
                await spy.apply(Spy.write, str(tmp_path / "written"))

    assert [files.pop(number) for number in "01"] == [os.devnull] * 2
    assert files.pop("2").startswith("pipe:")
    assert [name.partition(":")[0] for name in files.values()] == ["socket"]
    # Python sets the last one by itself.
    assert set(names) <= {"PYTHONPATH", "MALLOC_ARENA_MAX", "LC_CTYPE"}
    assert (folder, parent) == ("/", os.getpid())
    assert list(words) == list(files)
    assert not has_trio


async def test_a_child_has_limits_that_it_cannot_raise() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Spy], memory_bytes=200 << 20) as trustee:
        spy = await trustee.entrust_new(Spy)
        limits = dict(await spy.apply(Spy.limits))
        size = await spy.apply(Spy.size)

    memory, most = limits.pop("RLIMIT_AS")
    assert memory == most
    # What it may take is more than it starts with.
    assert 200 << 20 < memory < size + (200 << 20)
    assert limits == {"RLIMIT_CORE": (0, 0), "RLIMIT_FSIZE": (0, 0), "RLIMIT_NOFILE": (64, 64)}


def test_the_default_limits_of_a_process_and_of_a_thread() -> None:
    defaults = [
        {name: p.default for name, p in signature(opener).parameters.items() if p.kind is p.KEYWORD_ONLY}
        for opener in (open_process_trustee, open_thread_trustee)
    ]

    assert defaults == [
        {"memory_bytes": 536_870_912, "turn_s": 5.0, "store": None},
        {"quota": 64, "window": 256, "max_inflight": 4096},
    ]
    assert (START_S, FIRST_REST_S, LONGEST_REST_S, MOST_ENDS, WINDOW_S) == (30.0, 0.05, 5.0, 5, 60.0)


class Local(captp.Object):
    """Seems to be at the top of this module, and is replaced there."""


Hidden, Local = Local, Tally  # type: ignore[misc, assignment]


@pytest.mark.parametrize("case", ["local", "replaced", "no object"])
async def test_a_class_that_another_process_cannot_import_is_refused(case: str) -> None:
    class Inside(captp.Object):
        pass

    cls = {"local": Inside, "replaced": Hidden, "no object": int}[case]
    async with captp.open_vat() as vat:
        with pytest.raises(UsageError, match=r"imported by another process|no class of"):
            async with vat.trustee("process", [cls]):
                raise AssertionError("it was opened")


async def test_a_class_that_the_trustee_was_not_opened_with_is_refused() -> None:
    async with captp.open_vat() as vat:
        async with vat.trustee("process", [Tally]) as trustee:
            with pytest.raises(UsageError, match=r"Spy is none .*Tally"):
                await trustee.entrust_new(Spy)
            with pytest.raises(captp.Broken, match="surprise"):
                await trustee.entrust_new(Tally, surprise=1)
        with pytest.raises(Closed):
            await trustee.entrust_new(Tally)


@pytest.mark.parametrize(
    ("memory_bytes", "turn_s"), [(0, 1.0), (1 << 50, 1.0), (1, 0.0), (1, math.inf), (1, math.nan)]
)
async def test_limits_that_mean_nothing_are_refused(memory_bytes: int, turn_s: float) -> None:
    async with captp.open_vat() as vat:
        with pytest.raises(UsageError):
            async with vat.trustee("process", [Tally], memory_bytes=memory_bytes, turn_s=turn_s):
                raise AssertionError("it was opened")


async def test_untyped_sends_reach_the_object_too() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        _, reference = await trustee._new(Tally, (), {})

        assert await E(reference).add(4) == 4
        assert await reference.apply(lambda t: t.add(1)) == 5
