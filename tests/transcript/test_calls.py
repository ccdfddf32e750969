"""Calls and their results, to the line: who says what, and what is never said."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import BadArguments, NoSuchMethod, NotFound, Refused, RemoteFault, Unpassable
from captp.limits import Limits
from tests.transcript.calls_box import Box, Thing
from tests.transcript.conversation import Conversation, value


class Bare(Box):
    @captp.method
    def __call__(self, *args: Any) -> Any:
        return list(args)


def test_the_dialler_says_hello_first_and_calls_when_it_has_the_answer() -> None:
    talk = Conversation(Box())
    a, b = talk.a, talk.b

    root = a.peer.enliven(b.root, Thing)
    number = root.echo(7)
    a.run()

    talk.reads("""
        A>B op:start-session 1.0 memory mp1,own1,frz1,dgc1
    """)
    b.take(2)  # the preamble comes as a piece of its own
    talk.reads("""
        B>A op:start-session 1.0 memory mp1,own1,frz1,dgc1
    """)
    a.take()
    talk.reads("""
        A>B op:deliver e0.fetch(bytes 32) q1
        A>B op:call q1.echo(7) q2 wanted
    """)
    b.take(2)
    talk.reads("""
        B>A op:resolve q2 = 7
    """)
    a.take()
    assert value(number) == 7
    talk.reads("")

    talk.beat()
    talk.reads("""
        A>B op:gc-answers 2
    """)
    del root, number
    talk.ends_empty()
    talk.reads("""
        A>B op:gc-answers 1
    """)


def test_what_is_not_to_be_found_breaks_the_fetch_and_what_was_sent_on_it() -> None:
    talk = Conversation(Box())
    wrong = captp.SturdyRef(talk.b.root.peer, bytes(32))

    root = talk.a.peer.enliven(wrong, Thing)
    number = root.echo(7)
    talk.a.want(root)
    talk.settle()

    text = "NotFound: no-such-object: there is no such object, or it is not for you"
    assert talk.new_lines()[2:] == [
        "A>B op:deliver e0.fetch(bytes 32) q1 wanted",
        "A>B op:call q1.echo(7) q2 wanted",
        f"B>A op:break q1 ! {text}",
        f"B>A op:break q2 ! {text}",
    ]
    for promise in (root, number):
        with pytest.raises(NotFound, match="no-such-object"):
            value(promise)
    del root, number, promise
    talk.ends_empty()


def test_a_call_has_one_message_and_one_result() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    number = root.echo(7)
    talk.settle()

    talk.reads("""
        A>B op:call e1.echo(7) q1 wanted
        B>A op:resolve q1 = 7
    """)
    assert value(number) == 7
    talk.beat()
    talk.reads("""
        A>B op:gc-answers 1
    """)
    del root, number
    talk.ends_empty()
    talk.reads("""
        A>B op:gc-exports 1 x1
    """)


def test_a_call_that_wants_nothing_has_no_position_and_no_result() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    root.echo.only([1, "two", b"three", None, captp.NULL])
    root.fail.only()
    talk.settle()

    talk.reads("""
        A>B op:call e1.echo([1, 'two', bytes 5, None, NULL])
        A>B op:call e1.fail()
    """)
    del root
    talk.ends_empty()
    talk.reads("""
        A>B op:gc-exports 1 x1
    """)


def test_keywords_and_bare_arguments_take_the_long_form() -> None:
    talk = Conversation(Bare())
    root = talk.fetch(Thing)

    total = root.add(3, to=4)
    bare = captp.E(root)(1, "x")
    named = captp.E(root)(1, name="x")
    captp.E(root).only(2)
    root.add.only(3, to=5)
    talk.settle()

    talk.reads("""
        A>B op:deliver e1.add(3, captp:kwargs:{to: 4}) q1 wanted
        A>B op:deliver e1(1, 'x') q2 wanted
        A>B op:deliver e1(1, captp:kwargs:{name: 'x'}) q3 wanted
        A>B op:deliver e1(2)
        A>B op:deliver e1.add(3, captp:kwargs:{to: 5})
        B>A op:resolve q1 = 7
        B>A op:resolve q2 = [1, 'x']
        B>A op:break q3 ! BadArguments: __call__(*args: 'Any'): got an unexpected keyword argument 'name'
    """)
    assert value(total) == 7
    assert value(bare) == (1, "x")
    with pytest.raises(BadArguments):
        value(named)
    del root, total, bare, named
    talk.ends_empty()


def test_a_method_that_raises_tells_its_class_and_text_and_undoes_its_turn() -> None:
    box = Box()
    talk = Conversation(box)
    root = talk.fetch(Thing)

    problems = [root.refuse(), root.fail(), root.refuse(), captp.E(root).large("much"), captp.E(root).none()]
    talk.settle()

    assert talk.new_lines()[5:] == [
        "B>A op:break q1 ! Refused: not 1 times",
        "B>A op:break q2 ! ZeroDivisionError: of no use",
        "B>A op:break q3 ! Refused: not 1 times",
        "B>A op:break q4 ! BadArguments: size: expected int, got str",
        "B>A op:break q5 ! NoSuchMethod: there is no such method",
    ]
    assert box.count == 0
    assert talk.b.failures == ["ZeroDivisionError('of no use')"]
    errors = (Refused, RemoteFault, Refused, BadArguments, NoSuchMethod)
    for problem, error in zip(problems, errors, strict=True):
        with pytest.raises(error):
            value(problem)
    del root, problems, problem
    talk.ends_empty()


def test_one_result_that_cannot_leave_breaks_its_own_call_alone() -> None:
    talk = Conversation(Box(), b_limits=Limits(message_bytes=1_000))
    root = captp.E(talk.fetch())

    results = [root.large(n) for n in (1, 2_000, 2)] + [root.echo(n) for n in range(3)]
    talk.a.run()
    talk.b.hear(6)
    talk.b.run()
    talk.settle()

    assert talk.new_lines()[6:] == [
        "B>A op:resolve q1 = bytes 1",
        "B>A op:break q2 ! Unpassable: a message of 2006 bytes; 1000 is the most: send it in parts",
        "B>A op:resolve q3 = bytes 2",
        "B>A op:resolve q4 = 0",
        "B>A op:resolve q5 = 1",
        "B>A op:resolve q6 = 2",
    ]
    with pytest.raises(RemoteFault):
        value(results.pop(1))
    assert [value(r) for r in results] == [bytes(1), bytes(2), 0, 1, 2]
    del root, results
    talk.ends_empty()


def test_an_argument_that_cannot_leave_breaks_its_own_call_and_gives_nothing_away() -> None:
    talk = Conversation(Box(), a_limits=Limits(message_bytes=1_000))
    root = talk.fetch(Thing)

    good, bad, next_one = root.echo(1), root.echo([Box(), bytes(1_000)]), root.echo(2)
    talk.settle()

    # The position of the call that never left is used by the next one, and no export is left.
    talk.reads("""
        A>B op:call e1.echo(1) q1 wanted
        A>B op:call e1.echo(2) q2 wanted
        B>A op:resolve q1 = 1
        B>A op:resolve q2 = 2
    """)
    assert talk.a.session.exports == 0
    with pytest.raises(Unpassable, match="a message of"):
        value(bad)
    del root, good, bad, next_one
    talk.ends_empty()
