"""A plain thread's calls: out at once or as one batch, in order, with results when they are waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar, cast

import pytest

import captp
import captp.sync
from captp.net.base import Accept, Conduit
from captp.net.unix import UnixNetlayer
from tests.e2e.sync_shop import LONGEST_S, Shop, hosting


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with hosting(tmp_path_factory.mktemp("sync")) as host:
        yield host.source


class CountingNetlayer:
    """The unix netlayer, counting writes."""

    transport: ClassVar[str] = "unix"

    def __init__(self) -> None:
        self.layer = UnixNetlayer()
        self.writes = 0

    async def dial(self, locator: captp.PeerLocator) -> Conduit:
        conduit = await self.layer.dial(locator)
        outer = self

        class Counting:
            def __getattr__(self, name: str) -> Any:
                return getattr(conduit, name)

            def send_nowait(self, data: bytes) -> None:
                outer.writes += 1
                conduit.send_nowait(data)

        return cast("Conduit", Counting())

    async def serve(self, accept: Accept, *, task_status: Any) -> None:
        raise NotImplementedError

    def hints(self) -> dict[str, str]:
        return {}


def test_a_call_gives_a_handle_at_once_and_result_waits(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        handle = shop.slow(0.05)

        assert isinstance(handle, captp.sync.Handle)
        assert captp.sync.result(handle) == "done"
        assert handle.result(timeout=5) == "done"


def test_a_chain_goes_out_before_anything_came_back(source: str) -> None:
    layer = CountingNetlayer()
    with captp.sync.connect(source, Shop, netlayers=[layer]) as shop:
        shop.echo(1).result(5)
        before = layer.writes
        with captp.sync.batch():
            total = shop.counter("chain").add(7)

        assert total.result(5) == 7
        assert layer.writes - before == 1


def test_a_batch_of_many_calls_is_one_write(source: str) -> None:
    layer = CountingNetlayer()
    with captp.sync.connect(source, Shop, netlayers=[layer]) as shop:
        shop.echo(1).result(5)
        before = layer.writes
        with captp.sync.batch():
            handles = [shop.echo(i) for i in range(50)]
            time.sleep(0.05)
            assert layer.writes == before, "nothing leaves before the end of the block"

        assert [h.result(5) for h in handles] == list(range(50))
        assert layer.writes - before == 1


def test_a_result_inside_a_batch_sends_what_was_collected(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop, captp.sync.batch():
        first = shop.echo("first")

        assert first.result(5) == "first"
        with captp.sync.batch():
            second = shop.echo("second")
        assert second.result(5) == "second"


def test_a_batch_that_raises_has_called_what_it_called(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        counter = shop.counter("raised")
        try:
            with captp.sync.batch():
                counter.add(3)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass

        assert counter.seen().result(5) == (3,)


def test_calls_arrive_in_the_order_of_each_thread(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        counter = shop.counter("threads")

        def work(number: int) -> None:
            for i in range(100):
                counter.add(number * 1000 + i)
            counter.seen().result(LONGEST_S)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONGEST_S)
        seen = counter.seen().result(5)

    assert len(seen) == 400
    for number in range(4):
        mine = [n for n in seen if n // 1000 == number]
        assert mine == sorted(mine)


def test_errors_are_the_same_classes_as_everywhere(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        with pytest.raises(captp.Refused, match="not today"):
            shop.refuse().result(5)
        with pytest.raises(captp.RemoteFault, match="a bug"):
            shop.fail().result(5)
        with pytest.raises(captp.NoSuchMethod):
            captp.E(captp.E(shop).missing()).more().result(5)
        with pytest.raises(captp.BadArguments, match="name: expected str, got int"):
            captp.E(shop).counter(3).result(5)


def test_what_is_wrong_with_a_call_is_raised_by_the_call(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        with pytest.raises(captp.Unpassable, match=r"args\[0\]\[1\].key: "):
            shop.echo([1, {"key": object()}])
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            shop.counter()  # type: ignore[call-arg]
        with pytest.raises(captp.NotNear):
            shop.echo.now(1)
        with pytest.raises(captp.UsageError, match="indexed by str or int"):
            shop.counters()[1.5]  # type: ignore[index]


def test_a_wait_that_times_out_can_be_repeated(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        handle = shop.slow(0.4)

        with pytest.raises(captp.Timeout, match=r"within 0\.05 s"):
            handle.result(0.05)
        assert handle.result(5) == "done"


def test_a_call_whose_result_nobody_wants_arrives(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        counter = shop.counter("only")
        counter.add.only(9)

        assert counter.seen().result(5) == (9,)
