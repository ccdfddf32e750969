"""What ends, and when it is said: references, positions, dropped calls, and messages that cross."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import gc
from typing import Any

import pytest

import captp
from tests.transcript.conversation import Conversation, value

#: What fibers went through; their state goes back with a step that fails.
LOG: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LOG.clear()


class Thing(captp.Interface):
    @captp.method
    def echo(self, what: Any) -> Any: ...

    @captp.method
    def keep(self, what: Any) -> None: ...

    @captp.method
    def kept_one(self, index: int) -> Any: ...

    @captp.method
    def forget(self) -> None: ...

    @captp.method
    def make(self) -> Thing: ...

    @captp.method
    def promised(self) -> Any: ...

    @captp.method
    async def wait(self, what: Any) -> str: ...


class Box(captp.Object, Thing):
    kept: captp.List[Any]
    made: Any = None

    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept.append(what)

    @captp.method
    def kept_one(self, index: int) -> Any:
        return self.kept[index]

    @captp.method
    def forget(self) -> None:
        self.kept.clear()
        self.made = None

    @captp.method
    def make(self) -> Thing:
        if self.made is None:
            self.made = Box()
        return self.made  # type: ignore[no-any-return]

    @captp.method
    def promised(self) -> Any:
        return self.kept[0]

    @captp.method
    async def wait(self, what: Any) -> str:
        LOG.append("waits")
        try:
            await what
        except captp.Cancelled:
            LOG.append("cancelled")
            raise
        LOG.append("done")
        return "done"


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
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)
    made = root.make()
    a.want(made)
    talk.settle()
    talk.beat()
    talk.new_lines()

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
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)
    made = root.make()
    a.want(made)
    talk.settle()
    talk.beat()
    talk.new_lines()

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
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)
    made = root.make()
    a.want(made)
    talk.settle()
    talk.beat()
    talk.new_lines()

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
