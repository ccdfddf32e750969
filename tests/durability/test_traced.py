"""A real daemon and its disk, as the system sees them: what is said comes after what was synced."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from tests.durability.traced import Call, calls_in, traced, why_not
from tests.e2e.daemons import Daemon, captpd, free_port, running

MODULES = Path(__file__).parent / "daemon_modules"
TURNS = 200
CLIENTS = 4
#: Calls that a client has under way at once.
AT_ONCE = 5

pytestmark = pytest.mark.timeout(100)


@pytest.fixture(scope="module", autouse=True)
def _can_trace() -> None:
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a state folder whose main vat is durable and speaks in plain text."""
    path = tmp_path / "state"
    assert captpd(path, "init", "--listen", f"127.0.0.1:{free_port()}").returncode == 0
    config = path / "captpd.toml"
    plain = f'durable = true\ntcp_testing_only = "127.0.0.1:{free_port()}"\n'
    config.write_text(config.read_text() + plain)
    return path


async def ledger_of(daemon: Daemon, module: str) -> captp.SturdyRef:
    """Make the ledger, unless there is one; return its sturdyref in plain text."""
    async with daemon.control() as control:
        if not await control.ls():
            await control.new(f"{module}:Ledger", "ledger")
        shared = await control.share("ledger")
    port = daemon.ready.rpartition("tcp-testing-only (insecure) 127.0.0.1:")[2].split()[0].strip(",;")
    hints = {"host": "127.0.0.1", "port": port}
    locator = captp.PeerLocator.make("tcp-testing-only", shared.peer.designator, hints)
    return captp.SturdyRef(locator, shared.swiss)


def hosting(module: str) -> dict[str, str]:
    return {"PYTHONPATH": str(MODULES), "CAPTPD_DAEMON__ALLOW": module}


async def write(sturdyref: captp.SturdyRef, name: str, turns: int, acknowledged: list[str]) -> None:
    """Call until all turns are acknowledged, or the daemon is gone."""
    async with captp.open_vat() as vat:
        ledger: Any = captp.E(vat.enliven(sturdyref))
        for first in range(0, turns, AT_ONCE):
            words = [f"{name} {number}" for number in range(first, first + AT_ONCE)]
            for word, promise in [(word, ledger.write(word)) for word in words]:
                try:
                    await promise
                except captp.Disconnected:
                    return
                acknowledged.append(word)


async def write_all(sturdyref: captp.SturdyRef, turns: int) -> list[str]:
    acknowledged: list[str] = []
    async with trio.open_nursery() as nursery:
        for client in range(CLIENTS):
            nursery.start_soon(write, sturdyref, f"client {client}", turns // CLIENTS, acknowledged)
    return acknowledged


def answers_in(calls: list[Call]) -> dict[int, Call]:
    """Return the call that began to send the answer of each turn."""
    found: dict[int, Call] = {}
    for call in calls:
        if call.on.startswith("TCP"):
            for place in re.findall(rb"turn (\d{8}) is done", call.data):
                found.setdefault(int(place), call)
    return found


def early(calls: list[Call], keys: dict[int, bytes]) -> list[str]:
    """Return which answers began to leave before the sync that covers their turn had returned."""
    wal = [call for call in calls if call.on.endswith("/main.db-wal")]
    found = []
    for place, answer in answers_in(calls).items():
        # The key of a turn's row is in its own commit for the first time.
        row = next(call for call in wal if keys[place] in call.data)
        sync = next((call for call in wal if call.name == "fdatasync" and call.begun > row.ended), None)
        if sync is None or sync.result != "0" or not row.ended < sync.ended < answer.begun:
            found.append(f"turn {place}: written {row.begun}, answered {answer.begun}, synced {sync}")
    return found


def keys_of_rows(path: Path) -> dict[int, bytes]:
    """Return the keys of the ledger's rows by their places, which are the turns' numbers."""
    with sqlite3.connect(path) as database:
        keys = [key for (key,) in database.execute("SELECT key FROM entry ORDER BY key")]
    database.close()
    return {int.from_bytes(key[-8:], "big"): key for key in keys}


async def trace_turns(home: Path, module: str, tmp_path: Path) -> list[str]:
    into = tmp_path / "trace"
    async with running(home, **hosting(module)) as daemon:
        sturdyref = await ledger_of(daemon, module)
        async with traced(daemon.process.pid, into):
            acknowledged = await write_all(sturdyref, TURNS)
            assert await daemon.end() == 0
    keys = keys_of_rows(home / "stores" / "main.db")
    assert len(acknowledged) == len(keys) == TURNS
    with into.open() as lines:
        calls = list(calls_in(lines))
    assert set(answers_in(calls)) == set(keys)
    return early(calls, keys)


async def test_no_byte_of_an_answer_leaves_before_the_sync_that_covers_its_turn(
    home: Path, tmp_path: Path
) -> None:
    assert await trace_turns(home, "ledger", tmp_path) == []


async def test_a_gate_that_opens_too_early_is_found(home: Path, tmp_path: Path) -> None:
    assert len(await trace_turns(home, "hasty", tmp_path)) > TURNS // 4


async def test_a_daemon_whose_sync_fails_once_stops_and_has_all_that_it_acknowledged(
    home: Path, tmp_path: Path
) -> None:
    into = tmp_path / "trace"
    async with running(home, **hosting("ledger")) as daemon:
        sturdyref = await ledger_of(daemon, "ledger")
        before = await write_all(sturdyref, 40)
        async with traced(daemon.process.pid, into, "-e", "inject=fdatasync:error=EIO:when=3"):
            during = await write_all(sturdyref, 4000)
            assert await daemon.wait() != 0
        log = daemon.log.decode()
    acknowledged = before + during
    with into.open() as lines:
        calls = list(calls_in(lines))
    syncs = [call.result for call in calls if call.name == "fdatasync"]
    async with running(home, **hosting("ledger")) as daemon:
        sturdyref = await ledger_of(daemon, "ledger")
        async with captp.connect(sturdyref) as ledger:
            there = await captp.E(ledger).read()

    (why,) = [line for line in log.splitlines() if not line.startswith("{")]
    assert "SQLITE_IOERR_FSYNC" in why
    assert syncs[:2] == ["0", "0"]
    assert syncs[2] == "-1 EIO (Input/output error) (INJECTED)"
    # The sync that failed covers no answer, nor does one after it.
    assert answers_in(calls)
    assert early(calls, keys_of_rows(home / "stores" / "main.db")) == []
    assert set(acknowledged) <= set(there)
    assert len(before) == 40
    assert len(during) < 4000
