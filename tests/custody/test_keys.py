"""Keys: one for each capsule; used twice it freezes the capsule, or raises where that is strict."""

from __future__ import annotations

import copy
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp import Access, Capsule, Data, Key
from tests.custody.boxes import Account, Stock, holding
from tests.custody.interleaved import outcome, waits_after


def test_each_capsule_is_of_a_brand_of_its_own() -> None:
    one, other = Capsule.create(Stock), Capsule.create(Stock)

    assert repr(one).startswith("<Key of Stock#")
    assert repr(one) != repr(other)


def test_an_access_spends_the_key_and_gives_a_fresh_one() -> None:
    data, key = holding()

    total, fresh = key.access(lambda access: data.unwrap(access).add(3))

    assert total == 3
    assert fresh is not key
    assert repr(key).endswith("spent>")
    assert repr(fresh).endswith("held>")


def test_a_function_gets_its_arguments_behind_the_access() -> None:
    def function(access: Access[Stock], amount: int, *, data: Data[Account, Stock]) -> int:
        return data.unwrap(access).add(amount)

    data, key = holding()

    assert key.access(function, 4, data=data)[0] == 4


def test_a_second_use_freezes_the_capsule_for_good() -> None:
    data, key = holding()
    _, fresh = key.access(lambda access: data.unwrap(access).add(3))

    with pytest.warns(captp.AliasedKey) as caught:
        read, again = key.access(lambda access: data.unwrap(access).total)

    assert read == 3
    assert again.is_frozen
    assert fresh.is_frozen
    (warning,) = caught
    assert str(warning.message).count("test_keys.py:") == 2
    with pytest.raises(captp.Frozen, match="nobody changes it"):
        fresh.access(lambda access: data.unwrap(access).add(1))
    assert data.project().total == 3


@pytest.mark.parametrize(
    "use",
    [
        lambda key, _: key.freeze(),
        lambda key, _: outcome(lambda: key.password().__enter__()),
        lambda key, vat: vat.adopt(key),
        lambda key, vat: outcome(lambda: captp.Mutex(key, vat)),
    ],
    ids=["freeze", "password", "adopt", "mutex"],
)
async def test_the_warning_is_of_the_line_that_used_the_key_again(use: Callable[..., Any]) -> None:
    _, key = holding()

    async with captp.open_vat() as vat:
        vat.adopt(key)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            use(key, vat)

    (warning,) = caught
    line = f"test_keys.py:{warning.lineno}"
    assert re.search(
        rf"used by adopt\(\) at test_keys.py:\d+, and again by \w+\(\) at {line}", str(warning.message)
    )
    assert warning.filename == __file__


@pytest.mark.parametrize(
    "use",
    [
        lambda key: key.access(lambda _: None),
        lambda key: key.password().__enter__(),
        lambda key: key.freeze(),
        lambda key: key.destroy(),
    ],
    ids=["access", "password", "freeze", "destroy"],
)
def test_a_second_use_of_a_strict_key_raises(use: Callable[[Key[Any]], Any]) -> None:
    data, key = holding(strict=True)
    _, fresh = key.access(lambda access: data.unwrap(access).add(3))

    with pytest.raises(
        captp.Moved, match=r"used by access\(\) at test_keys.py:.*and again by .* at test_keys.py"
    ):
        use(key)

    assert fresh.access(lambda access: data.unwrap(access).add(1))[0] == 4


def test_a_key_is_not_used_while_its_own_access_is_under_way() -> None:
    data, key = holding()

    def inside(access: Access[Stock]) -> int:
        with pytest.raises(captp.Contended, match="while what it opened is open"):
            key.access(lambda _: None)
        return data.unwrap(access).add(1)

    total, fresh = key.access(inside)

    assert total == 1
    assert not fresh.is_frozen


def test_a_key_is_not_used_while_its_password_is_out() -> None:
    _, key = holding()

    with key.password(), pytest.raises(captp.Contended, match="while what it opened is open"):
        key.freeze()

    assert not key.is_frozen
    key.access(lambda _: None)


def test_a_function_that_raises_gives_the_key_back() -> None:
    data, key = holding()

    with pytest.raises(ZeroDivisionError):
        key.access(lambda access: data.unwrap(access).add(1 // 0))

    assert key.access(lambda access: data.unwrap(access).add(1))[0] == 1


def test_a_frozen_key_reads_as_often_as_one_likes() -> None:
    data, key = holding()

    frozen = key.freeze()

    for _ in range(3):
        assert frozen.access(lambda access: (data.unwrap(access).total, access.is_shared))[0] == (0, True)
    with pytest.raises(captp.Frozen, match="has no passwords"), frozen.password():
        pass
    with pytest.raises(captp.Frozen, match="cannot be merged"):
        frozen.destroy()
    with pytest.raises(captp.Frozen, match="nothing is put into it"):
        Data.create(list, frozen)


def test_only_one_of_many_threads_gets_a_strict_key() -> None:
    _, key = holding(strict=True)
    _, key = key.access(lambda _: None)
    start, won, lost = threading.Barrier(8), [], []

    def use() -> None:
        start.wait()
        try:
            won.append(key.access(lambda _: None))
        except (captp.Moved, captp.Contended) as problem:
            lost.append(problem)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(won), len(lost)) == (1, 7)


@pytest.mark.parametrize("take", [copy.copy, copy.deepcopy, lambda thing: thing.__reduce_ex__(4)])
def test_nothing_of_a_capsule_is_copied_or_serialised(take: Callable[[Any], Any]) -> None:
    data, key = holding()

    with key.password() as password:
        for thing in (password, password.shared(), data, key):
            with pytest.raises(TypeError, match="cannot be copied or serialised"):
                take(thing)
    with pytest.raises(TypeError, match="cannot be copied or serialised"):
        key.access(take)


def test_an_async_function_is_no_access() -> None:
    async def waits(_: Access[Stock]) -> int:
        raise AssertionError("it never runs")

    _, key = holding()

    with pytest.raises(captp.UsageError, match="await before or after it"):
        key.access(waits)
    with key.password() as password, pytest.raises(captp.UsageError, match="await before or after it"):
        Capsule.access_local(password, waits)


def by_password(key: Key[Any], data: Data[Account, Any]) -> None:
    with key.password() as password:
        data.iter(password, write_both)


def by_access(key: Key[Any], data: Data[Account, Any]) -> None:
    key.access(lambda access: write_both(data.unwrap(access)))


def write_both(account: Account) -> None:
    account.total = 1
    account.log.append(1)


@pytest.mark.filterwarnings("ignore::captp.AliasedKey")
@pytest.mark.parametrize("first", [by_password, by_access, lambda key, _: key.destroy()])
@pytest.mark.parametrize("second", [by_access, lambda key, _: key.freeze(), lambda key, _: key.destroy()])
def test_a_key_that_two_threads_use_at_once_is_used_in_one_order_or_frozen(first: Any, second: Any) -> None:
    lines, is_between = 0, True
    while is_between:
        data, key = holding()
        ends: list[str] = []
        was_frozen: list[bool] = []

        def use(key: Key[Any] = key, data: Any = data, ends: list[str] = ends) -> None:
            ends.append(outcome(lambda: first(key, data)))

        def use_again(
            key: Key[Any] = key, data: Any = data, ends: list[str] = ends, was: list[bool] = was_frozen
        ) -> None:
            ends.append(outcome(lambda: second(key, data)))
            was.append(key.is_frozen)

        is_between = waits_after(lines, use, use_again)

        key._home.check()
        assert set(ends) <= {"", "Contended", "Frozen", "Moved"}
        assert [key.is_frozen] == was_frozen or key.is_frozen
        if key.is_frozen:
            account = data.project()
            assert (account.total, list(account.log)) in [(0, []), (1, [1])]
        lines += 1
