"""The key-value store that examples put behind a memcached."""

from __future__ import annotations

import pytest

import captp
from captp.examples.store import ENTRY_BYTES, KEY_CHARS, VALUE_BYTES, Store, shard_of


async def test_entries_are_set_added_deleted_and_counted() -> None:
    async with captp.open_vat() as vat:
        store = vat.entrust(Store())

        assert await store.apply(Store.get, "a") is None
        assert await store.apply(Store.add, "a", 3, b"x") is True
        assert await store.apply(Store.add, "a", 4, b"y") is False
        assert await store.apply(Store.get, "a") == (3, b"x")
        await store.apply(Store.set, "a", 5, b"9")
        assert await store.apply(Store.incr, "a", 2) == 11
        assert await store.apply(Store.get, "a") == (5, b"11")
        assert await store.apply(Store.incr, "b", 2) is None
        assert await store.apply(Store.delete, "a") is True
        assert await store.apply(Store.delete, "a") is False
        assert await store.apply(lambda it: it.held_bytes) == 0


async def test_a_number_wraps_at_64_bits_and_other_data_is_no_number() -> None:
    async with captp.open_vat() as vat:
        store = vat.entrust(Store())
        await store.apply(Store.set, "n", 0, b"%d" % (2**64 - 1))

        assert await store.apply(Store.incr, "n", 2) == 1
        for data in (b"", b"-1", b"1 ", b"x", b"0" * 21):
            await store.apply(Store.set, "n", 0, data)
            with pytest.raises(captp.Refused, match="decimal"):
                await store.apply(Store.incr, "n", 1)
            assert await store.apply(Store.get, "n") == (0, data)


async def test_a_key_data_and_flags_have_their_limits() -> None:
    async with captp.open_vat() as vat:
        store = vat.entrust(Store())

        await store.apply(Store.set, "k" * KEY_CHARS, 2**32 - 1, b"x" * VALUE_BYTES)
        for key, flags, data in (
            ("k" * (KEY_CHARS + 1), 0, b""),
            ("k", 2**32, b""),
            ("k", -1, b""),
            ("k", 0, b"x" * (VALUE_BYTES + 1)),
        ):
            with pytest.raises(captp.Refused, match="keys have"):
                await store.apply(Store.set, key, flags, data)
        assert await store.apply(lambda it: len(it.entries)) == 1


async def test_a_full_store_refuses_and_what_is_deleted_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "most_bytes", 2 * (ENTRY_BYTES + 1 + 10))
    async with captp.open_vat() as vat:
        store = vat.entrust(Store())
        await store.apply(Store.set, "a", 0, b"x" * 10)
        await store.apply(Store.set, "b", 0, b"x" * 10)

        for key, data in (("a", b"x" * 11), ("c", b"")):
            with pytest.raises(captp.Refused, match="delete something"):
                await store.apply(Store.set, key, 0, data)
        assert await store.apply(Store.get, "a") == (0, b"x" * 10)
        await store.apply(Store.set, "a", 0, b"x" * 9)
        await store.apply(Store.set, "b", 0, b"x" * 11)
        await store.apply(Store.delete, "a")
        await store.apply(Store.set, "c", 0, b"x" * 9)


def test_a_key_has_the_same_shard_everywhere() -> None:
    assert [shard_of(key, 4) for key in "abcdä"] == [3, 1, 3, 0, 3]
    assert {shard_of(f"key-{n}", 4) for n in range(100)} == {0, 1, 2, 3}
