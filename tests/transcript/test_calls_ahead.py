"""Calls and steps on results that are not here yet, to the line: chains, lazy results, steps into data."""

from __future__ import annotations

import pytest

import captp
from captp.errors import Broken
from tests.transcript.calls_box import Box, Thing
from tests.transcript.conversation import Conversation, value


def test_lazy_results_of_a_chain_are_never_asked_for() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    chain = root.make().make().make().echo("end")
    talk.settle()

    talk.reads("""
        A>B op:call e1.make() q1
        A>B op:call q1.make() q2
        A>B op:call q2.make() q3
        A>B op:call q3.echo('end') q4 wanted
        B>A op:resolve q4 = 'end'
    """)
    del root, chain
    talk.ends_empty()


def test_a_chain_that_nobody_holds_any_more_goes_without_a_result() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    chain = root.make().make().make().echo("end")
    talk.settle()
    talk.new_lines()

    del chain
    talk.beat(4)

    # The result of the last call was the news that every step before it had arrived.
    assert [line for line in talk.new_lines() if "op:listen" in line or "op:resolve" in line] == []
    del root
    talk.ends_empty()


def test_a_lazy_result_is_asked_for_once_when_somebody_waits() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    made = root.make()
    talk.settle()
    talk.reads("""
        A>B op:call e1.make() q1
    """)

    talk.a.want(made)
    talk.a.want(made)
    talk.settle()
    talk.reads("""
        A>B op:listen q1
        B>A op:resolve q1 = object e2
    """)

    # Settled: the next call goes to the object itself.
    number = made.echo(1)
    talk.settle()
    talk.reads("""
        A>B op:call e2.echo(1) q2 wanted
        A>B op:gc-answers 1
        B>A op:resolve q2 = 1
    """)
    del root, made, number
    talk.ends_empty()
    talk.reads("""
        A>B op:gc-exports 1 x1, 2 x1
        A>B op:gc-answers 2
    """)


def test_a_lazy_result_that_somebody_waits_for_already_is_asked_for_with_the_call() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    made = root.make()
    talk.a.want(made)
    talk.settle()

    talk.reads("""
        A>B op:call e1.make() q1 wanted
        B>A op:resolve q1 = object e2
    """)
    del root, made
    talk.ends_empty()


def test_steps_into_data_that_is_not_here_yet() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    item = root.data()["list"][0]
    far = captp.E(root.data()["list"][1]).echo("me")
    unit = captp.untag(root.tagged(), "unit")
    talk.settle()

    talk.reads("""
        A>B op:call e1.data() q1 wanted
        A>B op:get q1['list'] q2 wanted
        A>B op:index q2[0] q3 wanted
        A>B op:call e1.data() q4 wanted
        A>B op:get q4['list'] q5 wanted
        A>B op:index q5[1] q6 wanted
        A>B op:call q6.echo('me') q7 wanted
        A>B op:call e1.tagged() q8 wanted
        A>B op:untag q8['unit'] q9 wanted
        B>A op:resolve q1 = {list: ['zero', object e1], number: 7}
        B>A op:resolve q2 = ['zero', object e1]
        B>A op:resolve q3 = 'zero'
        B>A op:resolve q4 = {list: ['zero', object e1], number: 7}
        B>A op:resolve q5 = ['zero', object e1]
        B>A op:resolve q6 = object e1
        B>A op:resolve q7 = 'me'
        B>A op:resolve q8 = unit:5
        B>A op:resolve q9 = 5
    """)
    assert [value(p) for p in (item, far, unit)] == ["zero", "me", 5]
    del root, item, far, unit
    talk.ends_empty()
    # The root came once by itself and five times in data.
    assert "A>B op:gc-exports 1 x6" in talk.new_lines()


def test_a_step_that_does_not_fit_breaks_with_all_that_follows_it() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    data = root.data()

    steps = [
        data["none"],
        data["list"][2],
        data["list"][-1],
        data[0],
        captp.untag(root.tagged(), "other"),
        captp.untag(data, "unit"),
        captp.E(data["number"]).echo(1),
        captp.E(data["none"]["deeper"]).echo(1),
    ]
    talk.settle()

    talk.reads("""
        A>B op:call e1.data() q1 wanted
        A>B op:get q1['none'] q2 wanted
        A>B op:get q1['list'] q3 wanted
        A>B op:index q3[2] q4 wanted
        A>B op:get q1['list'] q5 wanted
        A>B op:index q5[-1] q6 wanted
        A>B op:index q1[0] q7 wanted
        A>B op:call e1.tagged() q8 wanted
        A>B op:untag q8['other'] q9 wanted
        A>B op:untag q1['unit'] q10 wanted
        A>B op:get q1['number'] q11 wanted
        A>B op:call q11.echo(1) q12 wanted
        A>B op:get q1['none'] q13 wanted
        A>B op:get q13['deeper'] q14 wanted
        A>B op:call q14.echo(1) q15 wanted
        B>A op:resolve q1 = {list: ['zero', object e1], number: 7}
        B>A op:break q2 ! Broken: bad-select: get('none') does not fit a FrozenMap
        B>A op:resolve q3 = ['zero', object e1]
        B>A op:break q4 ! Broken: bad-select: index(2) does not fit a tuple
        B>A op:resolve q5 = ['zero', object e1]
        B>A op:break q6 ! Broken: bad-select: index(-1) does not fit a tuple
        B>A op:break q7 ! Broken: bad-select: index(0) does not fit a FrozenMap
        B>A op:resolve q8 = unit:5
        B>A op:break q9 ! Broken: bad-select: untag('other') does not fit a Tagged
        B>A op:break q10 ! Broken: bad-select: untag('unit') does not fit a FrozenMap
        B>A op:resolve q11 = 7
        B>A op:break q12 ! Broken: not-callable: the promise became a int
        B>A op:break q13 ! Broken: bad-select: get('none') does not fit a FrozenMap
        B>A op:break q14 ! Broken: bad-select: get('none') does not fit a FrozenMap
        B>A op:break q15 ! Broken: bad-select: get('none') does not fit a FrozenMap
    """)
    for step in steps:
        with pytest.raises(Broken):
            value(step)
    del root, data, steps, step
    talk.ends_empty()


def test_a_step_into_something_here_sends_nothing() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    data = root.data()
    talk.settle()
    talk.new_lines()

    number, none = data["number"], data["none"]
    talk.a.run()

    talk.reads("")
    assert value(number) == 7
    with pytest.raises(Broken, match=r"bad-select: get\('none'\) does not fit"):
        value(none)
    del root, data, number, none
    talk.ends_empty()
