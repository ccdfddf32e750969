"""Where code runs: each strand within one capsule at a time, and nothing is touched from another."""

from __future__ import annotations

import contextvars
import operator
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

import captp
from captp import Access, Data
from captp.custody.home import INITIAL
from tests.custody.boxes import Account, Stock, holding
from tests.custody.test_passwords import in_thread


@pytest.mark.parametrize(
    "touch",
    [
        lambda account: account.total,
        lambda account: account.log,
        lambda account: account.add(1),
        lambda account: setattr(account, "total", 1),
    ],
    ids=["read", "read container", "call", "write"],
)
@pytest.mark.parametrize("where", ["outside", "thread", "other capsule", "turn"])
async def test_cross_touch_raises(touch: Callable[[Account], Any], where: str) -> None:
    data, key = holding()
    carried: list[Account] = []
    _, key = key.access(lambda access: carried.append(data.unwrap(access)))

    class Toucher(captp.Object):
        @captp.method
        def touch(self) -> None:
            touch(carried[0])

    if where == "outside":
        with pytest.raises(captp.Contended, match="and this runs in initial#1"):
            touch(carried[0])
    elif where == "thread":
        assert isinstance(in_thread(lambda: touch(carried[0])), captp.Contended)
    elif where == "other capsule":
        with pytest.raises(captp.Contended, match=r"and this runs in Stock#\d+"):
            holding()[1].access(lambda _: touch(carried[0]))
    else:
        async with captp.open_vat() as vat:
            with pytest.raises(captp.RemoteFault, match=r"and this runs in turns#\d+"):
                await captp.E(vat.export(Toucher())).touch()
    assert key.access(lambda access: data.unwrap(access).total)[0] == 0


@pytest.mark.parametrize(
    "touch",
    [
        len,
        list,
        repr,
        lambda items: items[0],
        lambda items: items == [1],
        lambda items: 1 in items,
        lambda items: items * 2,
        lambda items: operator.add([], items),
        lambda items: items.remove(2),
        lambda items: items.append(1),
        lambda items: items.sort(),
        lambda items: items.clear(),
    ],
)
def test_a_container_that_was_carried_out_is_not_touched(touch: Callable[[Any], Any]) -> None:
    data, key = holding()
    carried: list[Any] = []

    def carry(access: Access[Stock]) -> None:
        data.unwrap(access).add(1)
        carried.append(data.unwrap(access).log)

    _, key = key.access(carry)

    with pytest.raises(captp.Contended):
        touch(carried[0])
    assert key.access(lambda access: data.unwrap(access).log)[0] == (1,)


def test_containers_that_are_made_later_or_within_others_are_of_the_capsule_too() -> None:
    class Nest(captp.Object):
        inner: captp.Map[str, list[int]]
        pair: tuple[Any, ...] = ()

    data, key = holding(Nest())
    carried: list[Any] = []

    def fill(access: Access[Stock]) -> None:
        nest = data.unwrap(access)
        nest.inner["a"] = [1]
        nest.pair = ({"b": [2]},)
        carried.extend([nest.inner["a"], nest.pair[0], nest.pair[0]["b"]])

    key.access(fill)

    for container in carried:
        with pytest.raises(captp.Contended):
            len(container)


def test_an_access_in_another_thread_with_a_copied_context_is_not_this_one() -> None:
    data, key = holding()

    def inside(access: Access[Stock]) -> bool:
        account = data.unwrap(access)
        context = contextvars.copy_context()
        problem = in_thread(lambda: context.run(lambda: account.total))
        return isinstance(problem, captp.Contended)

    assert key.access(inside)[0]


def test_an_access_is_dead_when_its_function_has_ended() -> None:
    data, key = holding()
    kept: list[Access[Stock]] = []
    _, key = key.access(kept.append)

    with pytest.raises(captp.Contended, match="is good inside the function"):
        Data.wrap(kept[0], 1)

    def again(_: Access[Stock]) -> None:
        data.unwrap(kept[0])

    with pytest.raises(captp.Contended, match="is good inside the function"):
        key.access(again)


def test_an_access_within_another_ends_before_it() -> None:
    (one, one_key), (other, other_key) = holding(), holding()

    def outer(access: Access[Stock]) -> tuple[int, int]:
        account = one.unwrap(access)
        account.add(1)
        inner, fresh = other_key.access(lambda a: other.unwrap(a).add(5))
        with pytest.raises(captp.Contended):
            fresh.access(lambda _: account.total)
        return inner, account.add(1)

    assert one_key.access(outer)[0] == (5, 2)


def test_current_fresh_brand() -> None:
    _, key = holding()

    def inside(access: Access[Stock]) -> tuple[bool, bool]:
        current = Access.current()
        return current.same_as(access), current is Access.current()

    assert key.access(inside)[0] == (True, False)


def test_data_of_the_current_capsule_is_wrapped_and_unwrapped_with_it() -> None:
    data = Data.wrap(Access.current(), [1])

    assert data.unwrap(Access.current()) == [1]
    assert isinstance(in_thread(lambda: data.unwrap(Access.current())), captp.BrandMismatch)


async def test_initial_identity() -> None:
    seen: list[str] = [repr(Access.current())]

    async def in_task() -> None:
        seen.append(repr(Access.current()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_task)

    assert seen == ["<Access to initial#1>"] * 2
    assert in_thread(lambda: repr(Access.current())).startswith("<Access to thread#")


async def test_each_vat_has_a_capsule_for_its_turns() -> None:
    class Where(captp.Object):
        @captp.method
        def where(self) -> str:
            return repr(Access.current())

    async with captp.open_vat() as one, captp.open_vat() as other:
        asked = [vat.export(Where()) for vat in (one, one, other)]
        first, second, third = [await captp.E(where).where() for where in asked]

    assert first == second != third
    assert first.startswith("<Access to turns#")


def test_access_initial_thread_matrix() -> None:
    def given(access: Access[Any] | None) -> str:
        return repr(access)

    assert Access.access_initial(given) == "<Access to initial#1>"
    assert in_thread(lambda: Access.access_initial(given)) == "None"
    assert Access.access_initial_domain(given) == "<Access to initial#1>"
    assert in_thread(lambda: Access.access_initial_domain(given)) == "<Access to initial#1>"


def test_the_initial_access_is_good_on_the_first_thread_where_no_other_capsule_runs() -> None:
    data = Data.wrap(Access.initial(), 5)

    assert data.unwrap(Access.initial()) == 5
    assert Access.initial().same_as(Access.current())
    assert isinstance(in_thread(lambda: data.unwrap(Access.initial())), captp.Contended)
    with pytest.raises(captp.Contended):
        holding()[1].access(lambda _: data.unwrap(Access.initial()))
    assert holding()[1].access(lambda _: Access.access_initial(repr))[0] == "None"


def test_what_is_in_the_initial_capsule_is_reached_by_its_access() -> None:
    data = Data.wrap(Access.current(), Account())

    def add(access: Access[Any] | None) -> int:
        assert access is not None
        return data.unwrap(access).add(1)

    assert in_thread(lambda: Access.access_initial_domain(add)) == 1
    assert Access.access_initial(add) == 2
    with pytest.raises(captp.Unpassable):
        Access.access_initial(lambda _: object())


def test_merging_is_one_step_however_much_there_is() -> None:
    one, one_key = holding([Account() for _ in range(100)])
    two, two_key = holding([Account() for _ in range(100)])

    def merge(access: Access[Stock]) -> tuple[int, bool]:
        merged = two_key.destroy()
        both = [*one.unwrap(access), *two.unwrap(merged)]
        return sum(account.add(1) for account in both), merged.same_as(access)

    (total, is_same), one_key = one_key.access(merge)

    assert (total, is_same) == (200, True)
    assert one_key.access(lambda access: len(two.unwrap(access)))[0] == 100
    with pytest.raises(captp.Moved):
        two_key.access(lambda _: None)


def test_what_is_stored_in_the_state_of_an_object_in_a_capsule_joins_it() -> None:
    class Pair(captp.Object):
        left: Account | None = None

    data, key = holding(Pair())
    made: list[Account] = []

    def put(access: Access[Stock]) -> None:
        made.append(Account())
        data.unwrap(access).left = made[0]

    key.access(put)

    with pytest.raises(captp.Contended):
        made[0].total  # noqa: B018 - reading it is the test


def test_threads_that_open_one_capsule_by_turns_lose_nothing() -> None:
    data, key = holding()
    lock, keys = threading.Lock(), [key]

    def add() -> None:
        for _ in range(100):
            with lock:
                _, keys[0] = keys[0].access(lambda access: data.unwrap(access).add(1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert keys[0].access(lambda access: data.unwrap(access).total)[0] == 400


def test_a_class_is_not_told_of_its_twin() -> None:
    told: list[str] = []

    class Plugin(captp.Object):
        n: int = 0

        # A name that a metaclass could take for one of its own.
        def __init_subclass__(cls, *, name: str) -> None:
            told.append(name)

    class Counter(Plugin, name="counter"):
        pass

    data, key = holding(Counter(n=3))

    assert key.access(lambda access: data.unwrap(access).n)[0] == 3
    assert told == ["counter"]


@pytest.mark.parametrize("kind", ["keys", "values", "items"])
@pytest.mark.parametrize("touch", [list, len, repr, reversed, lambda view: "a" in view])
def test_a_view_that_was_carried_out_is_not_touched(kind: str, touch: Callable[[Any], Any]) -> None:
    class Prices(captp.Object):
        by_name: captp.Map[str, int]

    data, key = holding(Prices(by_name={"a": 1, "b": 2}))
    carried: list[Any] = []

    def carry(access: Access[Stock]) -> tuple[list[Any], list[Any], int]:
        carried.append(getattr(data.unwrap(access).by_name, kind)())
        return list(carried[0]), list(reversed(carried[0])), len(carried[0])

    (there, backwards, length), key = key.access(carry)
    plain = getattr({"a": 1, "b": 2}, kind)()
    assert (there, backwards, length) == (tuple(plain), tuple(reversed(plain)), 2)

    with pytest.raises(captp.Contended):
        touch(carried[0])
    key.freeze()
    assert list(carried[0]) == list(plain)


def test_threads_may_be_in_the_initial_capsule_at_once_and_end_in_any_order() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def first(_: Any) -> bool:
        inside.set()
        return go_on.wait(10)

    thread = threading.Thread(target=lambda: Access.access_initial_domain(first))
    thread.start()
    assert inside.wait(10)

    def second(_: Any) -> str:
        both = INITIAL.dump()
        go_on.set()
        thread.join()
        return f"{both}; {INITIAL.dump()}"

    texts = Access.access_initial_domain(second).split("; ")

    INITIAL.check()
    assert [text.split(", ")[1] for text in (*texts, INITIAL.dump())] == [
        "2 writers",
        "1 writers",
        "0 writers",
    ]
