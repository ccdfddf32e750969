"""A Trust in the vat's own loop: turns that run where they are asked for, and keep their order."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import Call, Outcome
from captp.limits import Limits


class Counter(captp.Object):
    count: int = 0
    seen: captp.List[int] = captp.List()

    @captp.method
    def add(self, number: int) -> int:
        self.count += number
        return self.count

    @captp.method
    def note(self, number: int) -> None:
        self.seen.append(number)

    @captp.method
    async def wait(self, promise: captp.Promise[None]) -> int:
        await promise
        return self.count


class Plain:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def note(self, what: Any) -> int:
        self.seen.append(what)
        return len(self.seen)


def fails(obj: Any) -> None:
    raise KeyError("not a captp error")


def adds_and_fails(counter: Counter) -> None:
    counter.add(5)
    raise captp.Refused("after all")


async def test_a_turn_gives_its_result_on_an_object_and_on_anything_else() -> None:
    async with captp.open_vat() as vat:
        counter, plain = vat.entrust(Counter()), vat.entrust(Plain())

        assert await counter.apply(Counter.add, 3) == 3
        assert await counter.apply(lambda c, k: c.count * k, k=2) == 6
        assert await plain.apply(Plain.note, "x") == 1
        assert plain.apply_now(Plain.note, "y") == 2


async def test_many_tasks_add_up_exactly() -> None:
    async with captp.open_vat() as vat:
        counter = vat.entrust(Counter())

        async def one() -> None:
            for _ in range(1000):
                await counter.apply(lambda c: setattr(c, "count", c.count + 1))

        async with trio.open_nursery() as nursery:
            for _ in range(64):
                nursery.start_soon(one)

        assert await counter.apply(lambda c: c.count) == 64_000


async def test_an_exception_is_made_anew_for_the_caller_and_undoes_the_turn() -> None:
    async with captp.open_vat() as vat:
        counter = vat.entrust(Counter())
        problem = KeyError("mine")

        def raises(_counter: Counter, what: BaseException) -> None:
            raise what

        with pytest.raises(KeyError) as caught:
            await counter.apply(raises, problem)
        assert caught.value is not problem
        assert caught.value.args == ("mine",)
        with pytest.raises(captp.Refused):
            await counter.apply(adds_and_fails)
        assert await counter.apply(lambda c: c.count) == 0


async def test_a_turn_that_raises_sends_nothing() -> None:
    async with captp.open_vat() as vat:
        other = Counter()
        ref = vat.export(other)
        counter = vat.entrust(Counter())

        def sends_and_fails(_counter: Counter) -> None:
            ref.add(1)
            raise captp.Refused("no")

        with pytest.raises(captp.Refused):
            await counter.apply(sends_and_fails)
        assert await ref.add(0) == 0


async def test_what_was_asked_first_is_done_first() -> None:
    async with captp.open_vat() as vat:
        target = Counter()
        counter, ref = vat.entrust(target), vat.export(target)
        expected = []
        for number in range(0, 40, 4):
            counter.apply_then(Counter.note, number)
            ref.note.only(number + 1)
            await counter.apply(Counter.note, number + 2)
            await counter.apply(Counter.note, number + 3)
            expected += range(number, number + 4)

        assert await counter.apply(lambda c: list(c.seen)) == tuple(expected)


async def test_apply_now_does_not_overtake() -> None:
    async with captp.open_vat() as vat:
        plain = vat.entrust(Plain())
        plain.apply_then(Plain.note, 1)

        with pytest.raises(captp.NotNow, match="other calls wait"):
            plain.apply_now(Plain.note, 2)


async def test_apply_then_tells_of_the_outcome_and_logs_what_nobody_hears(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[Outcome[Any]] = []
    async with captp.open_vat() as vat:
        plain = vat.entrust(Plain())
        plain.apply_then(Plain.note, 1, then=heard.append)
        plain.apply_then(fails, then=heard.append)
        assert not caplog.records
        plain.apply_then(fails)
        await plain.apply(Plain.note, 2)

    assert heard[0].unwrap() == 1
    with pytest.raises(KeyError):
        heard[1].unwrap()
    assert [r.getMessage() for r in caplog.records] == ["turn failed"]


@pytest.mark.parametrize("beyond", [0, 1])
async def test_as_many_wait_as_may(beyond: int) -> None:
    async with captp.open_vat(limits=Limits(backlog=10)) as vat:
        plain = vat.entrust(Plain())
        for number in range(9 + beyond):
            plain.apply_then(Plain.note, number)
        if beyond:
            with pytest.raises(captp.Overloaded, match="10 calls wait already"):
                plain.apply_then(Plain.note, 10)
        else:
            plain.apply_then(Plain.note, 10)


async def test_a_payload_is_taken_as_it_is_now() -> None:
    async with captp.open_vat() as vat:
        plain = vat.entrust(Plain())
        promise, resolver = vat.promise()
        payload = {"k": [1]}

        async def hold(_plain: Plain) -> None:
            await promise

        async with trio.open_nursery() as nursery:
            nursery.start_soon(plain.launch, hold)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(plain.apply_with, Plain.note, payload)
            await trio.testing.wait_all_tasks_blocked()
            payload["k"].append(2)
            resolver.fulfill(None)

        assert await plain.apply(lambda p: p.seen[-1]["k"]) == (1,)
        with pytest.raises(captp.Unpassable):
            await plain.apply_with(Plain.note, object())


async def test_many_at_once_have_an_outcome_each() -> None:
    async with captp.open_vat() as vat:
        counter = vat.entrust(Counter())

        found = await counter.apply_many([Call(Counter.add, 1), Call(fails), Call(Counter.add, number=2)])

        assert [found[0].unwrap(), found[2].unwrap()] == [1, 3]
        assert isinstance(found[1].error, KeyError)


async def test_a_launched_function_has_the_object_for_itself() -> None:
    async with captp.open_vat() as vat:
        counter = vat.entrust(Counter())
        promise, resolver = vat.promise()

        async def slowly(c: Counter) -> int:
            before = c.count
            await promise
            c.count = before + 1
            return c.count

        async def launch() -> None:
            assert await counter.launch(slowly) == 1

        async def apply() -> None:
            assert await counter.apply(Counter.add, 1) == 2

        async with trio.open_nursery() as nursery:
            nursery.start_soon(launch)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(captp.NotNow, match="busy"):
                counter.apply_now(Counter.add, 1)
            nursery.start_soon(apply)
            await trio.testing.wait_all_tasks_blocked()
            resolver.fulfill(None)


async def test_cancelled_before_its_turn_a_call_never_runs() -> None:
    async with captp.open_vat() as vat:
        target = Counter()
        counter, ref = vat.entrust(target), vat.export(target)
        promise, resolver = vat.promise()
        waits = ref.wait(promise)
        await trio.testing.wait_all_tasks_blocked()

        with trio.move_on_after(0):
            await counter.apply(Counter.add, 100)
        resolver.fulfill(None)

        assert await waits == 0
        assert await counter.apply(Counter.add, 1) == 1


async def test_a_turn_may_use_others_of_its_vat_and_not_itself() -> None:
    async with captp.open_vat() as vat:
        one, other = vat.entrust(Counter()), vat.entrust(Counter())

        assert await one.apply(lambda c: c.count + other.apply_now(Counter.add, 4)) == 4
        with pytest.raises(captp.Reentrant):
            await one.apply(lambda _c: one.apply_now(Counter.add, 1))
        assert await one.apply(lambda c: c.count) == 0


async def test_an_async_method_may_await_a_turn_elsewhere() -> None:
    async with captp.open_vat() as vat:
        other = vat.entrust(Plain())

        class Asks(captp.Object):
            @captp.method
            async def ask(self) -> int:
                return await other.apply(Plain.note, 1) + await other.apply(Plain.note, 2)

        assert await vat.export(Asks()).ask() == 3


async def test_the_object_itself_does_not_leave() -> None:
    async with captp.open_vat() as vat:
        plain, counter = vat.entrust(Plain()), vat.entrust(Counter())

        with pytest.raises(captp.LeakedObject):
            await plain.apply(lambda p: p)
        assert isinstance(await counter.apply(lambda c: c), captp.Reference)
        with pytest.raises(captp.Unpassable):
            await counter.apply(lambda _c: object())


async def test_the_last_handle_lets_the_object_go() -> None:
    async with captp.open_vat() as vat:
        plain = Plain()
        gone = weakref.ref(plain)
        one = vat.entrust(plain)
        del plain
        other = one.clone()
        one.drop()
        one.drop()
        with pytest.raises(captp.Dropped):
            await one.apply(Plain.note, 1)
        with pytest.raises(captp.Dropped):
            one.clone()
        assert await other.apply(Plain.note, 1) == 1
        assert gone() is not None
        del other
        await trio.testing.wait_all_tasks_blocked()

        assert gone() is None


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_handles_that_come_and_go_in_many_threads_are_counted_exactly(count: int) -> None:
    async with captp.open_vat() as vat:
        plain = Plain()
        gone = weakref.ref(plain)
        handle = vat.entrust(plain)
        del plain

        def come_and_go(first: captp.Trust[Plain]) -> None:
            kept = [first]
            for number in range(count // 8):
                kept.append(kept[-1].clone())
                if number % 3:
                    kept.pop(1 + number % (len(kept) - 1)).clone().drop()

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(trio.to_thread.run_sync, come_and_go, handle)
        await trio.testing.wait_all_tasks_blocked()
        assert await handle.apply(Plain.note, 1) == 1
        del handle
        await trio.testing.wait_all_tasks_blocked()

        assert gone() is None


async def test_others_have_their_go_beside_a_task_that_never_waits() -> None:
    async with captp.open_vat() as vat:
        plain = vat.entrust(Plain())
        beside = 0

        async def count() -> None:
            nonlocal beside
            while True:
                beside += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(1280):
                await plain.apply(Plain.note, 0)
            nursery.cancel_scope.cancel()

        assert beside >= 8


class Around:
    """A step around each turn."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def enter(self, obj: Any, _row: Any) -> None:
        self.log.append(f"enter {type(obj).__name__}")

    def leave(self, obj: Any, _row: Any, *, committed: bool) -> None:
        self.log.append(f"leave {type(obj).__name__} {committed}")


async def test_delegated_calls_have_the_steps_that_turns_have() -> None:
    async with captp.open_vat() as vat:
        around = Around()
        vat.peer.vat.trustee.steps = (around,)
        counter = vat.entrust(Counter())

        assert [await counter.apply(Counter.add, 1) for _ in range(2)] == [1, 2]
        with pytest.raises(captp.NotNow):
            counter.apply_now(Counter.add, 1)

    assert around.log == ["enter Counter", "leave Counter True"] * 2
