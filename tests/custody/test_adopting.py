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


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_functions_of_a_batch_capture_nothing_that_others_may_change(kind: str) -> None:
    _, key = holding()
    seen: list[int] = []

    async with place(kind) as trustee:
        with pytest.raises(captp.CaptureError, match="'seen'"):
            await trustee.adopt(key).apply_many([Call(lambda _: seen.append(1))])
    assert seen == []


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_batch_of_what_is_no_call_is_refused(kind: str) -> None:
    _, key = holding()
    some: list[Any] = [add]

    async with place(kind) as trustee:
        with pytest.raises(captp.UsageError, match="takes calls"):
            await trustee.adopt(key).apply_many(some)


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_payload_arrives_frozen(kind: str) -> None:
    _, key = holding()

    async with place(kind) as trustee:
        trust = trustee.adopt(key)
        assert await trust.apply_with(lambda _, payload: payload, [1, [2]]) == (1, (2,))
        assert await trust.apply_with(lambda _, payload: type(payload[1]) is tuple, [1, [2]])


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_what_cannot_be_tracked_is_not_read_by_a_trustee_whose_capsule_is_frozen(kind: str) -> None:
    data, key = holding(bytearray(b"ab"))

    async with place(kind) as trustee:
        trust = trustee.adopt(key)
        with pytest.warns(captp.AliasedKey):
            key.freeze()
        with pytest.raises(captp.Contended, match="a bytearray of capsule"):
            await trust.apply(_longer, data)


def _longer(access: Access[Stock], data: Data[bytearray, Stock]) -> None:
    data.unwrap(access).append(1)


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_key_is_not_lost_to_a_trustee_that_is_closed(kind: str) -> None:
    data, key = holding()
    async with place(kind) as trustee:
        pass

    with pytest.raises(captp.Closed):
        trustee.adopt(key)

    assert key.access(add, data, 1)[0] == 1
