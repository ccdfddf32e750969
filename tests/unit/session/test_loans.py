"""What a peer with the extension own1 may do with exts 23 to 25, and what comes of the rest."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.limits import Limits
from captp.model.idents import ConnId
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.model.values import Fault, Symbol, Tagged
from captp.session.handshake import Channel, make_hello
from captp.wire.native import PREAMBLE
from captp.wire.ops import ABORT, BREAK, CALL, DELIVER, GC_EXPORTS, LISTEN, RESOLVE, START, Desc, Kind, Op
from tests.unit.peer.owners import Sheet, Table
from tests.unit.session.raw import CODEC, SWISS, Host, Raw, export, object_

KEPT: list[Any] = []
ROOT = Tagged("captp:step", 0)


def lent(position: int) -> Any:
    return CODEC.target(Kind.LENT, position)


def given(position: int) -> Any:
    return CODEC.target(Kind.IMPORT_SOLE, position)


def back(position: int) -> Any:
    return CODEC.target(Kind.EXPORT_SOLE, position)


class Lender(captp.Object):
    """What strangers find."""

    kept: Any = None

    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept = what

    @captp.method
    def note(self, *what: Any) -> int:
        KEPT.extend(what)
        return len(what)

    @captp.method(latch=False)
    async def borrow(self, table: captp.Borrowed[Table], when: captp.Promise[None]) -> None:
        KEPT.append(table)
        await when

    @captp.method(latch=False)
    async def lend(self, guest: Any, how: str) -> Any:
        vat = self._home.vat
        table = vat.owning.owned(Sheet()) if how == "unique" else vat.reference(Sheet())
        return await captp.E(guest).read(captp.lend(table))

    @captp.method
    def make(self) -> captp.Unique[Table]:
        return Sheet()

    @captp.method(latch=False)
    async def ask(self, guest: Any) -> str:
        answered: Any = await captp.E(guest).ping()
        return str(answered)


class Own(Raw):
    """A connection that announces own1, with the door at export 1."""

    def __init__(self, limits: Limits | None = None) -> None:
        KEPT.clear()
        self.host = Host(limits)
        self.host.peer.mint(Lender(), "memory", swiss=SWISS)
        self.conn: ConnId = self.host.peer.router.new_conn()
        key = PrivateKey.from_seed(b"own".ljust(32))
        place = PeerLocator.make("memory", key.public.designator, {"exts": "mp1"})
        channel = Channel(transport="memory")
        self.host.peer.connected(self.conn, channel, 0.0)
        self.bytes(PREAMBLE)
        assert [o[0] for o in self.send(make_hello(key, place, ("mp1", "own1"), channel))] == [START]
        self.reaches_the_door()

    def call(self, to: int, method: str, *args: Any, at: Any = 9) -> list[Op]:
        return self.send((CALL, to, method, args, at, at is not False))

    def borrows(self, how: str = "shared") -> int:
        """Have something lent to this end; return its position."""
        (call,) = self.call(1, "lend", object_(5), how, at=2)
        (desc,) = call[3]
        assert desc.kind is Kind.LENT
        return int(desc.position)


def error(ops: list[Op]) -> Any:
    ((code, _, fault),) = ops
    assert code == BREAK
    assert isinstance(fault, Fault)
    assert fault.data is not None
    return fault.data["class"]


def aborts(raw: Own, *ops: Any) -> str:
    heard = raw.send(*ops)
    assert heard[-1][0] == ABORT, heard
    assert raw.conn in raw.host.hung_up
    return str(heard[-1][1]).partition(":")[0]


# What is lent to the host.


@pytest.mark.parametrize("where", ["alone", "inside"])
def test_a_result_lends_nothing(where: str) -> None:
    raw = Own()
    raw.call(1, "ask", object_(5), at=2)
    value = lent(9) if where == "alone" else ({"a": (lent(9),)},)

    assert aborts(raw, (RESOLVE, 1, value), (CALL, 1, "note", (3,), 3, True)) == "bad-value"
    assert KEPT in ([], [3])


@pytest.mark.parametrize(
    "op",
    [
        (BREAK, 1, lent(9)),
        (LISTEN, lent(9), 3),
        (DELIVER, lent(9), (Symbol("note"),), 3, True),
        (GC_EXPORTS, (lent(9),), (1,)),
        (CALL, 1, "note", (lent(9),)),
        (CALL, 1, "note", (lent(9),), False, False),
        (DELIVER, export(1), (Symbol("note"), lent(9))),
    ],
    ids=lambda op: f"op-{op[0]}-{len(op)}",
)
def test_it_lends_among_arguments_that_have_an_answer_and_nowhere_else(op: Op) -> None:
    raw = Own()
    raw.call(1, "ask", object_(5), at=2)

    assert aborts(raw, op) in ("bad-value", "bad-op", "bad-gc")
    assert KEPT == []


def test_the_same_position_may_be_lent_twice_and_both_end_with_the_answer() -> None:
    raw = Own()
    assert raw.call(1, "note", lent(7), lent(7), at=3)[0] == (RESOLVE, 3, 2)

    for ref in KEPT:
        with pytest.raises(captp.BorrowEscape):
            captp.E(ref).total()


@pytest.mark.parametrize("count", [5, 6])
def test_a_peer_that_never_takes_back_lends_up_to_a_limit(count: int) -> None:
    # The promise that they wait for is an import too.
    raw = Own(Limits(imports=6))
    waits = [(CALL, 1, "borrow", (lent(i), CODEC.target(Kind.IMPORT_PROMISE, 4)), i, True)
             for i in range(20, 20 + count)]  # fmt: skip
    heard = raw.send(*waits)

    if count == 5:
        assert [op[0] for op in heard] == [LISTEN]
        assert len(raw.tables["loans"]) == 5
    else:
        assert heard[-1][0] == ABORT
        for ref in KEPT:
            with pytest.raises(captp.BorrowEscape):
                ref.total()


# What is lent by the host.


@pytest.mark.parametrize("how", ["shared", "unique"])
@pytest.mark.parametrize(("method", "told"), [("echo", "BorrowEscape"), ("keep", "BorrowEscape")])
def test_who_borrows_names_it_and_gets_no_counted_reference_for_it(how: str, method: str, told: str) -> None:
    raw = Own()
    position = raw.borrows(how)

    assert error(raw.call(1, method, export(position))) == told
    assert raw.call(position, "total", at=10) == [(RESOLVE, 10, 0)]
    assert raw.tables["exports"][-1].split()[0] == f"e{position}"


@pytest.mark.parametrize("how", ["shared", "unique"])
@pytest.mark.parametrize("result", [ROOT, (1, ROOT), {"it": ROOT}])
def test_a_plan_on_a_loan_gives_no_reference_to_it(how: str, result: Any) -> None:
    raw = Own()
    position = raw.borrows(how)
    put: tuple[Any, ...] = ("call", ROOT, Symbol("put"), (4,), {})

    assert error(raw.call(position, "captp:plan", ((put,), result))) == "BorrowEscape"
    assert raw.call(position, "captp:plan", ((put,), Tagged("captp:step", 1)), at=10) == [(RESOLVE, 10, 4)]


@pytest.mark.parametrize("how", ["shared", "unique"])
def test_who_borrows_has_no_say_in_the_terms(how: str) -> None:
    raw = Own()
    position = raw.borrows(how)

    assert error(raw.call(position, "captp:make-unique", 0)) == "Refused"
    assert error(raw.call(0, "captp:share", export(position), at=10)) == "BadArguments"
    assert error(raw.call(position, "captp:share", at=11)) == "NoSuchMethod"


def test_a_loan_is_not_counted_and_not_released() -> None:
    raw = Own()
    assert aborts(raw, (GC_EXPORTS, (raw.borrows(),), (1,))) == "bad-gc"


def test_nothing_is_called_at_a_loan_behind_its_answer() -> None:
    raw = Own()
    position = raw.borrows()
    assert aborts(raw, (RESOLVE, 1, 5), (CALL, position, "total", (), 9, True)) == "bad-ref"


def test_who_listens_to_a_loan_is_not_lent_it_again() -> None:
    raw = Own()
    position = raw.borrows()
    assert error(raw.send((LISTEN, export(position), 9))) == "Unpassable"
    assert len(raw.tables["loans"]) == 1


def test_a_loan_is_no_gift() -> None:
    raw = Own()
    position = raw.borrows()
    assert error(raw.call(0, "deposit-gift", b"id", export(position))) == "BadArguments"


# What is given away.


def test_what_the_host_gave_comes_back_once() -> None:
    raw = Own()
    ((_, _, desc),) = raw.call(1, "make", at=2)
    assert desc.kind is Kind.IMPORT_SOLE
    raw.send((CALL, 1, "note", (back(desc.position), back(desc.position)), 3, True))

    first, second = KEPT
    assert captp.E(first).total() is not None
    assert isinstance(second, captp.Promise)
    assert error(raw.call(desc.position, "total")) == "Broken"


def owned(raw: Own) -> int:
    """Have something given away to this end; return its position."""
    ((_, _, desc),) = raw.call(1, "make", at=2)
    assert desc.kind is Kind.IMPORT_SOLE
    return int(desc.position)


def deposit(position: int, at: int) -> Op:
    return (CALL, 0, "deposit-gift", (b"id", export(position)), at, True)


def share(position: int) -> Op:
    return (CALL, 0, "captp:share", (export(position),))


def test_what_is_still_unique_is_no_gift() -> None:
    raw = Own()
    assert error(raw.send(deposit(owned(raw), 3))) == "BadArguments"


def test_what_its_owner_has_shared_is_a_gift_in_the_very_next_message() -> None:
    raw = Own()
    position = owned(raw)
    assert raw.send(share(position), deposit(position, 3)) == [(RESOLVE, 3, None)]
    # It may be kept, and be told of again.
    ((code, _, desc),) = raw.call(1, "echo", export(position))
    assert (code, desc) == (RESOLVE, Desc(Kind.IMPORT_OBJECT, position))


def test_what_is_shared_behind_its_deposit_is_no_gift() -> None:
    raw = Own()
    position = owned(raw)
    assert error(raw.send(deposit(position, 3), share(position))) == "BadArguments"


def test_sharing_is_for_the_owner_of_an_object_that_is_there() -> None:
    raw = Own()
    position = owned(raw)
    odd = ((), (1,), (export(position), 1), (object_(9),), (CODEC.target(Kind.ANSWER, 2),), (export(0),))
    for at, args in enumerate(odd, 10):
        assert error(raw.call(0, "captp:share", *args, at=at)[:1]) == "BadArguments"
    assert error(raw.call(0, "captp:share", export(1))) == "BadArguments"
    raw.send((CALL, 1, "note", (back(position),), 3, True))
    assert error(raw.call(0, "captp:share", export(position), at=4)) == "BadArguments"
    (mine,) = KEPT
    assert mine._anchor._entry.sole
    assert aborts(raw, share(77)) == "bad-ref"


@pytest.mark.parametrize("what", [0, 1])
def test_what_was_never_unique_is_named_as_by_ext_18(what: int) -> None:
    raw = Own()
    raw.send((CALL, 1, "note", (back(what), export(what)), 3, True))
    one, other = KEPT

    assert type(one) is type(other)


def test_what_was_lent_does_not_come_back_as_given_away() -> None:
    raw = Own()
    position = raw.borrows("unique")
    assert error(raw.call(1, "keep", back(position))) == "BorrowEscape"
    assert raw.call(position, "total", at=10) == [(RESOLVE, 10, 0)]


@pytest.mark.parametrize("position", [7, 2**40])
def test_what_was_never_exported_does_not_come_back(position: int) -> None:
    assert aborts(Own(), (CALL, 1, "note", (back(position),), 3, True)) == "bad-ref"


def test_a_host_consumes_no_reference_that_it_gave_before() -> None:
    raw = Own()
    raw.call(1, "note", object_(8), at=3)
    raw.call(1, "note", given(8), at=4)
    shared, unique = KEPT

    assert captp.E(shared).total() is not None
    assert captp.E(unique).total() is not None


def test_a_promise_is_not_given_away() -> None:
    raw = Own()
    raw.send((CALL, 1, "note", (CODEC.target(Kind.IMPORT_PROMISE, 8),), 3, True))
    assert aborts(raw, (CALL, 1, "note", (given(8),), 4, True)) == "bad-ref"


@pytest.mark.parametrize("ext", [lent(7), given(7), back(1)])
def test_a_peer_that_did_not_announce_the_extension_has_none_of_it(ext: Any) -> None:
    host = Host()
    host.peer.mint(Lender(), "memory", swiss=SWISS)
    raw = Raw(host, "without")
    raw.reaches_the_door()
    heard = raw.send((CALL, 1, "note", (ext,), 3, True))

    assert heard[-1][0] == ABORT
    assert str(heard[-1][1]).startswith("bad-value")


def test_a_peer_that_did_not_announce_the_extension_shares_nothing() -> None:
    host = Host()
    raw = Raw(host, "without")
    raw.reaches_the_door()
    assert error(raw.send((*share(1), 3, True))) == "NoSuchMethod"


def test_an_end_in_the_middle_ends_what_was_lent_either_way() -> None:
    raw = Own()
    raw.borrows()
    raw.send((CALL, 1, "borrow", (lent(7), CODEC.target(Kind.IMPORT_PROMISE, 4)), 3, True))
    raw.host.peer.disconnected(raw.conn, "cut", 1.0)
    raw.host.run()

    (borrowed,) = KEPT
    with pytest.raises(captp.BorrowEscape):
        borrowed.total()
