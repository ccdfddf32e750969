"""What is measured and how long, the same code for every subject; it knows no event loop.

A measurement is one client process against one fresh server process, and returns a dict of numbers.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

#: Which keys a scenario letter stands for, in the order of the report.
SCENARIOS = {
    "a": ("a",),
    "b": ("b", "b_async", "b_state", "tasks100"),
    "c": ("c10", "c100"),
    "d": ("d",),
    "e": ("e",),
    "f": ("f",),
    "g": ("g",),
}

ONE_WAY_S = 0.020
TRIP_MS = 2 * ONE_WAY_S * 1000
OUTSTANDING = 1000
MIB = 1 << 20
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

Numbers = dict[str, float]


class Subject(Protocol):
    """One system as its client sees it; what it returns is awaited in its own event loop."""

    async def open(self, port: int) -> None:
        """Connect to the server on this machine that the calls go to."""
        ...

    def echo(self, number: int) -> Awaitable[int]: ...

    async def burst(self, method: str, count: int) -> None:
        """Issue ``count`` calls on the one connection, then await each."""
        ...

    async def tasks(self, count: int, calls: int) -> None:
        """Run ``count`` tasks on the one connection, each with one call outstanding."""
        ...

    async def chain(self, depth: int) -> int:
        """Make ``depth`` calls, each to what the one before it returned; return the last's result."""
        ...

    def bulk(self, data: bytes) -> Awaitable[bytes]: ...

    async def churn(self, count: int) -> None:
        """Ask for ``count`` fresh objects, call each once and drop it."""
        ...

    async def alive(self) -> int:
        """Ask the server, over a connection of its own, how many of those objects are left."""
        ...

    async def idle(self, count: int) -> None:
        """Open ``count`` connections more, make one call on each and keep them."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Effort:
    """How long a measurement goes on."""

    def __init__(self, *, quick: bool) -> None:
        self.seconds = 0.1 if quick else 1.0
        self.burst_calls = 5_000 if quick else 20_000
        self.objects = 1_000 if quick else 10_000
        self.connections = 50 if quick else 500
        self.repeats = 1 if quick else 3


class Server:
    """The server's process, as the kernel counts it."""

    def __init__(self, pid: int) -> None:
        self._proc = Path("/proc") / str(pid)

    def cpu_s(self) -> float:
        """Return user and system time, in steps of one clock tick."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    def rss_kib(self) -> int:
        """Return the resident memory."""
        for line in (self._proc / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0


class Stopwatch:
    """Wall time and the CPU time of both processes since it was started."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._server_s = server.cpu_s()
        self._client_s = _own_cpu_s()
        self.start = time.perf_counter()

    def elapsed(self) -> float:
        return time.perf_counter() - self.start

    def per_call(self, calls: int) -> Numbers:
        """Return the rate, the CPU of each side in microseconds per call, and the cores that both used."""
        elapsed = self.elapsed()
        server_s, client_s = self._server.cpu_s() - self._server_s, _own_cpu_s() - self._client_s
        return {
            "calls": calls,
            "per_s": calls / elapsed,
            "server_us": server_s / calls * 1e6,
            "client_us": client_s / calls * 1e6,
            "cores": (server_s + client_s) / elapsed,
        }


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def percentile(values: list[float], share: float) -> float:
    """Return the value that ``share`` of all values are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def sequential(subject: Subject, server: Server, effort: Effort) -> Numbers:
    """Make one call after another."""
    for i in range(200):
        await subject.echo(i)
    waits: list[float] = []
    watch = Stopwatch(server)
    while watch.elapsed() < effort.seconds:
        for i in range(100):
            begin = time.perf_counter()
            result = await subject.echo(i)
            waits.append(time.perf_counter() - begin)
            assert result == i
    numbers = watch.per_call(len(waits))
    return {**numbers, "p50_us": percentile(waits, 0.50) * 1e6, "p99_us": percentile(waits, 0.99) * 1e6}


async def bursts(subject: Subject, server: Server, effort: Effort, method: str) -> Numbers:
    """Keep up to OUTSTANDING calls of one method outstanding."""
    await subject.burst(method, OUTSTANDING)
    gc.collect()
    calls = 0
    watch = Stopwatch(server)
    while calls == 0 or watch.elapsed() < effort.seconds:
        for _ in range(effort.burst_calls // OUTSTANDING):
            await subject.burst(method, OUTSTANDING)
        calls += effort.burst_calls
    return watch.per_call(calls)


async def state_bursts(subject: Subject, effort: Effort) -> Numbers:
    """Burst calls that write a field, in turn with calls that do not; ``of_b`` compares the two."""
    for method in ("echo", "put"):
        await subject.burst(method, OUTSTANDING)
    gc.collect()
    calls = 0
    taken = {"echo": 0.0, "put": 0.0}
    while sum(taken.values()) < 2 * effort.seconds:
        for method in taken:
            begin = time.perf_counter()
            for _ in range(5):
                await subject.burst(method, OUTSTANDING)
            taken[method] += time.perf_counter() - begin
        calls += 5 * OUTSTANDING
    return {"calls": calls, "per_s": calls / taken["put"], "of_b": taken["echo"] / taken["put"]}


async def many_tasks(subject: Subject, server: Server, effort: Effort) -> Numbers:
    """Let 100 tasks share one connection."""
    await subject.tasks(100, 2)
    calls = 0
    watch = Stopwatch(server)
    while calls == 0 or watch.elapsed() < effort.seconds:
        await subject.tasks(100, 20)
        calls += 2000
    return watch.per_call(calls)


async def chains(subject: Subject, effort: Effort, depth: int) -> Numbers:
    """Make dependent calls through the relay; one trip is there and back, TRIP_MS."""
    await subject.echo(1)
    times: list[float] = []
    while not times or (len(times) < effort.repeats and sum(times) < effort.seconds):
        begin = time.perf_counter()
        reached = await subject.chain(depth)
        times.append(time.perf_counter() - begin)
        assert reached == depth - 1, reached
    ms = percentile(times, 0.5) * 1000
    return {"ms": ms, "trips": ms / TRIP_MS, "over_ms": ms - TRIP_MS}


async def bulk(subject: Subject, server: Server, effort: Effort) -> Numbers:
    """Echo 1 MiB; a MiB that went there and back counts once."""
    data = os.urandom(MIB)
    assert await subject.bulk(data) == data
    count = 0
    watch = Stopwatch(server)
    while watch.elapsed() < effort.seconds:
        result = await subject.bulk(data)
        assert len(result) == MIB
        count += 1
    numbers = watch.per_call(count)
    return {"mib_s": numbers["per_s"], "server_us": numbers["server_us"], "client_us": numbers["client_us"]}


async def churn(subject: Subject, server: Server, effort: Effort) -> Numbers:
    """Fresh object, call, drop; then say what is left after a second in which nobody asks anything."""
    await subject.churn(100)
    gc.collect()
    before = server.rss_kib()
    count = 0
    watch = Stopwatch(server)
    while count < effort.objects:
        await subject.churn(100)
        count += 100
    per_s = count / watch.elapsed()
    await subject.sleep(1.0)
    left = await subject.alive()
    grown = (server.rss_kib() - before) * 10_000 / count
    return {"per_s": per_s, "left": left, "kib_per_10k": grown}


async def idle(subject: Subject, server: Server, effort: Effort) -> Numbers:
    """Weigh idle connections at the server; what any connection loads is there before the first weighing."""
    await subject.echo(1)
    await subject.sleep(0.2)
    before = server.rss_kib()
    begin = time.perf_counter()
    await subject.idle(effort.connections)
    elapsed = time.perf_counter() - begin
    await subject.sleep(0.3)
    grown = server.rss_kib() - before
    return {"kib_per_conn": grown / effort.connections, "conn_per_s": effort.connections / elapsed}


async def cold_start(subject: Subject, command: list[str]) -> Numbers:
    """Start a server and call it from a client that is up: exec to the first good result."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220 - nothing else runs
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            listening = time.perf_counter()
            await subject.open(port)
            assert await subject.echo(3) == 3
            done = time.perf_counter()
            rss = Server(process.pid).rss_kib()
        finally:
            process.kill()
    return {"ms": (done - begin) * 1000, "listen_ms": (listening - begin) * 1000, "rss_mib": rss / 1024}


async def measure(subject: Subject, key: str, server: Server, effort: Effort) -> Numbers:
    """Run one measurement of an opened subject."""
    match key:
        case "a":
            return await sequential(subject, server, effort)
        case "b":
            return await bursts(subject, server, effort, "echo")
        case "b_async":
            return await bursts(subject, server, effort, "echo_async")
        case "b_state":
            return await state_bursts(subject, effort)
        case "tasks100":
            return await many_tasks(subject, server, effort)
        case "c10":
            return await chains(subject, effort, 10)
        case "c100":
            return await chains(subject, effort, 100)
        case "d":
            return await bulk(subject, server, effort)
        case "e":
            return await churn(subject, server, effort)
        case "f":
            return await idle(subject, server, effort)
    raise ValueError(f"no measurement {key!r}")


def run_client(
    run: Callable[[Callable[[Subject], Coroutine[Any, Any, Numbers]]], Numbers],
    words: list[str],
    server_words: list[str],
) -> None:
    """Be the client process of ``KEY PORT PID EFFORT``: measure, print one line of JSON, leave at once.

    ``run`` runs a coroutine function of a new subject in the subject's event loop.
    """
    key, port, pid, effort = words[0], int(words[1]), int(words[2]), Effort(quick=words[3] == "quick")

    async def client(subject: Subject) -> Numbers:
        if key == "g":
            numbers = await cold_start(subject, [sys.executable, "-m", *server_words])
        else:
            await subject.open(port)
            numbers = await measure(subject, key, Server(pid), effort)
        print(json.dumps(numbers), flush=True)
        # Saying goodbye on 500 connections is no part of any measurement.
        os._exit(0)

    run(client)
