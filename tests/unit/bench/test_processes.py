"""The benchmark's processes: each says what it must, and measures what it says."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.bench.__main__ import ROOT, Failed, measure, options, started
from tests.bench.relay import relay

#: A driver as a comparison of RPC systems brings it: it knows adapters, not captp.
DRIVER = """
import time

async def released(adapter):
    while await adapter.live():
        time.sleep(0.05)
    return True

async def drive_async(adapter, scenario, port, pid, given):
    await adapter.connect(port)
    await adapter.burst(25, 10)
    return {
        "scenario": scenario, "given": given, "echo": await adapter.echo(7), "chain": await adapter.chain(10),
        "bulk": len(await adapter.bulk(bytes(1000))), "fresh": await adapter.fresh(5),
        "released": await released(adapter),
    }
"""


@pytest.mark.parametrize("subject", ["base", "captp-plain", "captp-tls"])
def test_every_subject_runs_a_measurement_against_its_own_server(subject: str) -> None:
    sample = measure(subject, "e", "quick")

    assert sample["per_s"] > 0
    assert sample["left"] == 0


def test_a_client_that_fails_is_reported_with_its_last_words() -> None:
    with pytest.raises(Failed, match="no measurement 'z'"):
        measure("base", "z", "quick")


def test_a_server_that_never_says_its_port_is_reported() -> None:
    with pytest.raises(Failed, match=r"tests\.bench did not say its port"), started("tests.bench", "--help"):
        pass


@pytest.mark.parametrize("words", [["--scenarios", "a,z"], ["--scenarios", ""], ["--variants", "ssh"]])
def test_unknown_scenarios_and_variants_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        options(words)


def test_options_keep_the_order_of_the_report() -> None:
    assert options(["--scenarios", "e,a"]).scenarios == ["a", "e"]
    assert options([]).variants == ["plain", "tls"]


async def test_the_relay_delays_each_way_keeps_the_order_and_passes_on_the_end() -> None:
    async def echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)
        await stream.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = trio.current_time() + 5
        listeners = await nursery.start(trio.serve_tcp, echo, 0)
        port = listeners[0].socket.getsockname()[1]
        relayed = await nursery.start(relay, port, 0.05)
        async with await trio.open_tcp_stream("127.0.0.1", relayed) as stream:
            begin = trio.current_time()
            for number in range(100):
                await stream.send_all(bytes([number]))
            await stream.send_eof()
            back = b"".join([bytes(part) async for part in stream])
            took = trio.current_time() - begin
        nursery.cancel_scope.cancel()

    assert back == bytes(range(100))
    assert took >= 0.1


@pytest.mark.parametrize("flags", [[], ["--tls"]])
def test_the_peer_driver_answers_a_comparison_with_one_line_of_json(flags: list[str], tmp_path: Path) -> None:
    (tmp_path / "drv.py").write_text(DRIVER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = [str(tmp_path), *flags]
    command = [sys.executable, "-m", "tests.bench.peer_driver", *words]

    with started("tests.bench.peer_driver", *words, "server", port) as (listening, pid):
        done = subprocess.run(
            [*command, "client", port, "b", str(pid), '{"n": 5}'],
            cwd=ROOT, capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip

    assert str(listening) == port
    assert json.loads(done.stdout) == {
        "scenario": "b", "given": {"n": 5}, "echo": 7, "chain": 10, "bulk": 1000, "fresh": 5,
        "released": True,
    }  # fmt: skip


def test_the_peer_driver_refuses_a_directory_without_a_driver(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench.peer_driver", str(tmp_path), "client", "1", "a", "1"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)

    assert done.returncode == 1
    assert "holds no drv.py" in done.stderr
