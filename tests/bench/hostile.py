"""What eight well-behaved clients notice while somebody attacks their node; exits 1 if it is too much.

Five processes: the node, the clients, the attacker, another node beside them, and this one, which
reports. Each family of attack runs as hard as one process can on what the others leave of the cores. In
each pass there is a calm, then the attack against the clients' node; the p99 of the clients in the second
is held against that in the first, and the median of the passes counts. The same attack on the other node
shows what it costs on so few cores where the node has nothing to do with it.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import trio

import captp
from captp.model.keys import PrivateKey
from tests.bench.report import table
from tests.hostile.node import SWISS, Door, Hostile
from tests.hostile.spell import SPEAKERS, Speaker, answer, promise
from tests.hostile.wire import Wire, connect, greet

ROOT = Path(__file__).parents[2]
SEED = b"the key of a bench: no secret :)"
CLIENTS = 8
PACE_S = 0.005
GOAL = 2.0
NETLAYERS = {"plain": "tcp-testing-only", "tls": "tls"}


# The node.


async def serve(variant: str) -> None:
    """Serve until killed; say the port on the first line."""
    from captp.net.tcp import TcpNetlayer
    from captp.net.tls import TlsNetlayer, TlsPort

    # What it has to say of thousands of attacks would be a load of its own.
    logging.getLogger("captp").setLevel(logging.CRITICAL)
    key = PrivateKey.from_seed(SEED)
    layer: Any = TlsNetlayer(key, TlsPort()) if variant == "tls" else TcpNetlayer()
    async with captp.open_vat(key=key, listen=[layer]) as vat:
        vat.mint(Door(), swiss=SWISS)
        gc.freeze()  # as captpd does
        print(vat.locators[0].hint("port"), flush=True)
        await trio.sleep_forever()


# The clients.


async def attend(variant: str, port: int) -> None:
    """Call steadily; for each line on stdin, a time in seconds, print what was measured in it."""
    hints = {"host": "127.0.0.1", "port": str(port), "exts": "mp1"}
    designator = PrivateKey.from_seed(SEED).public.designator
    sturdyref = captp.SturdyRef(captp.PeerLocator.make(NETLAYERS[variant], designator, hints), SWISS)
    took: list[float] = []

    async def client(number: int) -> None:
        # Not in step: nobody asks all at once.
        await trio.sleep(PACE_S * number / CLIENTS)
        async with captp.connect(sturdyref) as door:
            while True:
                began = time.perf_counter()
                assert await captp.E(door).number(number) == number
                took.append(time.perf_counter() - began)
                await trio.sleep(PACE_S)

    async with trio.open_nursery() as nursery:
        for number in range(CLIENTS):
            nursery.start_soon(client, number)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            took.clear()
            await trio.sleep(float(line))
            print(json.dumps(figures(took)), flush=True)
        nursery.cancel_scope.cancel()


def figures(took: list[float]) -> dict[str, float]:
    """Sum up latencies, in milliseconds."""
    ordered = sorted(took)
    if not ordered:
        return {"calls": 0, "p50": float("inf"), "p99": float("inf")}
    at = [ordered[min(int(len(ordered) * q), len(ordered) - 1)] * 1000 for q in (0.5, 0.99)]
    return {"calls": len(ordered), "p50": at[0], "p99": at[1]}


# The attacker.


class Target:
    """What an attacker knows of the node."""

    def __init__(self, variant: str, port: int) -> None:
        self.netlayer = NETLAYERS[variant]
        self.port = port
        self.designator = PrivateKey.from_seed(SEED).public.designator
        self.rounds = 0

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[tuple[Wire, PrivateKey]]:
        key = PrivateKey.from_seed(os.urandom(32))
        wire = await greet(await connect(self.port), self.netlayer, self.designator, key)
        try:
            yield wire, key
        finally:
            wire.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Hostile]:
        async with self.wire() as (wire, key):
            hostile = Hostile(self, SPEAKERS["native"], wire, key)  # type: ignore[arg-type]
            await hostile.open()
            yield hostile


async def again_and_again(target: Target, attack: Callable[[Target], Awaitable[None]], times: int) -> None:
    """Run an attack in several tasks, and again whenever one is over: refusals are part of it.

    It gets what the others leave of the cores, at no cost to them: a real one has its own.
    """
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    async def one() -> None:
        while True:
            try:
                await attack(target)
                target.rounds += 1
            except (OSError, AssertionError, captp.Error):
                pass
            except Exception as problem:
                if type(problem).__module__ != "OpenSSL.SSL":
                    raise
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(one)


async def garbage(target: Target) -> None:
    """Connect, send noise, be closed."""
    async with target.wire() as (wire, _):
        await wire.send(SPEAKERS["native"].preface + os.urandom(4096))
        while await wire.receive():
            pass


async def pour(hostile: Hostile, spell: Callable[[Speaker, int], bytes], size: int = 500) -> None:
    """Send without reading until the node closes."""
    start = 0
    while await hostile.wire.send(b"".join(spell(hostile.says, start + i) for i in range(size))):
        start += size


async def call_flood(target: Target) -> None:
    async with target.session() as hostile:
        await pour(hostile, lambda s, i: s.call(1, "number", i, at=i))


async def listen_storm(target: Target) -> None:
    """Listen to a promise as often as may be, then to an object, which answers each."""
    async with target.session() as hostile:
        await hostile.send(hostile.says.call(1, "wait", promise(1), at=0, wanted=False))
        await hostile.send(*(hostile.says.listen(answer(0), 1 + i) for i in range(60)))
        await pour(hostile, lambda s, i: s.listen(1, 100 + i))


async def gc_storm(target: Target) -> None:
    """Have objects made, and give them back at once."""
    async with target.session() as hostile:
        says = hostile.says
        while True:
            await hostile.send(*(says.call(1, "make", at=1000 + i) for i in range(200)))
            places: list[int] = []
            while len(places) < 200:
                if not await hostile.listen_more():
                    return
                places += [value.position for what, _, value in hostile.heard if what == "result"]
                hostile.heard.clear()
            await hostile.send(says.gc_answers(list(range(1000, 1200))), says.gc_exports(places, [1] * 200))


async def wrong_swiss(target: Target) -> None:
    async with target.session() as hostile:
        await hostile.send(*(hostile.says.call(0, "fetch", os.urandom(32), at=i) for i in range(257)))
        await hostile.end()


async def full_frames(target: Target) -> None:
    """Fetch a thousand times in one frame, and again."""
    async with target.session() as hostile:
        says = hostile.says
        size = len(says.raw(b""))
        frame = says.raw(b"".join(says.call(0, "fetch", SWISS, at=i)[size:] for i in range(1000)))
        while await hostile.wire.send(frame):
            await hostile.result(999)
            hostile.heard.clear()
            await hostile.send(says.gc_answers(list(range(1000))))


async def half_open(target: Target) -> None:
    """Hold two hundred connections that say nothing, for a second each."""
    socks = [await connect(target.port) for _ in range(200)]
    await trio.sleep(1)
    for sock in socks:
        sock.close()


async def slow_loris(target: Target) -> None:
    """Let a message drip in, on one of many sessions."""
    async with target.session() as hostile:
        await hostile.wire.drip(hostile.says.call(1, "echo", bytes(100_000), at=0), 0.01)


async def big_messages(target: Target) -> None:
    """Send almost as much at once as may be, and read it back."""
    async with target.session() as hostile:
        data = bytes(4 * 2**20 - 100)
        while await hostile.wire.send(hostile.says.call(1, "echo", data, at=1)):
            await hostile.result(1)
            hostile.heard.clear()
            await hostile.send(hostile.says.gc_answers([1]))


FAMILIES: dict[str, tuple[Callable[[Target], Awaitable[None]], int]] = {
    "garbage": (garbage, 4),
    "call-flood": (call_flood, 1),
    "listen-storm": (listen_storm, 1),
    "gc-storm": (gc_storm, 1),
    "wrong-swiss": (wrong_swiss, 4),
    "full-frames": (full_frames, 1),
    "half-open": (half_open, 1),
    "slow-loris": (slow_loris, 100),
    "big-messages": (big_messages, 1),
}


# The report.


class Part:
    """A process of this benchmark; ended with its block."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "tests.bench.hostile", *words]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def measure(self, seconds: float) -> dict[str, float]:
        """Have the clients measure for a while."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        found: dict[str, float] = json.loads(self.line())
        return found


def cpu_of(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(variant: str, families: list[str], seconds: float, passes: int) -> dict[str, dict[str, float]]:
    """Measure calm and attack in turn, and the attack next door once, per family."""
    found: dict[str, dict[str, float]] = {}
    with Part("server", variant) as node, Part("server", variant) as neighbour:
        port, next_door = node.line(), neighbour.line()
        with Part("clients", variant, port) as clients:
            clients.measure(1.0)
            for family in families:
                beside, _ = _attacked(clients, neighbour, (variant, next_door, family), seconds)
                calm, attacked, cpus = [], [], []
                for _ in range(passes):
                    calm.append(clients.measure(seconds))
                    seen, cpu = _attacked(clients, node, (variant, port, family), seconds)
                    attacked.append(seen)
                    cpus.append(cpu)
                found[family] = {
                    "calm_p50": _median(calm, "p50"), "calm_p99": _median(calm, "p99"),
                    "beside_p99": beside["p99"],
                    "p50": _median(attacked, "p50"), "p99": _median(attacked, "p99"),
                    "ratio": median(a["p99"] / c["p99"] for a, c in zip(attacked, calm, strict=True)),
                    "calls_per_s": _median(attacked, "calls") / seconds, "node_cpu": median(cpus),
                }  # fmt: skip
                print(f"{family}: {json.dumps(found[family])}", file=sys.stderr, flush=True)
    return found


def _median(seen: list[dict[str, float]], name: str) -> float:
    return median(one[name] for one in seen)


def _attacked(
    clients: Part, node: Part, attacker_words: tuple[str, str, str], seconds: float
) -> tuple[dict[str, float], float]:
    """Return what the clients see while a node is attacked, and the share of a core that it uses."""
    with Part("attacker", *attacker_words) as attacker:
        attacker.line()
        before = cpu_of(node.process.pid)
        seen = clients.measure(seconds)
        cpu = (cpu_of(node.process.pid) - before) / seconds
    clients.measure(0.5)
    return seen, cpu


def told(found: dict[str, dict[str, float]]) -> str:
    """Return the table."""
    rows = []
    for family, f in found.items():
        numbers = [f[name] for name in ("calm_p50", "calm_p99", "p50", "p99", "ratio", "beside_p99")]
        verdict = "ok" if f["ratio"] <= GOAL else f"over {GOAL:g}x"
        rows.append([
            family, *(f"{n:.2f}" for n in numbers), f"{f['calls_per_s']:.0f}", f"{f['node_cpu']:.0%}",
            verdict,
        ])  # fmt: skip
    head = [
        "attack", "calm p50 ms", "p99", "attacked p50", "p99", "attacked / calm p99", "next door p99",
        "calls/s", "node's CPU", "",
    ]  # fmt: skip
    return table(head, rows)


def main(words: list[str] | None = None) -> int:
    """Run what was asked for and report it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hostile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long a calm and an attack last (3)")
    parser.add_argument("--passes", type=int, default=3, help="how often both are measured (3)")
    parser.add_argument("--variant", choices=[*NETLAYERS], default="tls")
    parser.add_argument("--families", default=",".join(FAMILIES), help="a list with commas (all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    chosen = parser.parse_args(words)
    families = [name for name in FAMILIES if name in chosen.families.split(",")]
    found = run(chosen.variant, families, chosen.seconds, chosen.passes)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    over = sum(f["ratio"] > GOAL for f in found.values())
    print(told(found), "", f"{len(found)} families, {over} over {GOAL:g}x", sep="\n")
    return 1 if over else 0


def part(role: str, variant: str, *rest: str) -> None:
    """Be one of the other processes."""
    if role == "server":
        trio.run(serve, variant)
    elif role == "clients":
        trio.run(attend, variant, int(rest[0]))
    else:
        attack, times = FAMILIES[rest[1]]
        print("ready", flush=True)
        trio.run(again_and_again, Target(variant, int(rest[0])), attack, times)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ("server", "clients", "attacker"):
        part(*sys.argv[1:])
    else:
        sys.exit(main())
