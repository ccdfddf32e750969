"""Much at once over real sockets: the sender waits for the reader, and neither for ever."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio

import captp
from captp.limits import MIB
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsNetlayer, TlsPort

COUNT = 48
PATIENCE_S = 60


class Mirror(captp.Object):
    @captp.method
    def draw(self, size: int) -> bytes:
        return bytes(size)

    @captp.method(latch=False)
    async def draw_together(self, size: int, when: captp.Promise[None]) -> bytes:
        await when
        return bytes(size)

    @captp.method
    def give_back(self, data: bytes) -> bytes:
        return data


def tcp(_key: captp.PrivateKey) -> Any:
    return TcpNetlayer()


def tls(key: captp.PrivateKey) -> Any:
    return TlsNetlayer(key, TlsPort())


layers = pytest.mark.parametrize("layer", [tcp, tls])


def new_vat(layer: Callable[[captp.PrivateKey], Any]) -> Any:
    key = captp.PrivateKey.from_seed(os.urandom(32))
    return captp.open_vat(key=key, listen=[layer(key)])


async def sizes(promises: list[Any]) -> list[int]:
    with trio.fail_after(PATIENCE_S):
        return [len(await promise) for promise in promises]


@layers
async def test_a_caller_may_ask_for_far_more_than_is_buffered(layer: Any) -> None:
    async with new_vat(layer) as host, captp.connect(host.mint(Mirror())) as mirror:
        asked = [captp.E(mirror).draw(MIB) for _ in range(COUNT)]

        assert await sizes(asked) == [MIB] * COUNT


async def test_results_that_are_made_all_at_once_all_arrive() -> None:
    async with new_vat(tcp) as host, new_vat(tcp) as guest:
        mirror = guest.enliven(host.mint(Mirror()))
        when, resolver = guest.promise()
        asked = [captp.E(mirror).draw_together(MIB, when) for _ in range(COUNT)]
        await captp.E(mirror).draw(1)
        resolver.fulfill(None)

        assert await sizes(asked) == [MIB] * COUNT


@layers
async def test_a_caller_may_send_and_ask_for_far_more_than_is_buffered(layer: Any) -> None:
    data = bytes(MIB)
    async with new_vat(layer) as host, captp.connect(host.mint(Mirror())) as mirror:
        asked = [captp.E(mirror).give_back(data) for _ in range(COUNT)]

        assert await sizes(asked) == [MIB] * COUNT


async def test_two_that_send_each_other_more_than_either_reads_do_not_wait_for_ever() -> None:
    """Some calls break as overloaded; the session, and what was under way, live on."""
    async with new_vat(tcp) as one, new_vat(tcp) as other:
        there, here = one.enliven(other.mint(Mirror())), other.enliven(one.mint(Mirror()))
        await there
        await here
        data = bytes(MIB)
        asked = [captp.E(mirror).give_back(data) for _ in range(COUNT) for mirror in (there, here)]

        answered = 0
        with trio.fail_after(PATIENCE_S):
            for promise in asked:
                with suppress(captp.Overloaded):
                    answered += len(await promise) == MIB
        assert answered >= 2 * 16
        assert await sizes([captp.E(there).draw(1), captp.E(here).draw(1)]) == [1, 1]


async def test_a_vat_may_close_while_results_and_calls_wait_in_it() -> None:
    async with captp.open_vat() as client:
        async with new_vat(tcp) as host:
            mirror = client.enliven(host.mint(Mirror()))
            await mirror
            asked = [captp.E(mirror).draw(MIB) for _ in range(4 * COUNT)]
            await asked[0]
        with pytest.raises(captp.Disconnected):
            await asked[-1]
