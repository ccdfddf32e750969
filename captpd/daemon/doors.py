"""Where connections come in: one door for all listeners, and TLS ports that many vats share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, final

import trio
from attrs import define, field

from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.net.base import Accept, Conduit
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsNetlayer, TlsPort
from captpd.config.kinds import Address

__all__ = ["Door", "PlainSide", "TlsHub", "TlsSide"]


@final
@define(eq=False)
class Door:
    """Lets connections in while it is open, and knows those that are inside."""

    is_open: bool = False
    #: False while memory is short.
    has_room: bool = True
    _inside: set[Conduit] = field(factory=set)

    async def enter(self, accept: Accept, conduit: Conduit) -> None:
        """Run ``accept`` with a connection, or do nothing, so that its netlayer closes it."""
        if self.is_open and self.has_room:
            with self._counted(conduit):
                await accept(conduit)

    @property
    def pending(self) -> int:
        """Bytes that wait for slow readers inside."""
        return sum(conduit.pending for conduit in self._inside)

    @contextmanager
    def _counted(self, conduit: Conduit) -> Iterator[None]:
        self._inside.add(conduit)
        try:
            yield
        finally:
            self._inside.discard(conduit)


@final
@define(eq=False)
class PlainSide:
    """The netlayer ``tcp-testing-only`` of one vat, with the daemon's door before it."""

    transport: ClassVar[str] = TcpNetlayer.transport

    layer: TcpNetlayer
    door: Door

    async def dial(self, locator: PeerLocator) -> Conduit:
        return await self.layer.dial(locator)

    async def serve(self, accept: Accept, *, task_status: trio.TaskStatus[Any]) -> None:
        async def guarded(conduit: Conduit) -> None:
            await self.door.enter(accept, conduit)

        await self.layer.serve(guarded, task_status=task_status)

    def hints(self) -> dict[str, str]:
        return self.layer.hints()


@final
@define(eq=False)
class TlsHub:
    """The daemon's TLS ports; a connection goes to the vat whose key it asked for."""

    ports: tuple[TlsPort, ...]
    door: Door
    advertise: Address | None = None
    _accepts: dict[str, Accept] = field(factory=dict)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen at every port until cancelled. Raises UsageError where that cannot be."""
        async with trio.open_nursery() as nursery:
            for port in self.ports:
                await nursery.start(port.serve, self._accept)
            task_status.started()

    async def _accept(self, conduit: Conduit) -> None:
        accept = self._accepts.get(conduit.local or "")
        if accept is not None:
            await self.door.enter(accept, conduit)

    @contextmanager
    def serving(self, key: PrivateKey, accept: Accept) -> Iterator[None]:
        """Answer for the vat of ``key`` during the block."""
        name = key.public.designator
        self._accepts[name] = accept
        for port in self.ports:
            port.add(key)
        try:
            yield
        finally:
            for port in self.ports:
                port.remove(name)
            del self._accepts[name]

    def hints(self) -> dict[str, str]:
        if self.advertise is None:
            return self.ports[0].hints()
        return {"host": self.advertise.host, "port": str(self.advertise.port)}

    def addresses(self) -> list[Address]:
        """Return where it listens, with the ports that were taken for 0."""
        return [Address(p.host, int(p.hints().get("port", p.port))) for p in self.ports]


@final
@define(eq=False)
class TlsSide:
    """The netlayer ``tls`` of one vat: dials with its key and is served by the hub."""

    transport: ClassVar[str] = "tls"

    key: PrivateKey
    hub: TlsHub
    limits: Limits
    _dialler: TlsNetlayer = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._dialler = TlsNetlayer(self.key, limits=self.limits)

    async def dial(self, locator: PeerLocator) -> Conduit:
        return await self._dialler.dial(locator)

    async def serve(self, accept: Accept, *, task_status: trio.TaskStatus[Any]) -> None:
        with self.hub.serving(self.key, accept):
            task_status.started()
            await trio.sleep_forever()

    def hints(self) -> dict[str, str]:
        return self.hub.hints()
