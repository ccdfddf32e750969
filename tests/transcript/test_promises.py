"""Promises across the wire: passed, listened to and settled."""

from __future__ import annotations

import pytest

from captp.errors import Broken, Refused
from tests.transcript.conversation import Conversation, value
from tests.transcript.promises_box import Box, Thing


def test_a_promise_in_an_argument_is_listened_to_when_somebody_there_waits() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    mine, resolver = talk.a.peer.vat.promise()

    root.keep.only(mine)
    talk.settle()
    talk.reads("""
        A>B op:call e1.keep(promise e1)
    """)

    waits = root.wait(mine)
    talk.settle()
    talk.reads("""
        A>B op:call e1.wait(promise e1) q1 wanted
        B>A op:listen e1 q1
    """)

    resolver.fulfill({"all": ["plain", 7]})
    talk.settle()
    talk.reads("""
        A>B op:resolve q1 = {all: ['plain', 7]}
        B>A op:resolve q1 = {all: ['plain', 7]}
        B>A op:gc-answers 1
    """)
    assert value(waits) == {"all": ("plain", 7)}
    root.forget.only()
    del root, mine, resolver, waits
    talk.ends_empty()
    talk.reads("""
        A>B op:call e1.forget()
        A>B op:gc-exports 1 x1
        A>B op:gc-answers 1
        B>A op:gc-exports 1 x2
    """)


def test_a_promise_that_becomes_a_reference_gives_the_reference() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    mine, resolver = talk.a.peer.vat.promise()
    here = talk.a.peer.vat.reference(Box())

    waits = root.wait(mine)
    talk.settle()
    talk.new_lines()
    resolver.fulfill(here)
    talk.settle()

    talk.reads("""
        A>B op:resolve q1 = object e2
        B>A op:resolve q1 = your e2
        B>A op:gc-exports 1 x1
        B>A op:gc-answers 1
    """)
    assert value(waits) is here
    del root, mine, resolver, waits, here
    talk.ends_empty()


def test_a_promise_that_becomes_something_of_the_receivers_names_it_as_that() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    mine, resolver = talk.a.peer.vat.promise()

    waits = root.wait(mine)
    talk.settle()
    talk.new_lines()
    resolver.fulfill(root)
    talk.settle()

    talk.reads("""
        A>B op:resolve q1 = your e1
        B>A op:resolve q1 = object e1
        B>A op:gc-exports 1 x1
        B>A op:gc-answers 1
    """)
    assert value(waits) == root
    del root, mine, resolver, waits
    talk.ends_empty()


@pytest.mark.parametrize(
    ("error", "said", "heard"),
    [
        (Refused("no"), "Refused: no", "Refused: no"),
        (ValueError("odd"), "ValueError: odd", "RemoteFault: odd"),
        (Broken("x", reason="just so"), "'just so'", "Broken: broken by the peer: 'just so'"),
    ],
)
def test_a_promise_that_breaks_tells_why(error: BaseException, said: str, heard: str) -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    mine, resolver = talk.a.peer.vat.promise()

    waits = root.wait(mine)
    talk.settle()
    talk.new_lines()
    resolver.break_(error)
    talk.a.run()

    talk.reads(f"A>B op:break q1 ! {said}")
    talk.settle()
    assert value(waits) == heard
    del root, mine, resolver, waits
    talk.ends_empty()


def test_a_promise_that_is_settled_already_crosses_as_a_promise_and_tells_when_asked() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    good, resolver = talk.a.peer.vat.promise()
    resolver.fulfill(7)
    bad, breaker = talk.a.peer.vat.promise()
    breaker.break_(Refused("no"))
    talk.a.run()

    both = root.wait(good), root.wait(bad)
    talk.settle()

    talk.reads("""
        A>B op:call e1.wait(promise e1) q1 wanted
        A>B op:call e1.wait(promise e2) q2 wanted
        B>A op:listen e1 q1
        A>B op:resolve q1 = 7
        B>A op:resolve q1 = 7
        B>A op:listen e2 q2
        B>A op:gc-exports 1 x1
        B>A op:gc-answers 1
        A>B op:break q2 ! Refused: no
        A>B op:gc-answers 1
        B>A op:resolve q2 = 'Refused: no'
        B>A op:gc-exports 2 x1
        B>A op:gc-answers 2
    """)
    assert [value(p) for p in both] == [7, "Refused: no"]
    del root, good, bad, resolver, breaker, both
    talk.ends_empty()


def test_an_answer_in_an_argument_is_named_and_not_listened_to() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    made = root.make()
    waits = root.wait(made)
    same = root.echo([made, made])
    talk.settle()

    talk.reads("""
        A>B op:call e1.make() q1
        A>B op:call e1.wait(q1) q2 wanted
        A>B op:call e1.echo([q1, q1]) q3 wanted
        B>A op:resolve q2 = object e2
        B>A op:resolve q3 = [object e2, object e2]
    """)
    assert value(waits) == value(same)[0] == value(same)[1]
    del root, made, waits, same
    talk.ends_empty()
