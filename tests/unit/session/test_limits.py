"""The limits of a session's tables at N and N + 1, and all defaults in one table."""

from __future__ import annotations

import attrs
import pytest

import captp
from captp.errors import Disconnected, Overloaded
from captp.limits import Limits
from tests.transcript.conversation import Conversation, value
from tests.unit.session.limits_box import Box, refused

DEFAULTS = {
    "handshake_timeout_s": 10.0,
    "handshake_bytes": 8_192,
    "handshake_pending": 128,
    "handshake_pending_per_addr": 16,
    "message_bytes": 4_194_304,
    "partial_message_s": 30.0,
    "min_rate": 4_096,
    "depth": 64,
    "nodes": 100_000,
    "container_entries": 50_000,
    "int_digits": 4_096,
    "length_digits": 9,
    "symbol_bytes": 1_024,
    "method_bytes": 256,
    "caps_per_message": 256,
    "sessions": 1_000,
    "answers": 16_384,
    "exports": 100_000,
    "imports": 100_000,
    "promises": 16_384,
    "questions": 15_360,
    "listeners_per_promise": 64,
    "listeners": 16_384,
    "pipeline_queue": 1_024,
    "pipeline_depth": 256,
    "resolution_chain": 1_024,
    "latch_queue": 16_384,
    "launch_s": 60.0,
    "backlog": 4_096,
    "in_flight_bytes": 16_777_216,
    "gc_entries": 4_096,
    "frozen_values": 256,
    "frozen_bytes": 33_554_432,
    "gifts": 1_024,
    "gift_keep_s": 3_600.0,
    "waiting_withdrawals": 256,
    "gift_wait_s": 60.0,
    "handoff_window": 4_096,
    "introductions": 1_024,
    "fetch_delay_after": 32,
    "fetch_failures": 256,
    "send_buffer": 8_388_608,
    "held_bytes": 67_108_864,
    "write_stall_s": 30.0,
    "outbox_messages": 100_000,
    "outbox_bytes": 268_435_456,
    "outbox_age_s": 604_800.0,
    "durable_peers": 10_000,
    "durable_results": 4_096,
    "timers": 100_000,
    "outside_calls": 16_384,
    "objects_in_memory": 100_000,
    "turn_sends": 10_000,
    "plan_steps": 256,
    "quantum": 32,
    "ping_interval_s": 15.0,
    "ping_dead_s": 45.0,
}


def test_the_defaults() -> None:
    assert attrs.asdict(Limits()) == DEFAULTS


def test_limits_are_set_by_name_and_cannot_be_changed() -> None:
    limits = Limits(exports=3)

    assert limits.exports == 3
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        limits.exports = 4  # type: ignore[misc]


def test_exports_beyond_the_limit_break_the_call_that_names_them() -> None:
    talk = Conversation(Box(), a_limits=Limits(exports=3))
    root = captp.E(talk.fetch())

    good = root.keep([Box(), Box(), Box()])
    talk.settle()
    assert value(good) == 1
    assert talk.a.session.exports == 3
    # What is named already costs no entry, and what failed gives back what it took.
    bad, fine = root.keep([Box(), Box()]), root.keep(7)
    talk.settle()
    assert talk.a.session.exports == 3
    with pytest.raises(Overloaded, match="holds 3 references already"):
        value(bad)
    assert value(fine) == 2

    root.forget.only()
    talk.settle()
    talk.beat()
    assert talk.a.session.exports == 0
    again = root.keep([Box(), Box(), Box()])
    talk.settle()
    assert value(again) == 1
    root.forget.only()
    del root, good, bad, fine, again
    talk.ends_empty()


def test_a_result_over_the_limit_of_exports_breaks_its_own_call() -> None:
    talk = Conversation(Box(), b_limits=Limits(exports=4))
    root = captp.E(talk.fetch())

    good, bad = root.give_new(3), root.give_new(1)
    talk.settle()

    assert len(value(good)) == 3
    with pytest.raises(Overloaded):
        value(bad)
    assert talk.b.session.exports == 4
    del root, good, bad
    talk.ends_empty()


def test_imports_beyond_the_limit_end_the_session() -> None:
    talk = Conversation(Box(), b_limits=Limits(imports=3))
    root = captp.E(talk.fetch())
    kept = [talk.a.peer.vat.reference(Box()) for _ in range(4)]

    good = [root.keep(kept[:3]), root.keep(kept[:3])]
    talk.settle()
    assert [value(p) for p in good] == [1, 2]
    assert talk.b.session.imports == 3

    bad = root.keep(kept[3])
    refused(talk, bad, "too-many: more than 3 imports")


def test_promises_of_the_peer_beyond_the_limit_end_the_session() -> None:
    talk = Conversation(Box(), b_limits=Limits(promises=2))
    root = captp.E(talk.fetch())
    promises = [talk.a.peer.vat.promise()[0] for _ in range(3)]

    good = root.keep([*promises[:2], Box()])
    talk.settle()
    assert value(good) == 1

    bad = root.keep(promises[2])
    refused(talk, bad, "too-many: more than 2 promises")


def test_promises_that_were_let_go_count_no_more() -> None:
    talk = Conversation(Box(), b_limits=Limits(promises=2))
    root = captp.E(talk.fetch())

    for _ in range(3):
        promises = [talk.a.peer.vat.promise()[0] for _ in range(2)]
        call = root.keep(promises)
        talk.settle()
        assert value(call) == 1
        root.forget.only()
        talk.settle()
        talk.beat()

    del root, promises, call
    talk.ends_empty()


def test_questions_beyond_the_limit_break_at_once() -> None:
    talk = Conversation(Box(), a_limits=Limits(questions=3))
    root = captp.E(talk.fetch())

    good = [root.keep(i) for i in range(3)]
    bad = root.keep(3)
    root.keep.only(4)
    talk.a.run()
    assert talk.a.session.questions == {"waiting": 3}
    with pytest.raises(Overloaded, match="3 calls wait for this peer already"):
        value(bad)

    talk.settle()
    later = root.keep(5)
    talk.settle()
    assert [value(p) for p in (*good, later)] == [1, 2, 3, 5]
    root.forget.only()
    del root, good, bad, later
    talk.ends_empty()


def test_listening_beyond_the_limit_of_questions_breaks_the_promise_here() -> None:
    talk = Conversation(Box(), b_limits=Limits(questions=1))
    root = captp.E(talk.fetch())
    promises = [talk.a.peer.vat.promise() for _ in range(2)]

    boxes = root.give_new(2)
    talk.settle()
    calls = [captp.E(box).wait(promise) for box, (promise, _) in zip(value(boxes), promises, strict=True)]
    talk.settle()

    assert [c.settled for c in calls] == [False, True]
    with pytest.raises(Overloaded):
        value(calls[1])
    promises[0][1].fulfill(7)
    talk.settle()
    assert value(calls[0]) == 7
    del root, promises, boxes, calls
    talk.ends_empty()


def test_answers_beyond_the_limit_end_the_session() -> None:
    talk = Conversation(Box(), b_limits=Limits(answers=3))
    root = captp.E(talk.fetch())
    promise, _resolver = talk.a.peer.vat.promise()

    good = [root.wait(promise) for _ in range(3)]
    talk.settle()
    assert talk.b.session.answers == {"open": 3}
    root.keep.only("no position, no answer")

    bad = root.keep(4)
    refused(talk, bad, "too-many: more than 3 answers")
    for call in good:
        with pytest.raises(Disconnected):
            value(call)


def listen(export: int, position: int) -> bytes:
    """Return a frame with ``[4, ext 18 of the export, position]``."""
    message = bytes([0x93, 4, 0xD4, 18, export, position])
    return len(message).to_bytes(4, "big") + message


def test_listeners_to_one_promise_beyond_the_limit_end_the_session() -> None:
    talk = Conversation(Box(), a_limits=Limits(listeners_per_promise=2))
    a = talk.a
    root = captp.E(talk.fetch())
    promise, _resolver = a.peer.vat.promise()

    # A vat listens to a promise once, so a second and a third listener are written by hand.
    call = root.wait(promise)
    talk.settle()
    talk.reads("""
        A>B op:call e1.wait(promise e1) q1 wanted
        B>A op:listen e1 q1
    """)
    a.peer.received(a.conn, listen(1, 50), talk.now)
    a.run()
    talk.reads("")
    a.peer.received(a.conn, listen(1, 51), talk.now)
    a.run()
    talk.reads("A>B op:abort 'too-many-listeners: 2 listen to one promise already'")
    with pytest.raises(Disconnected):
        value(call)
