"""What is in a capsule leads to no other; where it does, the way is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import captp
from captp import Access, Data
from captp.testing import find_leaks
from captp.testing.leaks import MOST
from tests.custody.boxes import Account, Stock, holding


class Plain:
    """No Object: nothing watches what it keeps."""

    kept: Any = None


class Slotted:
    __slots__ = ("kept",)

    kept: Any


def leaks(data: Data[Any, Stock], key: captp.Key[Stock]) -> tuple[str, ...]:
    def look(access: Access[Stock]) -> list[str]:
        return find_leaks(data, access)

    found: Any = key.access(look)[0]
    return found  # type: ignore[no-any-return]


def keep(box: Any, value: Any) -> Any:
    box.kept = value
    return box


@pytest.mark.parametrize(
    ("hide", "way"),
    [
        (lambda account: keep(Plain(), account), "value.kept"),
        (lambda account: keep(Plain(), {"a": [account]}), "value.kept['a'][0]"),
        (lambda account: keep(Slotted(), account), "value.?"),
        (lambda account: keep(Plain(), lambda: account), "value.kept:account.?"),
        (lambda account: keep(Plain(), lambda x=account: x), "value.kept.__defaults__[0][0]"),
        (lambda account: keep(Plain(), keep(Plain(), account).__repr__), "value.kept.?.kept"),
        (lambda account: keep(Plain(), account.add), "value.kept.__self__"),
        (lambda account: keep(Plain(), account._f_log), "value.kept"),
    ],
)
def test_leak_path_reported(hide: Callable[[Any], Any], way: str) -> None:
    data, key = holding()
    carried: list[Account] = []
    _, key = key.access(lambda access: carried.append(data.unwrap(access)))
    other, other_key = holding(hide(carried[0]))

    (found,) = leaks(other, other_key)

    path, _, what = found.partition(" -> ")
    assert path == way
    assert what.endswith(f"of capsule {repr(key).split()[2].rstrip(',')}")


async def test_an_object_of_a_vat_is_foreign_too() -> None:
    async with captp.open_vat() as vat:
        account = Account()
        vat.export(account)
        data, key = holding(keep(Plain(), [account]))

        assert leaks(data, key) == ("value.kept[0] -> Account of a vat",)


def test_what_is_tracked_leads_nowhere_else() -> None:
    data, key = holding([Account(), {"a": [Account()]}, {1}])
    plain, plain_key = holding(keep(Plain(), [data, len, Account, lambda: data]))

    assert leaks(data, key) == ()
    assert leaks(plain, plain_key) == ()


def test_what_was_merged_is_not_foreign() -> None:
    data, key = holding()
    plain, plain_key = holding(Plain())

    def take(access: Access[Stock]) -> tuple[str, ...]:
        plain.unwrap(access).kept = data.unwrap(key.destroy())
        return tuple(find_leaks(plain, access))

    assert plain_key.access(take)[0] == ()


@pytest.mark.parametrize("extra", [-1, 0])
def test_so_many_things_are_looked_at_and_no_more(extra: int) -> None:
    data, key = holding()
    carried: list[Account] = []
    key.access(lambda access: carried.append(data.unwrap(access)))
    # With the box and the list.
    wide, wide_key = holding(keep(Plain(), [*(object() for _ in range(MOST - 2 + extra)), *carried]))

    assert len(leaks(wide, wide_key)) == -extra
