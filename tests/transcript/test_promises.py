"""Promises across the wire: passed, listened to, settled, shortened; and the order of messages meanwhile."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Broken, Refused
from tests.transcript.conversation import Conversation, value

#: The numbers that notes brought, in the order of their turns, of both vats.
NOTED: list[int] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    NOTED.clear()


class Thing(captp.Interface):
    @captp.method
    def note(self, number: int) -> int: ...

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
    async def wait(self, what: Any) -> Any: ...


class Box(captp.Object, Thing):
    kept: captp.List[Any]

    @captp.method
    def note(self, number: int) -> int:
        NOTED.append(number)
        return number

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

    @captp.method
    def make(self) -> Thing:
        return Box()

    @captp.method
    async def wait(self, what: Any) -> Any:
        try:
            return await what
        except captp.Broken as problem:
            return f"{type(problem).__name__}: {problem}"


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
        B>A op:gc-answers 2
        B>A op:resolve q4 = 3
        B>A op:gc-answers 3
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
