"""Guessing swiss numbers: nothing is ever hit, and every answer has the same bytes but for its position."""

from __future__ import annotations

import hashlib
import re
from random import Random

import pytest

from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.model.values import Symbol
from captp.peer.outputs import Write
from captp.session.handshake import Channel, make_hello
from captp.sim.names import Names
from captp.wire.dialect import SyrupCodec
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import CALL, DELIVER, GC_ANSWERS, Desc, Kind, Op
from tests.unit.peer.pair import Counter, Host, Net

#: Guesses in one batch, each at the answer position that it has in every other batch.
BATCH = 500

PATIENT = Limits(fetch_failures=10**9, fetch_delay_after=10**9)


class Guesser:
    """A hand-made peer that fetches what it does not know."""

    def __init__(self, host: Host, *, native: bool) -> None:
        self.host, self.native = host, native
        self.codec = NativeCodec(Names(), Limits()) if native else SyrupCodec(Names(), Limits(), False)
        if isinstance(self.codec, SyrupCodec):
            self.codec.vocabulary = "d2"
        key = PrivateKey.from_seed(b"guesser".ljust(32))
        channel = Channel(key.public.raw, b"", "sim")
        place = PeerLocator.make("sim", key.public.designator, {"node": "far"})
        self.conn = host.peer.router.new_conn()
        host.peer.connected(self.conn, channel, host.net.now)
        session_key = PrivateKey.from_seed(b"session".ljust(32))
        hello = make_hello(session_key, place, ("mp1",) if native else None, channel)
        self.say([hello], prefix=PREAMBLE if native else b"")

    def say(self, ops: list[Op], prefix: bytes = b"") -> bytes:
        """Send operations; return the bytes of what is answered."""
        peer = self.host.peer
        data = prefix + self.codec.frame([self.codec.encode(op) for op in ops])
        peer.received(self.conn, data, self.host.net.now)
        peer.run(10_000)
        return b"".join(output.data for output in peer.drain().outputs if type(output) is Write)

    def guess(self, swisses: list[bytes]) -> bytes:
        """Fetch each of some swiss numbers, and let go of the answers; return the bytes of the answers."""
        ops: list[Op] = []
        for position, swiss in enumerate(swisses, start=1):
            if self.native:
                ops.append((CALL, 0, "fetch", (swiss,), position, True))
            else:
                resolver = Desc(Kind.IMPORT_OBJECT, position)
                ops.append((DELIVER, Desc(Kind.EXPORT, 0), (Symbol("fetch"), swiss), position, resolver))
        answered = self.say(ops)
        positions = tuple(range(1, len(swisses) + 1))
        self.say([(GC_ANSWERS, positions)])
        # What it releases meanwhile is another matter.
        messages = [answered] if self.native else re.split(rb"(?=<[0-9]+'op:)", answered)
        return b"".join(m for m in messages if b"op:gc-exports" not in m)


def near_misses(swiss: bytes, draw: Random) -> list[bytes]:
    """Return a batch of guesses: at random, and the right number but for its last bytes."""
    guesses = [draw.randbytes(32) for _ in range(BATCH - 60)]
    guesses += [swiss[:size] + draw.randbytes(32 - size) for size in range(31)]
    return [*guesses, *(swiss[:size] for size in range(29))]


def guess_all(count: int, *, native: bool) -> None:
    draw = Random(20)
    net = Net()
    host = net.host(2, PATIENT)
    secret = host.mint(Counter()).swiss
    guesser = Guesser(host, native=native)
    # Only then an OCapN peer has shown its dialect.
    guesser.guess(near_misses(secret, draw))
    kinds = set()
    for _ in range(count // BATCH):
        answers = guesser.guess(near_misses(secret, draw))
        kinds.add(hashlib.sha256(answers).hexdigest())

    # A hit would be an import in place of an error, and its batch another one.
    assert len(kinds) == 1
    assert guesser.guess([secret]) != guesser.guess([secret[:-1] + b"?"])
    assert host.peer.router.links[guesser.conn].session.is_open


@pytest.mark.parametrize("native", [True, False], ids=["native", "syrup"])
def test_ten_thousand_guesses_hit_nothing_and_sound_the_same(native: bool) -> None:
    guess_all(10_000, native=native)


@pytest.mark.slow
def test_a_million_guesses_hit_nothing_and_sound_the_same() -> None:
    guess_all(1_000_000, native=True)
