"""Which keys the netlayer websocket proves, and which challenges and answers it takes for no proof."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import RemoteProtocolError, Unreachable, WrongPeer
from captp.net import _websocket_proof as proof
from captp.net.websocket import WebsocketNetlayer
from captp.wire.canonical import sig_envelope
from captp.wire.syrup import Record, encode
from tests.trio.websocket_peer import (
    ANN,
    BINARY,
    BOB,
    CHALLENGE,
    EVE,
    NONCE,
    Stock,
    acceptor,
    frame,
    locator_of,
    open_stock,
    read,
    serving,
    signed_by,
)


async def test_a_stock_dialler_gets_the_envelope_of_its_very_challenge_and_stays_unproved() -> None:
    async with serving(ANN) as served, open_stock(served.port) as peer:
        await peer.send(CHALLENGE)
        answer = await peer.hear()

        signature = ANN.sign(CHALLENGE)
        r, s = signature[:32], signature[32:]
        signed = b"[7'sig-val[5'eddsa[1'r32:" + r + b"][1's32:" + s + b"]]]"
        assert answer == b"<17'desc:sig-envelope" + CHALLENGE + signed + b">"
        await peer.send(b"hello")
        assert await peer.hear() == b"hello"
        assert peer.subprotocol is None
        (conduit,) = served.accepted
        assert (conduit.proved, conduit.binding, conduit.local) == (None, b"", None)


async def test_a_stock_acceptor_is_proved_and_spoken_to_one_way() -> None:
    offered: list[str] = []

    async def serve(peer: Stock) -> None:
        offered.extend(peer.offered)
        challenge = await peer.hear()
        assert challenge[:21] == CHALLENGE[:21]
        assert len(challenge) == len(CHALLENGE)
        await peer.send(sig_envelope(challenge, ANN.sign(challenge)))
        await peer.send(await peer.hear())
        await peer.close_code()

    async with acceptor(serve) as port:
        conduit = await WebsocketNetlayer(BOB).dial(locator_of(ANN, port))
        conduit.send_nowait(b"2:hi")

        assert await read(conduit, 4) == b"2:hi"
        assert offered == ["captp.mutual"]
        assert (conduit.proved, conduit.binding) == (ANN.public.raw, b"")
        await conduit.aclose()


async def test_peers_of_captp_prove_both_keys_and_have_another_binding_each_time() -> None:
    async with serving(ANN) as served:
        one = await WebsocketNetlayer(BOB).dial(locator_of(ANN, served.port))
        two = await WebsocketNetlayer(BOB).dial(locator_of(ANN, served.port))
        for conduit in (one, two):
            conduit.send_nowait(b"2:hi")
            assert await read(conduit, 4) == b"2:hi"

        assert [c.proved for c in served.accepted] == [BOB.public.raw] * 2
        assert {c.binding for c in served.accepted} == {one.binding, two.binding}
        assert len({one.binding, two.binding}) == 2
        assert {len(one.binding), len(two.binding)} == {32}
        await one.aclose()
        await two.aclose()


def changed(envelope: bytes) -> bytes:
    """Change one bit of the signature, whose last byte stands before ``]]]>``."""
    return envelope[:-5] + bytes([envelope[-5] ^ 1]) + envelope[-4:]


BAD_ANSWERS: dict[str, Callable[[bytes], bytes]] = {
    "another key": lambda sent: signed_by(EVE, sent),
    "another challenge": lambda _: signed_by(ANN, CHALLENGE),
    "the right signature on another record": lambda sent: sig_envelope(CHALLENGE, ANN.sign(sent)),
    "another label": lambda sent: signed_by(ANN, sent.replace(b"init:peer-auth", b"evil:peer-auth")),
    "a changed signature": lambda sent: changed(signed_by(ANN, sent)),
    "a byte too many": lambda sent: signed_by(ANN, sent) + b" ",
    "no envelope": lambda sent: sent,
    "no Syrup": lambda _: b"\xff",
    "nothing": lambda _: b"",
    "as long as may be": lambda _: b"x" * proof.PROOF_BYTES,
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_a_dialler_takes_no_answer_but_the_proof_it_asked_for(name: str) -> None:
    codes: list[int] = []

    async def serve(peer: Stock) -> None:
        await peer.send(BAD_ANSWERS[name](await peer.hear()))
        codes.append(await peer.close_code())

    async with acceptor(serve) as port:
        with pytest.raises(WrongPeer, match=r"somebody else answered at 127\.0\.0\.1:\d+: expected"):
            await WebsocketNetlayer(BOB).dial(locator_of(ANN, port))
        await trio.testing.wait_all_tasks_blocked()

    assert codes == [1008]


async def test_a_dialler_reads_no_answer_over_the_limit() -> None:
    async def serve(peer: Stock) -> None:
        await peer.hear()
        await peer.send(b"x" * (proof.PROOF_BYTES + 1))
        await peer.close_code()

    async with acceptor(serve) as port:
        with pytest.raises(Unreachable, match="over the limit of 512 bytes") as caught:
            await WebsocketNetlayer(BOB).dial(locator_of(ANN, port))
    assert not isinstance(caught.value, WrongPeer)


BAD_CHALLENGES = {
    "31 bytes": b"<14'init:peer-auth31:" + bytes(31) + b">",
    "33 bytes": b"<14'init:peer-auth33:" + bytes(33) + b">",
    "another label": b"<14'evil:peer-auth32:" + bytes(32) + b">",
    "the label of the other challenge": proof.counter_challenge(bytes(32)),
    "two fields": b"<14'init:peer-auth32:" + bytes(32) + b"32:" + bytes(32) + b">",
    "a spelling that is not canonical": b"<14'init:peer-auth032:" + bytes(32) + b">",
    "a byte too many": CHALLENGE + b" ",
    "a byte too few": CHALLENGE[:-1],
    "what a Goblins of old sends": bytes(64),
    "a location to sign": b"<11'my-location<10'ocapn-peer9'websocket1\"xf>>",
    "nothing": b"",
    "as long as may be": b"x" * proof.PROOF_BYTES,
}


@pytest.mark.parametrize("name", BAD_CHALLENGES)
async def test_an_acceptor_signs_nothing_but_a_challenge(name: str) -> None:
    async with serving(ANN) as served, open_stock(served.port) as peer:
        await peer.send(BAD_CHALLENGES[name])

        assert await peer.close_code() == 1008
        assert served.accepted == []


@pytest.mark.parametrize("is_mutual", [False, True])
async def test_an_acceptor_reads_no_challenge_over_the_limit(is_mutual: bool) -> None:
    async with serving(ANN) as served, open_stock(served.port, mutual=is_mutual) as peer:
        if is_mutual:
            await peer.send(CHALLENGE)
            await peer.hear()
            await peer.hear()
        await peer.raw(frame(BINARY, b"", length=proof.PROOF_BYTES + 1))

        assert await peer.close_code() == 1009
        assert served.accepted == []


def proof_record(counter: bytes, dialler: str, to: str, sent: bytes = NONCE) -> bytes:
    return encode(Record("captp:peer-proof", (sent, counter[-33:-1], dialler, to)))


_ann, _bob, _eve = (key.public.designator for key in (ANN, BOB, EVE))
BAD_PROOFS: dict[str, Callable[[bytes], bytes]] = {
    "meant for another acceptor": lambda c: signed_by(BOB, proof_record(c, _bob, _eve)),
    "with another challenge of the acceptor": lambda c: signed_by(
        BOB, proof_record(proof.counter_challenge(NONCE), _bob, _ann)
    ),
    "with another challenge of the dialler": lambda c: signed_by(BOB, proof_record(c, _bob, _ann, bytes(32))),
    "with the right signature on another record": lambda c: sig_envelope(
        proof_record(c, _bob, _eve), BOB.sign(proof_record(c, _bob, _ann))
    ),
    "in somebody else's name": lambda c: signed_by(EVE, proof_record(c, _bob, _ann)),
    "in the acceptor's name": lambda c: signed_by(EVE, proof_record(c, _ann, _ann)),
    "in nobody's name": lambda c: signed_by(BOB, proof_record(c, "bob", _ann)),
    "by a key of small order": lambda c: sig_envelope(
        proof_record(c, "aeaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", _ann), bytes(64)
    ),
    "of the challenge alone": lambda c: signed_by(BOB, c),
    "with another label": lambda c: signed_by(
        BOB, proof_record(c, _bob, _ann).replace(b"captp:peer-proof", b"captp:peer-trick")
    ),
    "as an acceptor proves itself": lambda c: signed_by(BOB, CHALLENGE),
    "with a changed signature": lambda c: changed(signed_by(BOB, proof_record(c, _bob, _ann))),
    "with a byte too many": lambda c: signed_by(BOB, proof_record(c, _bob, _ann)) + b" ",
    "without a signature": lambda c: proof_record(c, _bob, _ann),
    "as long as may be": lambda c: b"x" * proof.PROOF_BYTES,
}


async def prove(peer: Stock, answer: Callable[[bytes], bytes]) -> bytes:
    """Do the whole proof as dialler, the last message as told; give the acceptor's challenge."""
    await peer.send(CHALLENGE)
    assert await peer.hear() == signed_by(ANN, CHALLENGE)
    counter = await peer.hear()
    assert counter[:27] == b"<20'captp:peer-challenge32:"
    await peer.send(answer(counter))
    return counter


@pytest.mark.parametrize("name", BAD_PROOFS)
async def test_an_acceptor_takes_no_proof_but_the_one_for_this_connection(name: str) -> None:
    async with serving(ANN) as served, open_stock(served.port, mutual=True) as peer:
        await prove(peer, BAD_PROOFS[name])

        assert await peer.close_code() == 1008
        assert served.accepted == []


async def test_a_dialler_by_hand_proves_itself_in_a_message_of_the_length_that_is_said() -> None:
    async with serving(ANN) as served, open_stock(served.port, mutual=True) as peer:
        answer = lambda counter: signed_by(BOB, proof_record(counter, _bob, _ann))  # noqa: E731
        counter = await prove(peer, answer)
        await peer.send(b"hello")
        assert await peer.hear() == b"hello"

        assert peer.subprotocol == "captp.mutual"
        assert len(answer(counter)) <= proof.PROOF_BYTES
        assert [c.proved for c in served.accepted] == [BOB.public.raw]


async def test_a_proof_replayed_on_another_connection_is_refused() -> None:
    def answer(counter: bytes) -> bytes:
        return signed_by(BOB, proof_record(counter, _bob, _ann))

    async with serving(ANN) as served:
        async with open_stock(served.port, mutual=True) as peer:
            counter = await prove(peer, answer)
        async with open_stock(served.port, mutual=True) as peer:
            await prove(peer, lambda _: answer(counter))
            assert await peer.close_code() == 1008

        assert len(served.accepted) == 1


async def test_an_acceptor_that_passes_a_proof_on_to_another_one_gains_nothing() -> None:
    codes: list[int] = []

    async def relay(peer: Stock) -> None:
        await peer.accept(mutual=True)
        async with open_stock(served.port, mutual=True) as onward:
            challenge = await peer.hear()
            await peer.send(signed_by(EVE, challenge))
            await onward.send(challenge)
            await onward.hear()
            await peer.send(await onward.hear())
            await onward.send(await peer.hear())
            codes.append(await onward.close_code())

    async with serving(ANN) as served, acceptor(relay, is_asked=True) as port:
        conduit = await WebsocketNetlayer(BOB).dial(locator_of(EVE, port))
        assert await conduit.receive() == b""

        assert codes == [1008]
        assert served.accepted == []
        await conduit.aclose()


async def test_an_acceptor_with_a_bad_challenge_of_its_own_gets_no_signature() -> None:
    heard: list[int] = []

    async def serve(peer: Stock) -> None:
        await peer.accept(mutual=True)
        await peer.send(signed_by(ANN, await peer.hear()))
        await peer.send(CHALLENGE)
        heard.append(await peer.close_code())

    async with acceptor(serve, is_asked=True) as port:
        with pytest.raises(WrongPeer, match="captp:peer-challenge"):
            await WebsocketNetlayer(BOB).dial(locator_of(ANN, port))
        await trio.testing.wait_all_tasks_blocked()
    assert heard == [1008]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_pass_for_a_proof(data: bytes) -> None:
    for check in (
        proof.check_challenge,
        proof.check_counter,
        partial(proof.check_envelope, sent=CHALLENGE, wanted=ANN.public),
        partial(proof.accept_proof, own=ANN.public, received=CHALLENGE, counter=CHALLENGE),
    ):
        with pytest.raises(RemoteProtocolError):
            check(data)
