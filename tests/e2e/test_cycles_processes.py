"""Garbage that loops through processes goes; a host that is killed, cut off or silent costs nothing live."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trio

import captp
from tests.e2e.cycles_host import SWISS
from tests.e2e.daemons import free_port
from tests.interop.client import Peer
from tests.interop.keys import Key, an_object, export, held
from tests.interop.syrup import Sym, read

SCRIPT = Path(__file__).parent / "cycles_host.py"
AGE_S, TICK_S = 0.4, 0.05
QUICK = {"age": AGE_S, "tick": TICK_S, "backoff_max": 2 * AGE_S}
#: Words of a trace at which a host is killed, whether that is its own trace or another's.
PHASES = {"claims": ["query", "reply"], "frozen": ["confirm", "confirmed"], "proved": ["commit"]}
#: Half of the age until it is looked at, up to one and a half until its turn has come, and some ticks.
SOON_S = 2 * AGE_S + 20 * TICK_S
#: Nothing that is asked of a host takes so long, whatever became of the others.
ANSWER_S = 5.0
LONGEST_S = 20.0


class Host:
    """One process, and its maker as this process sees it."""

    def __init__(self, process: trio.Process, uri: str) -> None:
        self.process = process
        self.uri = uri
        self.maker: Any = None

    async def ask(self, promise: Awaitable[Any]) -> Any:
        """Wait for an answer, which nothing may hold up."""
        with trio.fail_after(ANSWER_S):
            return await promise

    async def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.ask(captp.E(self.maker).figures())
        return found

    async def cells(self) -> int:
        found: int = await self.ask(captp.E(self.maker).cells())
        return found

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def process(*before: str, **settings: Any) -> AsyncIterator[Host]:
    """Run a host during the block."""
    started = await trio.lowlevel.open_process(
        [*before, sys.executable, str(SCRIPT), json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
    )
    assert started.stdin is not None
    assert started.stdout is not None
    async with started.stdin, started.stdout:
        try:
            with trio.fail_after(LONGEST_S):
                uri = b""
                while not uri.endswith(b"\n"):
                    part = await started.stdout.receive_some()
                    assert part, "the host ended before it was ready"
                    uri += part
            yield Host(started, uri.decode().strip())
        finally:
            with trio.CancelScope(shield=True):
                started.kill()
                await started.wait()


@asynccontextmanager
async def hosts(*settings: dict[str, Any]) -> AsyncIterator[tuple[Host, ...]]:
    """Run hosts during the block, with a vat here that has their makers."""
    async with AsyncExitStack() as stack:
        found: list[Host | None] = [None] * len(settings)

        async def start(place: int) -> None:
            before = settings[place].pop("before", ())
            found[place] = await stack.enter_async_context(process(*before, **settings[place]))

        async with trio.open_nursery() as nursery:
            for place in range(len(settings)):
                nursery.start_soon(start, place)
        vat = await stack.enter_async_context(captp.open_vat(cycles=captp.Cycles(**QUICK)))
        ready = tuple(host for host in found if host is not None)
        for host in ready:
            host.maker = await vat.enliven(host.uri)
        yield ready


async def ring(*through: Host) -> list[Any]:
    """Return references to cells of all hosts, each of which holds the next."""
    made = [await captp.E(host.maker).make() for host in through]
    for one, other in zip(made, [*made[1:], made[0]], strict=True):
        await captp.E(one).hold(other)
    for one in made:
        # Whoever has been given something has it by now, and from its owner.
        assert await captp.E(one).count_behind() == 1
    return made


async def until(found: Callable[[], Awaitable[Any]], wanted: Any, within: float) -> float:
    """Look again and again until it is as wanted; return the seconds it took."""
    began = trio.current_time()
    last = None
    with trio.move_on_after(within):
        while (last := await found()) != wanted:
            await trio.sleep(TICK_S / 2)
        return trio.current_time() - began
    raise AssertionError(f"{last}, and not {wanted}, after {within} s")


def cells(*of: Host) -> Callable[[], Awaitable[list[int]]]:
    async def count() -> list[int]:
        return [await host.cells() for host in of]

    return count


def unrest(*of: Host) -> Callable[[], Awaitable[list[Any]]]:
    """Return what looks for anything that is not as in a host that has never done anything."""

    async def look() -> list[Any]:
        names = {host: figures for host in of if (figures := await host.figures())}
        # The session with the process of the test has the maker in it, and the question.
        known = {figures["designator"] for figures in names.values()}
        return [
            [found for found in ("cells", "fibers", "traces", "frozen", "waiting") if figures[found]]
            + [peer for peer in figures["full"] if peer in known]
            for figures in names.values()
        ]

    return look


async def test_a_ring_through_three_processes_is_gone_soon_after_the_last_has_let_go() -> None:
    async with hosts(*({"cycles": QUICK} for _ in range(3))) as three:
        made = await ring(*three)
        assert await cells(*three)() == [1, 1, 1]

        made.clear()
        await until(cells(*three), [0, 0, 0], SOON_S)

        await until(unrest(*three), [[], [], []], LONGEST_S)


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["before", *PHASES, "after"])
async def test_a_host_that_is_killed_takes_nothing_live_with_it_and_leaves_the_others_at_rest(
    phase: str,
) -> None:
    doomed = {"cycles": QUICK, "dies_at": PHASES.get(phase)}
    async with hosts({"cycles": QUICK}, {"cycles": QUICK}, doomed) as (one, other, third):
        live = await ring(one, other)
        whole = await ring(one, other, third)
        (await ring(one, other, third)).clear()
        if phase == "after":
            await until(cells(one, other, third), [2, 2, 1], LONGEST_S)
        if phase in ("before", "after"):
            await third.kill()
        else:
            with trio.fail_after(LONGEST_S):
                assert await third.process.wait() == -signal.SIGKILL

        # Nobody hangs, whatever it was that it waited for.
        for cell in (*live, whole[0]):
            assert await one.ask(captp.E(cell).count_behind()) == 1
        with pytest.raises(captp.Disconnected):
            await one.ask(captp.E(whole[1]).count_behind())
        with pytest.raises(captp.Disconnected):
            await one.ask(captp.E(whole[2]).count())
        # What was garbage goes, what is held stays.
        await until(cells(one, other), [2, 2], LONGEST_S)
        await trio.sleep(4 * AGE_S)
        for cell in (*live, whole[0]):
            assert await one.ask(captp.E(cell).count_behind()) == 1
        del cell
        live.clear()
        whole.clear()
        await until(unrest(one, other), [[], []], LONGEST_S)


class Stopped:
    """Cuts a host off by keeping its process from running."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def cut(self) -> None:
        self.host.process.send_signal(signal.SIGSTOP)

    def heal(self) -> None:
        self.host.process.send_signal(signal.SIGCONT)


#: Given up so soon that a partition of seconds goes through every phase.
HASTY = {**QUICK, "deadline": 0.5, "hold": 0.5, "linger": 0.2, "memory": 2.0}
APART_S = 3.0


async def check_partition(three: tuple[Host, ...], line: Any) -> None:
    """Cut the third host off for a while, with something live and with garbage through it."""
    one, other, third = three
    live = await ring(one, other, third)
    garbage = await ring(one, third, other)
    began = (await one.figures())["started"] + (await other.figures())["started"]
    garbage.clear()
    line.cut()
    await trio.sleep(APART_S)
    assert await cells(one, other)() == [2, 2]
    assert await one.ask(captp.E(live[0]).count_behind()) == 1
    began = (await one.figures())["started"] + (await other.figures())["started"] - began
    assert began > 0, "somebody asked meanwhile"
    line.heal()

    await until(cells(one, other, third), [1, 1, 1], LONGEST_S)
    for cell in live:
        assert await one.ask(captp.E(cell).count_behind()) == 1
    del cell
    live.clear()
    await until(unrest(one, other, third), [[], [], []], LONGEST_S)


@pytest.mark.slow
async def test_a_host_that_stands_still_for_a_while_loses_nothing_live_and_garbage_goes_afterwards() -> None:
    async with hosts(*({"cycles": HASTY} for _ in range(3))) as three:
        await check_partition(three, Stopped(three[2]))


class Cable:
    """A network namespace for one host, joined to this one by a cable that can be pulled out."""

    def __init__(self) -> None:
        self.name = f"captp{uuid4().hex[:6]}"
        self.end = f"{self.name}v"

    def build(self) -> None:
        ip("netns", "add", self.name)
        ip("link", "add", self.end, "type", "veth", "peer", "name", f"{self.end}p", "netns", self.name)
        ip("address", "add", "10.79.0.1/24", "dev", self.end)
        ip("link", "set", self.end, "up")
        ip("-n", self.name, "address", "add", "10.79.0.2/24", "dev", f"{self.end}p")
        ip("-n", self.name, "link", "set", f"{self.end}p", "up")
        ip("-n", self.name, "link", "set", "lo", "up")

    def remove(self) -> None:
        for words in (("link", "delete", self.end), ("netns", "delete", self.name)):
            subprocess.run(["ip", *words], check=False, capture_output=True)

    def cut(self) -> None:
        ip("-n", self.name, "link", "set", f"{self.end}p", "down")

    def heal(self) -> None:
        ip("-n", self.name, "link", "set", f"{self.end}p", "up")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def cable() -> Iterator[Cable]:
    made = Cable()
    try:
        made.build()
        yield made
    finally:
        made.remove()


@pytest.mark.slow
async def test_a_partition_of_the_network_costs_nothing_live_and_garbage_goes_when_it_has_healed() -> None:
    if os.environ.get("CI") is None and (os.geteuid() != 0 or shutil.which("ip") is None):
        pytest.skip("network namespaces need root and iproute2; CI has both")
    near = {"cycles": HASTY, "host": "10.79.0.1"}
    with cable() as line:
        far = {"cycles": HASTY, "host": "10.79.0.2", "before": ("ip", "netns", "exec", line.name)}
        async with hosts({**near}, {**near}, far) as three:
            await check_partition(three, line)


@pytest.mark.slow
async def test_a_host_without_a_collector_keeps_what_it_holds_until_it_ends() -> None:
    without = {"cycles": {**QUICK, "enabled": False}}
    async with hosts({"cycles": QUICK}, {"cycles": QUICK}, without) as (one, other, third):
        (await ring(one, other, third)).clear()
        (await ring(one, other)).clear()

        await until(cells(one, other), [1, 1], LONGEST_S)
        await trio.sleep(4 * AGE_S)
        assert await cells(one, other, third)() == [1, 1, 1]
        assert (await third.figures())["said"] == 0

        await third.kill()
        await until(unrest(one, other), [[], []], LONGEST_S)


def talk(port: int, key: Key) -> tuple[list[bytes], list[Counter[int]]]:
    """Do as a stock OCapN peer does, with a ring through it among the rest.

    Returns the messages that it was sent, and what was given back to it by positions: when and in how
    many messages that is depends on beats.
    """
    with Peer(socket.create_connection(("127.0.0.1", port), ANSWER_S), key=key, name="stock") as peer:
        peer.open().show_dialect()
        maker = peer.fetch(SWISS)
        cell = held(peer.call_unnumbered(maker, Sym("make")))
        ours = peer.new_export()
        peer.call(cell, Sym("hold"), an_object(ours))
        other = held(peer.call_unnumbered(maker, Sym("make")))
        peer.call(other, Sym("hold"), cell)
        # The cells are nobody's but ours now. Nothing is said by itself, however long it takes.
        peer.drain(4 * AGE_S)
        asked = peer.ask(cell, Sym("count_behind"))[1]
        peer.reply(peer.serve_one(export(ours)), 7)
        assert peer.value(asked) == 7
        peer.drain(AGE_S)
        said = [message for message in peer.transcript if b"'op:gc-" not in message[:12]]
        return said, [peer.dropped, peer.dropped_answers]


@pytest.mark.slow
async def test_a_stock_peer_is_sent_the_same_bytes_whether_there_is_a_collector_or_not() -> None:
    port, key = free_port(), Key()
    heard = {}
    for enabled in (True, False):
        cycles = {**QUICK, "enabled": enabled}
        async with hosts({"cycles": cycles, "plain": port}, {"cycles": cycles}) as (one, other):
            # So that the collector has something to do meanwhile.
            (await ring(one, other)).clear()
            heard[enabled] = await trio.to_thread.run_sync(talk, port, key)
            # What the stock peer held went with its session.
            await until(cells(one, other), [0, 0] if enabled else [1, 1], LONGEST_S)
            assert ((await one.figures())["said"] > 0) == enabled

    # The key of a session, and with it the signature, is another one each time.
    ((hello, *on), given_on), ((other_hello, *off), given_off) = heard[True], heard[False]
    assert on == off
    assert given_on == given_off
    assert all(given_on)
    one_hello, same_hello = (read(message).fields for message in (hello, other_hello))
    assert (one_hello[0], one_hello[2]) == (same_hello[0], same_hello[2])
    assert len(hello) == len(other_hello)
