"""When an answer ends, and what is said of it: positions, dropped calls, and messages that cross."""

from __future__ import annotations

import gc

import pytest

from tests.transcript.conversation import Conversation, value
from tests.transcript.releases_box import LOG, Box, Thing


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LOG.clear()


def reads_a_cancelled_wait(talk: Conversation) -> None:
    talk.reads("""
        A>B op:call e1.wait(promise e1) q1 wanted
        B>A op:listen e1 q1
        A>B op:gc-answers 1
        B>A op:break q1 ! Cancelled: the caller dropped this call
        B>A op:gc-exports 1 x1
        B>A op:gc-answers 1
        A>B op:break q1 ! Cancelled: the caller dropped this call
    """)
    assert LOG == ["waits", "cancelled"]


def test_a_position_is_used_again_only_after_its_result_and_its_release() -> None:
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)

    first = root.echo(1)
    a.run()
    second = root.echo(2)
    a.run()
    b.take(2)
    a.take()
    # The result of the first is here and its release is not written.
    third = root.echo(3)
    a.run()
    talk.reads("""
        A>B op:call e1.echo(1) q1 wanted
        A>B op:call e1.echo(2) q2 wanted
        B>A op:resolve q1 = 1
        B>A op:resolve q2 = 2
        A>B op:call e1.echo(3) q3 wanted
        A>B op:gc-answers 1
    """)
    # Its release went out beside the third call: now the position is free.
    fourth = root.echo(4)
    a.run()
    talk.settle()
    talk.reads("""
        A>B op:call e1.echo(4) q1 wanted
        B>A op:resolve q3 = 3
        B>A op:resolve q1 = 4
    """)
    assert [value(p) for p in (first, second, third, fourth)] == [1, 2, 3, 4]
    del root, first, second, third, fourth
    talk.ends_empty()


def test_a_position_is_not_used_again_while_calls_through_it_are_not_answered() -> None:
    box = Box()
    talk = Conversation(box)
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)
    promise, resolver = b.peer.vat.promise()
    b.peer.vat.reference(box).keep.only(promise)
    b.run()

    made = root.make()
    waiting = made.wait(root.promised())
    a.want(made)
    talk.settle()
    talk.beat(2)
    talk.reads("""
        A>B op:call e1.make() q1 wanted
        A>B op:call e1.promised() q2 wanted
        A>B op:call q1.wait(q2) q3 wanted
        A>B op:gc-answers 2
        B>A op:resolve q1 = object e2
        B>A op:break q2 ! Cancelled: the caller dropped this call
    """)
    # The result of the first call is here; its position waits for the call that went through it.
    assert a.session.questions == {"settled": 1, "waiting": 1}

    resolver.fulfill(None)
    talk.settle()
    assert value(waiting) == "done"
    talk.beat(2)
    assert a.session.questions == {}
    talk.reads("""
        B>A op:resolve q3 = 'done'
        A>B op:gc-answers 1, 3
    """)
    root.forget.only()
    del root, made, waiting, promise, resolver
    talk.ends_empty()


def test_a_call_that_was_dropped_before_it_left_is_made_and_forgotten() -> None:
    box = Box()
    talk = Conversation(box)
    root = talk.fetch(Thing)

    root.keep("a")
    gc.collect()
    talk.settle()
    talk.beat()

    talk.reads("""
        A>B op:call e1.keep('a') q1 wanted
        A>B op:gc-answers 1
        B>A op:resolve q1 = None
    """)
    assert list(box.kept) == ["a"]
    root.forget.only()
    del root
    talk.ends_empty()


def test_a_call_that_was_dropped_before_it_arrived_runs_and_is_answered() -> None:
    box = Box()
    talk = Conversation(box)
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)

    call = root.keep("a")
    a.run()
    del call
    root.keep.only("b")
    a.run()
    # Both arrive before B runs: the call is released before its turn.
    b.hear(3)
    b.run()
    talk.settle()

    talk.reads("""
        A>B op:call e1.keep('a') q1 wanted
        A>B op:call e1.keep('b')
        A>B op:gc-answers 1
        B>A op:resolve q1 = None
    """)
    assert list(box.kept) == ["a", "b"]
    assert a.session.questions == {}
    root.forget.only()
    del root
    talk.ends_empty()
    talk.reads("""
        A>B op:call e1.forget()
        A>B op:gc-exports 1 x1
    """)


def test_a_call_that_was_dropped_when_its_result_was_on_its_way_ends_with_the_result() -> None:
    box = Box()
    talk = Conversation(box)
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)

    call = root.keep("a")
    a.run()
    b.take()
    del call
    talk.beat()

    talk.reads("""
        A>B op:call e1.keep('a') q1 wanted
        B>A op:resolve q1 = None
        A>B op:gc-answers 1
    """)
    assert a.session.questions == {}
    root.forget.only()
    del root
    talk.ends_empty()


def test_dropping_a_call_cancels_its_fiber() -> None:
    box = Box()
    talk = Conversation(box)
    root = talk.fetch(Thing)
    mine, resolver = talk.a.peer.vat.promise()

    call = root.wait(mine)
    talk.settle()
    assert LOG == ["waits"]
    del call
    talk.beat()

    reads_a_cancelled_wait(talk)
    resolver.fulfill(None)
    talk.settle()
    talk.reads("")
    del root, mine, resolver
    talk.ends_empty()


def test_a_fiber_whose_call_was_dropped_before_it_arrived_is_cancelled_once_it_has() -> None:
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)
    mine, resolver = a.peer.vat.promise()

    call = root.wait(mine)
    a.run()
    del call
    gc.collect()
    root.echo.only("company for the release")
    a.run()
    b.hear(3)
    b.run()
    talk.settle()
    talk.beat(2)

    talk.reads("""
        A>B op:call e1.wait(promise e1) q1 wanted
        A>B op:call e1.echo('company for the release')
        A>B op:gc-answers 1
        B>A op:listen e1 q1
        B>A op:break q1 ! Cancelled: the caller dropped this call
        B>A op:gc-exports 1 x1
        B>A op:gc-answers 1
        A>B op:break q1 ! Cancelled: the caller dropped this call
    """)
    assert LOG == ["waits", "cancelled"]
    assert a.session.questions == {}
    resolver.fulfill(None)
    talk.settle()
    del root, mine, resolver
    talk.ends_empty()


def test_a_promise_that_nobody_waits_for_any_more_is_let_go() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    mine, resolver = talk.a.peer.vat.promise()
    call = root.wait(mine)
    talk.settle()

    del call
    talk.beat(2)

    reads_a_cancelled_wait(talk)
    assert talk.b.session.imports == 0
    del root, mine, resolver
    talk.ends_empty()


def test_a_result_that_crosses_its_release_is_the_acknowledgement() -> None:
    box = Box()
    talk = Conversation(box)
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)
    mine, resolver = a.peer.vat.promise()
    call = root.wait(mine)
    talk.settle()
    talk.new_lines()

    resolver.fulfill(None)
    a.run()
    b.take()
    assert LOG == ["waits", "done"]
    # The result is on its way when A lets go, and the position is not free before it is here.
    del call
    gc.collect()
    root.echo.only("company for the release")
    a.run()
    other_call = root.echo("x")
    a.run()
    talk.settle()
    talk.reads("""
        A>B op:resolve q1 = None
        B>A op:resolve q1 = 'done'
        B>A op:gc-exports 1 x1
        B>A op:gc-answers 1
        A>B op:call e1.echo('company for the release')
        A>B op:gc-answers 1
        A>B op:call e1.echo('x') q2 wanted
        B>A op:resolve q2 = 'x'
    """)
    next_call = root.echo("y")
    talk.settle()
    talk.reads("""
        A>B op:call e1.echo('y') q1 wanted
        A>B op:gc-answers 2
        B>A op:resolve q1 = 'y'
    """)
    assert value(next_call) == "y"
    del root, mine, resolver, other_call, next_call
    talk.ends_empty()
