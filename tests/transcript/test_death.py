"""The end of a session at each point of a call's life: everything breaks that waited, and nothing is left."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import captp
from captp.errors import Disconnected
from captp.model.values import Fault
from tests.transcript.conversation import Conversation, Side, value

#: What became of fibers.
LOG: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    LOG.clear()


class Thing(captp.Interface):
    @captp.method
    def echo(self, what: Any) -> Any: ...

    @captp.method
    def make(self) -> Thing: ...

    @captp.method
    async def wait(self, what: Any) -> Any: ...


class Box(captp.Object, Thing):
    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    def make(self) -> Thing:
        return Box()

    @captp.method
    async def wait(self, what: Any) -> Any:
        try:
            return await what
        except captp.Broken as problem:
            LOG.append(type(problem).__name__)
            raise


def life(talk: Conversation, root: Any, my: SimpleNamespace) -> Iterator[str]:
    """Take a call through its life, with all that can hang on one, and stop at each point of it.

    It goes to a reference that is not here yet, passes a promise and an object, and a step into its
    result is under way as well.
    """
    a, b = talk.a, talk.b
    yield "before anything"
    mine, resolver = a.peer.vat.promise()
    my.lazy = root.make()
    my.waits = my.lazy.wait(mine)
    my.item = my.waits["number"]
    my.other = root.echo([a.peer.vat.reference(Box()), mine])
    yield "called"
    a.run()
    yield "sent"
    b.hear(2)
    yield "arrived"
    b.hear(2)
    yield "all arrived"
    b.run()
    yield "begun, and another result under way"
    a.hear(2)
    yield "the callee listens to the promise"
    a.run()
    resolver.fulfill({"number": 7})
    del mine, resolver
    yield "the promise was fulfilled"
    a.run()
    yield "its value is under way"
    b.hear(len(b.inbox))
    yield "its value has arrived"
    b.run()
    yield "the result is under way"
    a.hear()
    yield "the result has arrived"
    talk.settle()
    yield "all results are here"
    talk.beat()
    yield "the positions are released"
    a.want(my.lazy)
    a.run()
    yield "the lazy result was asked for"
    talk.settle()
    yield "the lazy result is here"
    my.lazy = my.other = None
    gc.collect()
    yield "references were dropped"
    talk.beat()
    yield "references were released"


POINTS = (
    "before anything",
    "called",
    "sent",
    "arrived",
    "all arrived",
    "begun, and another result under way",
    "the callee listens to the promise",
    "the promise was fulfilled",
    "its value is under way",
    "its value has arrived",
    "the result is under way",
    "the result has arrived",
    "all results are here",
    "the positions are released",
    "the lazy result was asked for",
    "the lazy result is here",
    "references were dropped",
    "references were released",
)


def test_the_points_of_a_life_are_all_of_them() -> None:
    talk = Conversation(Box())
    my = SimpleNamespace()
    root = talk.fetch(Thing)

    assert tuple(life(talk, root, my)) == POINTS
    assert value(my.item) == 7
    del my, root
    talk.ends_empty()


def cut(talk: Conversation) -> None:
    """Lose what is under way, and tell both."""
    talk.a.lose()
    talk.b.lose()


def cut_from_below(talk: Conversation) -> None:
    """Tell the callee first; the caller still reads what was written."""
    talk.b.lose()
    talk.a.take(len(talk.a.inbox))
    talk.a.lose()


def abort(side: Side) -> None:
    """Give a side a message that is none: it aborts, and the other one hears of it in its time."""
    side.peer.received(side.conn, b"\0\0\0\2\x91\x63", side.talk.now)
    side.run()
    assert side.talk.lines[-1] == f"{side.name}>{side.other.name} op:abort 'unknown-op: operation 99'"
    side.inbox.clear()
    side.other.take(len(side.other.inbox))


def abort_by_caller(talk: Conversation) -> None:
    abort(talk.a)


def abort_by_callee(talk: Conversation) -> None:
    abort(talk.b)


WAYS = (cut, cut_from_below, abort_by_caller, abort_by_callee)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("point", POINTS)
def test_the_end_of_a_session_leaves_nothing_behind(point: str, way: Callable[[Conversation], None]) -> None:
    talk = Conversation(Box())
    my = SimpleNamespace()
    root = talk.fetch(Thing)
    heard = talk.a.watch(root)
    script = life(talk, root, my)
    assert point in script
    sessions = [link.session for side in (talk.a, talk.b) for link in side.peer.router.links.values()]
    before = {name: p.settled for name, p in vars(my).items() if p is not None}

    way(talk)
    talk.settle()

    assert talk.a.hangups
    assert talk.b.hangups
    for name, promise in vars(my).items():
        if promise is None or before[name] or (promise.settled and way in (cut_from_below, abort_by_callee)):
            continue
        with pytest.raises(Disconnected, match="enliven the sturdyref again"):
            value(promise)
    assert isinstance(value(heard), Fault)
    assert value(heard).data == {"class": "Disconnected"}
    for side in (talk.a, talk.b):
        assert side.peer.dump()["sessions"] == {}
        assert side.peer.vat.dump()["fibers"] == []
    for session in sessions:
        session.check()
        assert {table: lines for table, lines in session.dump().items() if lines} == {"state": ["ended"]}
    script.close()
    del script, sessions, session
    promise = my = root = heard = None
    talk.ends_empty()


@pytest.mark.parametrize("steps", range(4))
def test_the_end_of_an_opening_session_breaks_the_fetch(steps: int) -> None:
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = a.peer.enliven(b.root, Thing)
    number = root.echo(7)
    a.run()
    # Preamble, A's hello, B's hello; then the fetch is under way.
    for side in (b, b, a)[:steps]:
        side.take()

    cut(talk)
    talk.settle()

    for promise in (root, number):
        with pytest.raises(Disconnected):
            value(promise)
    del root, number, promise
    talk.ends_empty()


def test_what_is_left_of_a_session_sends_nothing_and_a_new_fetch_opens_another() -> None:
    talk = Conversation(Box())
    old = talk.fetch(Thing)
    made = old.make()
    talk.settle()
    cut(talk)
    talk.settle()
    talk.new_lines()

    late = [old.echo(1), made.echo(2), captp.E(old.make()).echo(3)]
    old.echo.only(4)
    talk.settle()
    talk.reads("")
    for promise in late:
        with pytest.raises(Disconnected):
            value(promise)

    fresh = talk.fetch(Thing)
    assert fresh != old
    number = fresh.echo(1)
    talk.settle()
    talk.reads("""
        A>B op:call e1.echo(1) q1 wanted
        B>A op:resolve q1 = 1
    """)
    # A reference of the old session crosses as one that breaks whatever is sent to it.
    passed = fresh.echo(old)
    sent = captp.E(passed).echo(2)
    talk.settle()
    assert value(passed) == old
    with pytest.raises(Disconnected):
        value(sent)
    del old, made, late, promise, fresh, number, passed, sent
    talk.ends_empty()


def test_bytes_that_come_after_the_end_are_nothing() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    root.echo.only(1)
    talk.a.run()
    talk.b.peer.disconnected(talk.b.conn, "cut", talk.now)

    talk.b.take(len(talk.b.inbox))
    talk.a.lose()

    talk.reads("A>B op:call e1.echo(1)")
    del root
    talk.ends_empty()


def test_nothing_follows_an_abort() -> None:
    talk = Conversation(Box())
    a, b = talk.a, talk.b
    root = talk.fetch(Thing)
    calls = [root.echo(1), root.echo(2)]
    a.run()
    b.hear()
    # The second message is none, the first has not had its turn.
    b.peer.received(b.conn, b"\0\0\0\2\x91\x63", talk.now)
    b.run()
    talk.settle()

    talk.reads("""
        A>B op:call e1.echo(1) q1 wanted
        A>B op:call e1.echo(2) q2 wanted
        B>A op:abort 'unknown-op: operation 99'
    """)
    for call in calls:
        with pytest.raises(Disconnected, match="unknown-op: operation 99"):
            value(call)
    del root, calls, call
    talk.ends_empty()


def test_watchers_hear_once_of_whatever_breaks_what_they_watch() -> None:
    talk = Conversation(Box())
    a = talk.a
    root = talk.fetch(Thing)
    mine, resolver = a.peer.vat.promise()
    near = a.peer.vat.reference(Box())
    watched = [root, root, near, mine, root.echo(7)]

    heard = [a.watch(reference) for reference in watched]
    talk.settle()
    assert [p.settled for p in heard] == [False] * 5

    cut(talk)
    talk.settle()

    # What lives here, what waits here and what became data is not broken by that.
    assert [p.settled for p in heard] == [True, True, False, False, False]
    assert {value(p).data["class"] for p in heard[:2]} == {"Disconnected"}
    assert "the connection is gone (cut)" in value(heard[0]).message
    late = a.watch(root)
    talk.settle()
    assert value(late).data == {"class": "Disconnected"}
    del root, mine, resolver, near, watched, heard, late
    talk.ends_empty()


def test_a_watcher_hears_of_a_call_that_breaks_later() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    call = captp.E(root).none()
    heard = talk.a.watch(call)
    talk.settle()

    assert value(heard).data == {"class": "NoSuchMethod"}
    del root, call, heard
    talk.ends_empty()


def test_a_watcher_of_a_promise_that_became_a_reference_hears_of_its_end() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    made = root.make()
    heard = talk.a.watch(made)
    talk.settle()
    cut(talk)
    talk.settle()

    assert value(heard).data == {"class": "Disconnected"}
    del root, made, heard
    talk.ends_empty()


def test_a_watcher_of_a_call_under_way_hears_of_the_end() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)
    mine, resolver = talk.a.peer.vat.promise()

    call = root.wait(mine)
    heard = talk.a.watch(call)
    talk.settle()
    cut(talk)
    talk.settle()

    assert value(heard).data == {"class": "Disconnected"}
    del root, mine, resolver, call, heard
    talk.ends_empty()


def test_a_watcher_asks_for_a_lazy_result() -> None:
    talk = Conversation(Box())
    root = talk.fetch(Thing)

    lazy = root.make()
    heard = talk.a.watch(lazy)
    talk.settle()

    talk.reads("""
        A>B op:call e1.make() q1
        A>B op:listen q1
        B>A op:resolve q1 = object e2
    """)
    assert not heard.settled
    del root, lazy, heard
    talk.ends_empty()
