"""Trustees hold keys: their turns run within the capsule, and the key comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import captp
from captp import Access, Call, Data, Outcome
from tests.custody.boxes import Account, Stock, holding


@asynccontextmanager
async def place(kind: str) -> AsyncIterator[Any]:
    async with captp.open_vat() as vat:
        if kind == "loop":
            yield vat
        else:
            async with vat.trustee("thread") as thread:
                yield thread


def add(access: Access[Stock], data: Data[Account, Stock], amount: int) -> int:
    return data.unwrap(access).add(amount)


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_trustee_adopts_a_key_and_gives_it_back(kind: str) -> None:
    data, key = holding()

    async with place(kind) as trustee:
        trust = trustee.adopt(key)
        assert await trust.apply(add, data, 3) == 3
        assert await trust.apply_many([Call(add, data, 1), Call(add, data, 1)]) == [Outcome(4), Outcome(5)]
        fresh = await trust.give_back()
        with pytest.raises(captp.Moved, match="was given back"):
            await trust.apply(add, data, 3)

    assert fresh.access(add, data, 1)[0] == 6


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_what_a_trustee_has_adopted_is_nobody_elses(kind: str) -> None:
    data, key = holding(strict=True)

    async with place(kind) as trustee:
        trust = trustee.adopt(key)
        with pytest.raises(captp.Moved):
            key.access(add, data, 1)
        with pytest.raises(captp.Unpassable, match="Account cannot leave"):
            await trust.apply(_unwrapped, data)
        assert await trust.clone().apply(add, data, 1) == 1


def _unwrapped(access: Access[Stock], data: Data[Account, Stock]) -> Account:
    return data.unwrap(access)


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_key_used_twice_freezes_what_a_trustee_holds(kind: str) -> None:
    data, key = holding()

    async with place(kind) as trustee:
        trust = trustee.adopt(key)
        assert await trust.apply(add, data, 3) == 3
        with pytest.warns(captp.AliasedKey):
            key.freeze()

        with pytest.raises(captp.Frozen):
            await trust.apply(add, data, 3)
        assert await trust.apply(_total, data) == 3
    assert data.project().total == 3


def _total(access: Access[Stock], data: Data[Account, Stock]) -> int:
    return data.unwrap(access).total


async def test_nothing_waits_within_an_access() -> None:
    _, key = holding()

    async def wait(_: Access[Stock]) -> None:
        raise AssertionError("it is never called")

    async with captp.open_vat() as vat:
        with pytest.raises(captp.UsageError, match=r"apply\(\) before and after"):
            await vat.adopt(key).launch(wait)
