"""What the daemon's control plane says of garbage: figures by vat, and reasons across its vats."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp.cli.gc import shown as shown_figures
from captp.cli.why import shown as shown_reasons
from captp.limits import Limits
from captp.net.tcp import TcpNetlayer
from captpd.admin.admin import Admin
from captpd.config.schema import Config, Daemon, Listen, Process, Vat
from captpd.daemon.book import BY_NEW, Record, read_book
from captpd.daemon.host import Hosted, Hosting, OpenVat

QUICK = captp.Cycles(age=0.05, tick=0.05)


class Cell(captp.Object):
    held: captp.List[Any]

    @captp.method
    def make(self) -> Any:
        return Cell()

    @captp.method
    def hold(self, what: Any) -> None:
        self.held.append(what)


class Daemonlike:
    """Two vats as a daemon has them, a maker of cells in each, and a client of its control plane."""

    def __init__(self, hosting: Hosting, admin: Any, makers: list[Any]) -> None:
        self.hosting = hosting
        self.admin = admin
        self.makers = makers

    async def ring(self) -> list[Any]:
        one, other = [await captp.E(maker).make() for maker in self.makers]
        await captp.E(one).hold(other)
        await captp.E(other).hold(one)
        return [one, other]

    async def until(self, what: Any) -> Any:
        """Ask until there is an answer that will do."""
        with trio.fail_after(10):
            while True:
                gc.collect()
                found = await what()
                if found:
                    return found
                await trio.sleep(0.02)


@asynccontextmanager
async def two_vats(state: Path) -> AsyncIterator[Daemonlike]:
    config = Config(
        daemon=Daemon(state=state),
        listen=Listen(),
        process=Process(),
        limits=Limits(),
        cycles=QUICK,
        vats={"main": Vat(), "side": Vat()},
        objects={},
    )
    async with (
        captp.open_vat(listen=[TcpNetlayer()], cycles=QUICK) as main,
        captp.open_vat(listen=[TcpNetlayer()], cycles=QUICK) as side,
        captp.open_vat(listen=[TcpNetlayer()]) as control,
        captp.open_vat(cycles=QUICK) as client,
    ):
        lives = {"main": main, "side": side}
        hosting = Hosting(
            config=config,
            vats={name: OpenVat(name=name, live=live, listening=()) for name, live in lives.items()},
            book_path=state / "sturdyrefs.json",
            book=read_book(state / "sturdyrefs.json"),
            stopping=trio.Event(),
        )
        makers = []
        for name, live in lives.items():
            record = Record(class_path="x:Cell", vat=name, by=BY_NEW, swiss=name.encode() * 8)
            ref = live.mint(Cell(), label=f"{name}-cell", swiss=record.swiss)
            hosting._objects[f"{name}-cell"] = Hosted(record=record, sturdyref=ref)
            makers.append(await client.enliven(ref))
        admin = captp.E(await client.enliven(control.mint(Admin(hosting))))
        yield Daemonlike(hosting, admin, makers)


async def test_each_vat_has_a_row_with_its_figures_and_suspects_that_can_cross(tmp_path: Path) -> None:
    async with two_vats(tmp_path) as it:
        kept = await it.ring()

        async def asked() -> Any:
            found = await it.admin.gc()
            return found if all(any(s["asked_s"] for s in row["suspects_now"]) for row in found) else None

        rows = await it.until(asked)

    assert [row["vat"] for row in rows] == ["main", "side"]
    for row in rows:
        assert row["suspects"] == len(row["suspects_now"]) == 1
        (suspect,) = row["suspects_now"]
        assert (suspect["id"], suspect["type"]) == (f"{row['vat']}:o2", "Cell")
        assert suspect["verdict"] in {"live", "changed"}
        assert row["bytes_said"].keys() == row["said"].keys()
    assert json.loads(json.dumps(rows))
    assert "main:o2" in shown_figures(rows)
    assert kept


async def test_a_ring_that_is_freed_shows_as_collected_and_is_told_of_by_its_id(tmp_path: Path) -> None:
    async with two_vats(tmp_path) as it:
        kept = await it.ring()
        kept.clear()

        async def freed() -> Any:
            found = await it.admin.gc()
            return None if any(row["exports"] > 1 for row in found) else found

        rows = await it.until(freed)
        (one,) = [one for row in rows for one in row["collected_lately"]][:1]
        told = await it.admin.why(one["id"])

    assert sum(row["cut"] for row in rows) >= 1
    assert (told["vat"], told["id"], told["type"]) == (one["vat"], one["id"], "Cell")
    assert (told["state"], told["trace"]) == ("collected", one["trace"])
    assert "it was garbage" in shown_reasons(told)
    assert "collected lately" in shown_figures(rows)


async def test_a_holder_that_is_a_vat_of_the_daemon_is_followed_to_its_root(tmp_path: Path) -> None:
    async with two_vats(tmp_path) as it:
        one = await captp.E(it.makers[0]).make()
        await captp.E(it.makers[1]).hold(one)
        del one

        async def held_by_side() -> Any:
            told = await it.admin.why("main:o2")
            return told if told["state"] == "held by peers" else None

        told = await it.until(held_by_side)

    ((way, holder),) = [(way, holder) for way in told["ways"] for holder in way["holders"]]
    there = holder["there"]
    assert (told["state"], [step["id"] for step in way["steps"]]) == ("held by peers", ["main:o2"])
    assert (there["vat"], there["state"]) == ("side", "rooted")
    assert "the sturdyref side-cell" in there["ways"][0]["roots"]
    assert [step["id"] for step in there["ways"][0]["steps"]] == ["side:o1", there["id"]]
    text = shown_reasons(told)
    assert "in vat side of this daemon:" in text
    assert "the sturdyref side-cell -> Cell side:o1 -> " in text


async def test_a_ring_through_two_vats_is_followed_once_round(tmp_path: Path) -> None:
    async with two_vats(tmp_path) as it:
        kept = await it.ring()
        await captp.E(it.makers[1]).hold(kept[0])
        kept.clear()

        async def all_round() -> Any:
            told = await it.admin.why("side:o2")
            return told if told["state"] == "held by peers" and '"is_above"' in json.dumps(told) else None

        told = await it.until(all_round)

    assert "of which more is above" in shown_reasons(told)
    assert "the sturdyref side-cell" in shown_reasons(told)


async def test_an_object_is_found_by_name_by_sturdyref_and_by_id(tmp_path: Path) -> None:
    async with two_vats(tmp_path) as it:
        sturdyref = it.hosting.sturdyref("side-cell")
        found = [await it.admin.why(what) for what in ("side-cell", sturdyref, "side:o1")]

    assert [(one["id"], one["state"]) for one in found] == [("side:o1", "rooted")] * 3
    assert all("the sturdyref side-cell" in one["ways"][0]["roots"] for one in found)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("nobody", "there is no object 'nobody'; there are: main-cell, side-cell"),
        ("main:o99", "nothing is known of main:o99"),
        ("other:o1", "there is no object 'other:o1'"),
        (5, "an object is given by its name, its sturdyref, or its id, as main:o12"),
    ],
)
async def test_what_is_not_there_is_refused(tmp_path: Path, what: Any, said: str) -> None:
    async with two_vats(tmp_path) as it:
        with pytest.raises(captp.Refused, match=said):
            await it.admin.why(what)


async def test_sturdyrefs_of_others_and_withdrawn_ones_are_refused_and_not_told(tmp_path: Path) -> None:
    async with two_vats(tmp_path) as it:
        known = it.hosting.sturdyref("side-cell")
        wrong = captp.SturdyRef(known.peer, b"w" * 32)
        key = captp.PrivateKey.from_seed(b"k" * 32)
        place = captp.PeerLocator.make("tcp-testing-only", key.public.designator, dict(known.peer.hints))
        with pytest.raises(captp.Refused, match="there is no such object") as raised:
            await it.admin.why(wrong)
        with pytest.raises(captp.Refused, match="of no vat of this daemon"):
            await it.admin.why(captp.SturdyRef(place, known.swiss))

    assert "wwww" not in str(raised.value)
