"""Durable calls of two vats to each other have the same numbers, and are stored apart all the same."""

from __future__ import annotations

from typing import Any

import trio

import captp
from captp import E
from captp.net.memory import MemoryNetwork
from captp.run.sealed import Sealed
from captpd.keeper.survey import survey
from tests.durability.memory_store import MemoryStore

HERE, THERE = (captp.PrivateKey.from_seed(bytes([i]) * 32) for i in (1, 2))


class Box(captp.Object):
    value: Any = None

    @captp.method
    def take(self, other: Any) -> None:
        self.value = other

    @captp.method
    def give(self) -> Any:
        return self.value


async def test_a_call_that_waits_and_a_result_that_is_kept_both_lead_to_objects() -> None:
    net, here, there = MemoryNetwork(), MemoryStore(), MemoryStore()

    def opened(key: captp.PrivateKey, store: MemoryStore) -> Any:
        return captp.open_vat(key=key, store=store, listen=[net.netlayer(key.public.designator)])

    async with opened(THERE, there) as vat:
        away = vat.mint(vat.root("box", Box))
    async with opened(HERE, here) as vat:
        box = vat.root("box", Box)
        near = vat.mint(box)
        await E(box).take(box)
        # It waits for a peer that is not there, and then calls itself.
        vat.send_durable(away, "take", box)
        async with opened(THERE, there) as other:
            with trio.fail_after(10):
                assert isinstance(await other.send_durable(near, "give"), captp.Reference)

    here.open()
    assert survey(Sealed(here, HERE.seed())).problems == []
