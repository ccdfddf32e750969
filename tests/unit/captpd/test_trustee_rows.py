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
