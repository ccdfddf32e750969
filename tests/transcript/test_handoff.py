"""A reference that G gives to R leads R to E itself: it arrives, works without G, and keeps its order."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.errors import Unpassable
from tests.transcript.parties import CODECS, NATIVE, SYRUP, Hall, Parties, Root, three
from tests.unit.peer.pair import Shop, outcome

BOTH = pytest.mark.parametrize("syrup", [NATIVE, SYRUP], ids=["native", "syrup"])
ALL = pytest.mark.parametrize("syrup", CODECS, ids=lambda names: "+".join(names) or "native")


@ALL
def test_the_reference_arrives_and_works_and_leaves_nothing_behind(syrup: tuple[str, ...]) -> None:
    it = three(syrup)

    ref = it.introduced()
    called = it.r.want(captp.E(ref).add(7))
    it.net.rest()

    assert outcome(called) == 7
    assert it.at_e.seen == [7]
    spoken = [it.net.codec(*pair) for pair in ((it.e, it.g), (it.g, it.r), (it.e, it.r))]
    assert spoken == ["syrup" if pair in syrup else "native" for pair in ("EG", "GR", "ER")]
    del ref, called
    it.ends_empty()


@ALL
def test_calls_on_it_go_to_the_exporter_and_the_gifter_hears_none_of_them(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    ref = it.introduced()
    before = it.net.heard(it.g)
    at_e = it.net.heard(it.e)

    for number in range(20):
        it.r.want(captp.E(ref).add(number))
    it.net.rest()

    assert it.at_e.seen == list(range(20))
    assert it.net.heard(it.g) == before
    assert it.net.heard(it.e)["G"] == at_e["G"]
    assert it.net.heard(it.e)["R"] > at_e["R"]


@ALL
def test_calls_arrive_in_the_order_sent_before_while_and_after_the_withdrawal(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    it.to_r.keep.only(it.to_e)
    it.net.rest(dials=False)
    promise = it.kept()
    assert not promise.settled

    calls = [captp.E(promise).add(n) for n in (0, 1)]
    it.r.run()
    it.net.connect(it.r)
    it.r.run()
    calls += [captp.E(promise).add(n) for n in (2, 3)]
    it.net.rest()
    calls += [captp.E(promise).add(4), captp.E(outcome(promise)).add(5), captp.E(promise).add(6)]
    it.r.want(calls[-1])
    it.net.rest()

    assert it.at_e.seen == list(range(7))
    wanted = [it.r.want(call) for call in calls]
    it.net.rest()
    assert [outcome(call) for call in wanted] == list(range(7))
    del promise, calls, wanted
    it.ends_empty()


@ALL
def test_a_withdrawal_that_is_faster_than_the_deposit_waits_for_it(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    held = it.net.hold(it.e, it.g)
    it.to_r.keep.only(it.to_e)
    it.net.rest()
    promise = it.kept()
    first = it.r.want(captp.E(promise).add(1))
    it.net.rest()
    assert not promise.settled
    assert it.e.peer.exporter.dump() == ["live 0 gifts, 1 awaited"]

    held.is_deaf = False
    it.net.rest()
    second = it.r.want(captp.E(promise).add(2))
    it.net.rest()

    assert [outcome(first), outcome(second)] == [1, 2] == it.at_e.seen
    assert it.e.peer.exporter.dump() == []
    del promise, first, second
    it.ends_empty()


@BOTH
def test_a_deposit_that_is_faster_than_the_withdrawal_waits_for_it(syrup: tuple[str, ...]) -> None:
    it = three(syrup)

    it.to_r.keep.only(it.to_e)
    it.net.rest(dials=False)

    assert it.e.peer.exporter.dump() == ["live 1 gifts, 0 awaited"]
    it.net.rest()
    assert it.e.peer.exporter.dump() == []
    assert outcome(it.kept()) is not None


STEPS = st.lists(st.tuples(st.integers(0, 11), st.sampled_from([1, 60, 300, 10_000])), max_size=60)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(STEPS, st.sampled_from(CODECS), st.booleans())
def test_in_whatever_order_bytes_come_calls_keep_theirs(
    steps: list[tuple[int, int]], syrup: tuple[str, ...], e_dials_r: bool
) -> None:
    it = three(syrup, e_dials_r=e_dials_r)
    it.to_r.keep.only(it.to_e)
    sent = 0
    for what, size in steps:
        if what < 3:
            (it.g, it.r, it.e)[what].run()
        elif what == 3 and it.r.dials:
            it.net.connect(it.r)
        elif what == 4 and it.at_r.kept:
            # One that is thrown away and one that somebody waits for.
            captp.E(it.kept()).add.only(sent)
            it.r.want(captp.E(it.kept()).add(sent + 1))
            sent += 2
        elif what == 5 and it.at_r.kept and it.kept().settled:
            it.r.want(captp.E(outcome(it.kept())).add(sent))
            sent += 1
        else:
            ends = [end for wire in it.net.wires for end in (wire.near, wire.far)]
            ends[what % len(ends)].deliver(size)
    it.net.rest()

    assert it.at_e.seen == list(range(sent))
    it.ends_empty()


@BOTH
def test_an_existing_session_of_either_direction_is_used(syrup: tuple[str, ...]) -> None:
    it = three(syrup, e_dials_r=True)

    ref = it.introduced()
    called = it.r.want(captp.E(ref).add(1))
    it.net.rest()

    assert outcome(called) == 1
    assert it.r.dialled == []


@ALL
def test_two_handoffs_of_one_object_give_one_reference_in_the_end(syrup: tuple[str, ...]) -> None:
    it = three(syrup)

    first, second = it.introduced(), it.introduced()

    assert first is second
    assert len(it.r.dialled) == 1
    del first, second
    it.ends_empty()


@BOTH
def test_one_message_may_introduce_to_several_objects_and_one_twice(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    others = [it.g.want(it.g.enliven(it.e.mint(Root()), Hall)) for _ in range(3)]
    it.net.rest()
    refs = [outcome(p) for p in others]

    it.to_r.keep.only([*refs, refs[0], {"again": refs[1]}])
    it.net.rest()

    *got, again, named = it.kept()
    got = [outcome(p) for p in got]
    assert len(set(map(id, got))) == 3
    assert outcome(again) is got[0]
    assert outcome(named["again"]) is got[1]


@BOTH
def test_the_answer_of_a_call_introduces_too(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    it.at_g.source = lambda: it.to_e
    to_g = it.r.want(it.r.enliven(it.g.mint(it.at_g), Hall))
    it.net.rest()

    asked = it.r.want(outcome(to_g).later())
    it.net.rest()
    called = it.r.want(captp.E(outcome(asked)).add(1))
    it.net.rest()

    assert outcome(called) == 1
    assert "R" in it.net.heard(it.e)


@BOTH
def test_counts_grow_from_withdrawal_to_withdrawal(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    it.introduced()
    it.net.hold(it.e, it.r)
    for _ in range(3):
        it.to_r.keep.only(it.to_e)
        it.net.rest()

    said = bytes(it.net.end(it.e, it.r).inbox)

    # Session and side id stand before the count, with 32 bytes each.
    receives = said.split(b"desc:handoff-receive")[1:]
    assert [receive[2 * (3 + 32) :].partition(b"+")[0] for receive in receives] == [b"1", b"2", b"3"]


@BOTH
def test_every_gift_has_an_id_of_its_own(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    for _ in range(3):
        it.to_r.keep.only(it.to_e)
    it.net.rest(dials=False)

    assert it.e.peer.exporter.dump() == ["live 3 gifts, 0 awaited"]


UNSENDABLE: dict[str, Any] = {"no text": "\ud800", "too long": b"x" * 5_000_000}


@BOTH
@pytest.mark.parametrize("wrong", UNSENDABLE.values(), ids=UNSENDABLE)
def test_a_message_that_cannot_leave_deposits_nothing(syrup: tuple[str, ...], wrong: Any) -> None:
    it = three(syrup)
    before = it.net.heard(it.r), it.net.heard(it.e)

    sent = it.g.want(it.to_r.give_back([it.to_e, wrong]))
    it.net.rest()

    with pytest.raises(Unpassable):
        outcome(sent)
    assert it.e.peer.exporter.dump() == []
    assert (it.net.heard(it.r), it.net.heard(it.e)) == before
    it.introduced()
    del sent
    it.ends_empty()


def test_a_chain_of_handoffs_leads_to_the_object_itself() -> None:
    net = Parties()
    hosts = [net.party(name) for name in "EGRST"]
    roots = [Root() for _ in hosts]
    refs = [host.mint(root) for host, root in zip(hosts, roots, strict=True)]
    _, *passing = hosts
    given = passing[0].want(passing[0].enliven(refs[0], Hall))
    net.rest()
    ref: Any = outcome(given)

    for giver, to, root, sturdyref in zip(passing, passing[1:], roots[2:], refs[2:], strict=False):
        target = giver.want(giver.enliven(sturdyref, Hall))
        net.rest()
        outcome(target).keep.only(ref)
        net.rest()
        ref = outcome(root.kept[-1])
        called = to.want(captp.E(ref).add(1))
        net.rest()
        assert outcome(called) == 1

    for host in passing[:-1]:
        net.die(host)
    last = passing[-1].want(captp.E(ref).add(2))
    net.rest()
    assert outcome(last) == 2
    assert roots[0].seen == [1, 1, 1, 2]


class Porter(captp.Interface):
    @captp.method
    def given(self) -> Shop: ...


class Gives(captp.Object, Porter):
    what: Shop

    @captp.method
    def given(self) -> Shop:
        return self.what


@ALL
def test_a_result_of_a_third_vat_has_the_interface_of_its_method(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    porter: Any = it.r.get(it.r.enliven(it.g.mint(Gives(what=it.to_e)), Porter))
    ref = it.r.get(porter.given())

    assert isinstance(ref, Shop)
    assert it.r.get(ref.add(7)) == 7
