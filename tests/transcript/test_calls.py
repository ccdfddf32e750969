"""Calls, steps into data and their results, to the line: who says what, and what is never said."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import BadArguments, Broken, NoSuchMethod, NotFound, Refused, RemoteFault, Unpassable
from captp.limits import Limits
from tests.transcript.conversation import Conversation, value


class Thing(captp.Interface):
    @captp.method
    def echo(self, what: Any) -> Any: ...

    @captp.method
    def make(self) -> Thing: ...

    @captp.method
    def data(self) -> dict[str, Any]: ...

    @captp.method
    def tagged(self) -> captp.Tagged: ...

    @captp.method
    def add(self, one: int, *, to: int = 0) -> int: ...

    @captp.method
    def refuse(self) -> int: ...

    @captp.method
    def fail(self) -> int: ...


class Box(captp.Object, Thing):
    count: int = 0

    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    def make(self) -> Thing:
        return Box()

    @captp.method
    def data(self) -> dict[str, Any]:
        return {"list": ["zero", self], "number": 7}

    @captp.method
    def tagged(self) -> captp.Tagged:
        return captp.Tagged("unit", 5)

    @captp.method
    def add(self, one: int, *, to: int = 0) -> int:
        return one + to

    @captp.method
    def refuse(self) -> int:
        self.count += 1
        raise captp.Refused(f"not {self.count} times")

    @captp.method
    def fail(self) -> int:
        self.count += 1
        raise ZeroDivisionError("of no use")

    @captp.method
    def large(self, size: int) -> bytes:
        return bytes(size)


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
        A>B op:start-session 1.0 memory mp1
    """)
    b.take(2)  # the preamble comes as a piece of its own
    talk.reads("""
        B>A op:start-session 1.0 memory mp1
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
        "B>A op:break q2 ! Unpassable: a message of 2006 bytes; 1000 is the most",
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
