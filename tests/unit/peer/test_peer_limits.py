"""Bounds that a peer meets call by call: listeners, promises behind promises, rings, guesses."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

import captp
from captp.errors import Broken, NotFound, Overloaded
from captp.limits import Limits
from captp.model.current import CURRENT_VAT
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.values import Symbol
from captp.peer.bootstrap import DELAY_S, MINUTE_S
from captp.session.handshake import Channel, make_hello
from captp.sim.names import Names
from captp.wire.dialect import SyrupCodec
from captp.wire.ops import ABORT, DELIVER, Desc, Kind, Op
from tests.unit.peer.pair import Counter, Host, Net, Shop, outcome, pair


class Stranger:
    """A hand-made OCapN peer of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._codec = SyrupCodec(Names(), Limits(), None)
        key = PrivateKey.from_seed(b"stranger".ljust(32))
        channel = Channel(key.public.raw, b"", "sim")
        place = PeerLocator.make("sim", key.public.designator, {"node": "far"})
        self.conn = host.peer.router.new_conn()
        host.peer.connected(self.conn, channel, host.net.now)
        self.say(make_hello(PrivateKey.from_seed(b"session".ljust(32)), place, None, channel))

    def say(self, *ops: Op) -> list[Op]:
        """Send operations; return what is answered at once."""
        peer = self.host.peer
        peer.received(self.conn, self._codec.frame([self._codec.encode(op) for op in ops]), self.host.net.now)
        token = CURRENT_VAT.set(peer.vat)
        try:
            peer.run(1_000)
        finally:
            CURRENT_VAT.reset(token)
        written = [o.data for o in peer.drain().outputs if getattr(o, "conn", None) == self.conn
                   and hasattr(o, "data")]  # fmt: skip
        return list(self._codec.feed(b"".join(written)))

    def fetch(self, swiss: bytes) -> int:
        """Return the position of what a swiss number gives."""
        resolver = Desc(Kind.IMPORT_OBJECT, 1)
        (answer,) = self.say((DELIVER, Desc(Kind.EXPORT, 0), (Symbol("fetch"), swiss), False, resolver))
        position: int = answer[2][1].position
        return position


def test_a_call_with_a_resolver_and_no_position_is_not_taken_for_dropped() -> None:
    it = pair()
    stranger = Stranger(it.b)
    target = stranger.fetch(it.sturdyref.swiss)

    said = stranger.say(
        (DELIVER, Desc(Kind.EXPORT, target), (Symbol("never"),), False, Desc(Kind.IMPORT_OBJECT, 2))
    )

    assert said == []
    assert len(it.b.vat.turns.fibers) == 1


def test_calls_with_a_resolver_only_are_taken_up_to_the_limit_and_end_the_session_beyond_it() -> None:
    net = Net()
    host = net.host(2, Limits(listeners=3))
    stranger = Stranger(host)
    target = stranger.fetch(host.mint(Counter()).swiss)
    call = (DELIVER, Desc(Kind.EXPORT, target), (Symbol("never"),), False, Desc(Kind.IMPORT_OBJECT, 2))

    assert [stranger.say(call) for _ in range(3)] == [[], [], []]
    ((code, reason),) = stranger.say(call)

    assert code == ABORT
    assert reason.startswith("too-many-listeners")


class Slow(captp.Object, Shop):
    """Answers with a promise."""

    promise: Any = None

    @captp.method
    def add(self, number: int) -> int:
        return number

    @captp.method
    def me(self) -> Shop:
        return self.promise  # type: ignore[no-any-return]

    @captp.method
    def give_back(self, what: Any) -> Any:
        return what

    @captp.method
    def keep(self, what: Any) -> None:
        """Keep nothing."""

    @captp.method
    async def never(self) -> Any:
        await captp.sleep(1e9)


def test_calls_on_results_of_calls_that_wait_go_so_deep_and_no_deeper() -> None:
    it = pair(theirs=Limits(pipeline_depth=3))
    promise, _resolver = it.b.vat.promise()
    ref = it.a.want(it.a.enliven(it.b.mint(Slow(promise=promise)), Shop))
    it.net.rest()

    chain = [outcome(ref).me()]
    for _ in range(4):
        chain.append(chain[-1].me())
    for one in chain:
        it.a.want(one)
    it.net.rest()

    # The first is the promise itself; three calls wait one behind the other, and the fourth breaks.
    assert [getattr(p, "settled", True) for p in chain] == [False, False, False, False, True]
    with pytest.raises(Overloaded, match="3 deep"):
        outcome(chain[4])


def test_a_chain_of_promises_may_be_so_long_and_no_longer() -> None:
    it = pair(limits=Limits(resolution_chain=3))

    def follower_of_a_chain(length: int) -> Any:
        made = [it.a.vat.promise() for _ in range(length + 1)]
        # From its end, so that each promise already leads others when it begins to follow.
        for (_, resolver), (leader, _) in pairwise(made):
            resolver.fulfill(leader)
        last, resolver = it.a.vat.promise()
        resolver.fulfill(made[0][0])
        it.a.run()
        return last

    assert not follower_of_a_chain(3).settled
    with pytest.raises(Broken, match="promise-cycle"):
        outcome(follower_of_a_chain(4))


def test_guesses_beyond_some_in_a_minute_are_answered_later_and_no_differently() -> None:
    it = pair(theirs=Limits(fetch_delay_after=2))
    wrong = SturdyRef(it.sturdyref.peer, b"wrong")

    def guess() -> Any:
        made = it.a.want(it.a.enliven(wrong, Shop))
        it.net.rest()
        return made

    def problem(promise: Any) -> tuple[type, str]:
        with pytest.raises(NotFound) as found:
            outcome(promise)
        return type(found.value), str(found.value)

    early, late = [guess(), guess()], guess()
    assert [promise.settled for promise in (*early, late)] == [True, True, False]
    it.net.wait(DELAY_S)
    assert {problem(p) for p in (*early, late)} == {problem(late)}

    it.net.wait(MINUTE_S)
    assert guess().settled
