"""Open vats on trio: what a program sees, over real sockets on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

import captp
from captp.net.tcp import TcpNetlayer
from captpd.store.sqlite import SqliteStore


class Counter(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...

    @captp.method
    async def slowly(self, seconds: float) -> int: ...

    @captp.method
    async def uses_trio(self) -> int: ...

    @captp.method
    async def sleeps_in_trio(self) -> int: ...

    @captp.method
    def opens_a_scope(self) -> int: ...

    @captp.method
    async def goes_outside(self) -> str: ...

    @captp.method
    async def waits_for(self, promise: captp.Promise[int], seconds: float) -> int: ...

    @captp.method
    def call_back(self, other: Counter) -> captp.Promise[int]: ...

    @captp.method
    def me(self) -> Counter: ...

    @captp.method
    def many(self, good: int) -> list[int]: ...


class Tally(captp.Object, Counter):
    count: int = 0
    cancelled: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.count += amount
        return self.count

    @captp.method
    async def slowly(self, seconds: float) -> int:
        self.count += 1
        try:
            await captp.sleep(seconds)
        except captp.Cancelled:
            self.cancelled += 1
            raise
        self.count += 1
        return self.count

    @captp.method
    async def uses_trio(self) -> int:
        self.count += 100
        with trio.move_on_after(0.01):
            await self.add(1)  # type: ignore[misc]
        return self.count

    @captp.method
    async def sleeps_in_trio(self) -> int:
        self.count += 100
        await trio.sleep(0)
        return self.count

    @captp.method
    def opens_a_scope(self) -> int:
        self.count += 100
        trio.lowlevel.current_task()
        return self.count

    @captp.method
    async def goes_outside(self) -> str:
        async def there(name: str) -> str:
            await trio.lowlevel.checkpoint()
            return f"trio {name}"

        return f"{await captp.outside(there, 'task')}, {await captp.outside(str.upper, 'thread')}"

    @captp.method
    async def waits_for(self, promise: captp.Promise[int], seconds: float) -> int:
        return await captp.within(seconds, promise)

    @captp.method
    def call_back(self, other: Counter) -> captp.Promise[int]:
        return other.add(5)

    @captp.method
    def me(self) -> Counter:
        return self

    @captp.method
    def many(self, good: int) -> list[int]:
        return [good] if good else ["\ud800"]  # type: ignore[list-item]


@asynccontextmanager
async def two_vats() -> AsyncIterator[tuple[captp.LiveVat, captp.LiveVat, Counter]]:
    """A hosting vat, a client vat, and the client's reference to a Tally."""
    with trio.fail_after(20):
        async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as client:
            yield host, client, client.enliven(host.mint(Tally()), Counter)


async def test_a_call_can_be_made_before_there_is_a_connection() -> None:
    async with two_vats() as (_host, _client, tally):
        tally.add(1)
        tally.me().add(2)

        assert await tally.me().add(3) == 6


async def test_an_error_breaks_one_call_and_not_the_next() -> None:
    async with two_vats() as (_host, _client, tally):
        bad = captp.E(tally).add("x")
        nameless = captp.E(tally).nothing_of_the_kind()

        assert await tally.add(1) == 1
        with pytest.raises(captp.BadArguments, match="amount: expected int, got str"):
            await bad
        with pytest.raises(captp.NoSuchMethod):
            await nameless


async def test_one_unpassable_result_among_good_ones_fails_only_its_own_call() -> None:
    async with two_vats() as (_host, _client, tally):
        results = [tally.many(i % 10) for i in range(100)]

        for i, result in enumerate(results):
            if i % 10:
                assert await result == (i % 10,)
            else:
                with pytest.raises(captp.RemoteFault):
                    await result


async def test_a_reference_passed_to_the_host_is_called_back() -> None:
    async with two_vats() as (_host, client, tally):
        mine = Tally(count=10)
        reference = client.export(mine)

        assert await tally.call_back(reference) == 15
        assert await tally.call_back(mine) == 20


@pytest.mark.parametrize("name", ["uses_trio", "sleeps_in_trio", "opens_a_scope"])
async def test_an_event_loop_in_a_method_is_refused_with_its_line_and_the_turn_rolled_back(name: str) -> None:
    async with two_vats() as (_host, _client, tally):
        with pytest.raises(captp.RemoteFault, match=rf"Tally\.{name}\(\), line \d+") as caught:
            await getattr(tally, name)()

        assert caught.value.class_name == "ForeignAwait"
        assert "captp.outside" in str(caught.value)
        assert await tally.add(0) == 0


async def test_outside_runs_trio_functions_and_plain_ones_in_a_thread() -> None:
    async with two_vats() as (_host, _client, tally):
        assert await tally.goes_outside() == "trio task, THREAD"


async def test_a_fiber_sleeps_on_the_vats_clock_and_commits_at_each_await() -> None:
    async with two_vats() as (_host, _client, tally):
        slow = tally.slowly(0.05)

        assert await slow == 2


async def test_dropping_the_last_reference_to_a_promise_cancels_the_far_fiber() -> None:
    async with two_vats() as (host, _client, tally):
        await tally.add(0)
        slow = tally.slowly(3600.0)
        (obj,) = host.peer.vat.heap.objects()
        while not host.peer.vat.turns.fibers:
            await trio.sleep(0.01)

        del slow

        while host.peer.vat.turns.fibers:
            await trio.sleep(0.01)
        assert isinstance(obj, Tally)
        assert obj.cancelled == 0, "the cancelled step raised, so what it wrote was rolled back"


async def test_one_task_that_gives_up_does_not_cancel_anothers_wait() -> None:
    async with two_vats() as (_host, _client, tally):
        slow = tally.slowly(0.2)
        got: list[int] = []

        async def patient() -> None:
            got.append(await slow)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(patient)
            with trio.move_on_after(0.01) as impatient:
                await slow

        assert impatient.cancelled_caught
        assert got == [2]


async def test_a_promise_passed_unresolved_is_waited_for_far_away_within_its_time() -> None:
    async with two_vats() as (_host, client, tally):
        promise, resolver = client.promise()
        settled = tally.waits_for(promise, 10.0)
        late = tally.waits_for(client.promise()[0], 0.05)
        resolver.fulfill(7)

        assert await settled == 7
        with pytest.raises(captp.Timeout):
            await late


async def test_when_broken_tells_once_and_a_sturdyref_can_be_enlivened_again() -> None:
    async with two_vats() as (host, client, tally):
        sturdyref = host.mint(Tally(count=3))
        settled = await tally
        told = client.when_broken(settled)
        (link,) = host.peer.router.links.values()

        link.session.abort("test", "the cable was pulled")
        host.peer.end(link, "test")
        host.peer.vat.ring()

        reason = await told
        assert "the cable was pulled" in reason.message
        with pytest.raises(captp.Disconnected):
            await settled.add(1)
        assert await client.enliven(sturdyref, Counter).add(1) == 4


async def test_an_unknown_swiss_number_and_a_used_one_look_alike() -> None:
    async with two_vats() as (host, client, _tally):
        peer = host.locators[0]
        gone = host.mint(Tally(), uses=1)
        await client.enliven(gone, Counter).add(1)
        texts = []
        for sturdyref in (captp.SturdyRef(peer, b"x" * 32), gone):
            with pytest.raises(captp.NotFound) as caught:
                await client.enliven(sturdyref)
            texts.append(str(caught.value))

        assert texts == ["no-such-object: there is no such object, or it is not for you"] * 2


async def test_a_vat_that_is_closed_says_so() -> None:
    async with captp.open_vat(listen=[TcpNetlayer()]) as vat:
        reference = vat.export(Tally())

    with pytest.raises(captp.UsageError, match="open_vat"):
        reference.add(1)


async def test_a_promise_that_nobody_settled_says_that_its_vat_is_closed() -> None:
    async with captp.open_vat() as vat:
        pending, _resolver = vat.promise()
        done = captp.E(vat.export(Tally())).add(1)
        await done

    assert await done == 1
    with trio.fail_after(5), pytest.raises(captp.Closed, match="open_vat"):
        await pending


async def test_a_result_that_is_stored_is_there_when_its_vat_is_closed(tmp_path: Path) -> None:
    key = captp.PrivateKey.from_seed(b"stored".ljust(32))
    async with captp.open_vat(key=key, store=SqliteStore(tmp_path / "vat.db")) as vat:
        done = captp.E(vat.export(Tally())).add(1)
        await done

    assert await done == 1


async def test_a_single_error_leaves_the_block_as_itself() -> None:
    with pytest.raises(KeyError):
        async with captp.open_vat():
            raise KeyError("inner")


async def test_everything_is_released_while_the_session_lives() -> None:
    async with two_vats() as (host, client, tally):
        for _ in range(50):
            assert await tally.me().add(1)
        me = await tally.me()
        await me.call_back(client.export(Tally()))
        del me, tally, _

        def held() -> int:
            tables = [link.session.tables for v in (host, client) for link in v.peer.router.links.values()]
            return sum(
                len(t.exports) - 1 + len(t.imports) + len(t.questions) + len(t.answers) for t in tables
            )

        with trio.fail_after(5):
            while held():
                await trio.sleep(0.05)
        host.peer.check()
        client.peer.check()


async def test_a_last_call_that_nobody_waits_for_still_leaves() -> None:
    tally = Tally()
    async with captp.open_vat(listen=[TcpNetlayer()]) as host:
        sturdyref = host.mint(tally)
        async with captp.connect(sturdyref, Counter) as far:
            await far.add(1)
            far.add(2)
            captp.E(far).add.only(3)

        with trio.fail_after(5):
            while tally.count != 6:
                await trio.sleep(0.01)
