"""What is held back while exports are frozen: how much, in what order, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

import captp
from captp.errors import Disconnected
from captp.model.own import GONE, sole
from captp.model.parcel import Closing, Parcel
from captp.model.promise import Message, Settlement
from captp.model.ref import Ref
from captp.peer import care, pressure
from captp.session.inbound import Introduced
from tests.unit.peer.liars import Liar
from tests.unit.peer.pair import outcome
from tests.unit.peer.test_cycles import Cell, ask


def frozen(liar: Liar) -> int:
    return len(liar.machine.frozen)


def a_liar_that_holds_itself_back(**settings: Any) -> Liar:
    liar = Liar(**settings)
    liar.tie()
    liar.freeze()
    assert frozen(liar) == 1
    liar.late.append(captp.E(liar.cells[0]).count())
    liar.net.rest()
    assert liar.victim.peer.cycles.waiting.held
    return liar


def test_what_was_held_back_is_done_in_order_when_the_time_is_over() -> None:
    liar = a_liar_that_holds_itself_back()
    sent = [captp.E(liar.cells[0]).hold(number) for number in range(5)]
    counts = captp.E(liar.cells[0]).count()
    liar.net.rest()
    assert not counts.settled

    liar.net.wait(7)

    assert outcome(counts) == 6
    assert [outcome(one) for one in sent] == [None] * 5
    assert not liar.victim.peer.cycles.waiting.held


def test_a_sign_of_life_is_given_while_the_rest_is_held_back() -> None:
    liar = a_liar_that_holds_itself_back()

    care.doubt(liar.host.peer, liar.link)
    liar.net.wait(4)

    assert liar.victim.peer.cycles.waiting.held
    assert liar.host.sessions


def test_no_more_is_read_once_as_much_is_held_back_as_may_wait() -> None:
    liar = a_liar_that_holds_itself_back()
    (conn,) = liar.victim.peer.router.links
    held = liar.victim.peer.cycles.waiting.held[liar.victim.peer.router.links[conn]]
    most = liar.victim.peer.limits.backlog

    liar.late += [captp.E(liar.cells[0]).count() for _ in range(most - len(held.effects))]
    liar.net.rest()
    assert not pressure.is_behind(liar.victim.peer, conn)
    liar.late.append(captp.E(liar.cells[0]).count())
    liar.net.rest()

    assert pressure.is_behind(liar.victim.peer, conn)
    liar.net.wait(7)
    assert not pressure.is_behind(liar.victim.peer, conn)


def test_what_is_held_back_weighs_what_it_is() -> None:
    liar = a_liar_that_holds_itself_back()
    (conn,) = liar.victim.peer.router.links
    most = liar.victim.peer.limits.in_flight_bytes

    for _ in range(most // 1_000_000):
        captp.E(liar.maker).hold(bytes(1_000_000))
    liar.net.rest()
    assert not pressure.is_behind(liar.victim.peer, conn)
    captp.E(liar.maker).hold(bytes(1_000_000))
    liar.net.rest()

    assert pressure.is_behind(liar.victim.peer, conn)


def test_calls_that_were_held_back_weigh_when_they_are_let_in() -> None:
    liar = a_liar_that_holds_itself_back()
    link = next(iter(liar.victim.peer.links.values()))
    waits = captp.E(liar.maker).wait_with(bytes(3_000_000))
    liar.net.rest()
    assert link.burden.weight == 0

    liar.net.wait(7)

    assert link.burden.weight >= 3_000_000
    del waits


class Later(captp.Object):
    """Answers while what the asker exports is frozen."""

    @captp.method
    async def cell(self) -> Any:
        await captp.sleep(5)
        return Cell()


def a_result_that_is_held_back() -> tuple[Liar, Any]:
    """Return a liar and the promise of its victim's for a result that has come and waits."""
    liar = Liar()
    later = Later()
    ask(liar.net, captp.E(liar.maker).hold(later))
    liar.tie()
    theirs = next(o for o in liar.victim.vat.heap.objects() if type(o) is Cell and _has(o, Ref)).held[-1]
    promise = liar.victim.want(captp.E(theirs).cell())
    liar.net.wait(3)
    liar.freeze()
    liar.late.append(captp.E(liar.cells[0]).count())
    liar.net.wait(3)
    (held,) = liar.victim.peer.cycles.waiting.held.values()
    assert any(type(effect) is Settlement for effect in held.effects)
    assert not promise.settled
    return liar, promise


def _has(cell: Cell, kind: type) -> bool:
    return any(isinstance(one, kind) for one in cell.held)


def test_a_result_that_is_held_back_breaks_with_its_session() -> None:
    liar, promise = a_result_that_is_held_back()

    for wire in liar.net.wires:
        wire.cut()
    liar.net.wait(1)

    with pytest.raises(Disconnected):
        outcome(promise)


def test_what_is_sent_through_a_result_that_is_held_back_follows_it() -> None:
    liar, promise = a_result_that_is_held_back()

    sent = [liar.victim.want(captp.E(promise).hold(number)) for number in range(3)]
    count = liar.victim.want(captp.E(promise).count())
    liar.net.wait(0.5)
    assert not count.settled
    liar.net.wait(7)

    assert outcome(count) == 3
    assert [outcome(one) for one in sent] == [None] * 3


def test_one_that_ends_its_session_by_what_was_held_back_does_not_keep_others_from_going_on() -> None:
    one = Liar()
    one.tie()
    other = Liar(one.net, one.victim)
    cell = next(o for o in one.victim.vat.heap.objects() if type(o) is Cell and o.held)
    sturdyref = one.victim.mint(cell, uses=1)
    del cell
    other.cells.append(other.fetch(sturdyref))
    one.net.wait(3)
    one.freeze()
    one.late.append(captp.E(one.cells[0]).count())
    one.late += [one.host.enliven(evolve(sturdyref, swiss=bytes(32))) for _ in range(300)]
    one.net.rest()
    other.late.append(captp.E(other.cells[0]).count())
    one.net.rest()
    assert len(one.victim.peer.cycles.waiting.held) == 2

    one.net.wait(7)

    assert one.victim.log[-1] == ("session ended", "fetch-failures")
    assert outcome(other.late[0]) == 1
    assert not one.victim.peer.cycles.waiting.held


def test_who_does_not_read_that_a_promise_is_taken_back_loses_its_session() -> None:
    liar = Liar()
    liar.tie()
    liar.freeze()
    (link,) = liar.victim.sessions

    pressure.congested(liar.victim.peer, link.conn, liar.victim.peer.limits.held_bytes + 1)
    liar.net.wait(6)

    assert liar.victim.log[-1] == ("session ended", "peer-too-slow")


def cut(liar: Liar) -> None:
    for wire in liar.net.wires:
        wire.cut()
    liar.net.wait(7)


def test_calls_that_are_held_back_run_when_their_session_has_ended() -> None:
    liar = a_liar_that_holds_itself_back()
    for number in range(5):
        captp.E(liar.maker).hold(number)
    liar.net.rest()
    assert not liar.root.held

    cut(liar)

    assert liar.root.held == list(range(5))
    assert not liar.victim.peer.cycles.waiting.held


@pytest.mark.parametrize(("beyond", "run"), [(0, 1), (1, 0)])
def test_sessions_that_end_leave_no_more_than_so_many_bytes_of_calls(beyond: int, run: int) -> None:
    liar = a_liar_that_holds_itself_back()
    captp.E(liar.maker).hold(1)
    liar.net.rest()
    waiting = liar.victim.peer.cycles.waiting
    (held,) = waiting.held.values()
    held.size = liar.victim.peer.limits.in_flight_bytes + beyond

    cut(liar)

    assert len(liar.root.held) == run
    assert not waiting.held


def test_an_owner_that_ends_its_session_meanwhile_does_not_use_what_it_has_given_up() -> None:
    liar = a_liar_that_holds_itself_back()
    vat, (link,) = liar.victim.vat, liar.victim.peer.router.links.values()
    given = sole(vat, Cell())
    promise: captp.Promise[Any] = captp.Promise(vat)
    waits = Parcel(Message(vat.reference(liar.root), "hold", (promise,), None, None), [promise])
    held = liar.victim.peer.cycles.waiting.held[link]
    held.effects += [Introduced(promise, b""), waits, Closing(given._home)]

    cut(liar)

    # The call by which it gave something to a third vat has run, and calls behind it reach nothing.
    assert liar.root.held == [promise]
    assert given._home.plain._anchor is GONE
