"""Objects that say when they are dropped, and a host that makes them."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

from attrs import define

import captp
from captp.model.locator import SturdyRef
from tests.unit.peer.pair import Host, Net, collect, outcome

#: What was dropped, in order; state goes back with a turn that fails, and this does not.
LOG: list[str] = []

#: What workshops made, in order.
MADE: list[str] = []


class Item(captp.Interface):
    @captp.method
    def note(self, what: Any) -> Any: ...

    @captp.method
    def keep(self, what: Any) -> None: ...


class Maker(captp.Interface):
    @captp.method
    def make(self, name: str) -> Item: ...

    @captp.method
    def again(self, name: str) -> Item: ...

    @captp.method
    def forget(self) -> None: ...

    @captp.method
    def give_back(self, what: Any) -> Any: ...

    @captp.method
    def keep(self, what: Any) -> None: ...


class Dropper(captp.Object, Item):
    name: str
    notes: captp.List[Any]
    beside: Any = None

    @captp.method
    def note(self, what: Any) -> Any:
        self.notes.append(what)
        return what

    @captp.method
    def keep(self, what: Any) -> None:
        self.beside = what

    def __dropped__(self) -> None:
        LOG.append(self.name)
        if isinstance(self.beside, captp.Reference):
            captp.E(self.beside).note.only(f"bye from {self.name}")


class Workshop(captp.Object, Maker):
    made: captp.Map[str, Any]
    kept: captp.List[Any]

    @captp.method
    def make(self, name: str) -> Item:
        return Dropper(name=name)

    @captp.method
    def again(self, name: str) -> Item:
        if name not in self.made:
            MADE.append(name)
            self.made[name] = Dropper(name=name)
        return self.made[name]  # type: ignore[no-any-return]

    @captp.method
    def forget(self) -> None:
        self.made.clear()
        self.kept.clear()

    @captp.method
    def give_back(self, what: Any) -> Any:
        return what

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept.append(what)


@define
class Bench:
    """Two hosts in session; ``maker`` is a's reference to the workshop of ``b``."""

    net: Net
    a: Host
    b: Host
    sturdyref: SturdyRef
    maker: Any

    def get(self, promise: Any) -> Any:
        """Return what a call of a's gives; nothing but that holds it."""
        return self.a.get(promise)

    def make(self, count: int = 1) -> list[Any]:
        """Return references to new objects, held by the list alone."""
        promises = [self.a.want(self.maker.make(str(i))) for i in range(count)]
        self.net.rest()
        refs = [outcome(p) for p in promises]
        del promises
        self.quiet()
        return refs

    def quiet(self) -> None:
        """Let releases be written and read."""
        collect(self.net)

    @property
    def imports(self) -> dict[int, int]:
        """What a's table says that it was given, beside the maker: position and count."""
        tables = self.net.link(self.a, self.b).session.tables
        return {p: e.wire for p, e in tables.imports.items() if e() is not self.maker._anchor}

    @property
    def exports(self) -> dict[int, int]:
        """What b's table says that it gave, the same."""
        tables = self.net.link(self.b, self.a).session.tables
        keeps = self.maker._anchor.entry.position
        return {p: e.wire for p, e in tables.exports.items() if p not in {0, keeps}}


def bench() -> Bench:
    """Return two hosts in session and a workshop."""
    LOG.clear()
    MADE.clear()
    net = Net()
    a, b = net.host(1), net.host(2)
    sturdyref = b.mint(Workshop())
    return Bench(net, a, b, sturdyref, a.get(a.enliven(sturdyref, Maker)))
