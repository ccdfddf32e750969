"""What worlds have found, cut down: each of these once broke a rule."""

from __future__ import annotations

from captp.sim.script import replay


def test_a_fetch_meets_a_session_that_has_just_ended() -> None:
    replay(11, "ccc", [
        ("fetch", 2, 0, 4), ("run", 2, 2), ("connect", 2, 1), ("run", 2, 2), ("move", 0, 1, 100000),
        ("silence", 0),
    ])  # fmt: skip


def test_two_vats_dial_each_other_at_once() -> None:
    replay(32, "cc", [("fetch", 0, 1, 2), ("run", 0, 1), ("fetch", 1, 0, 6)])


def test_crossed_dials_agree_whatever_arrives_first() -> None:
    replay(25, "ccc", [
        ("fetch", 1, 2, 2), ("run", 1, 1), ("connect", 1, 1), ("run", 1, 2), ("fetch", 2, 1, 4),
        ("run", 2, 5), ("move", 0, 1, 40),
    ])  # fmt: skip
    replay(37, "cccc", [
        ("fetch", 0, 2, 2), ("run", 0, 50), ("fetch", 2, 3, 4), ("connect", 0, 1), ("fetch", 3, 2, 6),
        ("run", 2, 2), ("run", 3, 1), ("connect", 2, 1), ("connect", 3, 1), ("run", 3, 50),
        ("move", 2, 1, 40), ("run", 2, 2), ("move", 2, 0, 100000),
    ])  # fmt: skip


def test_a_vat_that_came_back_is_let_in_again() -> None:
    replay(1146, "ccc", [
        ("fetch", 0, 1, 2), ("run", 0, 1), ("connect", 0, 1), ("fetch", 2, 1, 14), ("run", 2, 2),
        ("connect", 2, 1), ("run", 2, 2), ("move", 1, 1, 1000), ("crash", 2), ("fetch", 2, 1, 150),
        ("run", 2, 50), ("connect", 2, 1), ("run", 2, 2), ("move", 2, 1, 100000),
    ])  # fmt: skip


def test_a_detour_ends_with_its_last_answer() -> None:
    replay(83, "ccc", [
        ("fetch", 1, 0, 2), ("run", 1, 2), ("connect", 1, 1), ("fetch", 0, 1, 4), ("fetch", 0, 2, 30),
        ("send", 0, 32, 4, "give_back", 30), ("send", 0, 56, 32, "later"),
    ])  # fmt: skip


def test_a_message_that_came_round_takes_no_detour() -> None:
    replay(60, "ccc", [
        ("fetch", 1, 0, 2), ("run", 1, 1), ("connect", 1, 1), ("fetch", 2, 0, 10), ("run", 2, 50),
        ("connect", 2, 1), ("fetch", 2, 1, 30), ("run", 2, 5), ("connect", 2, 2), ("fetch", 2, 0, 48),
        ("run", 2, 2), ("move", 2, 1, 1000), ("move", 1, 1, 1000), ("run", 1, 5), ("move", 2, 0, 1000),
        ("fetch", 2, 1, 90), ("send", 2, 102, 90, "give_back", 48), ("run", 0, 50), ("run", 2, 5),
        ("move", 1, 0, 100000), ("move", 2, 1, 1000), ("run", 1, 2), ("send", 2, 106, 102, "call", 30),
        ("move", 2, 0, 40), ("run", 2, 2), ("move", 1, 1, 1000), ("run", 0, 1), ("move", 1, 0, 1000),
    ])  # fmt: skip


def test_what_waited_for_a_promise_runs_before_what_is_queued() -> None:
    replay(1655, "cccc", [
        ("fetch", 2, 0, 2), ("run", 2, 2), ("connect", 2, 1), ("fetch", 1, 0, 4), ("fetch", 0, 1, 6),
        ("run", 0, 5), ("connect", 0, 2), ("fetch", 3, 1, 8), ("fetch", 2, 3, 16), ("run", 1, 5),
        ("connect", 1, 1), ("send", 2, 20, 16, "later"), ("run", 2, 2), ("connect", 2, 2), ("run", 3, 5),
        ("connect", 3, 1), ("run", 2, 5), ("move", 3, 1, 100000), ("run", 3, 2),
        ("send", 2, 36, 20, "forget"), ("move", 3, 0, 100000), ("run", 2, 2), ("move", 3, 1, 100000),
        ("run", 3, 5), ("select", 2, 40, 36, "get"), ("send", 2, 60, 20, "give_back", 40), ("run", 2, 1),
        ("move", 3, 1, 1000),
    ])  # fmt: skip


def test_a_queue_on_a_result_leaves_with_the_message_it_hangs_on() -> None:
    replay(3294, "cc", [
        ("fetch", 0, 1, 6), ("run", 0, 5), ("connect", 0, 1), ("run", 0, 1), ("move", 0, 1, 1000),
        ("run", 1, 5), ("send", 0, 8, 6, "make"), ("promise", 0, 10), ("send", 0, 12, 6, "make"),
        ("move", 0, 0, 1000), ("run", 0, 5), ("send", 0, 26, 10, "later"), ("want", 0, 12),
        ("send", 0, 44, 8, "named"), ("send", 0, 46, 26, "call", 44), ("run", 0, 2),
        ("move", 0, 1, 100000), ("run", 1, 2), ("move", 0, 0, 1000), ("settle", 0, 10, "handle", 12),
        ("send", 0, 92, 26, "nap"),
    ])  # fmt: skip


def test_what_follows_a_promise_keeps_its_way_too() -> None:
    replay(489, "cc", [
        ("fetch", 1, 0, 2), ("run", 1, 1), ("connect", 1, 1), ("send", 1, 4, 2, "give_back", 2),
        ("promise", 1, 6), ("send", 1, 16, 4, "give_back", 6), ("run", 1, 2), ("send", 1, 18, 4, "ping"),
        ("move", 0, 1, 100000), ("send", 1, 24, 4, "make"), ("run", 0, 5), ("move", 0, 0, 1000),
        ("send", 1, 30, 16, "wait", 18), ("run", 1, 50), ("move", 0, 1, 100000), ("run", 0, 5),
        ("move", 0, 0, 5), ("move", 0, 0, 40), ("send", 1, 62, 16, "give_back", 30),
        ("settle", 1, 6, "handle", 24),
    ])  # fmt: skip


def test_a_borrowed_route_lives_as_long_as_the_calls_on_it() -> None:
    replay(60112, "ccc", [
        ("fetch", 1, 2, 2), ("run", 1, 2), ("fetch", 2, 0, 6), ("connect", 1, 1), ("run", 2, 2),
        ("connect", 2, 1), ("promise", 2, 10), ("run", 2, 1), ("send", 2, 12, 6, "give_back", 10),
        ("move", 1, 1, 1000), ("send", 2, 42, 12, "later"), ("settle", 2, 10, "root"), ("run", 0, 5),
        ("move", 1, 0, 1000), ("run", 2, 50), ("promise", 2, 176), ("move", 1, 1, 1000), ("run", 0, 50),
        ("move", 1, 0, 40), ("settle", 2, 176, "handle", 12), ("take", 2, 12), ("run", 2, 50),
        ("send", 2, 252, 12, "make"), ("settle", 2, 42, "handle", 10), ("run", 2, 1),
        ("move", 1, 1, 1000), ("run", 0, 5), ("move", 1, 0, 100000), ("run", 2, 2),
        ("send", 2, 284, 10, "make"),
    ])  # fmt: skip


def test_a_dropped_call_counts_as_under_way_until_it_has_arrived() -> None:
    replay(14922, "ccc", [
        ("fetch", 0, 1, 4), ("run", 0, 2), ("connect", 0, 1), ("run", 0, 5), ("fetch", 1, 0, 8),
        ("move", 0, 1, 1000), ("run", 1, 50), ("connect", 1, 2), ("fetch", 0, 2, 38), ("run", 0, 50),
        ("move", 0, 0, 100000), ("connect", 0, 3), ("fetch", 0, 2, 278), ("fetch", 0, 1, 402),
        ("run", 0, 1), ("send", 0, 420, 402, "give_back", 278), ("move", 2, 1, 100000), ("run", 0, 2),
        ("run", 2, 5), ("move", 2, 0, 1000), ("move", 0, 1, 1000), ("run", 1, 2), ("move", 0, 0, 1000),
        ("run", 0, 2), ("send", 0, 456, 420, "ping"), ("move", 2, 1, 1000), ("run", 2, 2),
        ("move", 2, 0, 40), ("drop", 0, 456), ("run", 0, 5), ("send", 0, 476, 420, "only"),
        ("move", 0, 1, 100000), ("run", 1, 5), ("move", 0, 0, 1000),
    ])  # fmt: skip


def test_an_import_whose_position_is_a_promise_now_is_no_longer_asked_about() -> None:
    """The collector of a vat must not fail, and so be off, because a peer uses a position for a promise."""
    replay(1700378, "ccn", [
        ("fetch", 0, 2, 2), ("fetch", 0, 1, 4), ("run", 0, 1), ("connect", 0, 2), ("connect", 0, 1),
        ("run", 0, 1), ("fetch", 2, 0, 14), ("run", 2, 1), ("connect", 2, 2), ("tick", 1000),
        ("move", 1, 1, 1000), ("fetch", 2, 1, 34), ("run", 2, 5), ("connect", 2, 3),
        ("fetch", 1, 0, 122), ("send", 2, 140, 14, "give_back", 34), ("run", 2, 2), ("move", 3, 1, 1000),
        ("run", 1, 5), ("move", 3, 0, 1000), ("move", 1, 0, 1000), ("drop", 2, 34), ("run", 0, 50),
        ("tick", 300), ("move", 1, 1, 100000), ("run", 2, 1), ("move", 3, 1, 1000), ("drop", 2, 140),
        ("send", 1, 280, 122, "nap"), ("run", 1, 50), ("move", 3, 0, 1000), ("fetch", 1, 2, 288),
        ("run", 2, 1), ("move", 1, 0, 1000), ("run", 0, 1), ("tick", 300), ("move", 1, 1, 1000),
        ("send", 1, 310, 288, "give_back", 280), ("run", 2, 5), ("move", 3, 1, 1000),
    ])  # fmt: skip
