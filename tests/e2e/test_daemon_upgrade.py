"""A daemon whose classes have changed migrates what is stored, or does not start and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import captp
from tests.e2e.daemons import LONGEST_S, captpd, free_port, running

FIRST = """
import captp

class Purse(captp.Object):
    pounds: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.pounds += amount
        return self.pounds
"""
SECOND = """
import captp

class Purse(captp.Object, version=2):
    pence: int = 0

    @captp.migrate(from_version=1)
    def to_pence(state):
        return {"pence": state["pounds"] * 100}

    @captp.method
    def add(self, amount: int) -> int:
        self.pence += amount
        return self.pence
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    made = captpd(path, "init", "--listen", f"127.0.0.1:{free_port()}")
    assert made.returncode == 0, made.stderr
    config = path / "captpd.toml"
    config.write_text(config.read_text() + "durable = true\n")
    return path


def names(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "stores").iterdir())


async def test_a_daemon_migrates_what_is_stored_or_does_not_start(home: Path, tmp_path: Path) -> None:
    module = tmp_path / "purses.py"
    module.write_text(FIRST)
    more = {"PYTHONPATH": str(tmp_path), "CAPTPD_DAEMON__ALLOW": "purses", "PYTHONDONTWRITEBYTECODE": "1"}

    async def add(sturdyref: captp.SturdyRef, amount: int) -> int:
        with trio.fail_after(LONGEST_S):
            async with captp.connect(sturdyref) as ref:
                found: int = await captp.E(ref).add(amount)
                return found

    async with running(home, **more) as daemon, daemon.control() as control:
        await control.new("purses:Purse", "purse")
        shared = await control.share("purse")
        assert await add(shared, 3) == 3
        assert await daemon.end() == 0
    stored, before = names(home), (home / "stores" / "main.db").read_bytes()

    module.write_text(SECOND.replace("@captp.migrate(from_version=1)", "@staticmethod"))
    refused = await trio.to_thread.run_sync(lambda: captpd(home, "run", **more))
    assert refused.returncode == 2
    (line,) = refused.stderr.strip().splitlines()
    assert line.startswith("captpd: the store has objects of purses:Purse in version 1")
    assert line.endswith("add a function with @captp.migrate(from_version=1) to Purse")
    assert (names(home), (home / "stores" / "main.db").read_bytes()) == (stored, before)

    module.write_text(SECOND)
    async with running(home, **more) as daemon:
        assert await add(shared, 1) == 301
        assert await daemon.end() == 0
    (copy,) = set(names(home)) - set(stored)
    assert copy.startswith("main.db-before-upgrade-")
    checked = await trio.to_thread.run_sync(captpd, home, "check")
    assert checked.stdout.startswith("main: ok: 1 objects")
