"""Which vats stand behind a port of the netlayer tls, and what is said of it."""

from __future__ import annotations

import pytest
import trio

from captp.errors import Unreachable, UsageError
from captp.net.base import Conduit
from captp.net.tls import TlsNetlayer, TlsPort
from tests.trio.tls_peers import ANN, BOB, EVE, says, serving


async def test_each_of_several_vats_behind_one_port_is_reached_by_its_name() -> None:
    async with serving(ANN, BOB) as served:
        for key in (ANN, BOB):
            conduit = await TlsNetlayer(EVE).dial(served.locator(key))
            assert await says(conduit, b"hi") == b"hi"
            assert conduit.proved == key.public.raw
            await conduit.aclose()

        locals_ = [conduit.local for conduit in served.accepted]
        assert locals_ == [ANN.public.designator, BOB.public.designator]


async def test_a_vat_may_join_and_leave_a_port_that_is_served() -> None:
    async with serving(ANN) as served:
        with pytest.raises(Unreachable, match="may not host that vat"):
            await TlsNetlayer(EVE).dial(served.locator(BOB))

        served.port.add(BOB)
        conduit = await TlsNetlayer(EVE).dial(served.locator(BOB))
        served.port.remove(BOB.public.designator)

        assert await says(conduit, b"still up") == b"still up"
        with pytest.raises(Unreachable, match="may not host that vat"):
            await TlsNetlayer(EVE).dial(served.locator(BOB))
        await conduit.aclose()


async def test_a_port_is_served_once() -> None:
    async with serving(ANN) as served:
        with pytest.raises(UsageError, match=r"conduit\.local"):
            await TlsNetlayer(BOB, served.port).serve(served.echo)


async def test_a_netlayer_without_a_port_does_not_serve() -> None:
    async def accept(conduit: Conduit) -> None:
        await conduit.receive()

    assert TlsNetlayer(ANN).hints() == {}
    with pytest.raises(UsageError, match="give it a TlsPort"):
        await TlsNetlayer(ANN).serve(accept)


async def test_a_public_host_goes_into_the_hints() -> None:
    async def accept(conduit: Conduit) -> None:
        await conduit.receive()

    netlayer = TlsNetlayer(ANN, TlsPort(public_host="vats.example.org"))
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: netlayer.serve(accept, task_status=task_status))
            assert netlayer.hints()["host"] == "vats.example.org"
            nursery.cancel_scope.cancel()
