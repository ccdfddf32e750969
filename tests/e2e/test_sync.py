"""The door for plain threads: handles at once, results when waited for, one portal for all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import trio

import captp
import captp.sync
from captp.errors import Closed
from captp.net.base import Accept, Conduit
from captp.net.unix import UnixNetlayer

LONGEST_S = 20.0


class Counter(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...

    @captp.method
    def seen(self) -> list[int]: ...


class Shop(captp.Interface):
    @captp.method
    def counter(self, name: str) -> Counter: ...

    @captp.method
    def counters(self) -> list[Counter]: ...

    @captp.method
    def total(self, counter: Counter) -> int: ...

    @captp.method
    def echo(self, value: Any) -> Any: ...

    @captp.method
    def fail(self) -> int: ...

    @captp.method
    def refuse(self) -> int: ...

    @captp.method
    def slow(self, seconds: float) -> str: ...

    @captp.method
    def cancelled(self) -> int: ...

    @captp.method
    def result(self) -> str: ...


class Tally(captp.Object, Counter):
    numbers: captp.List[int]

    @captp.method
    def add(self, amount: int) -> int:
        self.numbers.append(amount)
        return sum(self.numbers)

    @captp.method
    def seen(self) -> list[int]:
        return self.numbers


class Store(captp.Object, Shop):
    tallies: captp.Map[str, Tally]
    gone: int = 0

    @captp.method
    def counter(self, name: str) -> Counter:
        if name not in self.tallies:
            self.tallies[name] = Tally()
        return self.tallies[name]

    @captp.method
    def counters(self) -> list[Counter]:
        return cast("list[Counter]", list(self.tallies.values()))

    @captp.method
    async def total(self, counter: Counter) -> int:
        return sum(await counter.seen())

    @captp.method
    def echo(self, value: Any) -> Any:
        return value

    @captp.method
    def fail(self) -> int:
        raise ValueError("a bug")

    @captp.method
    def refuse(self) -> int:
        raise captp.Refused("not today")

    @captp.method(latch=False)
    async def slow(self, seconds: float) -> str:
        try:
            await captp.sleep(seconds)
        except captp.Cancelled:
            self.gone += 1  # an error that leaves would undo this
            return "stopped"
        return "done"

    @captp.method
    def cancelled(self) -> int:
        return self.gone

    @captp.method
    def result(self) -> str:
        return "a method with the name of ours"


class Host:
    """A vat that runs in a thread of its own, and what it knows of its sessions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sturdyref: captp.SturdyRef | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve,))

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as self._scope:
            async with captp.open_vat(listen=[UnixNetlayer(str(self.path))]) as self._vat:
                self.sturdyref = self._vat.mint(Store())
                self._ready.set()
                await trio.sleep_forever()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(LONGEST_S)

    def stop(self) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(LONGEST_S)

    def exports(self) -> int:
        sessions = trio.from_thread.run_sync(self._vat.view, trio_token=self._token).sessions
        return sum(session.exports + len(session.answers) for session in sessions)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("sync")
    folder.chmod(0o700)
    made = Host(folder / "sock")
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def source(host: Host) -> str:
    assert host.sturdyref is not None
    return host.sturdyref.reveal()


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


def until(holds: Callable[[], bool]) -> None:
    """Wait, bounded, for what other threads bring about."""
    deadline = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_a_call_gives_a_handle_at_once_and_result_waits(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        handle = shop.slow(0.05)

        assert isinstance(handle, captp.sync.Handle)
        assert captp.sync.result(handle) == "done"
        assert handle.result(timeout=5) == "done"


def test_a_handle_is_an_instance_of_its_interface_and_shows_its_methods(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        assert isinstance(shop, Shop)
        assert isinstance(shop.counter("a"), Counter)
        assert "counter" in dir(shop)


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


def test_references_come_as_handles_inside_data_too(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        one = shop.counter("inside")
        one.add(1)
        first = shop.counters()[0]
        data = shop.echo({"it": [one]}).result(5)

        assert isinstance(data["it"][0], captp.sync.Handle)
        assert captp.E(data["it"][0]).seen().result(5) == (1,)
        assert isinstance(captp.E(first).seen().result(5), tuple)


def test_handles_of_one_object_are_equal_once_they_were_waited_for(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        one, again, other = shop.counter("x"), shop.counter("x"), shop.counter("y")

        assert one == one  # noqa: PLR0124
        assert one != again
        assert one.result(5) == again.result(5)
        assert len({one.result(5), again.result(5), other.result(5)}) == 2


def test_handles_are_arguments_and_so_are_objects_of_our_own(source: str) -> None:
    class Own(captp.Object, Counter):
        @captp.method
        def add(self, amount: int) -> int:
            return amount

        @captp.method
        def seen(self) -> list[int]:
            return [20, 22]

    with captp.sync.connect(source, Shop) as shop:
        counter = shop.counter("argument")
        counter.add(5)

        assert shop.total(counter).result(5) == 5
        assert shop.total(counter=counter).result(5) == 5
        assert shop.total(Own()).result(5) == 42


def test_a_handle_of_another_connection_is_refused_where_it_is_passed(source: str) -> None:
    with captp.sync.connect(source, Shop) as one, captp.sync.connect(source, Shop) as other:
        theirs = other.counter("x")

        with pytest.raises(captp.Unpassable, match=r"args\[0\]"):
            one.total(theirs)
        assert theirs.seen().result(5) == ()


def test_a_call_whose_result_nobody_wants_arrives(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        counter = shop.counter("only")
        counter.add.only(9)

        assert counter.seen().result(5) == (9,)


def test_a_method_with_the_name_of_ours_is_called_through_e(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        assert captp.E(shop).result().result(5) == "a method with the name of ours"
        assert captp.sync.result(shop, timeout=5) == cast("Any", shop).result(5)


def test_without_an_interface_any_method_can_be_called(source: str) -> None:
    with captp.sync.connect(source) as anything:
        assert captp.E(captp.E(anything).counter("untyped")).add(4).result(5) == 4


def test_what_is_dropped_is_released_at_the_host(source: str, host: Host) -> None:
    with captp.sync.connect(source, Shop) as shop:
        held = [shop.counter(f"dropped {i}").result(5) for i in range(10)]
        until(lambda: host.exports() >= 11)

        del held
        until(lambda: host.exports() <= 2)
        assert shop.echo(1).result(5) == 1


def test_dropping_the_last_handle_of_a_call_cancels_it(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        before = shop.cancelled().result(5)
        handle = shop.slow(60.0)
        shop.echo(0).result(5)
        del handle

        until(lambda: shop.cancelled().result(5) == before + 1)


def test_a_host_that_is_away_is_told_where_it_is_waited_for(tmp_path: Path, source: str) -> None:
    gone = source.partition("?")[0] + f"?path={tmp_path}/none"
    with captp.sync.connect(gone, Shop) as shop, pytest.raises(captp.Unreachable, match="no socket"):
        shop.echo(1).result(5)


def test_a_source_that_is_none_is_told_at_once() -> None:
    with pytest.raises(captp.UsageError, match="cannot be read"), captp.sync.connect("no.cap", Shop):
        pass


def test_after_the_block_handles_are_closed(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        handle = shop.slow(60.0)

    with pytest.raises(captp.UsageError, match="this connection is closed"):
        shop.echo(1)
    with pytest.raises(captp.UsageError, match="this connection is closed"):
        handle.result(5)


def test_a_thread_that_waits_hears_of_the_end_of_the_block(source: str) -> None:
    heard: list[BaseException] = []

    def wait(handle: Any) -> None:
        try:
            handle.result(LONGEST_S)
        except captp.Error as problem:
            heard.append(problem)

    with captp.sync.connect(source, Shop) as shop:
        thread = threading.Thread(target=wait, args=(shop.slow(60.0),))
        thread.start()
        shop.echo(1).result(5)
        time.sleep(0.05)
    thread.join(LONGEST_S)

    assert [type(problem) for problem in heard] == [Closed]


def portal_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if "portal" in t.name]


def test_an_error_in_the_block_leaves_as_itself_and_everything_ends(source: str) -> None:
    def use() -> None:
        with captp.sync.connect(source, Shop) as shop:
            shop.echo(1).result(5)
            assert len(portal_threads()) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert portal_threads() == []


def test_all_connections_share_one_portal(source: str) -> None:
    with captp.sync.connect(source, Shop) as one:
        with captp.sync.connect(source, Shop) as other:
            assert len(portal_threads()) == 1
            assert other.echo(2).result(5) == 2
        assert one.echo(1).result(5) == 1


def test_waiting_inside_the_vat_itself_is_refused(source: str) -> None:
    class Naive(captp.Object, Counter):
        @captp.method
        def add(self, amount: int) -> int:
            return amount

        @captp.method
        def seen(self) -> list[int]:
            return [waiter()]

    with captp.sync.connect(source, Shop) as shop:

        def waiter() -> int:
            return shop.echo(1).result(5)  # type: ignore[attr-defined, no-any-return]

        with pytest.raises(captp.RemoteFault, match="would block the vat itself"):
            shop.total(Naive()).result(5)


def test_handles_are_no_values_and_not_awaited(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        handle = shop.echo(1)

        with pytest.raises(captp.UsageError, match="no truth yet"):
            bool(handle)
        with pytest.raises(captp.UsageError, match="cannot be iterated"):
            list(handle)  # type: ignore[call-overload]
        with pytest.raises(captp.UsageError, match="are not awaited"):
            handle.__await__()
        with pytest.raises(captp.UsageError, match="takes a handle"):
            captp.sync.result(cast("Any", 1))


def test_an_interrupt_ends_a_wait_and_the_program(source: str) -> None:
    script = (
        "import sys, captp, captp.sync\n"
        "with captp.sync.connect(sys.stdin.readline().strip()) as shop:\n"
        "    print(captp.E(shop).echo('up').result(10), flush=True)\n"
        "    captp.E(shop).slow(60.0).result()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{source}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LONGEST_S)

    assert process.returncode == -signal.SIGINT
    assert err.strip().splitlines()[-1] == "KeyboardInterrupt"
    assert "Exception ignored" not in err


def test_without_anyio_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['anyio'] = None; import captp.sync"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
        env={**os.environ},
    )

    assert "ImportError: captp.sync needs anyio: pip install 'captp[sync]'" in done.stderr
