"""Three vats over sockets: what one has to itself at another moves to the third, and comes back."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import captp
from captp.net.base import Netlayer
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsNetlayer, TlsPort
from tests.unit.peer.owners import Clerk, Desk, Sheet

LONGEST_S = 10.0


@asynccontextmanager
async def vat_on(transport: str) -> AsyncIterator[captp.LiveVat]:
    key = captp.PrivateKey.from_seed(os.urandom(32))
    layer: Netlayer = TlsNetlayer(key, TlsPort()) if transport == "tls" else TcpNetlayer()
    async with captp.open_vat(key=key, listen=[layer]) as vat:
        yield vat


def sheets(vat: captp.LiveVat) -> int:
    return sum(isinstance(o, Sheet) for o in vat.peer.vat.heap.objects())


@pytest.mark.parametrize("transport", ["tls", "tcp-testing-only"])
async def test_it_moves_to_a_third_vat_and_back(transport: str) -> None:
    async with vat_on(transport) as host, vat_on(transport) as third:
        async with vat_on(transport) as owner:
            maker: Any = await owner.enliven(host.mint(Clerk()), Desk)
            desk: Any = await owner.enliven(third.mint(Clerk()), Desk)
            table = await maker.make()
            assert await table.put(3) == 3
            assert await desk.take(table) == 4
            with pytest.raises(captp.Moved, match="was passed on: "):
                await table.total()

            table = await desk.give_back(await maker.make())
            assert await table.total() == 5
            assert await desk.own(table, 2) == 7
            with pytest.raises(captp.Moved):
                await desk.take(table)
            del table
        with trio.fail_after(LONGEST_S):
            while sheets(host):
                # Drops are told with the next look at a connection.
                await trio.sleep(0.05)
