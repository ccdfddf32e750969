"""The vats, the sessions between them and the clock; it knows no program and drives nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random

from attrs import define, field

from captp.cycles import Cycles
from captp.limits import Limits
from captp.peer.cycles.collector import Collector
from captp.sim.cycles.ground import VatGround
from captp.sim.cycles.oracle import Reached
from captp.sim.cycles.seals import Registry, Seals
from captp.sim.cycles.tables import Table
from captp.sim.cycles.values import Message, Said, Side
from captp.sim.cycles.vat import Vat

#: Waits that fit into worlds which live for some seconds.
QUICK = Cycles(
    age=0.05, backoff_max=8.0, deadline=2.0, hold=2.0, linger=0.1, give_way=0.2, memory=4.0, thaw=0.25
)


@define(eq=False)
class Link:
    """One session: what is under way to each end."""

    queues: dict[int, deque[Message]]


@define(eq=False)
class World:
    """Everything there is."""

    count: int
    settings: Cycles = QUICK
    #: Vats that know nothing of collectors.
    stock: frozenset[int] = frozenset()
    #: Vats that answer from old summaries.
    old: frozenset[int] = frozenset()
    #: Drawn from by everybody.
    random: Random = field(factory=lambda: Random(0))
    now: float = 0.0
    vats: list[Vat] = field(init=False)
    links: dict[int, Link] = field(factory=dict)
    last_link: int = 0
    #: Sessions of liars that have crashed: what they said may be on its way, or be held back, still.
    lied: set[int] = field(factory=set)
    #: Ends of lost sessions whose vats have not seen it yet.
    lost: list[tuple[Vat, Side]] = field(factory=list)
    counts: Counter[str] = field(factory=Counter)
    registry: Registry = field(factory=Registry)
    #: What lived when the first honest vat stood still, by trace and digest.
    instants: dict[tuple[bytes, bytes], Reached] = field(factory=dict)
    limits: Limits = field(factory=Limits)
    #: Called with each word that a collector says.
    tap: Callable[[Vat, Side, Said], None] | None = None

    def __attrs_post_init__(self) -> None:
        self.vats = [self.boot(index, 0) for index in range(self.count)]

    @property
    def has_liars(self) -> bool:
        """Whether anybody here lies, or did until it crashed."""
        return bool(self.lied) or any(vat.liar is not None for vat in self.vats)

    def is_liars(self, side: Side) -> bool:
        """Tell whether what came over a session came from a liar."""
        return side.number in self.lied or self.vats[side.peer].liar is not None

    def boot(self, index: int, boot: int) -> Vat:
        """Return a vat that has nothing."""
        vat = Vat(index, boot)
        vat.is_stock = index in self.stock
        vat.ground = VatGround(vat, self.stock, is_old=index in self.old)
        vat.seals = Seals(self.registry, f"{index} {boot}")
        vat.collector = Collector(vat.ground, vat.seals, self.jitter, self.settings, self.limits)
        return vat

    def jitter(self) -> float:
        """Return how much longer or shorter a wait is."""
        return 0.5 + self.random.random()

    def connect(self, a: int, b: int) -> Side:
        """Open a session between two vats; return it as ``a`` names it."""
        self.last_link += 1
        number = self.last_link
        self.links[number] = Link({a: deque(), b: deque()})
        self.vats[a].tables[Side(b, number)] = Table()
        self.vats[b].tables[Side(a, number)] = Table()
        return Side(b, number)

    def session(self, vat: Vat, peer: int) -> Side:
        """Return a session with a peer, new if there was none."""
        return vat.side(peer) or self.connect(vat.index, peer)

    def is_up(self, index: int) -> bool:
        """Whether a vat can be reached."""
        return not self.vats[index].is_dead

    def send(self, vat: Vat, side: Side, message: Message) -> None:
        """Put a message into the queue of its session, unless that is lost."""
        link = self.links.get(side.number)
        if link is not None and side in vat.tables:
            link.queues[side.peer].append(message)

    def busy(self) -> list[tuple[int, int]]:
        """Return where something is under way: the session and the receiver."""
        return [(n, to) for n, link in self.links.items() for to, queue in link.queues.items() if queue]
