"""What a peer's collector may cost, each limit at what it allows and one beyond."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.cycles import Cycles
from captp.peer.cycles.bounds import REMEMBERED, STATEMENT, STATEMENTS_S
from captp.peer.cycles.conclude import LOOK
from captp.peer.cycles.words import KEY, SIGNATURE, Confirm, Confirmed, Query, Reply, Withdraw
from captp.vat.walk import ITEMS
from tests.unit.peer.liars import Liar, name, set_cycles, token
from tests.unit.peer.pair import outcome
from tests.unit.peer.test_cycles import SOON, Cell, cells, ring, vats


def quiet(**settings: Any) -> Liar:
    """Return a liar whose victim asks nothing by itself."""
    return Liar(own_traces=0, **settings)


def reasons(liar: Liar) -> list[str]:
    return [reply.reason for reply in liar.said(Reply)]


def junk(number: int, size: int = KEY + SIGNATURE + 4) -> bytes:
    return number.to_bytes(size, "big")


def test_the_defaults_are_these() -> None:
    made = Cycles()

    assert (made.deadline, made.hold, made.linger, made.memory, made.thaw) == (5.0, 5.0, 1.0, 60.0, 30.0)
    assert (made.hops, made.edges, made.bytes, made.batch, made.own_traces) == (16, 2048, 1 << 20, 192, 4)
    assert (made.queries_per_s, made.queries_burst, made.edges_per_s) == (20.0, 100.0, 2000.0)
    assert (made.traces_per_side, made.frozen_exports) == (32, 1000)
    assert (REMEMBERED, STATEMENT, STATEMENTS_S) == (4096, 1024, 4.0)


@pytest.mark.parametrize(("hops", "left"), [(4, 0), (3, 1)])
def test_a_question_goes_through_so_many_vats_and_no_more(hops: int, left: int) -> None:
    net, hosts, makers = vats(3)
    for host in hosts:
        set_cycles(host, hops=hops)
    ring(net, makers).clear()

    net.wait(SOON)

    assert cells(hosts) == [left] * 3


@pytest.mark.parametrize("said", [3, 4, 5, 10**9])
def test_hops_that_a_peer_grants_are_no_more_than_ones_own(said: int) -> None:
    liar = quiet(hops=4)
    liar.tie()

    liar.query(name(1), hops=said)

    assert [word.hops for word in liar.said(Query)] == [min(said, 4) - 1]


@pytest.mark.parametrize(("hops", "asked"), [(1, 1), (0, 0)])
def test_a_question_without_hops_is_not_asked_on(hops: int, asked: int) -> None:
    liar = quiet()
    liar.tie()

    liar.query(name(1), hops=hops)

    assert len(liar.said(Query)) == asked
    assert reasons(liar) == ([] if asked else ["hops"])


@pytest.mark.parametrize(("most", "granted"), [(3, 1000), (1000, 3)], ids=["own", "granted"])
@pytest.mark.parametrize(("count", "asked"), [(3, 1), (4, 0)])
def test_a_trace_asks_about_so_many_edges(most: int, granted: int, count: int, asked: int) -> None:
    liar = quiet(edges=most)
    liar.tie(4)

    liar.query(name(1), cells=count, budget=granted)

    assert len(liar.said(Query)) == asked
    assert liar.machine.counts["capped"] == 1 - asked
    assert reasons(liar) == ([] if asked else ["live"])


def asked(**settings: Any) -> tuple[Liar, Query]:
    """Return a liar and what its victim has just asked it."""
    liar = Liar(**settings)
    liar.tie()
    for _ in range(40):
        liar.net.wait(0.25)
        if liar.said(Query):
            break
    return liar, liar.said(Query)[-1]


@pytest.mark.parametrize(("more", "capped"), [(0, 0), (1, 1)])
def test_a_trace_keeps_so_many_bytes_of_statements(more: int, capped: int) -> None:
    liar, word = asked(bytes=8192)

    liar.say(Reply(word.trace, word.number, (junk(1, 4096), junk(2, 4096 + more)), (), ""))

    assert liar.machine.counts["capped"] == capped


@pytest.mark.parametrize(("count", "capped"), [(16, 0), (17, 1)])
def test_a_peer_has_so_many_statements_looked_at(count: int, capped: int) -> None:
    liar, word = asked(bytes=8 * STATEMENT)

    liar.say(Reply(word.trace, word.number, tuple(map(junk, range(count))), (), ""))

    assert liar.machine.counts["capped"] == capped


@pytest.mark.parametrize(("count", "capped"), [(0, 0), (1, 1)])
def test_a_reply_calls_no_more_live_than_a_trace_asks_about(count: int, capped: int) -> None:
    liar, word = asked(edges=10)

    liar.say(Reply(word.trace, word.number, (), tuple(map(token, range(10 + count))), ""))

    assert liar.machine.counts["capped"] == capped


def test_a_peer_asks_so_many_questions_at_once_and_so_many_a_second() -> None:
    liar = quiet(queries_burst=5.0, queries_per_s=2.0)
    liar.tie()
    for number in range(5):
        liar.query(name(number), milliseconds=0)
    assert "quota" not in reasons(liar)

    liar.query(name(5), milliseconds=0)
    assert reasons(liar) == ["quota"]

    liar.net.wait(0.5)
    liar.query(name(6))
    liar.query(name(7))
    assert reasons(liar).count("quota") == 2


@pytest.mark.parametrize(("count", "told"), [(20, []), (21, ["quota"])])
def test_a_peer_asks_about_so_many_edges_a_second(count: int, told: list[str]) -> None:
    liar = quiet(edges_per_s=10.0)
    liar.tie()

    liar.query(name(1), runs=(liar.position(), count))

    assert reasons(liar) == told


@pytest.mark.parametrize(("count", "told"), [(3, []), (4, ["traces"])])
def test_a_peer_has_so_many_traces_open(count: int, told: list[str]) -> None:
    liar = quiet(traces_per_side=3)
    liar.tie()

    for number in range(count):
        liar.query(name(number))

    assert reasons(liar) == told
    assert len(liar.machine.traces) == 3


@pytest.mark.parametrize(("count", "frozen"), [(3, 3), (4, 0)])
def test_so_many_exports_are_frozen_for_others(count: int, frozen: int) -> None:
    liar = quiet(frozen_exports=3)
    liar.tie(4)

    liar.freeze(cells=count)

    assert len(liar.machine.frozen) == frozen


def test_so_many_digests_are_answered_at_once() -> None:
    liar = quiet(queries_burst=3.5, queries_per_s=0.001)
    liar.tie()
    liar.freeze()
    asked_for = Confirm(name(0), liar.said(Confirm)[0].digest)

    for _ in range(3):
        liar.say(asked_for)

    told = [len(word.statements) for word in liar.said(Confirmed)]
    # The first waits for the others of the trace, of whom this one is one itself.
    assert told == [1, 1, 0]


def test_an_export_is_frozen_for_hold_and_a_moment_and_then_not_again_for_long() -> None:
    liar = quiet(hold=2.0, linger=1.0, thaw=20.0, deadline=2.0)
    liar.tie()
    liar.freeze(name(0))
    late = captp.E(liar.cells[0]).count()

    liar.net.wait(1.9)
    assert not liar.said(Withdraw)
    liar.net.wait(0.3)
    assert [word.trace for word in liar.said(Withdraw)] == [name(0)]
    assert not late.settled
    liar.net.wait(1.0)
    assert outcome(late) == 1

    # For three seconds it owes thirty, of which it may have ten left.
    liar.net.wait(15)
    liar.freeze(name(1))
    assert not liar.machine.frozen
    liar.net.wait(8)

    liar.freeze(name(2))

    assert len(liar.machine.frozen) == 1


@pytest.mark.parametrize(("seconds", "frozen"), [(1.9, 1), (2.2, 0)])
def test_a_digest_comes_in_time_or_not_at_all(seconds: float, frozen: int) -> None:
    liar = quiet(deadline=2.0)
    liar.tie()
    liar.query(name(0))
    liar.net.wait(seconds)

    liar.say(Confirm(name(0), bytes(32)))

    assert len(liar.machine.frozen) == frozen


def test_so_many_names_of_traces_are_remembered_and_the_oldest_go() -> None:
    liar = quiet()
    for number in range(REMEMBERED):
        liar.machine.remember(name(number), ())
    assert name(0) in liar.machine.over

    liar.machine.remember(name(REMEMBERED), ())

    assert len(liar.machine.over) == REMEMBERED
    assert name(0) not in liar.machine.over
    assert name(1) in liar.machine.over


def test_names_are_remembered_for_as_long_as_was_said() -> None:
    liar = quiet(memory=10.0, deadline=1.0, hold=1.0)
    liar.tie()
    liar.query(name(0))
    liar.net.wait(3)
    liar.query(name(0))
    assert reasons(liar)[-1] == "over"

    liar.net.wait(14)
    liar.heard.clear()
    liar.query(name(0), number=9)

    assert not reasons(liar)
    assert liar.said(Query)


@pytest.mark.parametrize("batch", [2, 3])
def test_one_trace_asks_about_so_many_exports(batch: int) -> None:
    liar = Liar(batch=batch, own_traces=1)
    liar.tie(3)

    for _ in range(40):
        liar.net.wait(0.25)
        if liar.said(Query):
            break

    assert max(len(word.edges) for word in liar.said(Query)) <= batch


@pytest.mark.parametrize("count", [1, 2])
def test_so_many_traces_are_ones_own(count: int) -> None:
    liar = Liar(batch=1, own_traces=count, deadline=3.0, hold=0.5)
    liar.tie(4)

    most = 0
    for _ in range(20):
        liar.net.wait(0.25)
        most = max(most, sum(trace.is_mine for trace in liar.machine.traces.values()))

    assert most == count


@pytest.mark.parametrize(("looks", "refused"), [(2, 0), (3, 1)])
def test_a_peer_has_so_much_looked_at(looks: int, refused: int) -> None:
    """To confirm costs what it takes to find out what roots reach: here, of a long list, ten words each."""
    liar = quiet(queries_per_s=0.001, queries_burst=22.0)
    liar.tie()
    (cell,) = [o for o in liar.victim.vat.heap.objects() if type(o) is Cell and o.held]
    list.extend(cell.held, range(ITEMS * LOOK * 10 - 100))
    del cell
    liar.net.wait(3)

    for number in range(looks):
        liar.freeze(name(number))

    assert liar.machine.counts["refused: quota"] == refused
