"""Whoever proved nothing where proof is usual gets a session, and no claim to the name it gives itself."""

from __future__ import annotations

from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.peer.view import view_of
from captp.session.handshake import Channel, make_hello
from captp.sim.names import Names
from captp.wire.dialect import SyrupCodec
from captp.wire.ops import ABORT, START, Op
from tests.unit.peer.pair import Counter, Host, Pair, Shop, outcome, pair


def say_hello(host: Host, designator: str, proved: bytes | None, seed: int) -> tuple[int, list[Op]]:
    """Come in over a websocket under a name; return the connection and what was answered."""
    channel, codec = Channel(proved, b"", "websocket", True), SyrupCodec(Names(), Limits(), True)
    place = PeerLocator.make("websocket", designator, {"url": "ws://127.0.0.1:1/"})
    hello = make_hello(PrivateKey.from_seed(bytes([seed]) * 32), place, None, channel)
    conn = host.peer.router.new_conn()
    host.peer.connected(conn, channel, host.net.now)
    host.peer.received(conn, codec.frame([codec.encode(hello)]), host.net.now)
    host.peer.run(100)
    written = b"".join(o.data for o in host.peer.drain().outputs if getattr(o, "conn", None) == conn
                       and hasattr(o, "data"))  # fmt: skip
    return conn, list(codec.feed(written))


def claimed(it: Pair) -> str:
    return it.a.peer.designator


def test_a_stranger_under_another_s_name_does_not_become_that_peer() -> None:
    it = pair()

    conn, said = say_hello(it.b, claimed(it), None, seed=7)

    assert [op[0] for op in said] == [START]
    link = it.b.peer.router.links[conn]
    assert link.is_anonymous
    assert link not in it.b.peer.router.live.values()
    ref = it.a.want(it.a.enliven(it.b.mint(Counter()), Shop))
    it.net.rest()
    assert outcome(ref) is not None
    assert [s.peer for s in view_of(it.b.peer).sessions if s.conn == conn] == [""]


def test_two_strangers_under_one_name_have_a_session_each() -> None:
    it = pair()

    answers = [say_hello(it.b, claimed(it), None, seed=seed)[1] for seed in (7, 8)]

    assert [[op[0] for op in said] for said in answers] == [[START], [START]]


def test_with_a_proof_the_name_must_be_that_of_the_key() -> None:
    it = pair()
    stranger = PrivateKey.from_seed(b"9" * 32).public

    _, as_another = say_hello(it.b, claimed(it), stranger.raw, seed=7)
    conn, as_itself = say_hello(it.b, stranger.designator, stranger.raw, seed=8)

    assert [op[0] for op in as_another] == [ABORT]
    assert as_another[0][1].startswith("identity")
    assert [op[0] for op in as_itself] == [START]
    assert it.b.peer.router.live["websocket", stranger.designator].conn == conn
