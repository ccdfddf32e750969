"""The figures of a vat's own loop, batch by batch, with times that a test makes up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import captp
from captp.model.send import E
from captp.peer.load import CLASSES, FEW, MORE, OTHERS, SAMPLED, SELDOM, LoopStats, Meter
from captp.peer.view import view_of
from tests.unit.peer.pair import Counter, Host, Net, Pair, pair


class Measured:
    """The answering vat of a pair, whose driver has a meter."""

    def __init__(self, it: Pair | None = None) -> None:
        self.it = it or pair()
        self.meter = Meter(self.it.b.peer, 0.0)
        self.now = 0.0
        self.turns_before = self.it.b.vat.turns.count

    def arrive(self) -> None:
        """Have everything that was asked for lie in the queues."""
        self.it.a.run()
        self.it.wire.far.deliver()

    def batch(self, took: float, budget: int = 1_000_000) -> None:
        self.meter.begin(self.now)
        self.it.b.run(budget)
        self.meter.end(self.now, self.now + took)
        self.now += took

    def view(self) -> LoopStats:
        return self.meter.view(self.now)


def ask(it: Pair, times: int) -> list[Any]:
    return [it.a.want(it.ref.add(1)) for _ in range(times)]


def test_turns_batches_and_busy_seconds_add_up_and_a_batch_without_turns_is_none() -> None:
    measured = Measured()
    asked = ask(measured.it, 3)
    measured.arrive()

    measured.batch(0.25)
    measured.batch(0.5)

    stats = measured.view()
    assert (stats.turns - measured.turns_before, stats.batches) == (3, 1)
    assert (stats.busy_s, stats.longest_batch_s, stats.age_s) == (0.75, 0.5, 0.75)
    assert len(asked) == 3


def test_depth_is_what_waits_now_and_high_water_what_waited_at_most() -> None:
    measured = Measured()
    asked = ask(measured.it, 5)
    measured.arrive()
    before = measured.view().depth

    measured.batch(0.1, budget=2)
    between = measured.view()
    measured.batch(0.1)
    after = measured.view()

    assert len(asked) == 5
    assert (before, between.depth, after.depth) == (5, 3, 0)
    assert (between.high_water, after.high_water) == (5, 5)


def test_a_call_is_followed_from_the_batch_that_found_it_to_the_one_that_ran_it() -> None:
    measured = Measured()
    asked = ask(measured.it, 3)
    measured.arrive()

    waits = []
    for _ in range(3):
        measured.batch(1.0, budget=1)
        waits.append(measured.view().longest_wait_s)

    assert waits == [1.0, 2.0, 3.0]
    assert measured.view().sizes == (0, 3)
    # 3 s are below 2 ** 22 microseconds.
    assert measured.view().waits == (*[0] * 22, 1)
    measured.batch(5.0)
    assert measured.view().longest_wait_s == 3.0
    assert len(asked) == 3


def test_a_call_that_is_alone_has_waited_for_nobody() -> None:
    measured = Measured()
    asked = ask(measured.it, 1)
    measured.arrive()

    measured.batch(1.0)

    assert measured.view().longest_wait_s == 0.0
    assert len(asked) == 1


def test_what_waits_for_a_busy_object_counts_as_depth_and_as_a_wait_that_goes_on() -> None:
    measured = Measured()
    busy = measured.it.a.want(measured.it.ref.never())
    measured.arrive()
    measured.batch(0.0)
    asked = ask(measured.it, 2)
    measured.arrive()
    measured.batch(0.0)

    measured.now += 7.0
    waits = measured.view()
    measured.batch(0.0)

    assert (waits.depth, waits.high_water, waits.longest_wait_s) == (2, 2, 7.0)
    assert (waits.latch_waits, waits.deadlocks) == (2, 0)
    assert len(asked) == 2
    del busy
    measured.arrive()
    measured.it.net.wait(1)
    measured.batch(1.0)
    assert (measured.view().depth, measured.view().longest_wait_s) == (0, 8.0)
    assert measured.view().latch_waits == 2


def test_a_call_alone_behind_a_busy_object_is_followed_too() -> None:
    measured = Measured()
    busy = measured.it.a.want(measured.it.ref.never())
    measured.arrive()
    measured.batch(0.0)
    asked = ask(measured.it, 1)
    measured.arrive()
    measured.batch(0.5)

    measured.now += 7.0

    assert (busy.settled, asked[0].settled) == (False, False)
    assert measured.view().longest_wait_s == 7.5


class Thrower(captp.Object):
    @captp.method
    def throw(self) -> None:
        raise RuntimeError("no")


def test_a_turn_that_raised_has_been_had_whoever_keeps_its_traceback() -> None:
    it = pair()
    it.b.has_faults = True
    thrower = it.a.want(it.a.enliven(it.b.mint(Thrower())))
    it.net.rest()
    measured = Measured(it)
    asked = [it.a.want(E(thrower).throw()) for _ in range(2)]
    measured.arrive()

    measured.batch(1.0)
    measured.now += 60.0

    assert len([t for t in it.b.traces if t.error is not None]) == len(asked)
    assert measured.view().longest_wait_s == 1.0


def test_a_call_to_a_promise_is_not_followed_as_it_waits_for_more_than_its_turn() -> None:
    it = pair()
    promise, _resolver = it.b.vat.promise()
    held = it.a.want(it.ref.give_back(1))
    sturdy = it.a.want(it.a.enliven(it.b.mint(Holder(promise=promise))))
    it.net.rest()
    given = E(sturdy).give()
    measured = Measured(it)
    asked = [it.a.want(E(given).add(1)) for _ in range(2)]
    measured.arrive()

    measured.batch(1.0)
    measured.now += 60.0

    assert (len(asked), held.settled) == (2, True)
    assert measured.view().longest_wait_s == 0.0


class Holder(captp.Object):
    promise: Any = None

    @captp.method
    def give(self) -> Any:
        return self.promise


@pytest.mark.parametrize(("sources", "seen"), [(FEW, True), (FEW + 1, False)])
def test_very_many_queues_are_looked_at_once_in_several_batches(sources: int, seen: bool) -> None:
    net = Net()
    host = net.host(1)
    meter = Meter(host.peer, 0.0)
    counter = host.vat.reference(Counter())
    with batch(meter, host):
        E(counter).add.only(1)
    for number in range(sources):
        source = host.vat.queues.open(f"c{number}")
        host.vat.admit(source, message(host, counter))

    with batch(meter, host):
        pass
    first = meter.view(0.0).high_water
    for _ in range(SELDOM):
        for source in host.vat.queues.sources[1:]:
            host.vat.admit(source, message(host, counter))
        with batch(meter, host):
            pass

    assert (first == sources) == seen
    assert meter.view(0.0).high_water == sources


@contextmanager
def batch(meter: Meter, host: Host) -> Iterator[None]:
    yield
    meter.begin(0.0)
    host.run()
    meter.end(0.0, 0.0)


def message(host: Host, target: Any) -> Any:
    E(target).add.only(1)
    return host.vat.outbox.pop()


def test_without_a_driver_the_load_is_what_the_vat_counts() -> None:
    it = pair()
    asked = ask(it, 2)
    it.net.rest()

    load = view_of(it.b.peer).load

    assert load.turns >= len(asked)
    assert (load.batches, load.busy_s, load.age_s) == (0, 0.0, 0.0)
    assert dict(view_of(it.b.peer).trustees) == {}


def test_a_sample_stands_for_the_turns_since_the_last_one() -> None:
    measured = Measured()
    for _ in range(2):
        asked = ask(measured.it, SAMPLED + MORE)
        measured.arrive()
        measured.batch(0.1)
        assert measured.meter.sample_at <= measured.it.b.vat.turns.count
        measured.meter.sampled("Counter", 0.5)
        assert SAMPLED <= measured.meter.sample_at - measured.it.b.vat.turns.count < SAMPLED + MORE
        assert len(asked) == SAMPLED + MORE

    assert measured.view().classes == {"Counter": SAMPLED + MORE}


def test_a_sample_of_something_unknown_is_none_and_its_turns_are_the_next_ones() -> None:
    measured = Measured()
    for kind in (None, "Counter"):
        asked = ask(measured.it, 10)
        measured.arrive()
        measured.batch(0.1)
        measured.meter.sampled(kind, 0.5)
        assert len(asked) == 10

    assert measured.view().classes == {"Counter": 10.0}


def test_so_many_classes_are_told_apart_and_those_with_no_proper_name_are_others() -> None:
    measured = Measured()
    for number in range(CLASSES):
        asked = ask(measured.it, 1)
        measured.arrive()
        measured.batch(0.1)
        measured.meter.sampled(f"C{number}", 1.0 + number)
        assert len(asked) == 1
    assert list(measured.view().classes) == [f"C{number}" for number in reversed(range(CLASSES))]

    for kind in ("more", "a b"):
        asked = ask(measured.it, 1)
        measured.arrive()
        measured.batch(0.1)
        measured.meter.sampled(kind, 1000.0)
        assert len(asked) == 1
    classes = measured.view().classes
    assert (len(classes), next(iter(classes.items()))) == (CLASSES + 1, (OTHERS, 2000.0))
