"""When a reference ends, and what is said of it: counts, releases, and names that cross them."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import captp
from tests.transcript.conversation import Conversation, value
from tests.transcript.releases_box import Box, Thing


def with_a_made_object() -> tuple[Conversation, Any, Any]:
    """A conversation in which B made an object, e2, and A holds it, the call for it released."""
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    made = root.make()
    talk.a.want(made)
    talk.settle()
    talk.beat()
    talk.new_lines()
    return talk, root, made


def test_each_occurrence_of_a_reference_is_counted() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    mine = talk.a.peer.vat.reference(Box())

    root.keep.only([mine, mine, {"x": mine}, captp.Tagged("t", mine)])
    for _ in range(4):
        root.keep.only(mine)
    talk.settle()

    talk.reads("""
        A>B op:call e1.keep([object e1, object e1, {x: object e1}, t:object e1])
        A>B op:call e1.keep(object e1)
        A>B op:call e1.keep(object e1)
        A>B op:call e1.keep(object e1)
        A>B op:call e1.keep(object e1)
    """)
    root.forget.only()
    talk.settle()
    talk.beat()
    talk.reads("""
        A>B op:call e1.forget()
        B>A op:gc-exports 1 x8
    """)
    del root, mine
    talk.ends_empty()


def test_a_reference_that_goes_home_is_not_counted() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    itself = root.echo([root, root])
    talk.settle()

    talk.reads("""
        A>B op:call e1.echo([your e1, your e1]) q1 wanted
        B>A op:resolve q1 = [object e1, object e1]
    """)
    assert value(itself) == (root, root)
    del root, itself
    talk.ends_empty()
    talk.reads("""
        A>B op:gc-exports 1 x3
        A>B op:gc-answers 1
    """)


def test_a_reference_is_released_once_with_all_it_was_given() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    first, second = root.make(), root.make()
    talk.a.want(first)
    talk.a.want(second)
    talk.settle()
    talk.new_lines()
    assert value(first) is value(second)

    del first
    talk.beat()
    talk.reads("""
        A>B op:gc-answers 1, 2
    """)

    del second
    talk.beat()
    talk.reads("""
        A>B op:gc-exports 2 x2
    """)
    del root
    root = talk.fetch(Thing)
    root.forget.only()
    del root
    talk.ends_empty()


@pytest.mark.parametrize("first", ["release", "name"])
def test_a_release_that_crosses_a_new_name_leaves_the_new_reference(first: str) -> None:
    talk, root, made = with_a_made_object()
    a, b = talk.a, talk.b

    # A asks again and lets go of what it has: B names the object while the release is on its way.
    again = root.make()
    a.want(again)
    a.run()
    del made
    gc.collect()
    root.echo.only("company for the release")
    a.run()
    b.take()
    talk.reads("""
        A>B op:call e1.make() q1 wanted
        A>B op:call e1.echo('company for the release')
        A>B op:gc-exports 2 x1
        B>A op:resolve q1 = object e2
    """)
    assert b.session.exports == 2

    for side, count in ((b, 2), (a, 1)) if first == "release" else ((a, 1), (b, 2)):
        side.take(count)
    # Of two references one came back.
    assert b.session.exports == a.session.imports == 2
    works = again.echo("here")
    talk.settle()
    talk.reads("""
        A>B op:call e2.echo('here') q2 wanted
        A>B op:gc-answers 1
        B>A op:resolve q2 = 'here'
    """)
    assert value(works) == "here"
    root.forget.only()
    del root, again, works
    talk.ends_empty()
    talk.reads("""
        A>B op:call e1.forget()
        A>B op:gc-exports 1 x1, 2 x1
        A>B op:gc-answers 2
    """)


def test_a_release_that_arrives_before_the_object_is_named_again_ends_the_first_export() -> None:
    talk, root, made = with_a_made_object()
    a, b = talk.a, talk.b

    del made
    gc.collect()
    again = root.make()
    a.want(again)
    a.run()
    talk.reads("""
        A>B op:call e1.make() q1 wanted
        A>B op:gc-exports 2 x1
    """)
    b.take(2)
    talk.settle()
    talk.reads("""
        B>A op:resolve q1 = object e2
    """)
    here = again.echo("here")
    talk.settle()
    assert value(here) == "here"
    root.forget.only()
    del root, again, here
    talk.ends_empty()


def test_a_reference_named_again_before_its_release_was_written_takes_over_the_count() -> None:
    talk, root, made = with_a_made_object()
    a, b = talk.a, talk.b

    again = root.make()
    a.want(again)
    a.run()
    b.take()
    # The name is on its way to A when A lets go; nothing was written of that yet.
    del made
    gc.collect()
    a.take()
    talk.settle()
    talk.beat()

    talk.reads("""
        A>B op:call e1.make() q1 wanted
        B>A op:resolve q1 = object e2
        A>B op:gc-answers 1
    """)
    assert a.session.imports == 2
    root.forget.only()
    del root, again
    talk.ends_empty()
    talk.reads("""
        A>B op:call e1.forget()
        A>B op:gc-exports 1 x1, 2 x2
    """)


def test_a_promise_named_again_before_its_release_was_written_takes_over_the_count() -> None:
    box = Box()
    talk = Conversation(box)
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)
    promise, resolver = b.peer.vat.promise()
    b.peer.vat.reference(box).keep.only([promise])
    b.run()
    first = root.kept_one(0)
    talk.settle()
    talk.beat()
    talk.new_lines()

    again = root.kept_one(0)
    a.run()
    b.take()
    del first
    gc.collect()
    a.take()
    a.run()
    talk.settle()

    talk.reads("""
        A>B op:call e1.kept_one(0) q1 wanted
        B>A op:resolve q1 = [promise e2]
    """)
    resolver.fulfill("at last")
    root.forget.only()
    del root, again, promise
    talk.ends_empty()
