"""One connection from its begin to its end, whoever dialled: it is entered, read, and taken out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from captp.errors import Disconnected
from captp.model.idents import ConnId
from captp.model.locator import PeerLocator
from captp.net.base import Conduit
from captp.peer.outputs import Dial
from captp.run.connection import Connection
from captp.session.handshake import Channel

if TYPE_CHECKING:
    from captp.run.pump import Pump

__all__ = ["dial_and_serve", "serve"]


async def dial_and_serve(pump: Pump, output: Dial) -> None:
    """Open the connection that the engine asked for, and carry it."""
    try:
        conduit = await pump.dial_conduit(output.locator)
    except Disconnected as problem:
        pump.peer.dial_failed(output.conn, problem, trio.current_time())
        pump.flush()
        return
    await serve(pump, conduit, output.locator.transport, output.conn, output.locator)


async def serve(
    pump: Pump,
    conduit: Conduit,
    transport: str,
    conn: ConnId | None = None,
    dialled: PeerLocator | None = None,
) -> None:
    """Carry one connection until its end; closes the conduit."""
    peer, connections = pump.peer, pump.connections
    if conn is None:
        conn = peer.router.new_conn()
    channel = Channel(conduit.proved, conduit.binding, transport, conduit.framed)
    connection = connections[conn] = Connection(pump, conn, conduit)
    if hasattr(conduit, "receive_now"):
        # To a process on this machine, which answers sooner than a task that sleeps wakes up.
        pump.awake.conduits[conn] = conduit
    why = "the other end closed it"
    try:
        peer.connected(conn, channel, trio.current_time(), dialled)
        pump.flush()
        if len(connections) == 1:
            pump.first_came()
        if dialled is None:
            await connection.open(pump.half_open, transport)
        await connection.read()
    except Disconnected as problem:
        why = str(problem)
    finally:
        connections.pop(conn, None)
        pump.awake.conduits.pop(conn, None)
        peer.disconnected(conn, why, trio.current_time())
        if not pump.is_closing:
            pump.flush()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
            await connection.aclose()
