"""The limits of single messages at N and N + 1: releases, sizes, references and names."""

from __future__ import annotations

import pytest

import captp
from captp.errors import Unpassable
from captp.limits import Limits
from tests.transcript.conversation import Conversation, value
from tests.unit.session.limits_box import Box, refused


@pytest.mark.parametrize("count", [3, 4])
def test_releases_in_one_message_beyond_the_limit_end_the_session(count: int) -> None:
    talk = Conversation(Box(), a_limits=Limits(gc_entries=4), b_limits=Limits(gc_entries=3))
    root = captp.E(talk.fetch())
    boxes = root.give_new(count)
    talk.settle()
    talk.beat()
    assert talk.b.session.exports == 1 + count
    talk.new_lines()

    del boxes
    talk.beat()

    said = talk.new_lines()
    assert said[0] == "A>B op:gc-exports " + ", ".join(f"{2 + i} x1" for i in range(count))
    assert said[1:] == ([] if count == 3 else ["B>A op:abort 'bad-gc: more than 3 entries'"])


@pytest.mark.parametrize("count", [3, 4])
def test_released_answers_in_one_message_beyond_the_limit_end_the_session(count: int) -> None:
    talk = Conversation(Box(), a_limits=Limits(gc_entries=4), b_limits=Limits(gc_entries=3))
    root = captp.E(talk.fetch())
    calls = [root.keep(i) for i in range(count)]
    talk.settle()
    talk.new_lines()

    del calls
    talk.beat()

    said = talk.new_lines()
    assert said[0] == "A>B op:gc-answers " + ", ".join(str(1 + i) for i in range(count))
    reason = "bad-gc: more than 3 entries"
    assert said[1:] == ([] if count == 3 else [f"B>A op:abort '{reason}'"])


def test_more_releases_than_the_limit_leave_in_several_messages() -> None:
    talk = Conversation(Box(), a_limits=Limits(gc_entries=3))
    root = captp.E(talk.fetch())
    boxes = root.give_new(4)
    calls = [root.keep(i) for i in range(4)]
    talk.settle()
    talk.new_lines()

    del boxes, calls
    talk.beat()

    said = talk.new_lines()
    assert [line.count("x1") for line in said if "op:gc-exports" in line] == [3, 1]
    assert [line.count(",") + 1 for line in said if "op:gc-answers" in line] == [3, 2]
    assert len(said) == 4
    root.forget.only()
    del root
    talk.ends_empty()


#: Bytes of ``op:call e1.keep(bytes n) q1 wanted`` besides the n, for n between 256 and 65535.
AROUND = len(bytes([0x96, 17, 1, 0xA4, *b"keep", 0x91, 0xC5, 0, 0, 1, 0xC3]))


@pytest.mark.parametrize("more", [0, 1])
def test_a_message_over_the_limit_does_not_leave(more: int) -> None:
    talk = Conversation(Box(), a_limits=Limits(message_bytes=1_000))
    root = captp.E(talk.fetch())

    call = root.keep(bytes(1_000 - AROUND + more))
    talk.settle()

    if more:
        with pytest.raises(Unpassable, match="a message of 1001 bytes; 1000 is the most: send it in parts"):
            value(call)
        talk.reads("")
    else:
        assert value(call) == 1
    root.forget.only()
    del root, call
    talk.ends_empty()


@pytest.mark.parametrize("more", [0, 1])
def test_a_message_over_the_receivers_limit_ends_the_session(more: int) -> None:
    talk = Conversation(Box(), b_limits=Limits(message_bytes=1_000))
    root = captp.E(talk.fetch())

    call = root.keep(bytes(1_000 - AROUND + more))

    if more:
        refused(talk, call, "too-large: a message of 1001 bytes, the limit is 1000")
    else:
        talk.settle()
        assert value(call) == 1


@pytest.mark.parametrize("more", [0, 1])
def test_references_in_one_message_beyond_the_limit_end_the_session(more: int) -> None:
    talk = Conversation(Box(), b_limits=Limits(caps_per_message=3))
    root = captp.E(talk.fetch())
    mine = talk.a.peer.vat.reference(Box())

    call = root.keep([mine] * (3 + more))

    if more:
        refused(talk, call, "too-many: over 3 references in one message")
    else:
        talk.settle()
        assert value(call) == 1


@pytest.mark.parametrize("more", [0, 1])
def test_a_method_name_over_the_limit_ends_the_session(more: int) -> None:
    talk = Conversation(Box(), b_limits=Limits(method_bytes=5))
    root = captp.E(talk.fetch())

    call = getattr(root, "keepx" + "y" * more)(1)

    if more:
        refused(talk, call, "bad-value: a method name is too long")
    else:
        talk.settle()
        with pytest.raises(captp.NoSuchMethod):
            value(call)


def test_unknown_swiss_numbers_beyond_the_limit_end_the_session() -> None:
    talk = Conversation(Box(), b_limits=Limits(fetch_failures=3))
    wrong = captp.SturdyRef(talk.b.root.peer, bytes(32))

    for _ in range(3):
        miss = talk.a.peer.enliven(wrong)
        talk.settle()
        with pytest.raises(captp.NotFound):
            value(miss)
    talk.new_lines()

    refused(talk, talk.a.peer.enliven(wrong), "fetch-failures: too many unknown swiss numbers")
