"""What durable calls may take, each at its limit and one over it; and who may make them at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import captp
from captp import E
from captp.net.memory import MemoryNetwork
from captp.net.tcp import TcpNetlayer
from captp.peer.durable import outbox
from captp.run.live import LiveVat
from tests.durability.memory_store import MemoryStore
from tests.durability.test_messages import Ledger

A, B, C = (captp.PrivateKey.from_seed(bytes([n]) * 32) for n in (11, 12, 13))


@asynccontextmanager
async def opened(net: MemoryNetwork, key: captp.PrivateKey, **limits: Any) -> AsyncIterator[LiveVat]:
    layer = net.netlayer(key.public.designator)
    async with captp.open_vat(
        key=key, store=MemoryStore(), listen=[layer], limits=captp.Limits(**limits)
    ) as vat:
        yield vat


def nowhere(key: captp.PrivateKey) -> captp.SturdyRef:
    return captp.SturdyRef(captp.PeerLocator.make("memory", key.public.designator), b"s" * 32)


async def broken(promise: Any) -> captp.Broken:
    with trio.fail_after(5):
        try:
            await promise
        except captp.Broken as problem:
            return problem
    raise AssertionError("it was fulfilled")


async def test_so_many_calls_wait_for_one_peer_and_no_more() -> None:
    async with opened(MemoryNetwork(), A, outbox_messages=3) as vat:
        waiting = [vat.send_durable(nowhere(B), "note", n) for n in range(3)]
        over = await broken(vat.send_durable(nowhere(B), "note", 3))
        vat.send_durable(nowhere(C), "note", 3)

        assert isinstance(over, captp.Overloaded)
        assert str(over).startswith("outbox-full")
        assert not any(promise.settled for promise in waiting)
        stored = vat.peer.stored
        assert stored is not None


async def test_calls_of_so_many_bytes_wait_for_one_peer_and_no_more() -> None:
    async with opened(MemoryNetwork(), A, outbox_bytes=5_000) as vat:
        vat.send_durable(nowhere(B), "note", "x" * 4_000)
        vat.send_durable(nowhere(B), "note", "x" * 4_000)
        over = await broken(vat.send_durable(nowhere(B), "note", "x"))

        assert str(over).startswith("outbox-full")


async def test_a_call_that_nobody_takes_becomes_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LOOK_S", 0.01)
    async with opened(MemoryNetwork(), A, outbox_age_s=0.3) as vat:
        began = trio.current_time()
        dead = await broken(vat.send_durable(nowhere(B), "note", 1))

        assert isinstance(dead, captp.Timeout)
        assert str(dead).startswith("dead-letter")
        assert trio.current_time() - began >= 0.3


async def test_so_many_results_are_kept_for_one_peer_and_the_rest_comes_later() -> None:
    net = MemoryNetwork()
    async with opened(net, B, durable_results=2) as there, opened(net, A) as here:
        ledger = there.mint(there.root("ledger", Ledger))
        with trio.fail_after(20):
            results = [here.send_durable(ledger, "note", n) for n in range(5)]
            assert [await result for result in results] == [1, 2, 3, 4, 5]
        assert await E(there.root("ledger", Ledger)).all() == (0, 1, 2, 3, 4)


async def test_so_many_peers_send_durable_calls_and_no_more() -> None:
    net = MemoryNetwork()
    async with (
        opened(net, B, durable_peers=1) as there,
        opened(net, A) as first,
        opened(net, C) as second,
    ):
        ledger = there.mint(there.root("ledger", Ledger))
        assert await first.send_durable(ledger, "note", 1) == 1
        refused = second.send_durable(ledger, "note", 2)
        with trio.move_on_after(1.5) as scope:
            await refused
        assert await first.send_durable(ledger, "note", 3) == 2

        assert scope.cancelled_caught, "it is made again and again"
        assert await E(there.root("ledger", Ledger)).all() == (1, 3)


async def test_a_vat_without_a_store_makes_none_and_gets_each_at_most_once() -> None:
    net = MemoryNetwork()
    plain = net.netlayer(B.public.designator)
    async with captp.open_vat(key=B, listen=[plain]) as there, opened(net, A) as here:
        ledger = there.mint(there.root("ledger", Ledger))
        with pytest.raises(captp.NotDurable, match="store"):
            there.send_durable(ledger, "note", 1)
        assert await here.send_durable(ledger, "note", 2) == 1
        assert await E(here.enliven(ledger)).all() == (2,)


async def test_a_connection_that_proves_no_key_brings_no_durable_call() -> None:
    layers = [TcpNetlayer(designator=key.public.designator) for key in (A, B)]
    async with (
        captp.open_vat(key=B, store=MemoryStore(), listen=[layers[1]]) as there,
        captp.open_vat(key=A, store=MemoryStore(), listen=[layers[0]]) as here,
    ):
        ledger = there.mint(there.root("ledger", Ledger))
        refused = await broken(here.send_durable(ledger, "note", 1))

        assert isinstance(refused, captp.NotDurable)
        assert "proves no key" in str(refused)
        assert await E(there.root("ledger", Ledger)).all() == ()


async def test_only_a_sturdyref_and_what_outlives_the_vat_can_be_sent_durably() -> None:
    async with opened(MemoryNetwork(), A) as vat:
        with pytest.raises(captp.UsageError, match="SturdyRef"):
            vat.send_durable(vat.export(Ledger()), "note")  # type: ignore[arg-type]
        with pytest.raises(captp.Unpassable):
            vat.send_durable(nowhere(B), "note", object())


async def test_whoever_pretends_to_be_rolled_back_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    net = MemoryNetwork()
    async with opened(net, B) as there, opened(net, A) as here:
        await here.enliven(there.mint(there.root("ledger", Ledger)))
        (link,) = here.peer.router.links.values()
        bootstrap = captp.E(captp.model.ref.view(here.peer.vat, link.session.bootstrap, captp.model.ref.Ref))
        call = getattr(bootstrap, "captp:durable")
        await broken(call(1, 1, 1, b"s", "m", (), None))
        for number in range(10, 500, 10):
            problem = await broken(call(number, 1, number, b"s", "m", (), None))
            assert str(problem).startswith("peer-rolled-back")

    assert sum(record.message == "peer rolled back" for record in caplog.records) == 1


@pytest.mark.parametrize(
    "args",
    [
        (),
        (1, 1, 1),
        (0, 1, 1, b"s", "m", (), None),
        (2, 1, 1, b"s", "m", (), None),
        (1, -1, 1, b"s", "m", (), None),
        (1, 1, 2**63, b"s", "m", (), None),
        (1, True, 1, b"s", "m", (), None),
        (1, 1, 1, "s", "m", (), None),
        (1, 1, 1, b"s", b"m", (), None),
        (1, 1, 1, b"s", "m", 1, None),
        (1, 1, 1, b"s", "m", (), 1),
    ],
    ids=repr,
)
async def test_a_call_of_another_form_is_refused_and_costs_nothing(args: tuple[Any, ...]) -> None:
    net = MemoryNetwork()
    async with opened(net, B) as there, opened(net, A) as here:
        ledger = there.mint(there.root("ledger", Ledger))
        await here.enliven(ledger)
        (link,) = here.peer.router.links.values()
        bootstrap = captp.E(captp.model.ref.view(here.peer.vat, link.session.bootstrap, captp.model.ref.Ref))
        refused = await broken(getattr(bootstrap, "captp:durable")(*args))

        assert isinstance(refused, captp.BadArguments)
        stored = there.peer.stored
        assert stored is not None
        assert stored.inbox._channels == {}
