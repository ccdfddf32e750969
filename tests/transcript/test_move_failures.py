"""Moves in which somebody goes, or nobody comes: one owner or none, and who had it can tell."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.limits import Limits
from captp.model.parcel import Parcel
from captp.peer.pressure import has_backlog
from tests.transcript.moves_box import Scene, moved
from tests.unit.peer.pair import Host, outcome


def test_a_gift_that_nobody_comes_for_has_no_owner_any_more() -> None:
    it = Scene(B=Limits(gift_keep_s=5.0), C=Limits(gift_wait_s=60.0))
    table = it.table()
    promise = it.a.want(it.to_c.take(table))
    it.net.rest(dials=False)
    assert it.b.peer.exporter.dump() == ["live 1 gifts, 0 awaited"]
    assert it.owners() == 1

    it.net.wait(6.0, dials=False)
    it.net.collect()
    assert it.owners() == 0
    assert it.sheets() == []

    it.net.wait(120.0)
    with pytest.raises(captp.HandoffFailed, match=r"^handoff: "):
        outcome(promise)
    assert "may be there or gone" in moved(table)
    del table, promise
    it.ends_empty()


def test_a_host_that_does_not_answer_holds_nobody_for_ever() -> None:
    it = Scene(C=Limits(gift_wait_s=5.0))
    to_b = it.desk(it.c, it.b)
    table = it.table()
    silent = it.net.hold(it.c, it.b)
    promise = it.a.want(it.to_c.take(table))
    it.to_c.note.only("behind")
    it.net.rest()
    assert it.at[it.c].noted == []

    it.net.wait(5.5)
    with pytest.raises(captp.HandoffFailed, match="its host does not answer"):
        outcome(promise)
    assert it.at[it.c].noted == ["behind"]
    # What comes after all is nobody's, and goes.
    silent.is_deaf = False
    it.net.collect()
    assert it.owners() == 0
    assert it.sheets() == []
    del table, promise, to_b
    it.ends_empty()


def test_a_deposit_that_never_comes_leaves_it_where_it_was() -> None:
    it = Scene(B=Limits(gift_wait_s=5.0))
    table = it.table()
    it.net.hold(it.b, it.a)
    promise = it.a.want(it.to_c.take(table))
    it.net.rest()
    assert it.b.peer.exporter.dump() == ["live 0 gifts, 1 awaited"]
    it.net.wait(6.0)

    with pytest.raises(captp.HandoffFailed, match="nobody has deposited this gift in time"):
        outcome(promise)
    assert "may be there or gone" in moved(table)
    assert it.owners() == 1


@pytest.mark.parametrize("who", ["A", "B", "C"])
@pytest.mark.parametrize("steps", range(12))
def test_one_owner_or_none_whoever_dies_and_whenever(who: str, steps: int) -> None:
    it = Scene(B=Limits(gift_keep_s=60.0))
    table = it.table()
    promise = it.a.want(it.to_c.keeps(table))
    for _ in range(steps):
        for host in list(it.net.hosts):
            host.run()
            while host.dials:
                it.net.connect(host)
                host.run()
        for wire in it.net.wires:
            wire.near.deliver()
            wire.far.deliver()
        assert it.owners() <= 1
    it.net.die({"A": it.a, "B": it.b, "C": it.c}[who])
    it.net.wait(70.0)
    it.net.collect()

    if who == "A":
        # Who had it could leave: then C has it, or nobody.
        kept = it.at[it.c].mine
        assert it.owners() == len(kept)
        assert all(it.c.get(one.put(1)) == 1 for one in kept)
        return
    try:
        outcome(promise)
        told = "passed on: "
    except captp.Broken:
        told = "passed on, and that call broke, so that it may be there or gone"
    assert told in moved(table)
    if who == "C":
        assert it.owners() == 0
        assert it.sheets() == []


def parcels(host: Host, of: Host) -> list[Any]:
    """Return the calls of a vat that wait at another for what moves with them."""
    return [
        m
        for m in host.peer.links[host.peer.router.live["sim", of.peer.designator].session].source.messages
        if type(m) is Parcel
    ]


def moved_by_a_silent_host(it: Scene) -> tuple[Any, Any, Any]:
    """Have a table, and a note behind it, wait at the receiver; return it, its host's desk and the wire."""
    to_b = it.desk(it.c, it.b)
    table = it.table()
    silent = it.net.hold(it.c, it.b)
    it.to_c.keeps.only(table)
    it.to_c.note.only("behind")
    it.net.rest()
    return table, to_b, silent


def test_what_moves_here_is_lost_with_who_moved_it() -> None:
    it = Scene()
    table, to_b, silent = moved_by_a_silent_host(it)
    assert len(parcels(it.c, it.a)) == 1
    it.net.die(it.a)
    it.net.rest()

    # What it sent before its end still runs, and nothing waits for the host that is silent.
    assert it.at[it.c].noted == ["behind"]
    assert it.at[it.c].mine == []
    silent.is_deaf = False
    it.net.collect()
    assert it.owners() == 0
    assert it.sheets() == []
    del table, to_b
    it.ends_empty()


def test_nothing_more_is_read_of_one_whose_calls_wait_in_such_numbers() -> None:
    limits = Limits(backlog=20)
    it = Scene(C=limits)
    to_b = it.desk(it.c, it.b)
    tables = [it.table() for _ in range(30)]
    it.net.hold(it.c, it.b)
    for table in tables:
        it.to_c.keeps.only(table)
        it.net.rest()
    link = it.net.link(it.c, it.a)

    assert len(parcels(it.c, it.a)) == 30
    assert has_backlog(it.c.peer, link.conn)
    del to_b


def test_a_call_off_reaches_a_call_that_waits() -> None:
    it = Scene()
    to_b = it.desk(it.c, it.b)
    table = it.table()
    silent = it.net.hold(it.c, it.b)
    promise = it.a.want(it.to_c.fail(table))
    it.net.rest()
    del promise
    it.net.collect(2)
    silent.is_deaf = False
    it.net.rest()

    assert it.owners() <= 1
    assert "passed on" in moved(table)
    del table, to_b
    it.ends_empty()


def test_a_source_that_others_let_go_waits_on_and_is_woken_once() -> None:
    it = Scene()
    table, to_b, silent = moved_by_a_silent_host(it)
    (parcel,) = parcels(it.c, it.a)
    (promise,) = parcel.missing
    for _ in range(3):
        it.c.vat.queues.release(it.net.link(it.c, it.a).source)
        it.c.run()

    assert it.at[it.c].noted == []
    assert type(promise._waiters) is not list
    silent.is_deaf = False
    it.net.rest()
    assert it.at[it.c].noted == ["behind"]
    assert it.owners() == 1
    del table, to_b, parcel, promise
    it.ends_empty()
