"""Sends: eventual, one-way and immediate, through typed stubs and through E."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import NoSuchMethod, NotNear, NotNow, Unpassable, UsageError
from captp.model.promise import Promise
from tests.support import Solo

RAN: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    RAN.clear()


class Counter(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...
    @captp.method
    def shape(self, a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **named: int) -> list[Any]: ...
    @captp.method
    def mirror(self, value: Any) -> Any: ...
    @captp.method
    def fail(self) -> None: ...
    @captp.method
    async def slow(self, promise: captp.Promise[int]) -> int: ...
    @captp.method
    def me(self) -> Counter: ...


class Count(captp.Object, Counter):
    count: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        RAN.append(amount)
        self.count += amount
        return self.count

    @captp.method
    def shape(self, a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **named: int) -> list[Any]:
        return [a, b, rest, c, d, named]

    @captp.method
    def mirror(self, value: Any) -> Any:
        return value

    @captp.method
    def fail(self) -> None:
        self.count = 99
        raise captp.Refused("no")

    @captp.method
    async def slow(self, promise: captp.Promise[int]) -> int:
        return await promise

    @captp.method
    def me(self) -> Counter:
        return self


def test_a_send_returns_a_promise_at_once_and_runs_nothing() -> None:
    solo = Solo()
    ref = solo.ref(Count())

    promise = ref.add(3)

    assert isinstance(promise, captp.Promise)
    assert not promise.settled
    assert RAN == []
    assert solo.value(promise) == 3


def test_only_returns_nothing_and_runs_the_method() -> None:
    solo = Solo()
    ref = solo.ref(Count())

    assert ref.add.only(3) is None
    assert captp.E(ref).add.only(4) is None
    solo.run()

    assert RAN == [3, 4]


def test_only_reports_a_failure_to_nobody() -> None:
    solo, count = Solo(), Count()

    solo.ref(count).fail.only()
    solo.run()

    assert count.count == 0


def test_messages_to_one_object_run_in_the_order_sent_whatever_their_form() -> None:
    solo = Solo()
    ref = solo.ref(Count())

    for i in range(0, 30, 3):
        ref.add(i)
        ref.add.only(i + 1)
        captp.E(ref).add(i + 2)
    solo.run()

    assert list(range(30)) == RAN


SHAPES: list[tuple[tuple[Any, ...], dict[str, Any], list[Any]]] = [
    ((1,), {"c": 3}, [1, 2, (), 3, 4, {}]),
    ((1, 5, 6, 7), {"c": 3, "d": 9, "e": 8}, [1, 5, (6, 7), 3, 9, {"e": 8}]),
    ((1,), {"b": 5, "c": 3}, [1, 5, (), 3, 4, {}]),
    ((1,), {"c": 3, "self": 4, "ref": 5, "args": 6}, [1, 2, (), 3, 4, {"self": 4, "ref": 5, "args": 6}]),
]


@pytest.mark.parametrize(("args", "kwargs", "expected"), SHAPES, ids=range(len(SHAPES)))
def test_all_kinds_of_parameters_arrive_in_their_places(
    args: tuple[Any, ...], kwargs: dict[str, Any], expected: list[Any]
) -> None:
    solo = Solo()
    ref = solo.ref(Count())

    arrived = solo.value(captp.E(ref).shape(*args, **kwargs))

    assert list(arrived) == expected
    assert list(solo.value(ref.shape(*args, **kwargs))) == expected
    assert list(ref.shape.now(*args, **kwargs)) == expected


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((), {"c": 1}), ((1,), {}), ((1,), {"a": 1, "b": 2}), ((1, 2), {"b": 3, "c": 1})],
)
@pytest.mark.parametrize("form", ["send", "only", "now"])
def test_a_stub_refuses_arguments_that_do_not_fit_before_sending(
    args: tuple[Any, ...], kwargs: dict[str, Any], form: str
) -> None:
    solo = Solo()
    ref = solo.ref(Count())
    call = ref.shape if form == "send" else getattr(ref.shape, form)

    with pytest.raises((UsageError, TypeError), match=r"shape"):
        call(*args, **kwargs)


@pytest.mark.parametrize("args", [(), (1, 2)])
@pytest.mark.parametrize("form", ["send", "only", "now"])
def test_a_wrong_number_of_arguments_is_refused_naming_the_method(args: tuple[int, ...], form: str) -> None:
    solo = Solo()
    ref = solo.ref(Count())
    call = ref.add if form == "send" else getattr(ref.add, form)

    with pytest.raises((UsageError, TypeError), match=r"add"):
        call(*args)
    assert solo.value(ref.add(1)) == 1


def test_an_unpassable_argument_is_refused_at_the_sender_with_its_path() -> None:
    solo = Solo()
    ref = solo.ref(Count())

    for send in (ref.mirror, ref.mirror.only, ref.mirror.now, captp.E(ref).mirror):
        with pytest.raises(Unpassable, match=r"^args\[0\]\.deep\[1\]: a object cannot cross") as refused:
            send({"deep": [1, object()]})
        assert refused.value.path == "args[0].deep[1]"
    with pytest.raises(Unpassable, match=r"^c\.x: "):
        ref.shape(1, c={"x": object()})


def test_what_was_sent_does_not_change_when_the_original_does() -> None:
    solo = Solo()
    ref = solo.ref(Count())
    value = {"a": [1]}

    promise = ref.mirror(value)
    value["a"].append(2)

    assert solo.value(promise) == {"a": (1,)}


def test_now_outside_a_turn_is_a_turn_of_its_own() -> None:
    solo, count = Solo(), Count()
    ref = solo.ref(count)

    assert ref.add.now(3) == 3
    with pytest.raises(captp.Refused):
        ref.fail.now()

    assert count.count == 3
    solo.peer.check()


def test_now_outside_a_turn_sends_what_it_sent_only_after_its_commit() -> None:
    class Sender(captp.Object):
        target: Counter

        @captp.method
        def send(self, count: int, fails: bool) -> None:
            for i in range(count):
                self.target.add(i)
                self.target.add.only(i)
            if fails:
                raise captp.Refused("no")

    solo, count = Solo(), Count()
    sender = solo.ref(Sender(target=count))
    solo.vat.flusher = solo.run

    with pytest.raises(captp.Refused):
        sender.send.now(1_000, True)
    solo.run()
    assert RAN == []

    sender.send.now(1_000, False)
    solo.run()
    assert len(RAN) == 2_000


def test_now_inside_a_turn_is_part_of_the_turn() -> None:
    solo, count = Solo(), Count()
    ref = solo.ref(count)

    def body() -> None:
        assert ref.add.now(3) == 3
        assert count.count == 3
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert count.count == 0


def test_now_gives_what_a_send_would_give() -> None:
    solo, count = Solo(), Count()
    ref = solo.ref(count)

    assert ref.me.now() is solo.value(ref.me())
    assert ref.me.now() is solo.ref(count, Counter)
    assert ref.mirror.now([1, {"b": 2, "a": 1}]) == (1, {"a": 1, "b": 2})
    assert type(ref.mirror.now([])) is tuple
    with pytest.raises(Unpassable):
        solo.turn(lambda: captp.E(ref).mirror.now(object()))
    with pytest.raises(NoSuchMethod):
        captp.E(ref).nothing.now()


def test_now_is_refused_where_only_a_send_is_possible() -> None:
    solo = Solo()
    ref = solo.ref(Count())
    pending, _resolver = solo.promise()
    data, resolver = solo.promise()
    resolver.fulfill(3)
    solo.run()

    with pytest.raises(NotNow, match=r"slow\(\) is async"):
        ref.slow.now(pending)
    with pytest.raises(NotNear, match="send to it"):
        captp.E(pending).add.now(1)
    with pytest.raises(NotNear):
        captp.E(data).add.now(1)
    waiting = ref.slow(pending)
    solo.run()
    with pytest.raises(NotNow, match="busy"):
        ref.add.now(1)
    del waiting


def test_now_through_a_promise_that_settled_to_a_near_reference_works() -> None:
    solo = Solo()
    promise = solo.ref(Count()).me()
    solo.run()

    assert promise.add.now(4) == 4


def test_a_near_call_is_immediate_and_shares_the_turn() -> None:
    solo, count = Solo(), Count()
    ref = solo.ref(count)

    def body() -> None:
        assert captp.near(ref, Count) is count
        assert captp.near(ref, Count).add(2) == 2
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert count.count == 0


def test_near_is_refused_for_what_is_not_near_or_of_another_class_or_outside_a_turn() -> None:
    solo, other = Solo(), Solo(seed=1)
    ref, foreign = solo.ref(Count()), other.ref(Count())
    pending, _resolver = solo.promise()

    for target, cls in ((ref, Solo), (pending, Count), (foreign, Count), (3, Count)):
        with pytest.raises(NotNear):
            solo.turn(lambda target=target, cls=cls: captp.near(target, cls))
    with pytest.raises(UsageError, match="inside"):
        captp.near(ref, Count)
    with solo.inside(), pytest.raises(NotNear):
        captp.near(ref, Count)


def test_a_callback_sent_during_a_turn_never_runs_inside_it() -> None:
    class Caller(captp.Object):
        @captp.method
        def call(self, target: Counter) -> None:
            RAN.append("start")
            target.add(1)
            target.add.only(2)
            RAN.append("end")

    solo, count = Solo(), Count()
    solo.value(solo.ref(Caller()).call(solo.ref(count)))

    assert RAN == ["start", "end", 1, 2]


def test_e_takes_references_and_promises_only() -> None:
    solo = Solo()

    for wrong in (Count(), 3, None, "x", Counter):
        with pytest.raises(UsageError, match=r"E\(\) takes a reference or a promise, not"):
            captp.E(wrong)
    promise: Promise[Any] = captp.E(solo.ref(Count())).add(2)
    assert solo.value(promise) == 2


def test_looking_at_a_send_sends_nothing() -> None:
    solo = Solo()
    ref = solo.ref(Count())

    _ = (ref.add, captp.E(ref).add, repr(ref.add), repr(captp.E(ref)), ref.add.only, hash(ref), f"{ref}")
    solo.run()

    assert RAN == []
    assert "add" in repr(ref.add)


def test_parameters_may_be_called_like_anything() -> None:
    class Odd(captp.Object):
        @captp.method
        def ours(self, ref: int, args: int, kwargs: int, obj: int, row: int) -> list[int]:
            return [ref, args, kwargs, obj, row]

        @captp.method
        def theirs(self, fn: int, bind: int, wrong: int, convert0: int, Message: int) -> list[int]:
            return [fn, bind, wrong, convert0, Message]

        @captp.method
        def slow(self, a1: int, a0: int = 0, *, thunk: int = 0, signature: int = 0) -> list[int]:
            return [a1, a0, thunk, signature]

    solo = Solo()
    ref = solo.ref(Odd())

    assert solo.value(ref.ours(1, 2, 3, 4, 5)) == (1, 2, 3, 4, 5)
    assert solo.value(ref.theirs(1, 2, 3, 4, 5)) == (1, 2, 3, 4, 5)
    assert solo.value(captp.E(ref).theirs(1, 2, 3, Message=5, convert0=4)) == (1, 2, 3, 4, 5)
    assert solo.value(ref.slow(1, thunk=3, signature=4)) == (1, 0, 3, 4)
