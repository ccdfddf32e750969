"""What a peer may send to an open session one after another: positions, results, and aborts in order."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Disconnected
from captp.model.values import Fault
from captp.wire.ops import ABORT, BREAK, CALL, GC_ANSWERS, RESOLVE, Op
from tests.unit.session.raw import Host, Raw, object_


def test_what_came_before_the_bad_operation_runs_and_is_not_answered(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.reaches_the_door()

    said = peer.send((CALL, 1, "note", ("first",), 1, True), (CALL, 1, "note", ("second",), 1, True))

    assert [op[0] for op in said] == [ABORT]
    assert list(host.door.notes) == ["first"]


def test_a_position_may_be_used_again_once_it_is_released(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.reaches_the_door()

    said = peer.send((CALL, 1, "note", (1,), 1, True), (GC_ANSWERS, (1,)), (CALL, 1, "note", (2,), 1, True))

    # One result for each; the first was released when its call had not had its turn.
    assert [op[:2] for op in said] == [(RESOLVE, 1), (RESOLVE, 1)]
    assert list(host.door.notes) == [1, 2]


def test_an_open_answer_that_is_released_is_broken_at_once(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()

    (said,) = [op for op in peer.send((GC_ANSWERS, (3,))) if op[0] == BREAK]

    assert said[:2] == (BREAK, 3)
    assert said[2].data == {"class": "Cancelled"}
    assert host.hung_up == {}


def test_a_second_result_ends_the_session(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()

    assert peer.send((RESOLVE, 1, 5)) == []
    ((code, reason),) = peer.send((RESOLVE, 1, 6))

    assert (code, reason.partition(":")[0]) == (ABORT, "bad-ref")
    assert [p.settled for p in host.door.pending] == [True, True]


def test_a_second_result_for_a_call_that_others_went_through_is_refused_by_name(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()
    # The host calls through the answer of q1, which is not here yet: q1 stays while that is not answered.
    through = captp.E(host.door.pending[0]).more()
    host.run()
    peer.bytes(b"")

    peer.send((RESOLVE, 1, object_(7)))
    ((code, reason),) = peer.send((RESOLVE, 1, object_(7)))

    assert (code, reason.partition(":")[0]) == (ABORT, "not-resolver")
    assert through.settled


@pytest.mark.parametrize("result", [(RESOLVE, 1, 5), (BREAK, 1, Fault("no"))])
def test_a_result_after_the_end_of_its_session_settles_nothing(host: Host, result: Op) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()
    ping = host.door.pending[0]

    said = peer.send((99,), result)

    assert [op[0] for op in said] == [ABORT]
    with pytest.raises(Disconnected):
        next(ping.__await__())


def test_an_abort_is_the_last_word(host: Host) -> None:
    peer = Raw(host, "peer")
    peer.makes_a_scene()

    said = peer.send((CALL, 1, "note", (1,), 9, True), (ABORT, "closed: bye"), (CALL, 1, "note", (2,)))

    assert said == []
    assert host.ended == ["aborted"]
    assert "closed: bye" in host.hung_up[peer.conn]
    assert list(host.door.notes) == [1]


def test_an_abort_may_carry_a_long_reason(host: Host) -> None:
    peer = Raw(host, "peer")

    assert peer.send((ABORT, "x" * 5_000)) == []

    assert host.ended == ["aborted"]
    assert len(host.hung_up[peer.conn]) < 400


@pytest.mark.parametrize("reason", [None, 5, b"closed", ("closed",), {"a": 1}])
def test_an_abort_gives_its_reason_as_text(host: Host, reason: Any) -> None:
    peer = Raw(host, "peer")

    ((code, said),) = peer.send((ABORT, reason))

    assert code == ABORT
    assert said.startswith("bad-op")
