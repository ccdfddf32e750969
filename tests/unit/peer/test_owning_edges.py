"""Terms of ownership where they meet promises, plans, batches, trusts, near calls and peers of OCapN."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.model.promise import Promise
from tests.unit.peer.owners import KEPT, Clerk, Desk, Seal, Sheet, Table
from tests.unit.peer.pair import outcome
from tests.unit.peer.test_borrow import Scene
from tests.unit.peer.test_care import ocapn_pair
from tests.unit.peer.test_unique import HOSTS, unique


class Taker(captp.Interface):
    @captp.method
    def take(self, table: captp.Unique[Table]) -> captp.Unique[Table]: ...

    @captp.method
    def look(self, table: captp.Borrowed[Table]) -> int: ...

    @captp.method
    def odd(self, what: Any) -> Any: ...

    @captp.method
    def plain(self) -> Any: ...

    @captp.method
    async def run(self, table: captp.Borrowed[Table], how: str) -> Any: ...

    @captp.method
    def call_now(self, desk: Any, table: Any, how: str) -> Any: ...


class Hand(captp.Object, Taker):
    @captp.method
    def take(self, table: captp.Unique[Table]) -> captp.Unique[Table]:
        return table

    @captp.method
    def look(self, table: captp.Borrowed[Table]) -> int:
        KEPT.append(table)
        return 7

    @captp.method
    def odd(self, what: Any) -> Any:
        return [captp.lend(what) if type(what).__name__ == "TableRef" else what, object()]

    @captp.method
    def plain(self) -> Any:
        return [1, [2]]

    @captp.method(latch=False)
    async def run(self, table: captp.Borrowed[Table], how: str) -> Any:
        handle: captp.Trust[Table] = captp.trust(table, Table)
        match how:
            case "the thing itself":
                return await table.apply(lambda t: t)  # type: ignore[attr-defined]
            case "apply":
                return await handle.apply(Table.put, 3)
            case "plan":
                return await handle.apply(lambda t: (t.put(1), t.put(2)))
            case "then":
                handle.apply_then(Table.put, 3)
                return await table.total()
            case "many":
                calls = [captp.Call(Table.put, 1), captp.Call(Table.put, 2)]
                return [o.unwrap() for o in await handle.apply_many(calls)]
            case _:
                return await getattr(captp.E(table), how)(*([0] if how.endswith("unique") else []))

    @captp.method
    def call_now(self, desk: Any, table: Any, how: str) -> Any:
        loan = captp.lend(table)
        try:
            getattr(captp.E(desk), how).now(loan)
        except captp.Error as problem:
            return [type(problem).__name__, loan._home.is_over]
        return ["went well", loan._home.is_over]


def at(scene: Scene, place: str, obj: Any, interface: Any = None) -> Any:
    return scene.get(scene.a if place == "near" else scene.b, obj, interface or type(obj))


# Messages that went out before.


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("desk", HOSTS)
def test_a_call_that_waits_for_its_turn_arrives_though_the_reference_has_gone_on(
    host: str, desk: str
) -> None:
    class Maker(captp.Object):
        @captp.method
        def make(self) -> captp.Unique[Table]:
            return Seal()

    scene = Scene("far")
    table = scene.ends(captp.E(at(scene, host, Maker())).make())
    holds = scene.a.want(captp.E(table).later(scene.when))
    scene.net.rest()
    waits = scene.a.want(captp.E(table).put(42))
    hand = at(scene, desk, Hand(), Taker)
    assert scene.ends(hand.plain()) == (1, (2,))
    moved = scene.a.want(hand.take(table))
    scene.net.rest()
    scene.resolver.fulfill(None)

    assert (scene.ends(waits), scene.ends(holds)) == (42, 0)
    assert scene.ends(captp.E(scene.ends(moved)).put(1)) == 1


def test_what_moved_on_is_broken_to_those_who_watch_it() -> None:
    scene = Scene("far")
    table = unique(scene, "far")
    scene.ends(scene.desk.take(table))

    assert scene.ends(scene.a.when_broken(table)) is not None


# Promises.


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_promise_for_a_unique_reference_is_not_passed_in_its_place(is_settled: bool) -> None:
    scene = Scene("far", has_faults=True)
    made: Any = at(scene, "far", Clerk(), Desk).make()
    if is_settled:
        scene.ends(made)
    problem = scene.ends(scene.desk.take(made))

    assert isinstance(problem, captp.Unpassable | captp.BadArguments | captp.RemoteFault)
    assert "await it" in str(problem) or "captp.make_unique" in str(problem)
    assert scene.ends(scene.ends(made).put(2)) == 2


def test_of_two_who_wait_for_one_unique_reference_one_gets_it() -> None:
    class Office(captp.Object):
        promised: Any = None

        @captp.method
        def offer(self, promise: Any) -> None:
            self.promised = promise

        @captp.method
        def ask(self) -> Any:
            return self.promised

    scene = Scene("far", has_faults=True)
    promise, resolver = scene.a.vat.promise()
    office = Office()
    ref = scene.a.vat.reference(office)
    resolver.fulfill(unique(scene, "near"))
    scene.ends(captp.E(ref).offer(promise))
    sturdyref = scene.a.mint(office)
    told: list[Any] = []
    for host in (scene.b, scene.c):
        there = host.want(host.enliven(sturdyref))
        scene.net.rest()
        asked = host.want(host.vat.send(outcome(there), "ask", (), None, Promise))
        scene.net.rest()
        try:
            told.append(outcome(asked))
        except captp.Error as problem:
            told.append(problem)

    assert captp.E(told[0]).total() is not None
    assert isinstance(told[1], captp.RemoteFault)
    with pytest.raises(captp.Moved):
        outcome(promise).total()


# What becomes unique.


def fresh(scene: Scene) -> Any:
    class Maker(captp.Object):
        @captp.method
        def fresh(self) -> Table:
            return Seal()

    return scene.ends(captp.E(scene.get(scene.b, Maker(), Maker)).fresh())


def test_one_that_was_made_unique_and_shared_again_is_of_use_to_its_host() -> None:
    scene = Scene("far", has_faults=True)
    shared = captp.share(scene.ends(captp.make_unique(fresh(scene))))

    assert scene.ends(captp.E(scene.desk).keep(shared)) is None
    assert scene.ends(scene.desk.use_kept()) == 0


@pytest.mark.parametrize("how", ["captp:share", "captp:make-unique"])
@pytest.mark.parametrize("place", ["far", "of-a-third"])
def test_who_borrows_of_a_lender_says_nothing_about_terms_to_the_host(how: str, place: str) -> None:
    scene = Scene(place, has_faults=True)
    hand = at(scene, "far", Hand(), Taker)
    problem = scene.ends(hand.run(scene.table, how))

    assert isinstance(problem, captp.Error), problem
    assert scene.ends(scene.table.put(1)) == 1


# Plans, batches and trusts.


@pytest.mark.parametrize("host", HOSTS)
def test_a_plan_runs_on_what_is_unique_and_does_not_give_it_out(host: str) -> None:
    scene = Scene("far", has_faults=True)
    table = unique(scene, host)

    assert scene.ends(table.apply(lambda t: (t.put(1), t.put(2)))) == (1, 3)
    problem = scene.ends(table.apply(lambda t: [t]))
    assert isinstance(problem, captp.RemoteFault | captp.BorrowEscape)
    assert scene.ends(table.total()) == 3


def test_a_plan_may_use_a_unique_reference_that_a_step_made() -> None:
    scene = Scene("far", has_faults=True)

    def twice(desk: Any) -> Any:
        table = desk.make()
        table.put(1)
        return table.put(2)

    assert scene.ends(at(scene, "far", Clerk(), Desk).apply(twice)) == 3


@pytest.mark.parametrize("place", HOSTS)
@pytest.mark.parametrize(
    ("how", "result"), [("apply", 3), ("plan", (1, 3)), ("many", (1, 3)), ("then", 3)]
)  # fmt: skip
def test_a_trust_over_a_loan_works_while_the_loan_does(place: str, how: str, result: Any) -> None:
    scene = Scene("far")
    hand = at(scene, place, Hand(), Taker)
    if how == "then":
        with pytest.raises(AssertionError, match="_Then"):
            scene.ends(hand.run(scene.table, how))
        assert list(scene.sheet.numbers) == [3]
    else:
        assert scene.ends(hand.run(scene.table, how)) == result


@pytest.mark.parametrize("place", HOSTS)
def test_a_plan_gives_nobody_what_it_was_lent(place: str) -> None:
    scene = Scene("far", has_faults=True)
    problem = scene.ends(at(scene, place, Hand(), Taker).run(scene.table, "the thing itself"))

    assert isinstance(problem, captp.RemoteFault)
    assert problem.class_name == "BorrowEscape"


@pytest.mark.parametrize("is_many", [False, True])
def test_a_trust_lends_what_a_method_borrows(is_many: bool) -> None:
    class Caller(captp.Object):
        @captp.method
        async def call(self, hand: Any, table: Any) -> None:
            handle = captp.trust(hand, Taker)
            if is_many:
                await handle.apply_many([captp.Call(Taker.look, table), captp.Call(Taker.look, table=table)])
            else:
                await handle.apply(Taker.look, table)

    scene = Scene("far")
    caller, hand = at(scene, "near", Caller()), at(scene, "far", Hand(), Taker)
    before = scene.tables()
    assert scene.ends(captp.E(caller).call(hand, scene.table)) is None

    assert scene.tables() == before
    assert len(KEPT) == 1 + is_many
    for table in KEPT:
        with pytest.raises(captp.BorrowEscape):
            table.total()


# What is frozen and goes nowhere.


def test_a_result_that_cannot_cross_spoils_no_later_one() -> None:
    scene = Scene("near", has_faults=True)
    hand = at(scene, "near", Hand(), Taker)
    odd, plain = hand.odd(scene.table), hand.plain()
    assert isinstance(scene.ends(odd), captp.RemoteFault | captp.Unpassable)

    assert scene.ends(plain) == (1, (2,))
    assert scene.a.vat.crossed == []


def test_a_settlement_that_cannot_cross_takes_nothing() -> None:
    scene = Scene("near")
    table = unique(scene, "near")
    with pytest.raises(captp.Unpassable):
        scene.resolver.fulfill([table, object()])

    assert scene.ends(table.put(2)) == 2
    assert scene.a.vat.crossed == []


@pytest.mark.parametrize("method", ["nothing", "use_kept"])
def test_a_near_call_that_does_not_run_takes_nothing(method: str) -> None:
    scene = Scene("near")
    table = unique(scene, "near")
    with pytest.raises(captp.Error):
        getattr(captp.E(scene.desk), method).now(table)

    assert scene.ends(table.put(2)) == 2
    assert scene.a.vat.crossed == []


@pytest.mark.parametrize(("how", "told"), [("look", "went well"), ("plain", "BadArguments")])
def test_a_near_call_inside_a_turn_ends_its_loans(how: str, told: str) -> None:
    scene = Scene("near")
    hand = at(scene, "near", Hand(), Taker)

    assert scene.ends(hand.call_now(at(scene, "near", Hand(), Taker), scene.table, how)) == (told, True)


def test_no_sturdyref_is_minted_of_what_is_not_shared() -> None:
    scene = Scene("far")
    with pytest.raises(captp.Moved, match=r"captp\.share\("):
        scene.a.mint(unique(scene, "near"))
    with pytest.raises(captp.BorrowEscape):
        scene.a.mint(captp.lend(scene.table))


# Peers that know nothing of it.


def test_a_call_to_ocapn_that_cannot_leave_leaves_no_loan() -> None:
    it = ocapn_pair()
    table = it.a.vat.reference(Sheet(), Table)
    before = it.a.peer.dump()["sessions"]
    promise = it.a.want(it.a.vat.send(it.ref, "keep", (captp.lend(table), bytes(6_000_000)), None, Promise))
    it.net.rest()

    with pytest.raises(captp.Unpassable):
        outcome(promise)
    assert [s["loans"] for s in it.a.peer.dump()["sessions"].values()] == [[]] * len(before)
    assert not any("Sheet" in e for s in it.a.peer.dump()["sessions"].values() for e in s["exports"])


def test_what_ocapn_was_lent_is_dead_behind_the_answer() -> None:
    it = ocapn_pair()
    sheet = Sheet()
    loan = captp.lend(it.a.vat.reference(sheet, Table))
    promise = it.a.want(it.a.vat.send(it.ref, "keep", (loan,), None, Promise))
    it.net.rest()
    assert outcome(promise) is None

    (kept,) = it.counter.kept
    called = it.b.want(it.b.vat.send(kept, "put", (1,), None, Promise))
    it.net.rest()
    with pytest.raises(captp.Broken):
        outcome(called)
    assert list(sheet.numbers) == []
