"""Handoffs in which somebody goes, comes too late or asks for too much: a clear end, and nothing stuck."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Disconnected, HandoffFailed, Overloaded, Unreachable
from captp.limits import Limits
from captp.model.ref import Ref
from tests.transcript.parties import CODECS, NATIVE, SYRUP, Hall, Parties, Root, Three, three
from tests.unit.peer.pair import outcome

BOTH = pytest.mark.parametrize("syrup", [NATIVE, SYRUP], ids=["native", "syrup"])
ALL = pytest.mark.parametrize("syrup", CODECS, ids=lambda names: "+".join(names) or "native")


def given(it: Three, times: int = 1) -> Any:
    """Let G give R its reference to E; give and deposit arrive, and no dial succeeds."""
    for _ in range(times):
        it.to_r.keep.only(it.to_e)
    it.net.rest(dials=False)
    assert not it.kept().settled
    return it.kept()


@ALL
def test_a_gifter_that_dies_after_give_and_deposit_has_introduced(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    promise = given(it)

    it.net.die(it.g)
    it.net.rest(dials=False)
    assert it.e.peer.exporter.dump() == ["ended 1 gifts, 0 awaited"]
    called = it.r.want(captp.E(promise).add(1))
    it.net.rest()

    assert outcome(called) == 1
    assert it.e.peer.exporter.dump() == []
    del promise, called
    it.ends_empty()


@BOTH
def test_a_gifter_that_dies_later_is_not_missed(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    ref = it.introduced()

    it.net.die(it.g)
    it.net.rest()
    called = it.r.want(captp.E(ref).add(1))
    it.net.rest()

    assert outcome(called) == 1


@ALL
def test_a_gifter_that_dies_between_give_and_deposit_leaves_a_broken_promise(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    deposit = it.net.hold(it.e, it.g)
    promise = given(it)
    called = it.r.want(captp.E(promise).add(1))

    deposit.is_deaf = False
    it.net.cut(it.e, it.g)
    it.net.rest()

    # Over Syrup an error has its text and no class.
    kind = HandoffFailed if "ER" not in syrup else captp.Broken
    for broken in (promise, called):
        with pytest.raises(kind, match=r"^handoff: the give names no session of this vat"):
            outcome(broken)
    assert it.at_e.seen == []
    del promise, called
    it.ends_empty()


@ALL
def test_a_withdrawal_that_waits_breaks_when_its_gifter_dies(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    deposit = it.net.hold(it.e, it.g)
    it.to_r.keep.only(it.to_e)
    it.net.rest()
    promise = it.kept()
    assert it.e.peer.exporter.dump() == ["live 0 gifts, 1 awaited"]

    deposit.is_deaf = False
    it.net.cut(it.e, it.g)
    it.net.rest()

    with pytest.raises(captp.Broken, match=r"^handoff: the gifter has left"):
        outcome(promise)
    del promise
    it.ends_empty()


@BOTH
def test_a_gift_that_nobody_comes_for_is_forgotten(syrup: tuple[str, ...]) -> None:
    it = three(syrup, e=Limits(gift_keep_s=5.0))
    given(it)
    kept = it.e.peer.exporter.dump()

    it.net.wait(5.5, dials=False)

    assert kept == ["live 1 gifts, 0 awaited"]
    assert it.e.peer.exporter.dump() == []


@BOTH
def test_who_comes_too_late_for_a_gift_of_a_dead_gifter_is_told(syrup: tuple[str, ...]) -> None:
    it = three(syrup, e=Limits(gift_keep_s=5.0))
    promise = given(it)
    it.net.die(it.g)
    it.net.wait(5.5, dials=False)

    it.net.rest()

    with pytest.raises(captp.Broken, match=r"^handoff: the give names no session of this vat"):
        outcome(promise)


@BOTH
def test_who_waits_too_long_for_a_gift_is_told(syrup: tuple[str, ...]) -> None:
    it = three(syrup, e=Limits(gift_wait_s=5.0))
    it.net.hold(it.e, it.g)
    it.to_r.keep.only(it.to_e)
    it.net.rest()

    it.net.wait(4.5)
    assert not it.kept().settled
    it.net.wait(1)

    with pytest.raises(captp.Broken, match=r"^handoff: nobody has deposited this gift in time"):
        outcome(it.kept())


@BOTH
def test_an_exporter_that_nobody_can_reach_breaks_the_promise_and_what_was_sent_to_it(
    syrup: tuple[str, ...],
) -> None:
    it = three(syrup)
    promise = given(it)
    called = it.r.want(captp.E(promise).add(1))
    it.net.die(it.e)
    it.net.rest()

    for broken in (promise, called):
        with pytest.raises(Unreachable):
            outcome(broken)
    del promise, called, broken
    it.ends_empty()


@BOTH
def test_an_exporter_that_dies_while_it_is_asked_breaks_the_promise(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    it.net.hold(it.e, it.g)
    it.to_r.keep.only(it.to_e)
    it.net.rest()
    assert not it.kept().settled

    it.net.die(it.e)
    it.net.rest()

    with pytest.raises(Disconnected):
        outcome(it.kept())
    assert it.net.link(it.r, it.g).introductions == 0


@BOTH
def test_a_receiver_that_dies_while_it_waits_leaves_nothing_at_the_exporter(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    deposit = it.net.hold(it.e, it.g)
    it.to_r.keep.only(it.to_e)
    it.net.rest()
    assert it.e.peer.exporter.dump() == ["live 0 gifts, 1 awaited"]

    it.net.die(it.r)
    it.net.rest()

    assert it.e.peer.exporter.dump() == []
    deposit.is_deaf = False
    it.net.rest()
    # The gift has come for one who will not: time takes it.
    assert it.e.peer.exporter.dump() == ["live 1 gifts, 0 awaited"]


@BOTH
def test_a_receiver_whose_gifter_dies_before_it_has_dialled_counts_right(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    promise = given(it)
    link = it.net.link(it.r, it.g)
    assert link.introductions == 1

    it.net.die(it.g)
    it.net.rest()

    assert outcome(promise) is not None
    assert link.introductions == 0


@BOTH
def test_so_many_introductions_of_one_peer_are_under_way_and_not_one_more(syrup: tuple[str, ...]) -> None:
    it = three(syrup, r=Limits(introductions=3))
    given(it, times=3)
    within = list(it.at_r.kept)

    it.to_r.keep.only(it.to_e)
    it.net.rest(dials=False)

    with pytest.raises(Overloaded, match=r"^3 introductions"):
        outcome(it.kept())
    assert not any(p.settled for p in within)
    it.net.rest()
    assert len({id(outcome(p)) for p in within}) == 1
    it.introduced()


@BOTH
def test_introductions_of_another_peer_are_counted_by_themselves(syrup: tuple[str, ...]) -> None:
    it = three([*syrup, "EH", "HR"] if syrup else (), r=Limits(introductions=1))
    h = it.net.party("H")
    targets = [h.want(h.enliven(ref, Hall)) for ref in (it.r.mint(it.at_r), it.e.mint(it.at_e))]
    it.net.rest()
    given(it)

    outcome(targets[0]).keep.only(outcome(targets[1]))
    it.net.rest(dials=False)

    assert not it.kept().settled
    it.net.rest()
    assert outcome(it.at_r.kept[0]) is outcome(it.at_r.kept[1])


@BOTH
def test_a_vat_that_does_not_listen_is_reached_through_the_gifter(syrup: tuple[str, ...]) -> None:
    it = three(syrup, e_listens=False)

    it.to_r.keep.only(it.to_e)
    it.net.rest()
    before = it.net.heard(it.g)["R"]
    called = it.r.want(captp.E(it.kept()).add(1))
    it.net.rest()

    assert outcome(called) == 1
    assert it.r.dialled == []
    assert it.net.heard(it.g)["R"] > before
    assert it.e.peer.exporter.dump() == []
    del called
    it.ends_empty()


@BOTH
def test_a_reference_whose_session_has_ended_is_not_introduced(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    it.net.cut(it.g, it.e)
    it.net.rest()

    it.to_r.keep.only(it.to_e)
    it.net.rest()
    called = it.r.want(captp.E(it.kept()).add(1))
    it.net.rest()

    with pytest.raises(captp.Broken, match="has ended"):
        outcome(called)
    assert it.r.dialled == []


@BOTH
def test_what_the_gifter_lets_go_of_at_once_is_kept_for_the_receiver(
    syrup: tuple[str, ...],
) -> None:
    it = three(syrup)
    fresh = Root()
    it.at_e.source = lambda: it.e.vat.reference(fresh)
    asked = it.g.want(it.to_e.later())
    it.net.rest()
    it.to_r.keep.only(outcome(asked))
    it.at_e.source = lambda: None
    del asked
    it.net.rest(dials=False)
    it.net.wait(3, dials=False)
    it.net.die(it.g)

    it.net.rest()
    called = it.r.want(captp.E(it.kept()).add(1))
    it.net.rest()

    assert outcome(called) == 1
    assert fresh.seen == [1]


@BOTH
def test_time_alone_ends_every_handoff_that_is_stuck(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    # Deposits and answers never come, and no connection is seen to end.
    it.net.hold(it.e, it.g)
    it.to_r.keep.only(it.to_e)
    it.net.rest()

    it.net.wait(90)

    with pytest.raises(captp.Broken):
        outcome(it.kept())


def test_an_exporter_that_may_not_know_the_gifter_yet_is_reached_through_it() -> None:
    net = Parties()
    g, r, e = (net.party(name) for name in "GRE")
    at_r, at_e = Root(), Root()
    to_r = g.want(g.enliven(r.mint(at_r), Hall))
    net.rest()
    e.want(e.enliven(g.mint(Root()), Hall))
    e.run()
    net.connect(e)
    # G lets E in; its hello is still on its way when a withdrawal of R's would arrive.
    held = net.hold(e, g)
    net.rest()

    pending = g.enliven(e.mint(at_e), Hall)
    outcome(to_r).keep.only(pending)
    net.rest()
    called = r.want(captp.E(at_r.kept[-1]).add(1))
    net.rest()
    assert r.dialled == []
    held.is_deaf = False
    net.rest()

    assert outcome(called) == 1
    r.want(at_r.kept[-1])
    net.rest()
    direct = r.want(captp.E(outcome(at_r.kept[-1])).add(2))
    net.rest()
    assert outcome(direct) == 2
    assert at_e.seen == [1, 2]


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("is_awaited", [True, False])
def test_what_its_owner_has_not_shared_is_introduced_to_nobody(is_shared: bool, is_awaited: bool) -> None:
    it = three(e_dials_r=True)
    made = it.g.want(it.to_e.later())
    it.at_e.source = lambda: it.e.vat.owning.owned(Root(), Hall)
    it.net.rest()
    table = outcome(made)
    # An honest vat does not pass it on like this.
    given = captp.share(table) if is_shared else Ref(it.g.vat, table._anchor)
    if is_awaited:
        # What it says to the exporter comes behind the withdrawal.
        held = it.net.hold(it.e, it.g)
    it.to_r.keep.only(given)
    it.net.rest()
    if is_awaited:
        assert not it.kept().settled
        held.is_deaf = False
        it.net.rest()

    called = it.r.want(captp.E(it.kept()).add(1))
    it.net.rest()
    if is_shared:
        assert outcome(called) == 1
    else:
        with pytest.raises(HandoffFailed, match="is unique, and its owner has not shared it"):
            outcome(called)
    del made, table, given, called
    it.at_e.source = lambda: None
    it.ends_empty()
