"""Sessions of a peer: one per other peer, shared by all who want it, gone with its connection."""

from __future__ import annotations

import pytest

import captp.session.session
from captp.errors import Disconnected
from captp.limits import Limits
from captp.model.send import E
from captp.peer.outputs import Write
from captp.peer.pressure import is_behind
from tests.unit.peer.pair import Counter, Net, Shop, collect, outcome, pair


def test_many_who_want_one_peer_share_one_dial_and_one_session() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    one, two = Counter(), Counter()
    promises = [a.want(a.enliven(b.mint(obj), Shop)) for obj in (one, two, one)]

    net.rest()

    refs = [outcome(p) for p in promises]
    assert len(a.dialled) == 1
    assert len(a.sessions) == len(b.sessions) == 1
    assert refs[0] is refs[2]
    assert refs[0] != refs[1]


def test_a_later_wish_uses_the_session_that_is_there() -> None:
    it = pair()

    again = it.a.want(it.a.enliven(it.sturdyref, Shop))
    it.net.rest()

    assert outcome(again) is it.ref
    assert len(it.a.dialled) == 1


def test_who_was_dialled_uses_the_session_that_came() -> None:
    it = pair()
    mine = Counter()

    ref = it.b.want(it.b.enliven(it.a.mint(mine), Shop))
    it.net.rest()

    outcome(ref).add(5)
    it.net.rest()
    assert list(mine.seen) == [5]
    assert it.b.dialled == []
    assert len(it.a.sessions) == len(it.b.sessions) == 1


def test_both_ends_know_the_session_by_one_id() -> None:
    it = pair()

    ours, theirs = it.a.sessions[0].session.hello, it.b.sessions[0].session.hello

    assert ours is not None
    assert theirs is not None
    assert ours.session_id == theirs.session_id
    assert ours.location.designator == it.b.peer.designator
    assert theirs.location.designator == it.a.peer.designator


def test_hints_do_not_make_another_peer() -> None:
    it = pair()
    it.b.peer.locations["sim"] = type(it.sturdyref.peer).make(
        "sim", it.b.peer.designator, {"exts": "mp1", "host": "elsewhere"}
    )

    again = it.a.want(it.a.enliven(it.b.mint(it.counter), Shop))
    it.net.rest()

    assert outcome(again) is it.ref
    assert len(it.a.dialled) == 1


def test_one_s_own_sturdyref_is_served_at_home_without_a_dial() -> None:
    net = Net()
    a = net.host(1)
    counter = Counter()

    ref = outcome(a.enliven(a.mint(counter), Shop))
    ref.add(3)
    net.rest()

    assert list(counter.seen) == [3]
    assert a.dialled == []


def test_a_dial_that_connects_when_the_peer_s_session_is_up_is_hung_up() -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    mine, theirs = Counter(), Counter()
    from_a = a.want(a.enliven(b.mint(theirs), Shop))
    a.run()
    from_b = b.want(b.enliven(a.mint(mine), Shop))
    b.run()
    net.connect(b)
    net.rest(dials=False)
    assert outcome(from_a).me() is not None
    assert outcome(from_b).me() is not None

    net.connect(a)
    net.rest()

    assert a.hangups == ["not-needed"]
    assert len(a.sessions) == len(b.sessions) == 1
    assert net.link(a, b).dialled is None


@pytest.mark.parametrize("room", [2, 3])
def test_a_peer_takes_as_many_connections_as_its_limit_says_and_no_more(room: int) -> None:
    net = Net()
    b = net.host(100, Limits(sessions=room))
    sturdyref = b.mint(Counter())
    diallers = [net.host(seed) for seed in range(room + 1)]
    promises = [d.want(d.enliven(sturdyref, Shop)) for d in diallers]

    net.rest()

    for promise in promises[:room]:
        outcome(promise)
    with pytest.raises(Disconnected):
        outcome(promises[room])
    assert len(b.sessions) == room
    assert b.hangups == ["too-many-sessions"]


def test_a_limit_on_sessions_keeps_no_peer_from_dialling_itself() -> None:
    net = Net()
    a, b = net.host(1, Limits(sessions=1)), net.host(2)
    first, second = a.enliven(b.mint(Counter()), Shop), a.enliven(net.host(3).mint(Counter()), Shop)
    a.want(first)
    a.want(second)

    net.rest()

    outcome(first)
    outcome(second)
    assert len(a.sessions) == 2


def test_a_lost_connection_breaks_what_waited_and_names_the_peer() -> None:
    it = pair()
    waiting = it.a.want(it.ref.never())
    it.net.rest()

    it.wire.cut()
    it.net.rest()

    with pytest.raises(Disconnected, match=r"the session with .* has ended") as error:
        outcome(waiting)
    assert error.value.peer == it.b.peer.designator
    assert it.a.sessions == it.b.sessions == []
    with pytest.raises(Disconnected):
        outcome(it.ref)


def test_a_reference_of_a_lost_session_stays_broken_and_a_sturdyref_makes_a_new_one() -> None:
    it = pair()
    it.wire.cut()
    it.net.rest()

    late = it.ref.add(1)
    fresh = it.a.want(it.a.enliven(it.sturdyref, Shop, retry_for=10))
    it.net.wait(1)
    outcome(fresh).add(2)
    it.net.rest()

    with pytest.raises(Disconnected):
        outcome(late)
    assert list(it.counter.seen) == [2]
    assert outcome(fresh) != it.ref


def test_a_lost_connection_gives_back_what_the_peer_held() -> None:
    it = pair()
    mine = Counter()
    it.ref.keep(it.a.vat.reference(mine))
    it.net.rest()
    assert it.a.peer.dump()["sessions"]["c1"]["exports"][1:] == ["e1 x1 Counter"]

    it.wire.cut()
    it.net.rest()

    assert it.a.peer.dump()["sessions"] == {}
    assert it.b.peer.dump()["sessions"] == {}
    assert [s.name for s in it.a.vat.queues.sources] == ["vat"]


def test_a_session_without_references_leaves_empty_tables_on_both_sides() -> None:
    it = pair()
    for i in range(3):
        it.ref.me().add(i)
    it.net.rest()

    it.ref = None
    collect(it.net)

    for host in (it.a, it.b):
        tables = host.peer.dump()["sessions"][f"c{host.sessions[0].conn}"]
        assert tables["exports"] == ["e0 x0 <control bootstrap>"]
        assert tables["imports"] == tables["questions"] == tables["answers"] == []


def test_a_batch_has_one_write_per_connection_and_the_next_number() -> None:
    it = pair()
    for i in range(10):
        it.ref.add.only(i)

    first = it.a.run()
    second = it.a.run()

    assert [type(o) for o in first.outputs] == [Write]
    assert second.outputs == []
    assert second.number == first.number + 1


def test_a_run_stops_at_its_budget_and_says_that_there_is_more() -> None:
    net = Net()
    a = net.host(1)
    counter = Counter()
    ref = a.vat.reference(counter)
    for i in range(5):
        E(ref).add.only(i)

    batch = a.run(3)
    seen = list(counter.seen)
    rest = a.run()

    assert seen == [0, 1, 2]
    assert batch.more
    assert not rest.more
    assert list(counter.seen) == [0, 1, 2, 3, 4]


def test_bytes_and_losses_of_a_connection_that_has_ended_are_nothing() -> None:
    it = pair()
    conn = it.wire.near.conn
    it.wire.cut()
    it.net.rest()

    it.a.peer.received(conn, b"\xff" * 10, it.net.now)
    it.a.peer.disconnected(conn, "again", it.net.now)
    it.a.peer.dial_failed(conn, Disconnected("again"), it.net.now)
    it.net.rest()

    assert it.a.sessions == []
    assert not is_behind(it.a.peer, conn)


def test_a_vat_is_behind_a_connection_that_brought_more_than_its_backlog() -> None:
    it = pair(theirs=Limits(backlog=3))
    for i in range(5):
        it.ref.add.only(i)
    it.a.run()
    it.wire.far.deliver()
    conn = it.wire.far.conn

    before = is_behind(it.b.peer, conn)
    it.b.run(1)
    between = is_behind(it.b.peer, conn)
    it.b.run(1)

    assert (before, between, is_behind(it.b.peer, conn)) == (True, True, False)


def test_an_extension_that_one_side_announces_is_heard_and_not_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Net()
    a, b = net.host(1), net.host(2)
    ours = captp.session.session.EXTENSIONS
    promise = a.want(a.enliven(b.mint(Counter()), Shop))
    a.run()
    with monkeypatch.context() as patch:
        patch.setattr(captp.session.session, "EXTENSIONS", (*ours, "new1"))
        net.connect(a)
        a.run()
    for session in b.peer.links:
        session.announced = ours
    net.rest()

    outcome(promise)
    hello = b.sessions[0].session.hello
    assert hello is not None
    assert hello.extensions == (*ours, "new1", "dgc1")
    assert b.sessions[0].session.extensions == a.sessions[0].session.extensions == ours
    monkeypatch.setattr(captp.session.session, "EXTENSIONS", (*ours, "new1"))
    assert a.sessions[0].session.extensions == ours
