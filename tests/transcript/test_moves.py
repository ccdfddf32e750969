"""A unique reference that moves to a third vat: A has it, its object is at B, and it goes to C."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from tests.transcript.moves_box import Scene, moved
from tests.unit.peer.pair import outcome

# What moves.


@pytest.mark.parametrize(("how", "result"), [("take", 4), ("own", 4), ("fail", None)])
def test_it_moves_to_a_third_vat_that_uses_it(how: str, result: Any) -> None:
    it = Scene()
    table = it.table()
    assert it.a.get(table.put(3)) == 3
    promise = getattr(it.to_c, how)(table, *([1] if how == "own" else []))
    assert "in a call that is not answered yet" in moved(table)

    assert it.a.get(promise) == result
    assert moved(table).startswith("this unique reference was passed on: ")
    # Nobody but C was ever told of it by B.
    assert [link.session.tables.loans.given for link in it.b.peer.router.links.values()] == [{}, {}]
    del table, promise
    it.ends_empty()
    assert it.sheets() == []


def test_it_comes_back_from_there_as_another_one_and_goes_again() -> None:
    it = Scene()
    table = it.table()
    for number in range(1, 4):
        table = it.a.get(it.to_c.give_back(table))
        assert it.a.get(table.total()) == 5 * number
        assert it.owners() == 1
    del table
    it.ends_empty()


def test_its_new_owner_passes_it_on() -> None:
    it = Scene()
    to_d = it.desk(it.c, it.d)
    it.a.get(it.to_c.keeps(it.table()))
    (table,) = it.at[it.c].mine
    it.at[it.c].mine.clear()

    assert it.c.get(to_d.take(table)) == 1
    assert moved(table).startswith("this unique reference was passed on: ")
    del table, to_d
    it.ends_empty()


def test_its_new_owner_gives_it_back_to_its_host() -> None:
    it = Scene()
    to_b = it.desk(it.c, it.b)
    it.a.get(it.to_c.keeps(it.table()))
    table = it.c.get(to_b.give_back(it.at[it.c].mine.pop()))

    assert it.c.get(table.put(1)) == 6
    it.c.get(to_b.take(table))
    assert it.owners() == 0
    del table, to_b
    it.ends_empty()


def test_its_new_owner_shares_it() -> None:
    it = Scene()
    shared = it.a.get(it.to_c.shares(it.table()))

    assert it.a.get(shared.put(1)) == 3
    # What is shared is introduced to others as anything is, and kept by them.
    assert it.a.get(it.to_d.keep(shared)) is None
    assert it.a.get(it.to_d.use_kept()) == 3
    assert it.owners() == 0
    del shared
    it.ends_empty()


def test_it_moves_as_the_result_of_a_call() -> None:
    it = Scene()
    to_a = it.desk(it.c, it.a)
    it.at[it.a].mine.append(it.table())
    table = it.c.get(to_a.hire())

    assert it.c.get(table.put(4)) == 4
    assert it.owners() == 1
    del table, to_a
    it.ends_empty()


def test_of_two_who_ask_for_it_one_gets_it() -> None:
    it = Scene()
    promise, resolver = it.a.vat.promise()
    resolver.fulfill(it.table())
    it.at[it.a].given.append(promise)
    told = [it.ends(captp.E(it.desk(host, it.a)).first_given(), host) for host in (it.c, it.d)]

    assert it.ends(captp.E(told[0]).put(2), it.c) == 2
    assert isinstance(told[1], captp.RemoteFault)
    assert "this unique reference was passed on" in str(told[1])
    assert it.owners() == 1
    del promise, resolver, told
    it.ends_empty()


def test_it_is_there_however_deep_it_stood_in_the_arguments() -> None:
    it = Scene()
    one, two, three = (it.table() for _ in range(3))
    assert it.a.get(captp.E(it.to_c).holds((one, [two]), also={"table": three})) == 3

    first, (second,), third = it.at[it.c].given
    assert not any(isinstance(table, captp.Promise) for table in (first, second, third))
    for number, table in enumerate((first, second, third), 1):
        assert it.c.get(captp.E(table).put(number)) == number
    assert it.owners() == 3
    for table in (one, two, three):
        moved(table)
    del one, two, three, first, second, third, table
    it.ends_empty()


def test_it_moves_by_a_call_that_nobody_waits_for() -> None:
    it = Scene()
    table = it.table()
    it.to_c.keeps.only(table)
    it.net.rest()

    assert it.c.get(it.at[it.c].mine[0].put(2)) == 2
    del table
    it.ends_empty()


def test_what_its_owner_sent_before_arrives_before() -> None:
    it = Scene()
    table = it.table()
    deposit = it.net.hold(it.b, it.a)
    before = it.a.want(table.put(1))
    promise = it.a.want(it.to_c.take(table))
    it.net.rest()
    deposit.is_deaf = False
    it.net.rest()

    assert (outcome(before), outcome(promise)) == (1, 2)
    del table, before, promise
    it.ends_empty()


def test_calls_behind_it_wait_and_those_of_others_do_not() -> None:
    it = Scene()
    of_d = it.desk(it.d, it.c)
    table = it.table()
    it.to_c.note.only("before")
    deposit = it.net.hold(it.b, it.a)
    promise = it.a.want(it.to_c.fail(table))
    it.to_c.note.only("behind")
    it.net.rest()
    of_d.note.only("another's")
    it.net.rest()
    assert it.at[it.c].noted == ["before", "another's"]

    deposit.is_deaf = False
    it.net.rest()
    assert it.at[it.c].noted == ["before", "another's", "unique", "behind"]
    del table, promise, of_d
    it.ends_empty()


# What cannot move, and stays.


def test_it_does_not_move_to_one_that_speaks_ocapn() -> None:
    it = Scene(syrup=["AC"])
    table = it.table()
    problem = it.ends(it.to_c.take(table))

    assert isinstance(problem, captp.Unpassable)
    assert "moves to peers that know the extension own1, and this one does not" in str(problem)
    assert it.ends(table.put(1)) == 1


def test_it_does_not_move_from_a_host_that_nobody_can_dial() -> None:
    it = Scene(b_listens=False)
    table = it.table()
    problem = it.ends(it.to_c.take(table))

    assert isinstance(problem, captp.Unpassable)
    assert "introduced to its host" in str(problem)
    assert it.ends(table.put(1)) == 1


def test_it_does_not_move_where_its_host_could_not_be_told() -> None:
    it = Scene()
    table = it.table()
    outbound = it.net.link(it.a, it.b).session.outbound
    outbound.congested(it.a.peer.limits.held_bytes + 1)
    problem = it.ends(it.to_c.take(table))
    outbound.congested(0)

    assert isinstance(problem, captp.Unpassable)
    assert it.ends(table.put(1)) == 1


@pytest.mark.parametrize("what", [object(), bytes(5_000_000)])
def test_a_send_that_fails_beside_it_returns_it(what: Any) -> None:
    it = Scene()
    table = it.table()
    try:
        problem = it.ends(captp.E(it.to_c).take(table, what))
    except captp.Unpassable as at_once:
        problem = at_once

    assert isinstance(problem, captp.Unpassable)
    assert it.b.peer.exporter.dump() == []
    assert it.ends(table.put(1)) == 1
    assert it.owners() == 1


def test_one_who_cannot_own_does_not_withdraw_it() -> None:
    it = Scene(syrup=["BC"])
    table = it.table()
    problem = it.ends(it.to_c.take(table))

    assert isinstance(problem, captp.Broken)
    assert "does not know the extension own1" in str(problem)
    assert "may be there or gone" in moved(table)
    assert it.owners() <= 1
