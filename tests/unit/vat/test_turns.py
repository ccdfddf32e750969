"""Turns: one message, one object, all or nothing; what was sent leaves after the commit."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Overloaded, Unpassable
from captp.limits import Limits
from tests.support import Solo, outcome


class Log(captp.Object):
    seen: captp.List[Any]

    @captp.method
    def note(self, what: Any) -> int:
        self.seen.append(what)
        return len(self.seen)


class Actor(captp.Object):
    log: Log
    face: Any = None
    count: int = 0

    @captp.method
    def send_many(self, count: int, fails: bool = False) -> int:
        for i in range(count):
            captp.E(self.face).note(i)
        self.count += count
        if fails:
            raise captp.Refused("no")
        return self.count

    @captp.method
    def all_kinds(self, fails: bool) -> None:
        captp.E(self.face).note("send")
        captp.E(self.face).note.only("only")
        captp.E(self.face).note("chained")["x"]
        captp.sleep(1)
        captp.outside(print)
        if fails:
            raise captp.Refused("no")

    @captp.method
    def now_and_later(self) -> int:
        captp.E(self.face).note.only("later")
        return captp.E(self.face).note.now("now")  # type: ignore[no-any-return]

    @captp.method
    def catches(self) -> int:
        try:
            captp.E(self.face).note([object()])
        except Unpassable:
            captp.E(self.face).note.only("instead")
        self.count += 1
        return self.count

    @captp.method
    def nested_failure(self) -> str:
        self.count = 5
        try:
            captp.E(self.face).fail.now()
        except captp.Refused as error:
            return str(error)
        return ""

    @captp.method
    def chain(self, depth: int, me: Any) -> None:
        self.log.seen.append(depth)
        if depth:
            captp.E(me).chain.only(depth - 1, me)


def actor(limits: Limits | None = None) -> tuple[Solo, Actor, Log, Any]:
    solo, log = Solo(limits), Log()
    made = Actor(log=log)
    ref = solo.ref(made)
    solo.turn(lambda: setattr(made, "face", solo.ref(log)))
    return solo, made, log, ref


def test_what_a_turn_sends_arrives_after_it_in_order() -> None:
    solo, _made, log, ref = actor()

    assert solo.value(ref.send_many(3)) == 3

    assert list(log.seen) == [0, 1, 2]


def test_nothing_of_any_kind_leaves_a_turn_that_fails() -> None:
    solo, _made, log, ref = actor()

    with pytest.raises(captp.Refused):
        solo.value(ref.all_kinds(True))

    assert log.seen == []
    assert solo.calls == []
    assert solo.peer.wake_at() is None
    solo.peer.check()


def test_everything_leaves_a_turn_that_commits() -> None:
    solo, _made, log, ref = actor()

    solo.value(ref.all_kinds(False))

    assert list(log.seen) == ["send", "only", "chained"]
    assert len(solo.calls) == 1
    assert solo.peer.wake_at() == 1.0


def test_a_failed_turn_takes_back_only_its_own_sends() -> None:
    solo, made, log, ref = actor()

    promises = [ref.send_many(1), ref.send_many(2, True), ref.send_many(1)]
    solo.run()

    assert outcome(promises[0]) == 1
    assert outcome(promises[2]) == 2
    assert list(log.seen) == [0, 0]
    assert made.count == 2


def test_sends_from_outside_a_turn_leave_even_when_a_turn_fails_in_the_same_run() -> None:
    solo, _made, log, ref = actor()
    direct = solo.ref(log)

    direct.note.only("before")
    ref.send_many.only(5, True)
    direct.note.only("after")
    solo.run()

    assert list(log.seen) == ["before", "after"]


@pytest.mark.parametrize("limit", [1, 2, 10])
def test_as_many_sends_as_the_limit_leave_a_turn_and_one_more_rolls_it_back(limit: int) -> None:
    solo, made, log, ref = actor(Limits(turn_sends=limit))

    assert solo.value(ref.send_many(limit)) == limit
    with pytest.raises(Overloaded, match=f"turn-limit: more than {limit} sends in one turn"):
        solo.value(ref.send_many(limit + 1))

    assert made.count == limit
    assert list(log.seen) == list(range(limit))
    solo.peer.check()


@pytest.mark.parametrize("limit", [1, 5])
def test_a_step_of_a_fiber_has_the_same_limit(limit: int) -> None:
    class Slow(captp.Object):
        face: Any
        count: int = 0

        @captp.method
        async def go(self, first: int, second: int, gate: captp.Promise[None]) -> int:
            self.count += 1
            for i in range(first):
                captp.E(self.face).note.only(("first", i))
            await gate
            self.count += 1
            for i in range(second):
                captp.E(self.face).note.only(("second", i))
            return self.count

    solo, log = Solo(Limits(turn_sends=limit)), Log()
    slow = Slow(face=solo.ref(log))
    ref = solo.ref(slow)

    outcomes: list[Any] = []
    for first, second in ((limit, limit), (limit + 1, 0), (0, limit + 1)):
        gate, resolver = solo.promise()
        running = ref.go(first, second, gate)
        solo.run()
        resolver.fulfill(None)
        try:
            outcomes.append(solo.value(running))
        except Overloaded as error:
            outcomes.append(str(error))

    assert outcomes[0] == 2
    assert all(f"more than {limit} sends" in text for text in outcomes[1:])
    assert len(log.seen) == 2 * limit
    assert slow.count == 3


def test_an_error_that_the_method_catches_rolls_nothing_back() -> None:
    solo, made, log, ref = actor()

    assert solo.value(ref.catches()) == 1

    assert list(log.seen) == ["instead"]
    assert made.count == 1


def test_a_call_with_now_shares_the_turn_and_runs_before_what_was_sent() -> None:
    solo, _made, log, ref = actor()

    assert solo.value(ref.now_and_later()) == 1

    assert list(log.seen) == ["now", "later"]


def test_a_long_chain_of_messages_runs_without_recursion() -> None:
    solo, _made, log, ref = actor()

    ref.chain.only(3_000, ref)
    solo.run()

    assert list(log.seen) == list(range(3_000, -1, -1))


def test_a_budget_of_n_runs_n_messages_and_the_rest_later() -> None:
    solo, _made, log, _ref = actor()
    direct = solo.ref(log)
    for i in range(10):
        direct.note.only(i)

    solo.run(budget=4)
    assert list(log.seen) == [0, 1, 2, 3]
    assert solo.peer.drain().more

    solo.run()
    assert list(log.seen) == list(range(10))
    assert not solo.peer.drain().more


def test_a_result_settles_only_after_the_turn_and_then_wakes_who_waited() -> None:
    solo = Solo()
    states: list[bool] = []
    promise: Any = None

    class Looker(captp.Object):
        @captp.method
        def look(self) -> int:
            states.append(promise.settled)
            return 1

    promise = solo.ref(Looker()).look()
    solo.run()

    assert states == [False]
    assert promise.settled


def test_failures_of_a_method_are_traced_with_class_and_method_and_without_arguments() -> None:
    class Clumsy(captp.Object):
        @captp.method
        def drop(self, what: str) -> None:
            raise ZeroDivisionError("oops")

    solo = Solo()
    solo.ref(Clumsy()).drop.only("a secret")
    solo.run()

    (trace,) = [o for o in solo.outputs if getattr(o, "event", "") == "turn failed"]
    assert trace.fields == {"method": "Clumsy.drop"}
    assert isinstance(trace.error, ZeroDivisionError)


def test_writing_in_one_turn_does_not_open_the_object_for_the_outside() -> None:
    solo, made, _log, ref = actor()

    solo.value(ref.send_many(1))
    with pytest.raises(captp.NotInTurn):
        made.count = 99
    with pytest.raises(captp.Refused):
        solo.value(ref.send_many(1, True))
    with pytest.raises(captp.NotInTurn):
        made.count = 99

    assert made.count == 1


def test_an_object_written_in_many_turns_rolls_back_to_the_last_commit_only() -> None:
    solo, made, _log, ref = actor()

    for _ in range(3):
        solo.value(ref.send_many(1))
    for _ in range(3):
        with pytest.raises(captp.Refused):
            solo.value(ref.send_many(10, True))

    assert made.count == 3


def test_a_turn_that_only_reads_and_fails_leaves_a_later_rollback_intact() -> None:
    class Reader(captp.Object):
        value: int = 1

        @captp.method
        def read(self) -> int:
            raise captp.Refused(str(self.value))

        @captp.method
        def write(self, fails: bool) -> None:
            self.value += 1
            if fails:
                raise captp.Refused("no")

    solo, reader = Solo(), Reader()
    ref = solo.ref(reader)

    for call in (ref.read(), ref.write(True), ref.read(), ref.write(False), ref.write(True), ref.read()):
        solo.run()
        assert call.settled

    assert reader.value == 2


def test_the_first_write_of_a_turn_saves_an_object_once_however_often_it_is_written() -> None:
    solo, made, log, _ref = actor()
    entries: list[int] = []

    def body() -> None:
        for i in range(100):
            made.count = i
        entries.append(len(solo.vat.trustee.journal))
        log.seen.append(1)
        log.seen.append(2)
        entries.append(len(solo.vat.trustee.journal))

    solo.turn(body)

    # One entry for the hundred writes; the list adds its owner once and two inverse operations.
    assert entries == [1, 4]
    assert solo.vat.trustee.journal == []
