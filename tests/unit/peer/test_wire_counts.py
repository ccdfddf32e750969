"""Wire counts as a whole: any run of naming, dropping and releasing frees nothing early and all in the end.

Crossing messages are delivered one at a time, in an order that Hypothesis chooses.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import Unpassable
from captp.limits import Limits
from captp.model.send import E
from captp.peer.outputs import Write
from captp.session.releases import RELEASES
from captp.wire.ops import GC_ANSWERS
from tests.unit.peer.droppers import LOG, MADE, Dropper, bench
from tests.unit.peer.pair import Counter, Host, outcome, pair

NAMES = ("x", "y")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(NAMES)),
        st.tuples(st.just("use"), st.sampled_from(NAMES)),
        st.tuples(st.just("drop"), st.sampled_from(NAMES)),
        st.tuples(st.just("release"), st.sampled_from(NAMES)),
        st.tuples(st.just("give"), st.integers(1, 3)),
        st.tuples(st.just("forget"), st.just(0)),
        st.tuples(st.just("here"), st.integers(1, 200)),
        st.tuples(st.just("there"), st.integers(1, 200)),
        st.tuples(st.just("beat"), st.just(0)),
    ),
    max_size=40,
)


class Run:
    """One run: what a asked for and holds, and what it gave to b."""

    def __init__(self) -> None:
        self.it = bench()
        self.asked: list[tuple[str, Any]] = []
        self.held: dict[str, list[Any]] = {name: [] for name in NAMES}
        self.noted: list[Any] = []
        self.mine = self.it.a.vat.reference(Counter())

    def ask(self, name: str) -> None:
        self.asked.append((name, self.it.a.want(self.it.maker.again(name))))

    def arrive(self) -> None:
        """Take what calls gave in place of their promises."""
        for name, promise in self.asked:
            if promise.settled:
                self.held[name].append(outcome(promise))
        self.asked = [(n, p) for n, p in self.asked if not p.settled]

    def use(self, name: str) -> None:
        self.arrive()
        for ref in self.held[name]:
            self.noted.append(self.it.a.want(E(ref).note(1)))

    def drop(self, name: str) -> None:
        self.arrive()
        self.held[name].clear()

    def release(self, name: str) -> None:
        self.arrive()
        for ref in self.held[name]:
            ref.release()
        self.held[name].clear()

    def give(self, times: int) -> None:
        self.it.maker.keep.only([self.mine] * times)

    def forget(self, _: int) -> None:
        self.it.maker.forget.only()

    def here(self, size: int) -> None:
        self.it.a.run()
        self.it.net.wires[0].near.deliver(size)
        self.it.a.run()

    def there(self, size: int) -> None:
        self.it.b.run()
        self.it.net.wires[0].far.deliver(size)
        self.it.b.run()

    def beat(self, _: int) -> None:
        self.it.net.now += 0.25
        self.it.net.tick()
        self.it.a.run()
        self.it.b.run()


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_no_run_frees_early_and_each_frees_all(steps: list[tuple[str, Any]]) -> None:
    run = Run()
    it = run.it
    for name, argument in steps:
        getattr(run, name)(argument)
    it.net.rest()
    run.arrive()

    # Every call on what was held has arrived: nothing was freed early, and no session was aborted.
    assert [outcome(p) for p in run.noted] == [1] * len(run.noted)
    held = [ref for refs in run.held.values() for ref in refs]
    assert [it.get(E(ref).note(2)) for ref in held] == [2] * len(held)
    assert it.a.sessions
    held.clear()
    run.held.clear()
    run.noted.clear()
    it.maker.forget.only()
    it.net.rest()
    # All goes by counting: nothing waits for the collector.
    it.net.wait(1)
    assert it.exports == it.imports == {}
    assert [o for o in it.b.vat.heap.objects() if isinstance(o, Dropper)] == []
    theirs = it.net.link(it.a, it.b).session.tables
    assert [p for p in theirs.exports if p] == []
    # Each one that b made was told once; it makes another one after it forgot the last.
    assert sorted(LOG) == sorted(MADE)


@pytest.mark.parametrize("value", [object(), "x" * 5_000])
def test_a_message_that_cannot_be_encoded_leaves_counts_as_they_were(value: Any) -> None:
    it = pair(Limits(message_bytes=4_096), Limits(message_bytes=4_096))
    tables = it.net.link(it.a, it.b).session.tables
    known, fresh = it.a.vat.reference(Counter()), it.a.vat.reference(Counter())
    it.ref.keep.only(known)
    it.net.rest()
    before = {p: (e.wire, e.pending) for p, e in tables.exports.items()}

    try:
        failed = it.a.want(it.ref.give_back([known, fresh, known, value]))
    except Unpassable:
        assert type(value) is object
    else:
        it.net.rest()
        with pytest.raises(Unpassable):
            outcome(failed)

    assert {p: (e.wire, e.pending) for p, e in tables.exports.items()} == before
    tables.check()
    it.ref.keep.only(fresh)
    it.net.rest()
    assert [e.wire for p, e in tables.exports.items() if p] == [1, 1]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["known", "fresh", "theirs"]), max_size=12))
def test_each_occurrence_counts_once_on_both_sides(what: list[str]) -> None:
    it = pair()
    mine, theirs = it.net.link(it.a, it.b).session.tables, it.net.link(it.b, it.a).session.tables
    known = it.a.vat.reference(Counter())
    places = {"known": known, "theirs": it.ref}
    refs = [places.get(name) or it.a.vat.reference(Counter()) for name in what]

    it.ref.keep.only(refs)
    it.net.rest()

    given_out = sum(e.wire for p, e in mine.exports.items() if p)
    assert given_out == len(what) - what.count("theirs")
    assert {p: e.wire for p, e in mine.exports.items() if p} == {p: e.wire for p, e in theirs.imports.items()}


def _released(host: Host, run: Any) -> list[int]:
    """Return the answer positions whose releases a host writes, in order."""
    outbound = host.sessions[0].session.outbound
    written: list[int] = []
    encode = outbound.codec.encode

    def listening(op: Any) -> bytes:
        if len(op) == 2 and type(op[1]) is tuple and op[0] == GC_ANSWERS:
            written.extend(op[1])
        return encode(op)

    outbound.codec.encode = listening  # type: ignore[method-assign]
    run()
    return written


@pytest.mark.parametrize("is_heard", [True, False])
def test_an_answer_is_released_once_by_a_message_or_by_the_next_call_in_its_place(is_heard: bool) -> None:
    it = pair()
    tables, theirs = it.net.link(it.a, it.b).session.tables, it.net.link(it.b, it.a).session.tables
    used: list[int] = []
    first = it.a.want(it.ref.give_back(1))
    it.net.wait(1)
    assert first.settled
    del first

    def run() -> None:
        for _ in range(30):
            promise = it.a.want(it.ref.give_back(1))
            it.a.run()
            position = promise._route.position
            assert position not in tables.question_positions.free
            used.append(position)
            if not is_heard:
                del promise
            it.net.rest()
            # One that was told, or none: the positions are as few as the calls under way.
            assert len(theirs.answers) <= 1
        it.net.wait(1)

    written = _released(it.a, run)

    assert len(used) == 30
    assert sorted(written) == sorted(set(used) if is_heard else used)
    assert not tables.questions
    assert not tables.question_positions.ended
    assert not theirs.answers
    assert set(used) <= set(tables.question_positions.free)


@pytest.mark.parametrize("few", [1, 0])
def test_many_answers_of_plain_data_are_released_without_a_beat_too(few: int) -> None:
    it = pair()
    theirs = it.net.link(it.b, it.a).session.tables
    first = it.a.want(it.ref.give_back(1))
    it.net.wait(1)
    promises = [it.a.want(it.ref.give_back(1)) for _ in range(RELEASES - few)]
    it.net.rest()

    assert first.settled
    assert all(promise.settled for promise in promises)
    assert len(theirs.answers) == (RELEASES - few if few else 0)


def test_an_export_that_is_dropped_while_it_is_named_again_is_told_when_the_last_name_is_released() -> None:
    it = bench()
    ref = it.get(it.maker.again("x"))
    again = it.a.want(it.maker.again("x"))
    it.a.run()
    it.net.wires[0].far.deliver()
    it.b.run()

    # The release crosses the new name.
    del ref
    gc.collect()
    it.maker.forget.only()
    it.net.now += 0.25
    it.net.tick()
    it.a.run()
    it.net.wires[0].far.deliver()
    it.b.run()
    assert LOG == []
    it.net.rest()
    found = outcome(again)
    del again
    it.quiet()
    assert LOG == []
    assert it.get(found.note(1)) == 1
    del found
    it.quiet()

    assert LOG == ["x"]


def test_a_batch_of_releases_is_written_with_other_messages() -> None:
    it = bench()
    refs = it.make(50)
    before = sum(type(o) is Write for b in it.a.batches for o in b.outputs)

    refs.clear()
    it.maker.give_back.only(1)
    it.a.run()

    assert sum(type(o) is Write for b in it.a.batches for o in b.outputs) - before == 1
    assert it.imports == {}
