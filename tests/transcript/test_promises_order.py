"""The order of messages on promises across the wire, while they settle and shorten."""

from __future__ import annotations

import pytest

import captp
from tests.transcript.conversation import Conversation, value
from tests.transcript.promises_box import NOTED, Box, Thing


@pytest.fixture(autouse=True)
def _fresh() -> None:
    NOTED.clear()


def test_calls_on_a_promise_of_the_peer_go_through_it_and_come_in_order() -> None:
    root_box = Box()
    talk = Conversation(root_box)
    root = talk.fetch(Thing)
    theirs, resolver = talk.b.peer.vat.promise()
    talk.b.peer.vat.reference(root_box).keep.only([theirs])
    kept = root.kept_one(0)
    talk.settle()
    (given,) = value(kept)
    del kept
    talk.new_lines()

    first, second = captp.E(given).note(1), captp.E(given).note(2)
    captp.E(given).note.only(3)
    talk.settle()
    talk.reads("""
        A>B op:call e2.note(1) q2 wanted
        A>B op:call e2.note(2) q3 wanted
        A>B op:call e2.note(3) q4 wanted
        A>B op:gc-answers 1
    """)

    box = Box()
    resolver.fulfill(box)
    captp.E(talk.b.peer.vat.reference(box)).note.only(4)
    talk.settle()
    talk.reads("""
        B>A op:resolve q2 = 1
        B>A op:resolve q3 = 2
        B>A op:resolve q4 = 3
    """)
    assert [value(first), value(second)] == [1, 2]
    assert NOTED == [1, 2, 3, 4]
    root.forget.only()
    del root, given, theirs, resolver, first, second, box
    talk.ends_empty()
    talk.reads("""
        A>B op:call e1.forget()
        A>B op:gc-exports 1 x1, 2 x1
        A>B op:gc-answers 2, 3, 4
    """)


def test_a_promise_that_came_home_keeps_its_old_way_while_calls_are_under_way() -> None:
    """ADR 0005: what was sent through B arrives before what is sent straight to A's own object."""
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)
    here = a.peer.vat.reference(Box())

    # B learns of the object; A calls it through B's answer before it knows what it is.
    back = root.echo(here)
    captp.E(back).note.only(1)
    a.run()
    b.take()
    # The answer comes home while the first note is still on its way to B.
    a.take()
    assert value(back) == here
    assert value(back) is not here
    captp.E(value(back)).note.only(2)
    captp.E(back).note.only(3)
    captp.E(here).note.only(0)
    a.run()
    talk.reads("""
        A>B op:call e1.echo(object e1) q1 wanted
        A>B op:call q1.note(1) q2 wanted
        B>A op:resolve q1 = your e1
        A>B op:call q1.note(2) q3 wanted
        A>B op:call q1.note(3) q4 wanted
    """)
    assert NOTED == [0]

    talk.settle()
    talk.reads("""
        B>A op:call e1.note(1) q1 wanted
        B>A op:call e1.note(2) q2 wanted
        B>A op:call e1.note(3) q3 wanted
        A>B op:resolve q1 = 1
        A>B op:resolve q2 = 2
        A>B op:resolve q3 = 3
        B>A op:resolve q2 = 1
        B>A op:gc-answers 1
        B>A op:resolve q3 = 2
        B>A op:resolve q4 = 3
    """)
    assert NOTED == [0, 1, 2, 3]

    # Nothing is under way any more: the short way is free.
    captp.E(value(back)).note.only(4)
    captp.E(back).note.only(5)
    talk.settle()
    assert NOTED == [0, 1, 2, 3, 4, 5]
    assert "note" not in "".join(talk.new_lines())
    del root, here, back
    talk.ends_empty()


def test_a_promise_that_becomes_the_peers_own_object_shortens_when_its_calls_are_answered() -> None:
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)

    made = root.make()
    a.want(made)
    first = made.note(1)
    a.run()
    b.take()
    a.take()
    # Settled, and the first note has not come to B: the second follows it through the answer.
    second = made.note(2)
    third = value(made).note(3)
    a.run()
    talk.reads("""
        A>B op:call e1.make() q1 wanted
        A>B op:call q1.note(1) q2 wanted
        B>A op:resolve q1 = object e2
        A>B op:call q1.note(2) q3 wanted
        A>B op:call q1.note(3) q4 wanted
    """)
    talk.settle()
    fourth = made.note(4)
    talk.settle()
    talk.reads("""
        B>A op:resolve q2 = 1
        B>A op:resolve q3 = 2
        B>A op:resolve q4 = 3
        A>B op:call e2.note(4) q5 wanted
        A>B op:gc-answers 1, 2, 3, 4
        B>A op:resolve q5 = 4
    """)
    assert [value(p) for p in (first, second, third, fourth)] == [1, 2, 3, 4]
    assert NOTED == [1, 2, 3, 4]
    del root, made, first, second, third, fourth
    talk.ends_empty()


def test_lazy_calls_on_a_promise_that_shortens_are_asked_for_as_the_news_of_their_arrival() -> None:
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)

    made = root.make()
    a.want(made)
    inner = made.make()
    a.run()
    b.take()
    a.take()
    a.run()

    talk.reads("""
        A>B op:call e1.make() q1 wanted
        A>B op:call q1.make() q2
        B>A op:resolve q1 = object e2
        A>B op:listen q2
    """)
    talk.settle()
    talk.new_lines()
    made.note.only(1)
    talk.settle()
    talk.reads("""
        A>B op:call e2.note(1)
        A>B op:gc-answers 1, 2
    """)
    del root, made, inner
    talk.ends_empty()


def test_what_waited_for_a_promise_runs_before_what_was_queued_later() -> None:
    talk = Conversation(Box())
    a = talk.a
    root = talk.fetch(Thing)
    here = a.peer.vat.reference(Box())
    mine, resolver = a.peer.vat.promise()

    captp.E(mine).note.only(1)
    captp.E(mine).note.only(2)
    a.run()
    resolver.fulfill(here)
    captp.E(here).note.only(3)
    captp.E(mine).note.only(4)
    talk.settle()

    assert NOTED == [1, 2, 3, 4]
    talk.reads("")
    del root, here, mine, resolver
    talk.ends_empty()


def test_what_waited_for_a_promise_goes_on_to_the_one_it_follows_before_later_messages() -> None:
    talk = Conversation(Box())
    a = talk.a
    root = talk.fetch(Thing)
    first, first_resolver = a.peer.vat.promise()
    second, second_resolver = a.peer.vat.promise()

    captp.E(first).note.only(1)
    a.run()
    first_resolver.fulfill(second)
    captp.E(second).note.only(2)
    captp.E(first).note.only(3)
    a.run()
    second_resolver.fulfill(root)
    talk.settle()

    talk.reads("""
        A>B op:call e1.note(1)
        A>B op:call e1.note(2)
        A>B op:call e1.note(3)
    """)
    assert NOTED == [1, 2, 3]
    del root, first, first_resolver, second, second_resolver
    talk.ends_empty()


def test_what_waited_for_a_local_promise_leaves_in_order_when_it_becomes_the_peers() -> None:
    talk = Conversation(Box())
    a = talk.a
    root = talk.fetch(Thing)
    mine, resolver = a.peer.vat.promise()

    first = captp.E(mine).note(1)
    captp.E(mine).note.only(2)
    inner = captp.E(captp.E(mine).make()).note(3)
    a.run()
    talk.reads("")
    resolver.fulfill(root)
    last = captp.E(mine).note(4)
    talk.settle()

    talk.reads("""
        A>B op:call e1.note(1) q1 wanted
        A>B op:call e1.note(2)
        A>B op:call e1.make() q2 wanted
        A>B op:call q2.note(3) q3 wanted
        A>B op:call e1.note(4) q4 wanted
        B>A op:resolve q1 = 1
        B>A op:resolve q2 = object e2
        B>A op:resolve q3 = 3
        B>A op:resolve q4 = 4
    """)
    assert [value(p) for p in (first, inner, last)] == [1, 3, 4]
    assert NOTED == [1, 2, 3, 4]
    del root, mine, resolver, first, inner, last
    talk.ends_empty()
