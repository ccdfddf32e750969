"""What a collector keeps of what is over, and for how long it puts off what is not."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import captp
from captp.peer.cycles.ground import Cut, Key, Thaw
from captp.peer.cycles.quota import Bucket
from captp.peer.cycles.schedule import EXCUSED
from captp.peer.cycles.words import Query, Reply
from tests.unit.peer.liars import KNOWN_S, Liar, name, set_cycles
from tests.unit.peer.pair import outcome
from tests.unit.peer.test_cycles import SOON, cells, ring, vats
from tests.unit.peer.test_cycles_limits import asked, quiet
from tests.unit.peer.test_cycles_refusals import two_who_hold_one_cell


def cut(liar: Liar) -> None:
    """Lose all sessions of a net."""
    for wire in liar.net.wires:
        wire.cut()
    liar.net.rest(dials=False)


# Sides and traces.


def test_the_key_of_a_session_goes_with_it() -> None:
    liar = quiet()
    (neighbour,) = liar.machine.neighbours.values()
    assert liar.machine.signatures.sign(neighbour.key, b"before")

    cut(liar)

    with pytest.raises(KeyError):
        liar.machine.signatures.sign(neighbour.key, b"after")


def test_the_key_of_a_trace_goes_with_it() -> None:
    liar, _ = asked(own_traces=1, deadline=1.0)
    (trace,) = liar.machine.traces.values()
    assert trace.key is not None
    set_cycles(liar.victim, own_traces=0, deadline=1.0)

    liar.net.wait(3)

    assert not liar.machine.traces
    with pytest.raises(KeyError):
        liar.machine.signatures.sign(trace.key, b"after")


def test_a_trace_is_broken_off_as_soon_as_one_who_was_asked_is_gone() -> None:
    liar, _ = asked(own_traces=1)

    cut(liar)

    assert liar.machine.counts["broken off"] == 1
    assert not liar.machine.traces


def test_a_trace_is_broken_off_as_soon_as_one_who_asked_second_is_gone() -> None:
    one, other = two_who_hold_one_cell()
    third = Liar(one.net, one.victim)
    one.query(name(0))
    # What nobody has there is claimed, and nobody is asked for it.
    third.query(name(0), cells=0, runs=(9999, 1))
    assert len(one.machine.traces) == 1

    one.net.wires[-1].cut()
    one.net.rest(dials=False)

    assert other.host.sessions
    assert not one.machine.traces


def test_leads_to_what_a_session_gave_go_with_it() -> None:
    liar = quiet()
    liar.tie()
    known = liar.victim.peer.cycles.survey
    assert known.leads

    cut(liar)

    assert not known.leads


def test_a_trace_is_over_when_what_stands_still_for_it_has_been_released() -> None:
    liar = quiet(hold=60.0)
    liar.tie()
    liar.freeze()
    assert liar.machine.traces

    liar.cells.clear()
    gc.collect()
    liar.net.wait(2)

    assert not liar.machine.traces


def test_what_an_export_owes_is_forgiven_and_forgotten() -> None:
    liar = quiet(hold=1.0, thaw=5.0)
    liar.tie()
    liar.freeze()
    liar.net.wait(3)
    assert liar.machine.debts

    liar.net.wait(15)

    assert not liar.machine.debts


def test_nothing_is_known_of_what_was_cut() -> None:
    net, hosts, makers = vats(2)
    ring(net, makers)

    net.wait(2 * SOON)

    assert cells(hosts) == [0, 0]
    for host in hosts:
        schedule = host.peer.cycles.collector.schedule
        keys = {one.key for one in host.peer.cycles.collected}
        assert not keys & (schedule.watched.keys() | schedule.verdicts.keys())
    assert any(host.peer.cycles.collected for host in hosts)


def test_what_was_released_is_not_watched_for_ever() -> None:
    liar = quiet()
    liar.tie(70)
    liar.net.wait(KNOWN_S)
    schedule = liar.machine.schedule
    assert len(schedule.watched) == 70

    liar.cells.clear()
    gc.collect()
    liar.net.wait(SOON)

    assert not schedule.watched


# The collector that stops.


def test_a_collector_that_stops_has_nothing_left_to_do_but_to_let_everything_go_on() -> None:
    liar = quiet()
    liar.tie()
    liar.freeze()
    liar.machine.act(Cut(liar.machine.frozen.keys(), name(0)))

    liar.machine.stop()

    assert liar.machine.take() == [Thaw()]
    liar.machine.check()


def test_what_was_held_back_goes_on_when_the_collector_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    liar = quiet(hold=60.0)
    liar.tie()
    liar.freeze()
    late = captp.E(liar.cells[0]).count()
    liar.net.wait(1)
    assert not late.settled

    def fail(_now: float) -> None:
        raise RuntimeError("planted")

    liar.victim.has_faults = True
    monkeypatch.setattr(liar.victim.peer.cycles.survey, "step", fail)
    liar.net.wait(1)

    assert outcome(late) == 1


# The schedule.


def watched(liar: Liar) -> tuple[Key, Any]:
    ((key, found),) = liar.machine.schedule.watched.items()
    return key, found


def test_an_export_waits_for_the_traces_of_others_twice_and_again_after_one_of_its_own() -> None:
    liar = quiet(give_way=10.0)
    liar.tie()
    key, found = watched(liar)
    for number in range(2):
        liar.query(name(number))
        assert (found.gave_way, found.due) == (number + 1, pytest.approx(liar.net.now + 10, abs=0.1))
        liar.net.wait(1)
    due = found.due

    liar.query(name(2))
    assert (found.gave_way, found.due) == (2, due)

    set_cycles(liar.victim, own_traces=1, give_way=10.0, deadline=0.5)
    liar.net.wait(12)
    assert found.gave_way == 0
    assert key in liar.machine.schedule.watched


def test_an_export_is_asked_about_in_vain_so_often_until_its_wait_doubles() -> None:
    liar = quiet()
    liar.tie()
    key, found = watched(liar)

    for _ in range(EXCUSED):
        liar.machine.schedule.again([key])
    assert (found.wait, found.lived) == (1.0, 0)
    liar.machine.schedule.again([key])

    assert (found.wait, found.lived) == (2.0, 1)


def test_waits_double_up_to_the_longest_and_begin_anew_where_something_has_changed() -> None:
    liar = quiet(backoff_max=5.0)
    liar.tie()
    key, found = watched(liar)

    waits = []
    for _ in range(4):
        liar.machine.schedule.lived([key])
        waits.append(found.wait)
    liar.machine.schedule.anew([key])

    assert waits == [2.0, 4.0, 5.0, 5.0]
    assert (found.wait, found.lived) == (1.0, 0)


def test_what_is_in_use_is_asked_about_ever_more_seldom() -> None:
    liar, word = asked(own_traces=1)
    for _ in range(120):
        for word in liar.said(Query):
            liar.say(Reply(word.trace, word.number, (), (), "live"))
        liar.heard.clear()
        liar.net.wait(0.25)

    assert word
    assert watched(liar)[1].lived >= 3


def test_what_has_other_holders_is_not_asked_about_in_the_same_trace() -> None:
    one = quiet()
    one.tie()
    _, first = watched(one)
    first.due = one.net.now + 100
    other = Liar(one.net, one.victim)
    other.tie()
    for found in one.machine.schedule.watched.values():
        found.due = one.net.now
    set_cycles(one.victim, own_traces=4)

    one.net.wait(1)

    assert [len(trace.suspects) for trace in one.machine.traces.values()] == [1, 1]


def test_what_has_to_wait_for_room_keeps_nothing_else_from_being_watched() -> None:
    liar = quiet(step=8)
    liar.tie(8)
    liar.net.wait(10)
    assert len(liar.machine.schedule.watched) == 8

    liar.tie(4)
    liar.net.wait(10)

    assert len(liar.machine.schedule.watched) == 12


def test_a_bucket_holds_no_more_than_its_burst_after_a_rest() -> None:
    bucket = Bucket(rate=2.0, burst=5.0)
    assert bucket.take(5, 0.0)

    assert bucket.take(5, 1000.0)
    assert not bucket.take(1, 1000.0)
    assert bucket.take(1, 1000.5)


def test_a_bucket_gives_nothing_until_what_is_owed_has_come_in() -> None:
    bucket = Bucket(rate=2.0, burst=5.0)
    bucket.owe(9)

    assert not bucket.take(1, 0.0)
    assert not bucket.take(1, 2.0)
    assert bucket.take(1, 2.5)
