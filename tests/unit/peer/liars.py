"""A peer whose collector says what a test spells: its vat, its session and its codec are real."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any, TypeVar

import captp
from captp.cycles import Cycles
from captp.model.promise import Message
from captp.model.ref import Ref, view
from captp.peer.bootstrap import CYCLES
from captp.peer.cycles import statements
from captp.peer.cycles.signing import Signing
from captp.peer.cycles.words import TOKEN, TRACE, Confirm, End, Hello, Query, read, runs
from tests.unit.peer.pair import Host, Net, outcome
from tests.unit.peer.test_cycles import Cell, ask, quicken

#: Seconds after which a quick collector knows that nothing of its own reaches what a liar holds.
KNOWN_S = 2.0

#: Of which the tokens of all that a liar asks about are made.
SEED = bytes(16)

W = TypeVar("W")


def token(number: int) -> bytes:
    return number.to_bytes(TOKEN, "big")


def name(number: int) -> bytes:
    """Return the name of a trace that nobody can end."""
    return sha256(b"%d" % number).digest()[:TRACE]


def set_cycles(host: Host, **settings: Any) -> None:
    """Give a host's collector other settings; what it knows of its peers stays."""
    cycles = host.peer.cycles
    made = Cycles(**{"age": 1.0, "tick": 0.25, **settings})
    cycles.settings = cycles.survey.settings = cycles.collector.settings = made


class Liar:
    """It holds cells of a victim's, is held by them, and says and hears words by hand."""

    def __init__(self, net: Net | None = None, victim: Host | None = None, **settings: Any) -> None:
        self.net = net or Net()
        self.host = self.net.host(len(self.net.hosts) + 1)
        if victim is None:
            victim = self.net.host(len(self.net.hosts) + 1)
            quicken(victim)
            set_cycles(victim, **settings)
        self.victim = victim
        self.heard: list[Any] = []
        self.host.peer.cycles.heard = self._hear  # type: ignore[method-assign]
        self.host.peer.cycles.tick = lambda _now: None  # type: ignore[method-assign]
        #: What the victim gives to all, and keeps.
        self.root = Cell()
        self.maker = self.fetch(self.victim.mint(self.root))
        self.signing = Signing(os.urandom)
        self.key = self.signing.make()
        self.cells: list[Any] = []
        self.mine: list[Cell] = []
        #: Promises of calls that are to be answered late, if at all.
        self.late: list[Any] = []
        self.say(Hello(self.key))

    def _hear(self, _link: Any, word: tuple[Any, ...]) -> None:
        self.heard.append(read(word))

    def fetch(self, sturdyref: Any) -> Any:
        """Return what a sturdyref of the victim's names."""
        promise = self.host.want(self.host.enliven(sturdyref))
        self.net.rest()
        return outcome(promise)

    @property
    def link(self) -> Any:
        """Its link to the victim."""
        return self.net.link(self.host, self.victim)

    @property
    def machine(self) -> Any:
        """The victim's collector."""
        return self.victim.peer.cycles.collector

    def tie(self, count: int = 1) -> None:
        """Hold cells of the victim's that hold cells of its own, and wait until the victim knows that."""
        for _ in range(count):
            made = ask(self.net, captp.E(self.maker).make())
            mine = Cell()
            ask(self.net, captp.E(made).hold(mine))
            self.cells.append(made)
            self.mine.append(mine)
        self.net.wait(KNOWN_S)

    def position(self, number: int = 0) -> int:
        """Return where the victim holds one of its own cells."""
        by_anchor = self.link.session.tables.by_anchor
        return int(by_anchor[id(self.mine[number])].position)

    def say(self, word: Any) -> None:
        """Say one word, right or wrong, and let everything come to rest."""
        self.put(word)
        self.net.rest()

    def put(self, word: Any) -> None:
        """Say one word, which leaves with what is said next."""
        said = word if type(word) is tuple else word.wire()
        bootstrap = view(self.host.vat, self.link.session.bootstrap, Ref)
        self.host.vat.emit(Message(bootstrap, CYCLES, said, None, None))
        if not self.host.vat.awake:
            self.host.vat.ring()

    def query(self, trace: bytes, number: int = 0, *, cells: int = 1, **more: Any) -> None:
        """Ask about some of its own cells."""
        asked = runs([self.position(at) for at in range(cells)])
        numbers = {"hops": 8, "milliseconds": 5000, "budget": 1000, "seed": SEED, "runs": asked, **more}
        self.say(Query(trace, number, **numbers))

    def freeze(self, trace: bytes = name(0), cells: int = 1) -> None:
        """Have the victim freeze its cells by a digest that came before the claims."""
        self.query(trace, cells=cells)
        self.say(Confirm(trace, statements.digest(())))

    def said(self, kind: type[W]) -> list[W]:
        """Return the words of a kind that the victim said to it."""
        return [word for word in self.heard if type(word) is kind]

    def end(self, key: bytes, trace: bytes) -> None:
        """End a trace that it began."""
        self.say(End(trace, key, self.signing.sign(key, statements.over(trace))))


def signing() -> Signing:
    """Return what makes keys and signs."""
    return Signing(os.urandom)
