"""A conduit over a WebSocket and the hand-made peer at its other end, with the proof behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from captp.limits import Limits
from captp.net.base import Conduit
from tests.trio.websocket_peer import ANN, CHALLENGE, Served, Stock, open_stock, serving


async def proved_stock(served: Served, peer: Stock) -> Conduit:
    await peer.send(CHALLENGE)
    await peer.hear()
    while not served.accepted:
        await trio.lowlevel.checkpoint()
    return served.accepted[-1]


@asynccontextmanager
async def stock_pair(limits: Limits | None = None) -> AsyncIterator[tuple[Conduit, Stock]]:
    """A conduit and the hand-made peer that dialled it; nothing else reads or writes."""
    async with serving(ANN, limits=limits, echoes=False) as served, open_stock(served.port) as peer:
        yield await proved_stock(served, peer), peer
