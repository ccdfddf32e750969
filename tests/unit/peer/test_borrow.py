"""Borrowed references: for one call, counted nowhere, and of no use beyond it."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.limits import Limits
from captp.model.captures import check_captures
from tests.unit.peer.owners import KEPT, Clerk, Desk, Seal, Sheet, Table
from tests.unit.peer.pair import Net, collect, outcome

PLACES = ("near", "far", "their-own", "of-a-third")


class Scene:
    """A caller at ``a`` with a desk and a table, each somewhere."""

    def __init__(self, place: str, limits: Limits | None = None, *, has_faults: bool = False) -> None:
        KEPT.clear()
        self.net = Net()
        self.a, self.b, self.c = (self.net.host(seed, limits) for seed in (1, 2, 3))
        for host in (self.a, self.b, self.c):
            host.has_faults = has_faults
        self.sheet = Sheet()
        where = {"near": self.a, "far": self.a, "their-own": self.b, "of-a-third": self.c}[place]
        self.desk: Any = self.get(self.a if place == "near" else self.b, Clerk(), Desk)
        self.table: Any = self.get(where, self.sheet, Table)
        self.other: Any = self.get(self.b, Clerk(), Desk)
        self.when, self.resolver = self.a.vat.promise()

    def get(self, host: Any, obj: Any, interface: type) -> Any:
        if host is self.a:
            return self.a.vat.reference(obj, interface)
        promise = self.a.want(self.a.enliven(host.mint(obj), interface))
        self.net.rest()
        return outcome(promise)

    def ends(self, promise: Any) -> Any:
        self.a.want(promise)
        self.net.rest()
        self.check()
        try:
            return outcome(promise)
        except captp.Error as problem:
            return problem

    def check(self) -> None:
        for host in (self.a, self.b, self.c):
            host.peer.check()

    def tables(self) -> list[Any]:
        collect(self.net)
        return [
            link.session.tables.dump()
            for h in (self.a, self.b, self.c)
            for link in h.peer.router.links.values()
        ]


@pytest.mark.parametrize("place", PLACES)
def test_a_borrower_uses_it_in_its_turn_and_in_its_fiber(place: str) -> None:
    scene = Scene(place)

    assert scene.ends(scene.desk.read(scene.table)) == 7
    late = scene.desk.read_late(scene.table, scene.when)
    scene.a.want(late)
    scene.net.rest()
    scene.check()
    scene.resolver.fulfill(None)
    assert scene.ends(late) == 4
    assert list(scene.sheet.numbers) == [1, 1, 2]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_left_of_a_loan(place: str) -> None:
    scene = Scene(place)
    scene.ends(scene.desk.read(scene.table))
    before = scene.tables()
    for _ in range(50):
        scene.desk.read.only(scene.table)
        assert scene.ends(scene.desk.read(scene.table)) == 7

    assert scene.tables() == before


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "how",
    ["field", "container", "nested", "result", "in-a-result", "argument", "resolver", "outside", "share",
     "make_unique", "near"],
)  # fmt: skip
def test_it_does_not_escape(place: str, how: str) -> None:
    scene = Scene(place, has_faults=True)
    problem = scene.ends(scene.desk.escape(scene.table, how))

    assert isinstance(problem, captp.RemoteFault), problem
    assert problem.class_name in ("BorrowEscape", "NotNear")
    assert "lent to Clerk.escape(): table" in str(problem) or how in ("near", "resolver")
    assert scene.ends(scene.desk.read(scene.table)) == 7


@pytest.mark.parametrize("place", PLACES)
def test_one_that_was_stashed_is_of_no_use_afterwards(place: str) -> None:
    scene = Scene(place)
    assert scene.ends(scene.desk.stash(scene.table)) == 0

    (kept,) = KEPT
    with pytest.raises(captp.BorrowEscape, match="over"):
        kept.total()
    assert list(scene.sheet.numbers) == []


@pytest.mark.parametrize("place", PLACES)
def test_it_may_be_lent_on_to_a_call_that_is_awaited(place: str) -> None:
    scene = Scene(place)
    promise = scene.desk.pass_on(scene.other, scene.table, scene.when)
    scene.a.want(promise)
    scene.net.rest()
    scene.resolver.fulfill(None)

    assert scene.ends(promise) == 3


@pytest.mark.parametrize("place", PLACES)
def test_one_that_was_lent_on_ends_with_the_loan_it_was_made_of(place: str) -> None:
    scene = Scene(place, has_faults=True)
    assert scene.ends(scene.desk.pass_on_and_leave(scene.other, scene.table, scene.when)) == "left"
    (nested,) = KEPT
    scene.resolver.fulfill(None)
    scene.net.rest()
    scene.check()

    assert list(scene.sheet.numbers) in ([0, 1], [1, 0], [0])
    with pytest.raises(captp.Error):
        outcome(nested)


def test_an_untyped_call_lends_by_hand_and_once() -> None:
    scene = Scene("far")
    loan = captp.lend(scene.table)
    assert scene.ends(captp.E(scene.desk).read(loan)) == 7

    with pytest.raises(captp.BorrowEscape):
        captp.E(scene.desk).read(loan)
    with pytest.raises(captp.UsageError):
        captp.lend(scene.a.vat.promise()[0])
    with pytest.raises(captp.UsageError):
        captp.lend(Sheet())


def test_one_that_is_lent_to_a_parameter_that_shares_is_borrowed_all_the_same() -> None:
    for place in PLACES:
        scene = Scene(place, has_faults=True)
        problem = scene.ends(captp.E(scene.desk).keep(captp.lend(scene.table)))
        if place == "their-own":
            # It is the borrower's own object: it needs no loan to reach it.
            assert problem is None
        else:
            assert isinstance(problem, captp.RemoteFault), place
            assert problem.class_name == "BorrowEscape"


def test_a_shared_reference_that_a_stranger_passes_is_borrowed_by_the_callee() -> None:
    scene = Scene("far", has_faults=True)
    problem = scene.ends(captp.E(scene.desk).escape(scene.table, "field"))

    assert isinstance(problem, captp.RemoteFault)
    assert problem.class_name == "BorrowEscape"


def test_a_call_that_cannot_leave_leaves_no_loan() -> None:
    scene = Scene("far", Limits(message_bytes=20_000))
    before = scene.tables()
    problem = scene.ends(captp.E(scene.desk).read(captp.lend(scene.table), bytes(30_000)))

    assert isinstance(problem, captp.Unpassable)
    assert scene.tables() == before


def test_a_caller_that_lets_go_ends_the_loan() -> None:
    scene = Scene("far")
    promise: Any = scene.desk.read_late(scene.table, scene.when)
    scene.a.want(promise)
    scene.net.rest()
    assert any("borrows" in line for dump in scene.tables() for line in dump["loans"])
    del promise
    dumps = scene.tables()

    assert [dump["loans"] for dump in dumps] == [[]] * len(dumps)
    scene.check()


def test_a_session_that_ends_ends_its_loans() -> None:
    scene = Scene("far")
    promise = scene.desk.stash(scene.table)
    late = scene.desk.read_late(scene.table, scene.when)
    scene.a.want(promise)
    scene.a.want(late)
    scene.net.rest()
    for wire in scene.net.wires:
        wire.cut()
    scene.net.rest()
    scene.check()

    with pytest.raises(captp.Disconnected):
        outcome(late)
    (kept,) = KEPT
    with pytest.raises(captp.BorrowEscape):
        kept.total()


def test_a_peer_lends_so_much_and_no_more() -> None:
    scene = Scene("far", Limits(imports=6))

    def lend(count: int) -> list[Any]:
        promises = [scene.desk.read_late(scene.table, scene.when) for _ in range(count)]
        for promise in promises:
            scene.a.want(promise)
        scene.net.rest()
        return promises

    # The borrower has imported the promise that they all wait for.
    promises = lend(5)
    assert [len(d["loans"]) for d in scene.tables()] == [5, 5]
    assert scene.b.hangups == []

    promises += lend(1)
    assert scene.b.hangups == ["too-many by this side: more than 6 imports and loans"]
    for promise in promises:
        with pytest.raises(captp.Disconnected):
            outcome(promise)
    assert scene.tables() == []


def test_one_loan_beyond_the_limit_of_exports_breaks_its_own_call() -> None:
    scene = Scene("far", Limits(exports=6))
    promises = [scene.desk.read_late(scene.table, scene.when) for _ in range(6)]
    for promise in promises:
        scene.a.want(promise)
    scene.net.rest()

    # The lender has exported the promise that they all wait for.
    assert [len(d["loans"]) for d in scene.tables()] == [5, 5]
    assert [promise.settled for promise in promises] == [False] * 5 + [True]
    with pytest.raises(captp.Overloaded, match="holds 6 references already"):
        outcome(promises[5])
    scene.resolver.fulfill(None)
    scene.net.rest()
    # Each of them has put 1, and now puts 2.
    assert [outcome(promise) for promise in promises[:5]] == [7, 9, 11, 13, 15]
    scene.check()


def test_who_captures_one_for_a_trustee_is_told() -> None:
    scene = Scene("near")
    loan = captp.lend(scene.table)
    with pytest.raises(captp.BorrowEscape, match="captured as 'loan'"):
        check_captures(lambda c: c.use(loan))


def test_the_methods_that_borrow_say_so_when_their_class_is_made() -> None:
    with pytest.raises(captp.BadClass, match="Interface"):

        class Wrong(captp.Object):
            @captp.method
            def read(self, sheet: captp.Borrowed[Sheet]) -> int:
                return 0

    with pytest.raises(captp.BadClass, match="cannot be borrowed"):

        class Worse(captp.Object):
            @captp.method
            def give(self) -> captp.Borrowed[Table]:
                return Seal()

    for term in (captp.Borrowed[Table], captp.Unique[Table]):
        with pytest.raises(captp.BadClass, match="state is shared"):
            type(captp.Object)(
                "Keeper", (captp.Object,), {"__annotations__": {"kept": term}, "__module__": __name__}
            )
