"""M21: the node and its peer dial each other at once; whatever the order, one connection stays."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from OpenSSL import SSL

import captp
from captp.errors import Disconnected
from captp.limits import Limits
from captp.model.keys import PrivateKey, side_id
from captp.net._tls_identity import context_of
from captp.peer.view import SessionView
from captp.wire.ops import START
from tests.hostile.node import Hostile, Node, a_busy_node
from tests.hostile.rows import CODECS, NETLAYERS
from tests.hostile.spell import SPEAKERS
from tests.hostile.wire import LOOPBACK, Wire, connect, greet

ROUNDS = 10


class Dialled(Hostile):
    """The end of a connection that the node has opened."""

    async def hears_hello(self) -> bytes:
        """Return the id of the node's side."""
        data = b""
        while True:
            data += await self.wire.receive()
            spelled = data.removeprefix(self.says.preface)
            for op in self.ears.feed(spelled):
                assert op[0] == START
                return side_id(op[2])
            assert not spelled, "half a hello"

    async def answer(self) -> None:
        hello = self.says.hello(self.claim())
        is_framed = getattr(self.ears, "framed", False)
        await self.wire.send(b"%d:%b" % (len(hello), hello) if is_framed else hello)


@asynccontextmanager
async def dialled_by(
    node: Node, codec: str, key: PrivateKey
) -> AsyncIterator[tuple[Dialled, captp.Promise[Any]]]:
    """Have the node dial a peer: give the peer's end and the promise of what the node wants there."""
    listener = trio.socket.socket()
    await listener.bind((LOOPBACK, 0))
    listener.listen()
    hints = {"host": LOOPBACK, "port": str(listener.getsockname()[1])}
    hints |= {"exts": "mp1"} if codec == "native" else {}
    place = captp.PeerLocator.make(node.netlayer, key.public.designator, hints)
    wanted = node.vat.enliven(captp.SturdyRef(place, b"s" * 32))
    with listener:
        sock, _ = await listener.accept()
    tls = SSL.Connection(context_of(key)) if node.netlayer == "tls" else None
    wire = Wire(sock, tls)
    if tls is not None:
        tls.set_accept_state()
        await wire.shake_hands()
    try:
        yield Dialled(node, SPEAKERS[codec], wire, key), wanted
    finally:
        wire.close()


def key_beside(other: bytes, *, above: bool, alike: bool) -> PrivateKey:
    """Make a session key whose id is above or below another id, and begins as it does if so wanted."""
    while True:
        key = PrivateKey.from_seed(os.urandom(32))
        mine = side_id(key.public.raw)
        if (mine > other) is above and (not alike or mine[0] == other[0]):
            return key


async def cross(node: Node, codec: str, *, above: bool, alike: bool, dies: bool) -> None:
    """Cross once, and look at both ends; ``dies`` takes the connection that stays away at the end."""
    key = PrivateKey.from_seed(os.urandom(32))
    async with dialled_by(node, codec, key) as (ours, wanted):
        theirs_id = await ours.hears_hello()
        wire = await greet(await connect(node.port), node.netlayer, node.vat.designator, key)
        own = Hostile(node, SPEAKERS[codec], wire, key)
        own.session_key = key_beside(theirs_id, above=above, alike=alike)
        try:
            await own.send(own.hello())
            loser, winner = (ours, own) if above else (own, ours)
            assert str(await loser.hears("abort")).startswith("crossed-hello")
            assert await loser.end()
            if above:
                await own.hears("start")
            elif not dies:
                await ours.answer()
            if not dies:
                assert await node.until(lambda: [s.state for s in sessions(node, key)] == ["open"])
                # What the node wanted there it asks on the connection that stayed.
                assert not wanted.settled
                while not winner.heard or winner.heard[-1][0] == "start":
                    assert await winner.listen_more()
        finally:
            wire.close()
            ours.wire.close()
        with pytest.raises(Disconnected), trio.fail_after(5):
            await wanted
    assert await node.until(lambda: not sessions(node, key))


def sessions(node: Node, key: PrivateKey) -> list[SessionView]:
    """Give what the node has with a peer, or with one that has not said who it is."""
    return [s for s in node.vat.view().sessions if s.peer in ("", key.public.designator)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("netlayer", NETLAYERS)
@pytest.mark.parametrize("above", [True, False], ids=["theirs-stays", "ours-stays"])
async def test_of_two_hellos_that_cross_one_connection_stays(netlayer: str, codec: str, above: bool) -> None:
    async with a_busy_node(netlayer, Limits()) as node:
        for turn in range(ROUNDS):
            await cross(node, codec, above=above, alike=turn % 5 == 4, dies=turn % 3 == 2)
        assert await node.everybody_is_served(), node.lost
        node.vat.peer.check()
        assert not [r for r in node.log.records if r.exc_info]
