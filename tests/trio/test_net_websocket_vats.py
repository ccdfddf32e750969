"""Vats talk over the netlayer websocket, natively or over Syrup."""

from __future__ import annotations

import pytest
import trio

import captp
from captp.model.locator import PeerLocator, SturdyRef
from captp.net.websocket import WebsocketNetlayer
from tests.trio.websocket_peer import ANN, BOB


class Adder(captp.Interface):
    @captp.method
    def add(self, amount: int) -> int: ...


class Sum(captp.Object, Adder):
    total: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.total += amount
        return self.total


@pytest.mark.parametrize(("hints", "codec"), [(("url", "ext"), "native"), (("url",), "syrup")])
async def test_two_vats_talk_over_a_websocket_in_either_spelling(hints: tuple[str, ...], codec: str) -> None:
    with trio.fail_after(20):
        async with (
            captp.open_vat(key=ANN, listen=[WebsocketNetlayer(ANN)]) as host,
            captp.open_vat(key=BOB) as client,
        ):
            ref = host.mint(Sum())
            # The hint exts is what makes a dialler speak natively.
            kept = {name: value for name, value in ref.peer.hints if name in hints}
            locator = PeerLocator.make("websocket", ref.peer.designator, kept)
            adder = client.enliven(SturdyRef(locator, ref.swiss), Adder)

            assert [await adder.add(1), await adder.add(2)] == [1, 3]
            (session,) = client.view().sessions
            assert (session.peer, session.codec) == (host.designator, codec)
            (session,) = host.view().sessions
            assert (session.peer, session.codec) == (client.designator, codec)
