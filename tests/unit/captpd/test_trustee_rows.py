"""What the daemon's control plane says of trustees, loops and others, of every vat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

import captp
from captp.cli.trustees import shown
from captp.limits import Limits
from captp.net.tcp import TcpNetlayer
from captpd.admin.admin import Admin
from captpd.config.schema import Config, Daemon, Listen, Process, Vat
from captpd.daemon.book import read_book
from captpd.daemon.host import Hosting, OpenVat
from tests.e2e.process_things import Tally


def hosting_of(live: captp.LiveVat, state: Path) -> Hosting:
    config = Config(
        daemon=Daemon(state=state),
        listen=Listen(),
        process=Process(),
        limits=Limits(),
        cycles=captp.Cycles(),
        vats={"main": Vat()},
        objects={},
    )
    path = state / "sturdyrefs.json"
    vats = {"main": OpenVat(name="main", live=live, listening=())}
    return Hosting(config=config, vats=vats, book_path=path, book=read_book(path), stopping=trio.Event())


async def test_a_thread_of_a_vat_has_a_row_beside_its_loop_that_can_cross(tmp_path: Path) -> None:
    async with captp.open_vat() as live, captp.open_vat(listen=[TcpNetlayer()]) as control:
        sturdyref = control.mint(Admin(hosting_of(live, tmp_path)))
        async with live.trustee("thread") as thread, captp.connect(sturdyref) as admin:
            await (await thread.entrust_new(list)).apply(len)
            rows: Any = await captp.E(admin).trustees()

    assert [(row["vat"], row["trustee"]) for row in rows] == [("main", "loop"), ("main", "thread-1")]
    assert rows[1]["turns"] == 2
    assert "thread-1" in shown(rows)


async def test_the_row_of_a_process_has_what_it_says_of_its_loop_too(tmp_path: Path) -> None:
    async with captp.open_vat() as live, captp.open_vat(listen=[TcpNetlayer()]) as control:
        sturdyref = control.mint(Admin(hosting_of(live, tmp_path)))
        async with live.trustee("process", [Tally]) as process, captp.connect(sturdyref) as admin:
            tally = await process.entrust_new(Tally)
            await tally.apply(Tally.add, 1)
            _, row = await captp.E(admin).trustees()

    assert (row["trustee"], row["state"], row["live"], row["waiting"]) == ("process-1", "up", 1, 0)
    assert row["turns"] >= 2
    assert 0 < row["busy_s"] < row["age_s"]
    title, cells = shown([row]).splitlines()
    assert set(title.split()) >= {"load", "busy", "turns", "turns/s", "waiting", "restarts", "state"}
    assert "up" in cells
