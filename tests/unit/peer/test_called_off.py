"""Calls that their callers call off: they do not run unless they have begun, and no others are concerned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from captp.errors import BadArguments, Broken, Cancelled
from captp.model.promise import BROKEN, Promise
from captp.model.ref import Ref, view
from captp.peer.outputs import Write
from captp.session.outbound import CALL_OFF
from captp.vat.effects import CallOff
from tests.unit.peer.pair import Counter, Pair, Shop, collect, outcome, pair
from tests.unit.peer.test_care import ocapn_pair


def call_off(it: Pair, *promises: Promise[Any]) -> None:
    for promise in promises:
        it.a.vat.emit(CallOff(promise))


def word(it: Pair, *args: Any) -> Any:
    """Have a say that something is called off; return what is answered to that."""
    bootstrap = view(it.a.vat, it.a.sessions[0].session.bootstrap, Ref)
    return it.a.want(it.a.vat.send(bootstrap, CALL_OFF, args, None, Promise))


def wait_for_the_object(it: Pair) -> Callable[[], None]:
    """Keep calls from their turns until what this returns is called."""
    it.b.vat.latches.hold(it.counter)
    return lambda: it.b.vat.latches.release(it.counter)


def wait_in_the_queue(it: Pair) -> Callable[[], None]:
    source = it.b.sessions[0].source
    it.b.vat.queues.hold(source)
    return lambda: it.b.vat.queues.release(source)


@pytest.mark.parametrize("wait", [wait_for_the_object, wait_in_the_queue])
def test_it_does_not_run_wherever_it_waits_and_the_others_do_in_order(
    wait: Callable[[Pair], Callable[[], None]],
) -> None:
    it = pair()
    go_on = wait(it)
    calls = [it.a.want(it.ref.add(n)) for n in range(4)]
    it.net.rest()
    through = it.a.want(calls[1][0])
    call_off(it, calls[1], calls[3])
    it.net.rest()
    go_on()
    it.net.rest()

    assert list(it.counter.seen) == [0, 2]
    assert [outcome(calls[n]) for n in (0, 2)] == [0, 2]
    for promise in (calls[1], calls[3], through):
        with pytest.raises(Cancelled, match="called this off before its turn"):
            outcome(promise)
    assert not it.b.vat.settling.called_off


def test_of_dropped_promises_those_run_that_nobody_called_off() -> None:
    it = pair()
    go_on = wait_for_the_object(it)
    for number in range(4):
        promise = it.a.want(it.ref.add(number))
        if number % 2:
            call_off(it, promise)
    del promise
    collect(it.net)
    go_on()
    collect(it.net)

    assert list(it.counter.seen) == [0, 2]
    assert not it.a.sessions[0].session.tables.questions
    assert not it.b.sessions[0].session.tables.released


def test_one_that_has_not_left_does_not_run() -> None:
    it = pair()
    call_off(it, it.a.want(it.ref.add(1)))
    it.net.rest()

    assert list(it.counter.seen) == []


def test_one_that_has_begun_goes_on() -> None:
    it = pair()
    later, resolver = it.a.vat.promise()
    returned, runs = it.a.want(it.ref.give_back(later)), it.a.want(it.ref.never())
    it.net.rest()
    call_off(it, runs, returned)
    it.net.rest()
    resolver.fulfill(1)
    it.net.rest()

    assert len(it.b.vat.turns.fibers) == 1
    assert not it.b.vat.settling.called_off
    assert not runs.settled
    assert outcome(returned) == 1


def test_nothing_is_said_of_what_is_answered_was_never_sent_or_is_another_kind_of_peers() -> None:
    native, other = pair(), ocapn_pair()
    done = native.a.get(native.ref.me())
    promise, _ = native.a.vat.promise()
    settled = native.a.want(native.ref.add(1))
    native.net.rest()
    call_off(native, promise, settled)
    waiting = other.a.want(other.ref.never())
    other.net.rest()
    call_off(other, waiting)

    for it in (native, other):
        assert not [output for output in it.a.run().outputs if type(output) is Write]
    assert done == native.ref


def test_nothing_is_said_to_a_session_that_has_ended() -> None:
    it = pair()
    promise = it.a.want(it.ref.never())
    it.net.rest()
    call_off(it, promise)
    it.a.peer.disconnected(it.a.sessions[0].conn, "cut", it.net.now)

    assert not [output for output in it.a.run().outputs if type(output) is Write]


def test_a_word_that_makes_no_sense_concerns_nobody() -> None:
    it = pair()
    go_on = wait_for_the_object(it)
    promise = it.a.want(it.ref.add(1))
    it.net.rest()
    position = promise._route.position
    for args in ((), (position,), (None,), (promise, promise), (it.ref,), (it.a.vat.promise()[0],)):
        said = word(it, *args)
        it.net.rest()
        with pytest.raises(BadArguments):
            outcome(said)
    go_on()
    it.net.rest()

    assert outcome(promise) == 1


def test_who_did_not_make_a_call_does_not_call_it_off() -> None:
    it = pair()
    other = it.net.host(3)
    theirs = other.get(other.enliven(it.sturdyref, Shop))
    go_on = wait_for_the_object(it)
    promise = other.want(theirs.add(1))
    it.net.rest()
    [answer] = [a for a in it.net.link(it.b, other).session.tables.answers.values() if not a.settled]
    mine = Counter()
    it.b.get(it.b.get(it.b.enliven(it.a.mint(mine), Shop)).keep(answer))
    said = word(it, mine.kept[0])
    it.net.rest()
    go_on()
    it.net.rest()

    with pytest.raises(BadArguments, match="only who made a call"):
        outcome(said)
    assert outcome(promise) == 1


def test_what_was_answered_otherwise_is_forgotten() -> None:
    it = pair()
    wait_for_the_object(it)
    promise = it.a.want(it.ref.add(1))
    it.net.rest()
    call_off(it, promise)
    it.net.rest()
    [answer] = it.b.vat.settling.called_off
    it.b.vat.settle_now(answer, BROKEN, Broken("broken: otherwise"))
    del answer
    it.net.wait(1)

    assert not it.b.vat.settling.called_off
