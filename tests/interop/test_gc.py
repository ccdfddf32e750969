"""Releases, to the count: references are given back as often as they came, and no more than once."""

from __future__ import annotations

import pytest

from tests.interop.client import Peer
from tests.interop.conftest import Connect
from tests.interop.keys import an_object, export, held
from tests.interop.ocapn_host import ECHO, GREETER, PAIRS
from tests.interop.syrup import Rec, Sym, rec

#: Several beats of the host: what it has not sent after them it does not send.
QUIET_S = 0.55


def send_and_forget(peer: Peer, echo: Rec, ours: int, times: int) -> None:
    assert peer.call_unnumbered(echo, *[an_object(ours)] * times) == [export(ours)] * times


def test_a_reference_is_given_back_once(peer: Peer) -> None:
    peer.show_dialect()
    echo, ours = peer.fetch(ECHO), peer.new_export()

    send_and_forget(peer, echo, ours, 1)
    peer.until(lambda: peer.dropped[ours] >= 1)
    peer.drain(QUIET_S)

    assert peer.dropped[ours] == 1


def test_a_reference_that_comes_four_times_in_one_message_is_given_back_four_times(peer: Peer) -> None:
    peer.show_dialect()
    echo, ours = peer.fetch(ECHO), peer.new_export()

    send_and_forget(peer, echo, ours, 4)
    peer.until(lambda: peer.dropped[ours] >= 4)

    assert peer.dropped[ours] == 4


def test_a_reference_that_comes_in_four_messages_is_given_back_four_times(peer: Peer) -> None:
    peer.show_dialect()
    echo, ours = peer.fetch(ECHO), peer.new_export()

    for _ in range(4):
        send_and_forget(peer, echo, ours, 1)
    peer.until(lambda: peer.dropped[ours] >= 4)

    assert peer.dropped[ours] == 4


def test_resolvers_are_given_back_too(peer: Peer) -> None:
    peer.show_dialect()
    echo = peer.fetch(ECHO)
    _, resolver = peer.ask(echo, 1)
    peer.value(resolver)

    peer.until(lambda: peer.dropped[resolver] >= 1)

    assert peer.dropped[resolver] == 1


def test_an_answer_is_released_once_it_has_come(peer: Peer) -> None:
    peer.show_dialect()
    ours = peer.new_export()
    peer.send(peer.only(peer.fetch(GREETER), an_object(ours)))
    greeting = peer.serve_one(export(ours))
    position = greeting.fields[2]

    assert not peer.dropped_answers[position]
    peer.reply(greeting, "hello yourself")

    peer.until(lambda: peer.dropped_answers[position] > 0)
    assert peer.dropped_answers[position] == 1


def test_an_answer_is_released_when_it_breaks(peer: Peer) -> None:
    peer.show_dialect()
    ours = peer.new_export()
    peer.send(peer.only(peer.fetch(GREETER), an_object(ours)))
    greeting = peer.serve_one(export(ours))

    peer.reply(greeting, Sym("no"), verb="break")

    peer.until(lambda: peer.dropped_answers[greeting.fields[2]] > 0)


def test_what_we_give_back_is_gone(peer: Peer) -> None:
    echo = peer.fetch(ECHO)

    peer.send(*peer.gc_exports((echo.fields[0], 1)))
    peer.send(peer.only(echo))

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("bad-ref")


def test_what_we_give_back_in_part_is_still_there(peer: Peer) -> None:
    echo = peer.fetch(ECHO)
    assert peer.fetch(ECHO) == echo

    peer.send(*peer.gc_exports((echo.fields[0], 1)))

    assert peer.call(echo, 1) == [1]


def test_several_are_given_back_in_one_message(peer: Peer) -> None:
    promise, settler = map(held, peer.call(peer.fetch(PAIRS)))

    peer.send(*peer.gc_exports((promise.fields[0], 1), (settler.fields[0], 1)))

    assert peer.call(peer.fetch(ECHO), 1) == [1]


def test_giving_back_more_than_we_got_ends_the_session(peer: Peer) -> None:
    echo = peer.fetch(ECHO)

    peer.send(*peer.gc_exports((echo.fields[0], 2)))

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("bad-gc")


def test_an_answer_position_may_be_used_again_after_its_release(peer: Peer) -> None:
    echo = peer.fetch(ECHO)
    position, resolver = peer.ask(echo, "first")
    assert peer.value(resolver) == ["first"]

    peer.send(*peer.gc_answers(position), peer.deliver(echo, "second", at=position, resolver=resolver))

    assert peer.value(resolver) == ["second"]


def test_position_0_is_counted_like_any_other(peer: Peer) -> None:
    """Our first resolver stands at 0, as our bootstrap does; it is given back as often as it went out."""
    peer.show_dialect()
    assert peer.new_export() == 1
    echo = peer.fetch(ECHO)
    peer.send(peer.deliver(echo, 1, an_object(0), resolver=0))
    assert peer.value(0) == [1, export(0)]

    # Once by the fetch of show_dialect, twice by the call.
    peer.until(lambda: peer.dropped[0] >= 3)
    peer.drain(QUIET_S)

    assert peer.dropped[0] == 3


def test_the_bootstrap_may_be_passed_and_released_within_its_explicit_count(peer: Peer) -> None:
    bootstrap = peer.call(peer.fetch(ECHO), export(0))

    assert bootstrap == [an_object(0)]
    peer.send(*peer.gc_exports((0, 1)))

    assert peer.fetch(ECHO), "and it is still there"


def test_the_implicit_reference_to_the_bootstrap_cannot_be_released(peer: Peer) -> None:
    peer.send(*peer.gc_exports((0, 1)))

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("bad-gc")


@pytest.mark.parametrize(
    ("label", "in_lists", "dialect"),
    [
        ("op:gc-export", (False, False), "d0"),
        ("op:gc-export", (True, True), "d1"),
        ("op:gc-export", (False, True), "d0"),
        ("op:gc-exports", (True, True), "d2"),
        ("op:gc-exports", (False, False), "d2"),
    ],
)
def test_releases_are_read_under_each_label_in_each_form(
    connect: Connect, label: str, in_lists: tuple[bool, bool], dialect: str
) -> None:
    peer = connect(dialect=dialect).open()
    echo = peer.fetch(ECHO)
    assert peer.fetch(ECHO) == echo
    fields = [[n] if in_list else n for n, in_list in zip((echo.fields[0], 1), in_lists, strict=True)]

    peer.send(rec(label, *fields))

    assert peer.call(echo, "one is left") == ["one is left"]
    peer.until(lambda: peer.dropped[0] == 1)
    peer.send(rec(label, *fields), peer.deliver(echo, "none is left", resolver=9))
    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("bad-ref")


def test_an_answer_keeps_what_is_in_it_until_its_release(peer: Peer) -> None:
    peer.show_dialect()
    echo, ours = peer.fetch(ECHO), peer.new_export()
    position, resolver = peer.ask(echo, an_object(ours))
    assert peer.value(resolver) == [export(ours)]

    peer.drain(QUIET_S)
    assert not peer.dropped[ours]

    peer.send(*peer.gc_answers(position))
    peer.until(lambda: peer.dropped[ours] == 1)


def test_a_long_stream_of_references_leaves_nothing_behind(peer: Peer) -> None:
    peer.show_dialect()
    echo = peer.fetch(ECHO)
    ours = [peer.new_export() for _ in range(50)]

    peer.send(*[peer.only(echo, *[an_object(o)] * (o % 3 + 1)) for o in ours])

    peer.until(lambda: all(peer.dropped[o] == o % 3 + 1 for o in ours))
