"""Entries of a session's tables: counted when they leave, stamped when named, limited, and listed as held."""

from __future__ import annotations

import pytest

from captp.limits import Limits
from captp.model.send import E
from captp.session.session import Session
from tests.unit.peer.pair import Counter, Host, pair


def session_of(host: Host) -> Session:
    return host.sessions[0].session


def test_a_reference_counts_as_pending_until_its_message_has_left() -> None:
    it = pair()
    tables, ref = session_of(it.a).tables, it.a.vat.reference(Counter())

    position = tables.describe(ref).position
    entry = tables.exports[position]
    described = (entry.pending, entry.wire)
    tables.commit()
    sent = (entry.pending, entry.wire)
    tables.describe(ref)
    tables.roll_back()

    assert (described, sent) == ((1, 0), (0, 1))
    assert (entry.pending, entry.wire) == (0, 1)


def test_a_message_that_names_an_entry_touches_it() -> None:
    it = pair()
    tables = session_of(it.b).tables
    (export,) = [e for p, e in tables.exports.items() if p]
    it.a.want(it.ref.never())
    it.net.rest()
    before = export.touched

    it.ref.add(1)
    it.a.run()
    it.wire.far.deliver()

    assert export.touched == tables.account.clock > before


@pytest.mark.parametrize("calls", [10, 11])
def test_a_peer_that_takes_more_than_its_account_allows_is_cut_off(calls: int) -> None:
    it = pair(theirs=Limits(answers=10))
    it.net.wait(1)

    promises = [it.a.want(it.ref.give_back(it.ref)["x"]) for _ in range(calls // 2)]
    promises += [it.a.want(it.ref.me()) for _ in range(calls % 2)]
    it.net.rest()

    assert bool(it.b.sessions) is (calls == 10)
    assert all(p.settled for p in promises)


@pytest.mark.parametrize("way", ["given again", "taken again", "sent back"])
def test_a_reference_that_travels_again_moves_both_stamps_of_its_entry(way: str) -> None:
    it = pair()
    mine = it.a.vat.reference(Counter())
    it.ref.keep.only(mine)
    it.net.wait(1)
    (theirs,) = it.counter.kept
    ours, at_b = session_of(it.a).tables, session_of(it.b).tables
    exports, imports = ours.exports, at_b.imports
    given, taken = next(e for p, e in exports.items() if p), next(iter(imports.values()))
    for tables in (ours, at_b):
        tables.account.clock += 5
    entry = taken if way in ("taken again", "sent back") else given
    before = (entry.touched, entry.transferred)

    if way in ("given again", "taken again"):
        it.ref.keep.only(mine)
    else:
        E(it.b.want(it.b.enliven(it.a.mint(Counter())))).keep.only(theirs)
    it.net.rest()

    assert entry.touched > before[0]
    assert entry.transferred > before[1]


def test_what_is_named_by_its_holder_is_touched_and_was_not_given_again() -> None:
    it = pair()
    it.ref.keep.only(it.a.vat.reference(Counter()))
    it.net.wait(1)
    (theirs,) = it.counter.kept
    tables = session_of(it.a).tables
    given = next(e for p, e in tables.exports.items() if p)
    tables.account.clock += 5
    before = (given.touched, given.transferred)

    E(it.b.want(it.b.enliven(it.a.mint(Counter())))).keep.only(theirs)
    it.net.rest()

    assert given.touched > before[0]
    assert given.transferred == before[1]


def test_a_call_that_carries_no_reference_moves_no_transfer_stamp() -> None:
    it = pair()
    given = next(e for p, e in session_of(it.b).tables.exports.items() if p)
    (taken,) = session_of(it.a).tables.imports.values()
    stamps = (given.transferred, taken.transferred)
    for host in (it.a, it.b):
        session_of(host).tables.account.clock += 5

    it.ref.add.only(1)
    it.net.rest()

    assert (given.transferred, taken.transferred) == stamps
