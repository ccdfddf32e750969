"""An exporter with a table that one stranger owns, another is to get, and a third would like to have."""

from __future__ import annotations

from typing import Any

import captp
from captp.limits import Limits
from captp.wire.ops import Desc, Kind
from tests.transcript.strangers import Exporter, Kept, Refused, Stranger
from tests.unit.peer.owners import Clerk, Sheet

GIFT = b"i" * 32
DESK = b"d" * 32

HIDDEN: list[Any] = []


class Registry(Clerk):
    """A desk that keeps what it is given, as many do."""

    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    async def use_kept(self) -> int:
        if self.kept is None:
            raise captp.Refused("nothing was kept")
        total: int = await captp.E(self.kept).total()
        return total

    @captp.method
    def wrapped(self) -> Any:
        return {"table": self._home.vat.owning.owned(Sheet())}

    @captp.method
    def promised(self) -> Any:
        """Give a promise that ``fulfil`` settles."""
        promise, resolver = self._home.vat.promise()
        HIDDEN.append(resolver)
        return promise

    @captp.method
    def fulfil(self, what: Any) -> None:
        HIDDEN.pop().fulfill(what)

    @captp.method
    def hide(self, what: Any) -> None:
        """Keep something where the vat does not see it."""
        HIDDEN.append(what)

    @captp.method
    async def use_hidden(self) -> int:
        put: int = await captp.E(HIDDEN[-1]).put(100)
        return put


class Scene:
    """E with a table that G owns; R is to get it, and T is a thief. All but ``others`` know of owners."""

    def __init__(self, others: str = "", **limits: Any) -> None:
        self.e = Exporter(Limits(**limits))
        self.e.peer.mint(Registry(), "sim", swiss=DESK)
        self.g, self.r, self.t = (self.stranger(n, () if n in others else ("own1",)) for n in "grt")
        self.desks = {one: self.desk(one) for one in (self.g, self.r, self.t)}
        (self.made,) = self.g.send(self.desks[self.g], "make", ())
        made = self.g.results[self.made]
        assert isinstance(made, Kept)
        assert made.value.kind is Kind.IMPORT_SOLE
        self.table: int = made.value.position
        (self.sheet,) = [o for o in self.e.peer.vat.heap.objects() if type(o) is Sheet]

    def stranger(self, name: str, also: tuple[str, ...], life: int = 0) -> Stranger:
        return Stranger(self.e, name, "native", also=also, life=life)

    def desk(self, of: Stranger) -> int:
        result = of.call("fetch", DESK)
        assert isinstance(result, Kept)
        return int(result.value.position)

    def back(self) -> Any:
        """Return the table as its owner gives it up."""
        return self.g.mine(self.table, Kind.EXPORT_SOLE)

    def move(self, gift_id: bytes = GIFT) -> None:
        assert self.g.deposit(gift_id, self.back()) == Kept(None)

    def withdraw(self, by: Stranger, gift_id: bytes = GIFT) -> Kept | Refused | None:
        return by.withdraw(by.receive(self.g.give(gift_id, by)))

    def gets(self, by: Stranger, gift_id: bytes = GIFT) -> int:
        """Assert that a receiver gets the table, and can use it; return its position there."""
        result = self.withdraw(by, gift_id)
        assert isinstance(result, Kept), result
        assert result.value.kind is Kind.IMPORT_SOLE
        before = list(self.sheet.numbers)
        assert by.call("put", 1, to=result.value.position) == Kept(sum(before) + 1)
        assert self.owners() == [by]
        return int(result.value.position)

    def owners(self) -> list[Stranger]:
        """Return who can reach the table by what it was given."""
        return [one for one in (self.g, self.r, self.t) if self._owned(one)]

    def _owned(self, one: Stranger) -> bool:
        link = self.e.peer.router.links.get(one.conn)
        if link is None:
            return False
        tables = link.session.tables
        return any(getattr(e.target, "_anchor", None) is self.sheet for e in tables.exports.values())

    def lost(self, position: int | None = None) -> None:
        """Assert that the gifter has nothing left at its position, whatever it says of it."""
        at, g = self.table if position is None else position, self.g
        export = g._codec.target(Kind.EXPORT, at)
        before = list(self.sheet.numbers)
        assert is_broken(g.call("put", 7, to=at))
        assert is_broken(g.call("captp:make-unique", 1, to=at))
        assert isinstance(g.call("captp:share", export), Refused)
        for again in (export, g._codec.target(Kind.EXPORT_SOLE, at)):
            assert is_broken(g.call("echo", again, to=self.desks[g]))
            assert isinstance(g.call("take", again, to=self.desks[g]), Refused)
        assert g not in self.owners()
        assert list(self.sheet.numbers) == before


def is_broken(result: Any) -> bool:
    """Whether a call broke, or gave a promise that has."""
    return isinstance(result, Refused) or (
        isinstance(result, Kept)
        and isinstance(result.value, Desc)
        and result.value.kind is Kind.IMPORT_PROMISE
    )
