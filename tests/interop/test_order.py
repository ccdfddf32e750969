"""Messages on one reference arrive in the order sent, also when the way to it becomes shorter."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
import trio

import captp
from captp.model.locator import PeerLocator, SturdyRef
from captp.net.tcp import TcpNetlayer
from tests.interop.client import TRANSPORT, Aborted, Ended, Listener, Peer
from tests.interop.keys import a_promise, an_object, answer, export, held, is_call
from tests.interop.ocapn_host import ECHO, PAIRS
from tests.interop.syrup import Rec, Sym, rec


def pair(peer: Peer) -> tuple[Rec, Rec]:
    promise, settler = map(held, peer.call(peer.fetch(PAIRS)))
    return promise, settler


def arrived(peer: Peer, ours: int, count: int) -> list[Any]:
    return [peer.serve_one(export(ours)).fields[1] for _ in range(count)]


def test_calls_before_and_after_a_promise_settles_arrive_in_order(peer: Peer) -> None:
    promise, settler = pair(peer)
    ours = peer.new_export()

    peer.send(
        *[peer.only(promise, n) for n in range(3)],
        peer.only(settler, Sym("fulfill"), an_object(ours)),
        *[peer.only(promise, n) for n in range(3, 6)],
    )

    assert arrived(peer, ours, 6) == [[n] for n in range(6)]


def test_calls_through_a_chain_of_promises_arrive_in_order(peer: Peer) -> None:
    first, settle_first = pair(peer)
    second, settle_second = pair(peer)
    ours = peer.new_export()

    peer.send(
        peer.only(first, 0),
        peer.only(settle_first, Sym("fulfill"), second),
        peer.only(first, 1),
        peer.only(second, 2),
        peer.only(settle_second, Sym("fulfill"), an_object(ours)),
        peer.only(first, 3),
        peer.only(second, 4),
    )

    calls = arrived(peer, ours, 5)
    assert [c for c in calls if c[0] in (0, 1, 3)] == [[0], [1], [3]]
    assert [c for c in calls if c[0] in (2, 4)] == [[2], [4]]


def test_calls_through_a_promise_of_ours_arrive_in_order(peer: Peer) -> None:
    """The host's promise follows ours, which becomes an object of ours."""
    promise, settler = pair(peer)
    ours, target = peer.new_export(), peer.new_export()
    peer.send(peer.only(settler, Sym("fulfill"), a_promise(ours)), *[peer.only(promise, n) for n in range(3)])
    peer.listen(promise)
    listen = peer.wait(lambda m: m.label == "op:listen")
    early = [peer.serve_one(export(ours)) for _ in range(3)]

    peer.send(peer.only(held(listen.fields[1]), Sym("fulfill"), an_object(target)))
    peer.send(*[peer.only(promise, n) for n in range(3, 6)])
    for call in early:
        if len(call.fields) > 2 and type(call.fields[3]) is Rec:
            peer.reply(call, True)

    late = [peer.wait(lambda m: is_call(m, export(ours)) or is_call(m, export(target))) for _ in range(3)]
    assert [call.fields[1] for call in early + late] == [[n] for n in range(6)]


def test_pipelined_calls_come_before_those_to_what_the_answer_became(peer: Peer) -> None:
    """A settler settles once: had the second come first, its value would be there."""
    made = answer(peer.ask(peer.fetch(PAIRS))[0])
    steps = [peer.new_answer(), peer.new_answer()]
    peer.send(*[rec("op:index", made, n, step) for n, step in enumerate(steps)])
    promise, settler = map(answer, steps)
    known = peer.listen(settler)

    peer.send(peer.only(settler, Sym("fulfill"), "pipelined"))
    peer.send(peer.only(held(peer.value(known)), Sym("fulfill"), "direct"))

    assert peer.value(peer.listen(promise)) == "pipelined"


def test_results_of_calls_to_one_object_come_in_the_order_of_the_calls(peer: Peer) -> None:
    echo = peer.fetch(ECHO)
    resolvers = [peer.ask(echo, n)[1] for n in range(30)]

    peer.value(resolvers[-1])

    calls = [m for m in peer.inbox if m.label.startswith("op:deliver")]
    settled = [call.fields[0].fields[0] for call in calls]
    assert [p for p in settled if p in resolvers] == resolvers[:-1]


class Log(captp.Object):
    """Notes what it is told, in order."""

    said: captp.List[int]

    @captp.method
    def note(self, number: int) -> None:
        self.said.append(number)


@pytest.mark.parametrize("framed", [False, True], ids=["raw", "framed"])
@pytest.mark.parametrize("dialect", ["d0", "d1", "d2"])
async def test_a_call_on_a_promise_comes_before_one_on_what_was_awaited(
    listener: Listener, dialect: str, framed: bool
) -> None:
    """Our vat calls p, awaits p, and calls the result, which is near: the first is still on its way back."""
    name, log = uuid4().hex, Log(said=[])
    host, port = listener.socket.getsockname()
    locator = PeerLocator.make(TRANSPORT, name, {"host": host, "port": str(port)})

    def serve() -> None:
        options: dict[str, Any] = {"dialect": dialect, "framed": framed}
        with listener.accept(**options, location=listener.location(name)) as peer:
            peer.expect_hello()
            peer.send(peer.hello())
            peer.new_export()
            peer.show_dialect()
            fetch = peer.serve_one(export(0))
            bring = peer.serve_one(answer(fetch.fields[2]))
            peer.reply(fetch, an_object(5))
            near, promised = held(bring.fields[1][1]), answer(bring.fields[2])
            detours = [peer.serve_one(promised)]
            peer.reply(bring, near)
            # Whatever the vat would do too early, it does now.
            peer.drain(0.2)
            while detours:
                call = detours.pop()
                peer.reply(call, peer.call_unnumbered(near, *call.fields[1]))
                with suppress(TimeoutError, Ended, Aborted):
                    detours.append(peer.serve_one(promised, patience=0.2))

    with trio.fail_after(10):
        async with (
            trio.open_nursery() as nursery,
            captp.open_vat(netlayers=[TcpNetlayer(framed=framed)]) as vat,
        ):
            nursery.start_soon(trio.to_thread.run_sync, serve)
            bringer = vat.enliven(SturdyRef(locator, b"bringer"))
            promise = captp.E(bringer).bring(log)
            captp.E(promise).note(1)
            result = await promise
            await captp.E(result).note(2)

    assert list(log.said) == [1, 2]
