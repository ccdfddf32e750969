"""Sessions of the host with Endo, by a strict model of what it reads: nothing we say is beyond it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import captp
from captp.model.keys import PrivateKey
from captp.model.locator import check_hint_names, parse_peer
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsNetlayer, TlsPort
from captp.net.unix import UnixNetlayer
from captp.net.websocket import WebsocketNetlayer
from captp.wire.canonical import location_record
from captp.wire.syrup import encode
from tests.interop.client import Host, Peer
from tests.interop.conftest import FRAMINGS, Connect
from tests.interop.endo_like import EndoReader, read_as_endo
from tests.interop.keys import Key, a_promise, an_object, export, held
from tests.interop.ocapn_host import BUILDER, ECHO, GREETER, PAIRS
from tests.interop.syrup import Sym, rec, same, write

PEER = rec("ocapn-peer", Sym("tcp-testing-only"), "x", {"host": "h", "port": "1"})
VAT_KEY = PrivateKey.from_seed(bytes(range(32)))
RAW = ["aaa", "b", "zz"]


def long_session(peer: Peer, first: Iterable[Any], values: list[Any], host: Host) -> None:
    """Have the host say everything that it can say."""
    peer.show_dialect()
    echo = peer.fetch(ECHO)
    for value in (*first, *values):
        assert peer.call_unnumbered(echo, value) == [value]
    # Calls that break, with texts and with reasons of ours.
    peer.outcome(echo, rec("what:is-this", 1))
    peer.outcome(export(0), Sym("nothing"))
    factory = held(peer.call(peer.fetch(BUILDER)))
    peer.outcome(factory, [1, 2, 3])
    car = held(peer.call(factory, [Sym("red"), Sym("racer")]))
    assert peer.call(car) == "Vroom! I am a red racer car!"
    # Questions of the host's, listening, and releases of all kinds.
    ours = peer.new_export()
    peer.send(peer.only(peer.fetch(GREETER), an_object(ours)))
    greeting = peer.serve_one(export(ours))
    peer.reply(greeting, "hello")
    promise, settler = map(held, peer.call(peer.fetch(PAIRS)))
    mine = peer.new_export()
    peer.send(peer.only(settler, Sym("fulfill"), a_promise(mine)))
    resolver = peer.listen(promise)
    listened = peer.wait(lambda m: m.label == "op:listen")
    peer.send(peer.only(promise, Sym("before"), 1))
    peer.serve_one(export(mine))
    peer.send(peer.only(held(listened.fields[1]), Sym("break"), Sym("sorry")))
    assert peer.reason(resolver) == Sym("sorry")
    # A handoff through the host, certificates included.
    key = Key()
    peer.send(peer.only(export(0), Sym("deposit-gift"), b"gift", echo))
    give = peer.give(key.raw, peer, b"gift", host.location)
    peer.outcome(export(0), Sym("withdraw-gift"), peer.withdrawal(give, key))
    peer.until(lambda: peer.dropped[ours] > 0 and peer.dropped_answers[greeting.fields[2]] > 0)


COMMON = [
    [True, 0, -5, 2**70, 1.5, 0.0, "björn", b"\0", Sym("s")],
    {"host": 1, "port": [{"k": {}}]},
    rec("desc:tagged", Sym("inch"), 3),
    rec("desc:error", "text"),
    rec("ocapn-sturdyref", PEER, b"s"),
    rec("void"),
    rec("null"),
]


@pytest.mark.parametrize("framed", FRAMINGS, ids=["raw", "framed"])
def test_nothing_in_a_long_session_with_endo_is_beyond_it(connect: Connect, host: Host, framed: bool) -> None:
    peer = connect(framed=framed, reader=EndoReader(), order="raw").open()

    long_session(peer, [dict.fromkeys(RAW, 0)], [*COMMON, {"exts": 1, "url": {"b": 1, "aa": 2}}], host)

    assert len(peer.transcript) > 30
    for data in peer.transcript:
        read_as_endo(data)


@pytest.mark.parametrize("framed", FRAMINGS, ids=["raw", "framed"])
def test_before_any_sign_only_values_that_endo_spells_otherwise_are_beyond_it(
    connect: Connect, host: Host, framed: bool
) -> None:
    peer = connect(framed=framed).open()

    long_session(peer, [], COMMON, host)

    for data in peer.transcript:
        read_as_endo(data)


def test_to_a_peer_that_has_shown_it_values_of_others_are_written_as_endo_reads_them(
    connect: Connect, host: Host
) -> None:
    """One promise, two peers that wait for it: each hears its value in its own spelling."""
    endo = connect(reader=EndoReader(), order="raw").open()
    endo.show_dialect()
    assert endo.call(endo.fetch(ECHO), dict.fromkeys(RAW, 0))
    other, key = connect().open(), Key()
    promise, settler = map(held, other.call(other.fetch(PAIRS)))
    other.send(other.only(export(0), Sym("deposit-gift"), b"p", promise))
    give = other.give(key.raw, other, b"p", host.location)
    _, theirs = endo.ask(export(0), Sym("withdraw-gift"), endo.withdrawal(give, key))

    value = [-0.0, {"b": 1, "aa": 2}]
    other.send(other.only(settler, Sym("fulfill"), value))

    assert same(other.value(other.listen(promise)), value)
    assert same(endo.value(theirs), [0.0, {"aa": 2, "b": 1}])


def test_a_symbol_that_endo_reserves_breaks_its_result_and_not_the_session(connect: Connect) -> None:
    endo = connect(reader=EndoReader(), order="raw").open()
    endo.show_dialect()
    echo = endo.fetch(ECHO)
    assert endo.call(echo, dict.fromkeys(RAW, 0))

    verb, reason = endo.outcome(echo, Sym("@@x"))

    assert verb == Sym("break")
    assert "@@" in reason.fields[0]
    assert endo.call(echo, 1) == [1]


# Signed locators are spelled alike in both orders.


def test_the_hosts_own_hint_names_are_equally_long(host: Host) -> None:
    check_hint_names(host.hints)
    fields = location_record(host.transport, host.designator, host.hints)

    assert encode(fields) == write(host.location, "raw") == write(host.location)


NETLAYERS: dict[str, Callable[[Path], Any]] = {
    "tcp": lambda _: TcpNetlayer(),
    "tls": lambda _: TlsNetlayer(VAT_KEY, TlsPort("127.0.0.1", 0)),
    "unix": lambda folder: UnixNetlayer(str(folder / "socket")),
    "websocket": lambda _: WebsocketNetlayer(VAT_KEY),
}


@pytest.mark.parametrize("name", NETLAYERS)
async def test_the_locators_of_every_netlayer_are_spelled_alike_in_both_orders(
    tmp_path: Path, name: str
) -> None:
    async with captp.open_vat(key=VAT_KEY, listen=[NETLAYERS[name](tmp_path)]) as vat:
        uri = str(vat.locators[0])
    locator = parse_peer(uri)

    check_hint_names(dict(locator.hints))
    fields = Host(uri).location
    assert write(fields, "raw") == write(fields)
