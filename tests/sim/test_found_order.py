"""What schedules of shortening promises have found, cut down: each of these breaks a rule."""

from __future__ import annotations

import pytest

from captp.sim.script import replay

LIMBO = "a message to a promise that follows another stands beside that one's queue, not in it"
ENDED = "a question ends when its result is decoded, and calls still go through it until that is applied"
FIELD = "a field that names an interface takes another reference, which takes no detour"


def test_a_message_to_a_follower_waits_behind_those_that_wait_already() -> None:
    replay(34, "ccc", [
        ("fetch", 0, 1, 10), ("run", 0, 1), ("connect", 0, 1), ("run", 0, 50), ("move", 0, 1, 100000),
        ("run", 1, 1), ("move", 0, 0, 1000), ("fetch", 0, 1, 40), ("send", 0, 50, 40, "later"),
        ("send", 0, 60, 50, "ping"), ("run", 0, 50), ("move", 0, 1, 1000), ("run", 1, 2),
        ("fetch", 1, 2, 90), ("send", 1, 120, 90, "me"), ("fetch", 1, 1, 130),
        ("send", 1, 140, 130, "give_back", 120), ("settle", 1, 50, "follow", 140),
        ("send", 0, 150, 50, "only"), ("run", 0, 2), ("move", 0, 1, 1000),
    ])  # fmt: skip


def test_messages_to_a_promise_that_was_passed_on_wait_in_order() -> None:
    replay(8, "cns", [
        ("fetch", 0, 1, 10), ("run", 0, 50), ("connect", 0, 1), ("run", 0, 2), ("move", 0, 1, 100000),
        ("run", 1, 2), ("move", 0, 0, 1000), ("fetch", 0, 2, 20), ("run", 0, 1), ("connect", 0, 2),
        ("run", 0, 1), ("move", 1, 1, 100000), ("run", 2, 50), ("move", 1, 0, 1000), ("fetch", 1, 2, 30),
        ("run", 1, 1), ("connect", 1, 2), ("run", 1, 1), ("move", 2, 1, 1000), ("fetch", 0, 1, 40),
        ("send", 0, 50, 40, "later"), ("fetch", 0, 2, 60), ("send", 0, 70, 60, "keep", 50),
        ("run", 0, 50), ("move", 1, 1, 100000), ("run", 2, 2), ("find", 2, 150),
        ("send", 2, 160, 150, "ping"), ("send", 2, 170, 150, "ping"), ("send", 2, 210, 150, "ping"),
        ("run", 2, 50), ("move", 2, 0, 100000), ("run", 1, 2), ("move", 0, 1, 100000),
    ])  # fmt: skip


@pytest.mark.parametrize("kinds", ["nn", "ss", "cc"])
def test_what_awaiting_gave_keeps_its_way_in_a_field(kinds: str) -> None:
    replay(13, kinds, [
        ("fetch", 0, 1, 20), ("fetch", 0, 0, 30), ("send", 0, 40, 30, "me"),
        ("send", 0, 50, 20, "give_back", 40), ("fetch", 0, 0, 100), ("send", 0, 110, 100, "befriend", 50),
    ])  # fmt: skip


def test_nothing_is_sent_through_a_question_that_has_ended() -> None:
    replay(70, "nnn", [
        ("fetch", 0, 1, 10), ("run", 0, 50), ("connect", 0, 1), ("run", 0, 1), ("move", 0, 1, 300),
        ("fetch", 0, 2, 20), ("run", 0, 1), ("connect", 0, 2), ("fetch", 1, 2, 30), ("run", 1, 50),
        ("connect", 1, 2), ("fetch", 0, 1, 40), ("move", 0, 0, 100000), ("send", 0, 50, 40, "later"),
        ("fetch", 0, 2, 60), ("run", 1, 50), ("move", 2, 1, 300), ("run", 0, 50), ("move", 1, 1, 100000),
        ("run", 2, 2), ("move", 0, 1, 1000), ("move", 1, 0, 1000), ("send", 0, 80, 60, "chase", 50),
        ("fetch", 1, 0, 120), ("send", 1, 130, 120, "make"), ("fetch", 1, 0, 140),
        ("send", 1, 150, 140, "give_back", 130), ("run", 1, 1), ("move", 0, 0, 100000), ("run", 0, 50),
        ("move", 1, 1, 100000), ("run", 2, 50), ("move", 2, 0, 100000), ("settle", 1, 50, "follow", 150),
        ("run", 1, 50), ("send", 0, 260, 50, "ping"), ("move", 0, 1, 100000),
    ])  # fmt: skip
