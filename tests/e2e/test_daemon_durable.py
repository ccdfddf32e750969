"""A daemon whose vat is durable: killed at any time, it goes on where it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from tests.e2e.daemons import LONGEST_S, captpd, free_port, running

TILL = "daemon_shop:Till"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make a state folder whose main vat is durable."""
    path = tmp_path / "state"
    made = captpd(path, "init", "--durable", "--listen", f"127.0.0.1:{free_port()}")
    assert made.returncode == 0, made.stderr
    return path


async def call(sturdyref: captp.SturdyRef, method: str, *args: Any) -> Any:
    with trio.fail_after(LONGEST_S):
        async with captp.connect(sturdyref) as ref:
            return await getattr(captp.E(ref), method)(*args)


async def test_a_daemon_that_was_killed_goes_on_at_the_same_sturdyrefs(home: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        made = await control.new(TILL, "till")
        shared = await control.share("till")
        assert await call(shared, "add", 2) == 2
        assert await call(shared, "add", 3) == 5
        await daemon.end(signal.SIGKILL)

    async with running(home) as daemon, daemon.control() as control:
        again = await control.share("till")
        status = await control.status()

        assert await call(shared, "add", 1) == 6
        assert again.reveal() == shared.reveal()
        assert made["state"] == "stored"
        assert await control.ls() == (made,)
        assert (status["store"], status["state"], status["vats"][0]["state"]) == (
            "sqlite",
            "stored",
            "stored",
        )
        assert "store: sqlite" in daemon.ready
        assert await daemon.end() == 0

    kept = sorted(path.name for path in (home / "stores").iterdir())
    assert kept == ["main.db", "main.db-lock", "main.db-reserve"]


async def test_a_session_of_a_daemon_that_was_killed_breaks_and_its_sturdyref_works_again(home: Path) -> None:
    async with captp.open_vat() as vat:
        async with running(home) as daemon, daemon.control() as control:
            await control.new(TILL, "till")
            shared = await control.share("till")
            till: Any = captp.E(vat.enliven(shared))
            await till.add(1)
            live = await vat.enliven(shared)
            gone = vat.when_broken(live)
            await daemon.end(signal.SIGKILL)
        with trio.fail_after(LONGEST_S):
            reason = await gone
            with pytest.raises(captp.Disconnected, match="run 1 of its store") as broken:
                await captp.E(live).add(1)
        async with running(home):
            assert await captp.E(vat.enliven(shared)).add(1) == 2
            (session,) = vat.view().sessions
            assert (broken.value.incarnation, session.incarnation) == (1, 2)
            assert not broken.value.may_have_run

    assert reason.data["class"] == "Disconnected"
    assert "run 1 of its store" in reason.message


async def test_a_store_of_a_class_that_is_gone_is_refused_with_one_line(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "modules"
    folder.mkdir()
    module = folder / "passing.py"
    module.write_text("import captp\n\nclass Passing(captp.Object):\n    total: int = 0\n")
    more = {"PYTHONPATH": str(folder), "CAPTPD_DAEMON__ALLOW": "passing"}
    async with running(home, **more) as daemon, daemon.control() as control:
        await control.new("passing:Passing", "it")
        await daemon.end()
    module.write_text("")
    before = (home / "stores" / "main.db").read_bytes()

    refused = await trio.to_thread.run_sync(lambda: captpd(home, "run", **more))

    assert refused.returncode != 0
    assert refused.stdout == ""
    (line,) = refused.stderr.strip().splitlines()
    assert line.startswith("captpd: the store has objects of passing:Passing, and there is no such class")
    assert (home / "stores" / "main.db").read_bytes() == before


async def test_a_store_that_another_process_has_is_refused_with_its_pid(home: Path) -> None:
    async with running(home) as daemon:
        assert await daemon.end() == 0
    program = (
        "import sys, pathlib\n"
        "from captpd.store.sqlite import SqliteStore\n"
        "store = SqliteStore(pathlib.Path(sys.argv[1])); store.open()\n"
        "print('open', flush=True); sys.stdin.read()\n"
    )
    path = home / "stores" / "main.db"
    command = [sys.executable, "-c", program, str(path)]
    async with trio.open_nursery() as nursery:
        holder: trio.Process = await nursery.start(_hold, command)
        refused = await trio.to_thread.run_sync(lambda: captpd(home, "run"))
        holder.terminate()

    assert refused.returncode != 0
    assert f"in use by another process (pid {holder.pid})" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


async def _hold(command: list[str], *, task_status: trio.TaskStatus[trio.Process]) -> None:
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    async with process.stdin, process.stdout:
        try:
            said = b""
            while not said.endswith(b"\n"):
                said += await process.stdout.receive_some()
            assert said == b"open\n"
            task_status.started(process)
            await process.wait()
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


async def test_status_shows_json_of_a_durable_vat(home: Path) -> None:
    async with running(home):
        asked = await trio.to_thread.run_sync(captpd, home, "status", "--json")

    assert json.loads(asked.stdout)["vats"][0]["state"] == "stored"
