"""Peers that break the rules, over real sockets: each loses its own session with a reason, no other does."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
import trio

import captp
from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.net.tcp import TcpNetlayer
from captp.session.handshake import Channel, make_hello
from captp.session.inbound import HANDLERS
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import (
    ABORT,
    BREAK,
    CALL,
    DELIVER,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    LISTEN,
    OP_NAMES,
    RESOLVE,
    START,
    Desc,
    Kind,
)  # fmt: skip
from tests.names import Names


class Counter(captp.Object):
    count: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.count += amount
        return self.count


def codec() -> NativeCodec:
    return NativeCodec(Names(), Limits(message_bytes=32 * 1024 * 1024, depth=10_000))


def framed(*ops: Any) -> bytes:
    own = codec()
    return own.frame([own.encode(op) for op in ops])


def raw_frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


BOOTSTRAP = Desc(Kind.EXPORT, 0)

BYTES = {
    "too-large": (64 * 1024 * 1024).to_bytes(4, "big"),
    "too-deep": raw_frame(b"\x92" + b"\x02" + b"\x91" * 500 + b"\xc0"),
    "too-many": raw_frame(b"\x92\x02\xdd" + (1_000_000).to_bytes(4, "big")),
    "bad-frame": raw_frame(b"\x93\x02"),
    "bad-value": raw_frame(
        msgpack.packb([CALL, 0, b"\xff\xfe".decode("latin-1"), [], 1, True])[:-3] + b"\xc1"
    ),
    "unknown-op": raw_frame(msgpack.packb({"op": "deliver"})),
}

BAD_STURDYREF = msgpack.ExtType(Kind.STURDYREF, msgpack.packb(["tls", "x", {b"h": "v"}, b"s"]))

OPS = {
    "a target that was never given": ("bad-ref", [(CALL, 7, "add", (1,), 1, True)]),
    "an answer that was never asked": ("bad-ref", [(CALL, -8, "add", (1,), 1, True)]),
    "a result that nobody waits for": ("bad-ref", [(RESOLVE, 5, "here")]),
    "a break that nobody waits for": ("bad-ref", [(BREAK, 5, "here")]),
    "an answer position twice": (
        "answer-in-use", [(CALL, 0, "fetch", (b"x",), 1, True), (CALL, 0, "fetch", (b"x",), 1, True)]
    ),
    "more releases than references": ("bad-gc", [(GC_EXPORTS, (0,), (1,))]),
    "a release of an unknown answer": ("bad-gc", [(GC_ANSWERS, (9,))]),
    "releases of unequal length": ("bad-gc", [(GC_EXPORTS, (1, 2), (1,))]),
    "a second hello": ("already-started", [(START, "1.0", b"", (), b"", ())]),
    "an operation with a field too many": ("bad-op", [(DELIVER, BOOTSTRAP, (), 1, True, 3)]),
    "an operation with a field too few": ("bad-op", [(DELIVER, BOOTSTRAP)]),
    "a listener on what is no promise": ("bad-op", [(LISTEN, 3, 4)]),
    "a key of the wrong kind": ("bad-op", [(GET, BOOTSTRAP, 3, 4)]),
    "a sturdyref with a hint in bytes": ("bad-value", [(CALL, 0, "fetch", (BAD_STURDYREF,), 1, True)]),
    "a long method": ("bad-value", [(CALL, 0, "m" * 300, (), 1, True)]),
    "an unknown operation": ("unknown-op", [(99, 1)]),
}  # fmt: skip


async def attack(port: int, *payloads: bytes) -> list[tuple[Any, ...]]:
    """Open a session as a peer with a fresh key, send things, and return what came up to the end.

    Each payload but the first is sent when something has come back for the one before.
    """
    own = codec()
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        key = PrivateKey.from_seed(os.urandom(32))
        mine = PeerLocator.make("tcp-testing-only", key.public.designator)
        hello = make_hello(key, mine, ("mp1",), Channel(transport="tcp-testing-only"))
        with trio.fail_after(5):
            await stream.send_all(PREAMBLE + framed(hello))
            answers = list(own.feed(await stream.receive_some()))
            assert [op[0] for op in answers] == [START]
            ops: list[tuple[Any, ...]] = []
            for payload in payloads:
                await stream.send_all(payload)
                ops += own.feed(await stream.receive_some())
            return ops + [op async for data in stream for op in own.feed(data)]


@asynccontextmanager
async def a_busy_host() -> AsyncIterator[tuple[captp.LiveVat, int, list[int]]]:
    """A host with one good session that calls steadily, its port, and the results of those calls."""
    with trio.fail_after(30):
        async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as client:
            counter = client.enliven(host.mint(Counter()))
            results = [await captp.E(counter).add(1)]
            ends = False

            async def call_steadily() -> None:
                while not ends:
                    results.append(await captp.E(counter).add(1))
                    await trio.sleep(0.001)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(call_steadily)
                yield host, int(dict(host.locators[0].hints)["port"]), results
                ends = True


def codes_of(ops: list[tuple[Any, ...]]) -> list[str]:
    return [str(op[1]).split(":")[0] for op in ops if op[0] == ABORT]


async def check(payload: bytes, code: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "captp")
    async with a_busy_host() as (host, port, results):
        before = host.view()
        calls = len(results)
        caplog.clear()

        ops = await attack(port, payload)

        assert codes_of(ops) == [code]
        assert OP_NAMES[ops[-1][0]] == "op:abort"
        while len(results) < calls + 10:
            await trio.sleep(0.001)
        after = host.view()
        assert (after.objects, after.fibers, len(after.sessions)) == (before.objects, before.fibers, 1)
        assert after.sessions[0].exports == before.sessions[0].exports
    ends = [r for r in caplog.records if r.getMessage() == "session ended" and r.captp["by"] == "this side"]  # type: ignore[attr-defined]
    assert [r.captp["code"] for r in ends] == [code]  # type: ignore[attr-defined]
    assert [r.exc_info for r in ends] == [None]
    assert results == list(range(1, len(results) + 1))


@pytest.mark.parametrize("code", BYTES)
async def test_bytes_that_are_no_message_end_their_session_with_a_reason(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    await check(BYTES[code], code, caplog)


@pytest.mark.parametrize("what", OPS)
async def test_a_message_against_the_rules_ends_its_session_with_a_reason(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    code, ops = OPS[what]
    await check(framed(*ops), code, caplog)


async def test_a_mistake_of_ours_costs_only_the_session_that_met_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def mistaken(_session: object, _op: object) -> None:
        raise KeyError("a bug")

    async with a_busy_host() as (host, port, results):
        monkeypatch.setitem(HANDLERS, BREAK, mistaken)
        calls = len(results)

        ops = await attack(port, framed((BREAK, 1, "x")))

        assert codes_of(ops) == ["internal"]
        while len(results) < calls + 10:
            await trio.sleep(0.001)
        assert len(host.view().sessions) == 1
    (failed,) = [r for r in caplog.records if r.getMessage() == "session failed"]
    assert "a bug" in str(failed.exc_info)


async def test_what_comes_before_a_hello_ends_the_session() -> None:
    async with (
        a_busy_host() as (_host, port, _results),
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        await stream.send_all(PREAMBLE + framed((CALL, 0, "fetch", (b"x" * 32,), 1, True)))
        own = codec()

        assert codes_of([op async for data in stream for op in own.feed(data)]) == ["expected-start"]


async def test_a_call_that_the_object_refuses_breaks_only_itself() -> None:
    async with a_busy_host() as (_host, port, _results):
        calls = [(CALL, 0, "fetch", (b"x" * 32,), 1, True), (CALL, 0, "no-such-method", (), 2, True)]

        ops = await attack(port, framed(*calls), framed((GC_ANSWERS, (9,))))

        assert [(OP_NAMES[op[0]], op[1]) for op in ops[:2]] == [("op:break", 1), ("op:break", 2)]
        assert codes_of(ops) == ["bad-gc"]
