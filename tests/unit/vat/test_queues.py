"""The mailbox: order per sender and target, a fair go for every source, holding and releasing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.errors import InvariantBroken
from captp.limits import Limits
from captp.model.promise import Message
from captp.vat.queues import Source
from tests.support import Solo


class Log(captp.Object):
    seen: captp.List[Any]

    @captp.method
    def note(self, what: Any) -> Any:
        self.seen.append(what)
        return what

    @captp.method
    async def pause(self, what: Any, promise: captp.Promise[Any]) -> None:
        self.seen.append(what)
        await promise


class Fixture:
    """A vat with one object that notes what it is sent."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.solo = Solo(limits)
        self.log = Log()
        self.ref = self.solo.ref(self.log)

    def source(self, name: str) -> Source:
        return self.solo.vat.queues.open(name)

    def admit(self, source: Source, *notes: Any) -> None:
        for what in notes:
            self.solo.vat.admit(source, Message(self.ref, "note", (what,), None, None))

    @property
    def seen(self) -> list[Any]:
        return list(self.log.seen)


def test_messages_of_one_source_run_in_the_order_they_were_admitted() -> None:
    made = Fixture()

    made.admit(made.source("a"), *range(200))
    made.solo.run()

    assert made.seen == list(range(200))


@pytest.mark.parametrize("quantum", [1, 3, 32])
def test_each_source_has_its_go_after_at_most_a_quantum_of_another(quantum: int) -> None:
    made = Fixture(Limits(quantum=quantum))
    loud, quiet = made.source("loud"), made.source("quiet")

    made.admit(loud, *[("loud", i) for i in range(10 * quantum)])
    made.admit(quiet, *[("quiet", i) for i in range(2 * quantum)])
    made.solo.run()

    assert made.seen.index(("quiet", 0)) == quantum
    assert made.seen.index(("loud", quantum)) == 2 * quantum
    assert [i for who, i in made.seen if who == "quiet"] == list(range(2 * quantum))
    assert [i for who, i in made.seen if who == "loud"] == list(range(10 * quantum))


def test_a_source_held_before_its_message_comes_runs_nothing_until_released() -> None:
    made = Fixture()
    held, free = made.source("held"), made.source("free")

    made.solo.vat.queues.hold(held)
    made.admit(held, "h1", "h2")
    made.admit(free, "f1")
    made.solo.run()
    assert made.seen == ["f1"]
    made.solo.peer.check()

    made.solo.vat.queues.release(held)
    made.admit(held, "h3")
    made.solo.run()
    assert made.seen == ["f1", "h1", "h2", "h3"]
    made.solo.peer.check()


def test_a_source_held_while_it_is_ready_runs_nothing_either() -> None:
    made = Fixture()
    held = made.source("held")
    made.admit(held, 1, 2)

    made.solo.vat.queues.hold(held)
    made.solo.run()
    assert made.seen == []
    made.solo.peer.check()

    made.solo.vat.queues.release(held)
    made.solo.run()
    assert made.seen == [1, 2]


def test_a_source_held_by_its_own_message_stops_behind_it() -> None:
    made = Fixture()
    source = made.source("self")
    queues = made.solo.vat.queues

    class Stopper(captp.Object):
        @captp.method
        def stop(self) -> None:
            queues.hold(source)

    stopper = made.solo.ref(Stopper())
    made.admit(source, 1)
    made.solo.vat.admit(source, Message(stopper, "stop", (), None, None))
    made.admit(source, 2, 3)
    made.solo.run()
    assert made.seen == [1]
    made.solo.peer.check()

    queues.release(source)
    made.solo.run()
    assert made.seen == [1, 2, 3]


def test_holding_and_releasing_twice_is_like_once() -> None:
    made = Fixture()
    source = made.source("a")
    queues = made.solo.vat.queues
    made.admit(source, 1)

    queues.hold(source)
    queues.hold(source)
    queues.release(source)
    queues.release(source)
    made.solo.peer.check()
    made.solo.run()

    assert made.seen == [1]
    made.solo.peer.check()


def test_what_a_closed_source_sent_before_its_end_still_runs() -> None:
    made = Fixture()
    source = made.source("a")
    made.admit(source, 1, 2)

    made.solo.vat.queues.close(source)
    made.solo.run()

    assert made.seen == [1, 2]
    assert source not in made.solo.vat.queues.sources


def test_the_check_finds_a_source_that_would_never_run() -> None:
    made = Fixture()
    source = made.source("lost")
    source.messages.append(Message(made.ref, "note", (1,), None, None))

    with pytest.raises(InvariantBroken, match=r"lost.* has work but will never run"):
        made.solo.vat.queues.check()
    source.ready = True
    with pytest.raises(InvariantBroken, match="0 times in the ring"):
        made.solo.vat.queues.check()
    assert made.solo.vat.queues.dump() == ["<source lost: 1 waiting>"]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.integers(0, 2)),
        st.tuples(st.just("hold"), st.integers(0, 2)),
        st.tuples(st.just("release"), st.integers(0, 2)),
        st.tuples(st.just("run"), st.integers(1, 4)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.integers(1, 3))
def test_however_sources_are_held_each_keeps_its_order_and_none_is_lost_or_run_while_held(
    actions: list[tuple[str, int]], quantum: int
) -> None:
    made = Fixture(Limits(quantum=quantum))
    queues = made.solo.vat.queues
    sources = [made.source(str(i)) for i in range(3)]
    sent: list[list[tuple[int, int]]] = [[], [], []]

    for action, n in actions:
        before = made.seen
        match action:
            case "admit":
                made.admit(sources[n], (n, len(sent[n])))
                sent[n].append((n, len(sent[n])))
            case "hold":
                queues.hold(sources[n])
            case "release":
                queues.release(sources[n])
            case "run":
                made.solo.run(budget=n)
                assert all(not sources[who].held for who, _ in made.seen[len(before) :])
        made.solo.peer.check()
    for source in sources:
        queues.release(source)
    made.solo.run()

    for who, expected in enumerate(sent):
        assert [note for note in made.seen if note[0] == who] == expected


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("send"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("resolve"), st.integers(0, 3), st.integers(0, 4)),
        st.tuples(st.just("run"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("run"), st.just(1_000), st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_messages_on_one_reference_arrive_in_the_order_sent_whatever_it_becomes_meanwhile(
    steps: list[tuple[str, int, int]],
) -> None:
    made = Fixture()
    solo = made.solo
    pairs = [solo.promise() for _ in range(4)]
    left = set(range(4))
    counts = [0] * 4

    def resolve(which: int, to: int) -> None:
        left.discard(which)
        # Only to later ones, or to the object itself, so that no ring arises.
        pairs[which][1].fulfill(made.ref if to <= which or to == 4 else pairs[to][0])

    for action, which, to in steps:
        match action:
            case "send":
                captp.E(pairs[which][0]).note.only((which, counts[which]))
                counts[which] += 1
            case "resolve" if which in left:
                resolve(which, to)
            case "run":
                solo.run(budget=which)
    for which in sorted(left):
        resolve(which, 4)
    solo.run()

    for which, count in enumerate(counts):
        assert [n for who, n in made.seen if who == which] == list(range(count))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["note", "pause", "settle", "run", "run1"]), max_size=25))
def test_a_latched_object_sees_all_messages_in_the_order_sent(actions: list[str]) -> None:
    made = Fixture()
    resolvers: list[captp.Resolver] = []
    sent = 0

    for action in actions:
        match action:
            case "note":
                made.ref.note.only(sent)
                sent += 1
            case "pause":
                promise, resolver = made.solo.promise()
                resolvers.append(resolver)
                made.ref.pause.only(sent, promise)
                sent += 1
            case "settle" if resolvers:
                resolvers.pop(0).fulfill(None)
            case "run":
                made.solo.run()
            case "run1":
                made.solo.run(budget=1)
    for resolver in resolvers:
        resolver.fulfill(None)
    made.solo.run()

    assert made.seen == list(range(sent))
    made.solo.peer.check()
