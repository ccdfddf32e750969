"""Three and more vats joined by hand, each with a place where it can be dialled, natively or over Syrup.

G is the gifter, R the receiver and E the exporter; a session is named by its two letters in order. Bytes
move when a test says so, and every vat checks its counted invariants whenever it runs.
"""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

from attrs import define

import captp
from captp.limits import Limits
from captp.model.locator import PeerLocator
from captp.peer.router import Link
from captp.peer.view import view_of
from captp.session.handshake import Channel
from tests.unit.peer.pair import TRANSPORT, Counter, End, Host, Net, Shop, Wire, outcome

#: Every choice of the sessions of three that speak Syrup; the others speak natively.
CODECS = [names for size in range(4) for names in combinations(("EG", "GR", "ER"), size)]

NATIVE: tuple[str, ...] = ()
SYRUP = ("EG", "GR", "ER")


class Parties(Net):
    """A net whose hosts have names and places."""

    def __init__(self, syrup: Iterable[str] = ()) -> None:
        super().__init__()
        self.syrup = {frozenset(pair) for pair in syrup}
        self.names: dict[Host, str] = {}

    def party(self, name: str, limits: Limits | None = None, *, listens: bool = True, life: int = 0) -> Host:
        """Add a vat; one that does not listen has no place, and only says what it speaks."""
        host = self.host(ord(name), limits, life)
        self.names[host] = name
        if listens:
            self.listen(host, TRANSPORT)
        return host

    def listen(self, host: Host, transport: str) -> None:
        hints = {"exts": "mp1", "node": self.names[host]}
        host.peer.locations[transport] = PeerLocator.make(transport, host.peer.designator, hints)

    def connect(self, dialler: Host, answerer: Host | None = None) -> Wire:
        conn, locator = next(iter(dialler.dials.items()))
        del dialler.dials[conn]
        answerer = answerer or self._at(locator)
        assert answerer is not None
        if frozenset((self.names[dialler], self.names[answerer])) in self.syrup:
            # Whoever dials chooses by the hint what is spoken.
            hints = dict(locator.hints) | {"exts": ""}
            locator = PeerLocator.make(locator.transport, locator.designator, hints)
        wire = Wire(dialler, conn, answerer)
        self.wires.append(wire)
        for end, who, dialled in ((wire.near, answerer, locator), (wire.far, dialler, None)):
            channel = Channel(who.peer.key.public.raw, b"", locator.transport)
            end.host.peer.connected(end.conn, channel, self.now, dialled)
        return wire

    def wire(self, one: Host, other: Host) -> Wire:
        """Return the open wire between two hosts."""
        (found,) = [w for w in self.wires if {w.near.host, w.far.host} == {one, other} and w.near.is_open]
        return found

    def end(self, host: Host, towards: Host) -> End:
        """Return the end of a host's wire to another one; bytes in it are on their way to the host."""
        wire = self.wire(host, towards)
        return wire.near if wire.near.host is host else wire.far

    def hold(self, host: Host, of: Host) -> End:
        """Keep what one host sends another on its way; ``is_deaf = False`` lets it arrive."""
        end = self.end(host, of)
        end.is_deaf = True
        return end

    def die(self, host: Host) -> None:
        """Let a vat die, and those it was connected to hear of it."""
        wires = [w for w in self.wires if host in {w.near.host, w.far.host} and w.near.is_open]
        self.kill(host)
        for wire in wires:
            other = wire.far if wire.near.host is host else wire.near
            other.is_last = True

    def cut(self, one: Host, other: Host) -> None:
        """Lose a connection and what is on its way; both sides hear of it."""
        self.wire(one, other).cut()

    def heard(self, host: Host) -> dict[str, int]:
        """Return how many bytes a host has heard from whom so far."""
        return {self._name(link): link.session.received for link in host.peer.router.links.values()}

    def _name(self, link: Link) -> str:
        hello = link.session.hello
        assert hello is not None
        names = {host.peer.designator: name for host, name in self.names.items()}
        return names[hello.location.designator]

    def codec(self, one: Host, other: Host) -> str:
        session = self.link(one, other).session
        assert session.codec is not None
        return session.codec.name

    def collect(self, times: int = 12) -> None:
        """Let garbage be found and reported; over Syrup that takes a dialect, and so some seconds."""
        for beat in range(times):
            if beat % 3 == 0:
                gc.collect()
            self.wait(0.25)

    def left(self, *, roots: int = 1) -> dict[str, list[str]]:
        """Return what stands in each vat besides the bootstraps and the ``roots`` that are minted."""
        found = {}
        for host in self.hosts:
            peer, lines = host.peer, []
            for link in peer.router.links.values():
                for table, entries in link.session.dump().items():
                    if table != "state":
                        lines += [f"{table}: {e}" for e in entries if "<control bootstrap>" not in e]
                assert link.introductions == 0
            view = view_of(peer)
            lines += [] if view.is_idle else [f"not idle: {peer.vat.dump()}"]
            lines += [] if view.objects == roots else peer.vat.heap.dump()
            lines += [f"gifts: {line}" for line in peer.exporter.dump()]
            lines += [f"{len(x)} left over" for x in (peer.timers.waiting,) if x]
            lines += [f"attempt at {a.locator}" for a in peer.router.attempts.values()]
            found[self.names[host]] = [x for x in lines if "<control sink>" not in x]
        return found

    def ends_empty(self) -> None:
        """Assert that nothing is left anywhere once the test has let go of everything."""
        self.collect()
        left = self.left()
        assert left == {name: [] for name in left}, left


class Hall(Shop):
    """What the vats of these tests share."""

    @captp.method
    def forget(self) -> None: ...

    @captp.method
    def later(self) -> Any: ...

    @captp.method
    async def wait(self, what: Any) -> Any: ...


class Root(Counter, Hall):
    """A Hall; ``source`` makes what ``later`` gives."""

    __slots__ = ("source",)

    def __init__(self, source: Callable[[], Any] = lambda: None) -> None:
        super().__init__()
        self.source = source

    @captp.method
    def forget(self) -> None:
        self.kept.clear()

    @captp.method
    def later(self) -> Any:
        return self.source()

    @captp.method
    async def wait(self, what: Any) -> Any:
        return await what


@define
class Three:
    """G in session with R and E; ``to_r`` and ``to_e`` are its references to their roots."""

    net: Parties
    g: Host
    r: Host
    e: Host
    at_g: Root
    at_r: Root
    at_e: Root
    to_r: Any
    to_e: Any

    def introduced(self) -> Any:
        """Let G give R its reference to E; return what R got, at rest."""
        self.to_r.keep.only(self.to_e)
        self.net.rest()
        return outcome(self.at_r.kept[-1])

    def kept(self) -> Any:
        """Return what R was given last, settled or not."""
        return self.at_r.kept[-1]

    def forgets(self, host: Host) -> None:
        """Let a root let go of what it has kept."""
        root = {self.g: self.at_g, self.r: self.at_r, self.e: self.at_e}[host]
        captp.E(host.vat.reference(root)).forget.only()

    def ends_empty(self) -> None:
        """Let go of all references here, and see that the vats do too."""
        for host in (self.g, self.r, self.e):
            if host in self.net.hosts:
                self.forgets(host)
        self.to_r = self.to_e = None
        self.net.ends_empty()


def three(
    syrup: Iterable[str] = (),
    *,
    g: Limits | None = None,
    r: Limits | None = None,
    e: Limits | None = None,
    e_listens: bool = True,
    e_dials_r: bool = False,
) -> Three:
    """Return three vats, G in session with both others; ``e_dials_r`` is a session between those."""
    net = Parties(syrup)
    hosts = net.party("G", g), net.party("R", r), net.party("E", e, listens=e_listens)
    roots = Root(), Root(), Root()
    refs = [host.mint(root) for host, root in zip(hosts, roots, strict=True)]
    gifter, receiver, exporter = hosts
    if not e_listens:
        # Nobody can dial it: it comes by itself.
        exporter.want(exporter.enliven(refs[0], Hall))
        net.rest()
    if e_dials_r:
        exporter.want(exporter.enliven(refs[1], Hall))
    wanted = [gifter.want(gifter.enliven(ref, Hall)) for ref in refs[1:]]
    net.rest()
    to_r, to_e = map(outcome, wanted)
    return Three(net, gifter, receiver, exporter, *roots, to_r, to_e)
