"""The seams in a session, a, b and i to k: each is there, idle today, and takes what is plugged in."""

from __future__ import annotations

from typing import Any

import pytest

import captp.session.session
from captp.errors import Disconnected
from captp.limits import Limits
from captp.model.promise import Message, Promise
from captp.model.ref import Ref
from captp.model.send import E
from captp.peer import routing
from captp.peer.order import next_hop
from captp.session.entries import Account, Control, Import, Question
from captp.session.inbound import ControlCall
from captp.session.session import Session
from captp.wire.ops import Kind
from tests.unit.peer.pair import Counter, Host, Net, Pair, Shop, outcome, pair


def session_of(host: Host) -> Session:
    return host.sessions[0].session


def send_and_hear(it: Pair) -> list[Any]:
    """Let a's messages come to b's session alone; return what it makes of them, before the peer sees it."""
    it.a.run()
    data = bytes(it.wire.far.inbox)
    it.wire.far.inbox.clear()
    return session_of(it.b).receive(data)


# a. One factory makes every table entry.


class Stamping(Account):
    """An account that notes whatever it makes."""

    __slots__ = ("made",)

    def __init__(self, session: Session, home: Any, limits: Limits) -> None:
        super().__init__(session, home, limits)
        self.made: list[Any] = []

    def export(self, *args: Any) -> Any:
        self.made.append(super().export(*args))
        return self.made[-1]

    def import_(self, *args: Any) -> Any:
        self.made.append(super().import_(*args))
        return self.made[-1]

    def question(self, *args: Any) -> Any:
        self.made.append(super().question(*args))
        return self.made[-1]

    def answer(self, *args: Any) -> Any:
        self.made.append(super().answer(*args))
        return self.made[-1]


def stamping(it: Pair) -> list[Stamping]:
    """Plug an account of our own into both ends."""
    made = []
    for host in (it.a, it.b):
        tables = session_of(host).tables
        account = Stamping(tables.session, tables.home, tables.limits)
        account.incarnations = tables.account.incarnations
        tables.account = account
        made.append(account)
    return made


def test_seam_a_one_factory_makes_every_entry_and_never_the_same_one_twice() -> None:
    it = pair()
    accounts = stamping(it)

    for _ in range(3):
        it.a.want(it.ref.give_back(it.a.vat.reference(Counter())))
        it.ref.keep(it.a.vat.promise()[0])
        it.net.wait(1)

    kinds = [{type(e).__name__ for e in account.made} for account in accounts]
    assert kinds[0] >= {"Export", "Question"}
    assert kinds[1] >= {"Import", "Answer"}
    for host, account in zip((it.a, it.b), accounts, strict=True):
        stamps = [e.incarnation for e in account.made]
        assert sorted(set(stamps)) == stamps
        # Positions are used again, incarnations are not.
        assert len({(type(e), e.position) for e in account.made}) < len(account.made)
        tables = session_of(host).tables
        entries: list[Any] = [*tables.exports.values(), *tables.imports.values()]
        entries += [*tables.questions.values(), *tables.answers.values()]
        assert all(e in account.made for e in entries if e.incarnation > stamps[0])


@pytest.mark.parametrize("way", ["encoded", "decoded"])
def test_seam_a_an_import_is_touched_at_encode_and_at_decode(way: str) -> None:
    it = pair()
    tables = session_of(it.a).tables
    (entry,) = tables.imports.values()
    it.net.wait(1)
    tables.account.clock += 1
    before = entry.touched

    if way == "encoded":
        it.ref.add(1)
        it.a.run()
    else:
        tables.resolve(Kind.IMPORT_OBJECT, entry.position)

    assert entry.touched > before


def test_seam_a_an_entry_knows_when_its_reference_last_travelled() -> None:
    it = pair()
    account = session_of(it.a).tables.account

    entry = account.export(9, Control("any"))

    assert any(name.startswith("transfer") for name in type(entry).__slots__)


# b. Registered control targets are handled at decode time.


def control_target(it: Pair) -> Any:
    """Export a control target of b's; return a's reference to it."""
    entry = session_of(it.b).tables.export_control(Control("collector"))
    entry.wire = 1
    return session_of(it.a).tables.resolve(Kind.IMPORT_OBJECT, entry.position)


def test_seam_b_the_bootstrap_is_handled_at_decode_time_before_any_turn() -> None:
    it = pair()
    sturdyref = it.b.mint(Counter())
    for i in range(3):
        it.ref.add(i)
    fetched = it.a.want(it.a.enliven(sturdyref, Shop))
    it.a.run()

    it.wire.far.deliver()

    (answer,) = [a for a in session_of(it.b).tables.answers.values() if a.settled]
    assert list(it.counter.seen) == []
    assert isinstance(answer._value, Ref)
    it.net.rest()
    outcome(fetched)


def test_seam_b_control_calls_stand_among_the_messages_in_the_order_they_came() -> None:
    it = pair()
    it.ref.add.only(1)
    fetched = it.a.enliven(it.sturdyref, Shop)
    it.ref.add.only(2)

    effects = send_and_hear(it)

    assert [type(e) for e in effects] == [Message, ControlCall, Message]
    assert not fetched.settled


def test_seam_b_a_control_target_of_another_kind_is_called_in_its_place() -> None:
    it = pair()
    collector = control_target(it)

    it.ref.add.only(1)
    E(collector).mark.only(7)
    it.ref.add.only(2)
    effects = send_and_hear(it)

    assert [type(e) for e in effects] == [Message, ControlCall, Message]
    assert effects[1].message.selector == "mark"


def test_seam_b_today_only_the_bootstrap_is_registered_and_any_other_control_target_is_silent() -> None:
    it = pair()
    collector = control_target(it)

    E(collector).mark.only(7)
    it.net.rest()

    assert list(it.b.peer.controls) == ["bootstrap"]
    assert it.a.sessions


def test_seam_b_who_registers_is_called_at_decode_time_in_order_and_before_any_turn() -> None:
    it = pair()
    collector = control_target(it)
    heard: list[Any] = []

    def handle(peer: Any, link: Any, message: Message) -> None:
        heard.append((peer is it.b.peer, link.conn, message.selector, message.args, list(it.counter.seen)))

    it.b.peer.controls["collector"] = handle
    it.ref.add.only(1)
    for i in range(2):
        E(collector).mark.only(i)
    it.a.run()
    it.wire.far.deliver()

    assert heard == [(True, 1, "mark", (0,), []), (True, 1, "mark", (1,), [])]
    it.net.rest()
    assert list(it.counter.seen) == [1]


# i. Extensions, announced and bound into the hello.


def dialling() -> tuple[Net, Host, Host, Promise[Any]]:
    net = Net()
    a, b = net.host(1), net.host(2)
    promise = a.want(a.enliven(b.mint(Counter()), Shop))
    a.run()
    return net, a, b, promise


def test_seam_i_today_native_peers_announce_four_extensions() -> None:
    it = pair()

    for host in (it.a, it.b):
        hello = session_of(host).hello
        assert hello is not None
        assert hello.extensions == session_of(host).extensions == ("mp1", "own1", "frz1", "dgc1")


def test_seam_i_what_both_announce_is_in_force_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captp.session.session, "EXTENSIONS", ("mp1", "new1", "own1"))
    it = pair()

    assert session_of(it.a).extensions == session_of(it.b).extensions == ("mp1", "new1", "own1", "dgc1")


def test_seam_i_an_extension_that_is_changed_on_the_way_breaks_the_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(captp.session.session, "EXTENSIONS", ("mp1",))
    net, a, b, promise = dialling()
    wire = net.connect(a)
    a.run()
    assert wire.far.inbox.count(b"dgc1") == 1

    wire.far.inbox[:] = wire.far.inbox.replace(b"dgc1", b"dgc2")
    net.rest(dials=False)

    assert ("session ended", "bad-signature") in b.log
    with pytest.raises(Disconnected):
        outcome(promise)


# j. A per-session account owns every entry; limits are injected.


def test_seam_j_every_entry_is_owned_by_the_account_of_its_own_session() -> None:
    it = pair()
    c = it.net.host(3)
    c.want(c.enliven(it.sturdyref, Shop))
    it.net.rest()
    it.a.want(it.ref.never())
    it.net.rest()

    accounts = []
    for link in it.b.sessions:
        tables = link.session.tables
        entries: list[Any] = [*tables.exports.values(), *tables.imports.values()]
        entries += [*tables.questions.values(), *tables.answers.values()]
        assert {e.account for e in entries} == {tables.account}
        assert tables.account.session is link.session
        accounts.append(tables.account)
    assert accounts[0] is not accounts[1]


def test_seam_j_the_limits_of_an_account_are_those_that_the_vat_was_given() -> None:
    mine, theirs = Limits(questions=100), Limits(answers=10)
    it = pair(mine, theirs)

    assert session_of(it.a).tables.account.limits is mine
    assert session_of(it.b).tables.account.limits is theirs


# k. Promises record their route and their unanswered sends.


def test_seam_k_a_promise_knows_the_way_of_its_messages_and_how_many_are_not_answered() -> None:
    it = pair()
    lazy: Any = it.ref.me()
    it.a.run()
    route = lazy._route
    counts = [route.unanswered]
    for i in range(2):
        lazy.add(i)
        it.a.run()
        counts.append(route.unanswered)
    it.net.rest()

    assert type(route) is Question
    assert route.session is session_of(it.a)
    assert counts == [0, 1, 2]
    assert route.unanswered == 0


def test_seam_k_a_promise_of_the_peer_s_has_a_route_and_a_local_one_has_none() -> None:
    it = pair()
    promise, _resolver = it.a.vat.promise()
    it.ref.keep(promise)
    it.net.rest()

    (there,) = it.counter.kept

    assert type(there._route) is Import
    assert there._route.session is session_of(it.b)
    assert promise._route is None


def test_seam_k_one_policy_is_asked_for_the_way_of_every_message_on_a_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = pair()
    asked: list[tuple[Any, bool]] = []

    def noting(target: Any, *, is_foreign: bool) -> Any:
        asked.append((target, is_foreign))
        return next_hop(target, is_foreign=is_foreign)

    monkeypatch.setattr(routing, "next_hop", noting)
    promise, resolver = it.a.vat.promise()

    E(promise).add(1)
    it.net.rest()
    resolver.fulfill(it.ref)
    E(promise).add(2)
    it.net.rest()

    assert len(asked) >= 3
    assert {target for target, _ in asked} == {promise}
    assert not any(is_foreign for _, is_foreign in asked)
    assert list(it.counter.seen) == [1, 2]
