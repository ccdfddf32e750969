"""A daemon with a turn that takes long: it says where that stands, and how long others waited."""

from __future__ import annotations

import linecache
from pathlib import Path

import pytest
import trio

import captp
from tests.e2e.daemons import LONGEST_S, captpd, running

SECONDS = 0.3


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    made = captpd(path, "init", "--listen", "127.0.0.1:0")
    assert made.returncode == 0, made.stderr
    return path


async def test_a_long_turn_is_logged_once_and_shows_in_the_figures(home: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        await control.new("daemon_shop:Till", "till")
        with trio.fail_after(LONGEST_S):
            async with captp.connect(await control.share("till")) as ref:
                till = captp.E(await ref)
                calls = [till.grind(SECONDS), till.add(1), till.add(2)]
                assert [await call for call in calls] == ["done", 1, 3]
        await daemon.wait_for_log(b"a turn takes long")
        main, _control = await control.trustees()

        (line,) = [line for line in daemon.log_lines() if line["event"].startswith("a turn takes long")]
        path, _, number = line["at"].rpartition(":")
        assert (line["level"], line["vat"], line["method"]) == ("warning", "main", "Till.grind")
        assert Path(path).name == "daemon_shop.py"
        assert linecache.getline(path, int(number)).strip() == "time.sleep(seconds)"
        assert (main["turns"], main["high_water"]) == (3, 3)
        assert main["longest_batch_s"] >= SECONDS
        assert main["longest_wait_s"] >= SECONDS
