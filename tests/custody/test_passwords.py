"""Passwords: good in their block, task and thread; shared ones read, wherever, as long as the block lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

import captp
from captp import Capsule, Password
from tests.custody.boxes import Account, holding
from tests.custody.interleaved import outcome, waits_after


def in_thread(function: Callable[[], Any]) -> Any:
    """Run a function on a thread of its own; return what came of it."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(function())
        except Exception as problem:  # it is the test's
            ended.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return ended[0]


class Keeper(captp.Object):
    kept: object = None

    @captp.method
    def take(self, what: object) -> None:
        self.kept = what


async def test_password_escape_in_six_ways() -> None:
    data, key = holding()
    kept: list[Password[Any]] = []

    def use(password: Password[Any]) -> Any:
        return data.extract(password, lambda account: account.add(1))

    async with captp.open_vat() as vat, trio.open_nursery() as nursery:
        keeper = vat.export(Keeper())
        with key.password() as password:
            kept.append(password)
            # 1: to another thread, 2: to another task.
            assert isinstance(in_thread(lambda: use(password)), captp.Contended)
            problems: list[Exception] = []

            async def in_task() -> None:
                with pytest.raises(captp.Contended, match="another task or thread") as caught:
                    use(password)
                problems.append(caught.value)

            nursery.start_soon(in_task)
            with trio.fail_after(5):
                while not problems:
                    await trio.lowlevel.checkpoint()
            # 3: into a message, 4: into state, 5: as bytes, 6: out of its block.
            with pytest.raises(captp.Unpassable, match="cannot cross a border"):
                captp.E(keeper).take(password)
            with pytest.raises(captp.Unpassable, match="takes state, not Password"):
                Keeper(kept=password)
            with pytest.raises(TypeError, match="cannot be copied or serialised"):
                password.__reduce_ex__(4)
            assert use(password) == 1
        with pytest.raises(captp.Contended, match="is dead"):
            use(kept[0])
        with pytest.raises(captp.Unpassable):
            key.access(lambda _: kept)


async def test_a_function_for_a_trustee_does_not_capture_a_password() -> None:
    _, key = holding()

    async with captp.open_vat() as vat:
        trust = vat.entrust([])
        with key.password() as password, pytest.raises(captp.CaptureError, match="'password'"):
            await trust.apply(lambda items: items.append(password))


async def test_a_password_is_good_after_others_ran() -> None:
    data, key = holding()

    with key.password() as password:
        await trio.sleep(0)
        first = await trio.to_thread.run_sync(lambda: isinstance(_used(data, password), captp.Contended))
        await trio.sleep(0)

        assert first
        assert data.extract(password, lambda account: account.add(2)) == 2


def _used(data: Any, password: Password[Any]) -> Any:
    try:
        return data.extract(password, lambda account: account.add(1))
    except captp.Contended as problem:
        return problem


def test_no_upgrade() -> None:
    data, key = holding()

    with key.password() as password:
        shared = password.shared()

        assert password.shared() is shared
        assert Capsule.access_shared(shared, lambda access: data.unwrap(access).total) == 0
        with pytest.raises(captp.Contended, match="there is no way back"):
            Capsule.access(password, lambda _: None)
        with pytest.raises(captp.UsageError, match="takes a Password, not a SharedPassword"):
            Capsule.access(shared, lambda _: None)  # type: ignore[arg-type]
        with pytest.raises(captp.Contended, match="only reads"):
            data.iter(shared, lambda account: account.add(1))
    with pytest.raises(captp.Contended, match="is dead"):
        Capsule.access_shared(shared, lambda _: None)
    with key.password() as password:
        assert data.extract(password, lambda account: account.add(1)) == 1


def test_many_read_at_once_by_a_shared_password() -> None:
    data, key = holding()
    both = threading.Barrier(2, timeout=10)

    def read(account: Account) -> int:
        both.wait()
        return account.total

    with key.password() as password:
        shared, totals = password.shared(), []
        threads = [
            threading.Thread(target=lambda: totals.append(data.extract(shared, read))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert totals == [0, 0]


def test_a_block_does_not_end_well_with_readers_inside() -> None:
    data, key = holding()
    inside, go_on = threading.Event(), threading.Event()

    def read(account: Account) -> int:
        inside.set()
        assert go_on.wait(10)
        return account.total

    lent = key.password()
    shared = lent.__enter__().shared()
    thread = threading.Thread(target=lambda: data.extract(shared, read))
    thread.start()
    assert inside.wait(10)

    with pytest.raises(captp.Contended, match="1 readers"):
        lent.__exit__(None, None, None)
    with pytest.raises(captp.Contended, match="wait for them"):
        key.access(lambda _: None)
    go_on.set()
    thread.join()

    assert key.access(lambda access: data.unwrap(access).add(1))[0] == 1


def test_passwords_may_nest() -> None:
    (one, one_key), (other, other_key) = holding(), holding()

    with one_key.password() as outer, other_key.password() as inner:
        assert one.extract(outer, lambda account: account.add(1)) == 1
        assert other.extract(inner, lambda account: account.add(2)) == 2
        assert one.extract(outer, lambda account: account.add(1)) == 2


def test_a_password_is_not_given_up_within_an_access_that_writes() -> None:
    data, key = holding()

    with key.password() as password:

        def give_up(account: Account) -> int:
            with pytest.raises(captp.Contended, match="give the password up for shared ones after it"):
                password.shared()
            return account.add(1)

        assert data.extract(password, give_up) == 1
        assert data.extract(password.shared(), lambda account: account.total) == 1


def test_nobody_begins_to_read_when_the_block_has_ended_well() -> None:
    seen: set[tuple[str, ...]] = set()
    lines, is_between = 0, True
    while is_between:
        data, key = holding()
        lent, happened = key.password(), list[str]()
        shared = lent.__enter__().shared()

        def read(data: Any = data, shared: Any = shared, happened: list[str] = happened) -> None:
            outcome(lambda: data.iter(shared, lambda _: happened.append("read")))

        def end(lent: Any = lent, happened: list[str] = happened) -> None:
            happened.append(outcome(lambda: lent.__exit__(None, None, None)) or "end")

        is_between = waits_after(lines, read, end)
        seen.add(tuple(happened))
        lines += 1

    assert seen == {("end",), ("read", "end"), ("Contended",), ("Contended", "read"), ("read", "Contended")}
