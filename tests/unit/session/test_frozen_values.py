"""Which values of frozen data arrive as they were, and what arrives where there is no table for them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
import captp.session.session
from captp.errors import BadArguments, CaptureError, NoSuchMethod, Unpassable
from captp.limits import Limits
from captp.model.captures import check_captures
from captp.model.passable import equal
from captp.model.ref import Ref
from captp.model.values import NULL, Fault, FrozenMap, Symbol, Tagged
from tests.unit.peer.pair import Pair, outcome, pair
from tests.unit.session.boxes import data, shelved

FLAT = (
    st.sampled_from([None, NULL, True, False, 2**63, 2**64, -(2**63) - 1, 0.0, -0.0, float("nan")])
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=40)
    | st.text(max_size=9).map(Symbol)
)
STRUCTS = st.dictionaries(st.text(max_size=9), FLAT, max_size=4)
PLAIN = st.recursive(
    FLAT | STRUCTS | st.builds(Fault, st.text(max_size=9), st.none() | STRUCTS.map(FrozenMap)),
    lambda parts: (
        st.lists(parts, max_size=4)
        | st.dictionaries(st.text(max_size=9), parts, max_size=4)
        | st.builds(Tagged, st.text(max_size=9), parts)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(PLAIN)
def test_plain_data_arrives_equal_and_is_known_when_it_comes_back(value: Any) -> None:
    it = pair()
    ref, had = shelved(it)
    box = data(value)

    it.a.get(ref.keep(box))
    back = it.a.get(ref.give_back(box))

    assert equal(had[-1].project(), box.project())
    assert had[-1]._captp_sealed == box._captp_sealed
    assert back is box


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Two vats of captp that do not know the extension."""
    monkeypatch.setattr(captp.session.session, "EXTENSIONS", ("mp1", "own1"))
    return pair(Limits(nodes=200, container_entries=150), Limits(nodes=200, container_entries=150))


@pytest.mark.parametrize(
    "value",
    [7, 2**70, -1, "text", b"bytes", None, NULL, 1.5, (), (1, (2,)), {"a": [1]}, Symbol("s")],
    ids=repr,
)
def test_an_older_peer_gets_the_value_itself(without: Pair, value: Any) -> None:
    ref, had = shelved(without)
    box = data(value)

    without.a.get(ref.keep(box))
    without.a.get(ref.keep([box, {"in": box}]))

    plain = box.project()
    assert had == [plain, (plain, {"in": plain})]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ([data([1] * 90), data([2] * 90)], True),
        ([data([1] * 99), data([2] * 99)], False),
        ([data([1] * 150)], True),
        ([data([1] * 151)], False),
        ([data(nested(60))], True),
        ([[[[[data(nested(60))]]]]], False),
    ],
    ids=["few", "many", "long", "too long", "deep", "too deep"],
)
def test_what_an_older_peer_would_not_read_is_not_sent(without: Pair, given: Any, fits: bool) -> None:
    ref, had = shelved(without)
    promise = ref.keep(given)
    without.a.want(promise)
    without.net.rest()

    if fits:
        assert outcome(promise) is None
    else:
        with pytest.raises(Unpassable):
            outcome(promise)
    assert len(had) == fits
    without.a.get(ref.keep(1))


def test_a_value_over_the_table_travels_itself_and_one_over_a_message_does_not() -> None:
    limits = Limits(frozen_bytes=1_000, message_bytes=5_000)
    it = pair(limits, limits)
    ref, had = shelved(it)

    for _ in range(2):
        it.a.get(ref.keep(data("x" * 2_000)))
    assert had == ["x" * 2_000] * 2
    promise = it.a.want(ref.keep(data("x" * 6_000)))
    it.net.rest()
    with pytest.raises(Unpassable, match="5000 is the most"):
        outcome(promise)


def test_the_tables_are_gone_with_their_session() -> None:
    it = pair()
    ref, had = shelved(it)
    it.a.get(ref.keep(data("x" * 500)))
    arrived = weakref.ref(had[-1])
    table = it.net.link(it.b, it.a).session.tables.frozen
    had.clear()
    gc.collect()
    assert arrived() is not None

    it.wire.cut()
    it.net.rest()
    gc.collect()

    assert arrived() is None
    assert (table.known, table.known_weight) == ({}, 0)


# Data that stays.


def closed(value: Any) -> captp.Data[Any, Any]:
    return captp.Data.inject(value, captp.Capsule.create())


def test_one_object_stands_for_data_as_long_as_somebody_has_it() -> None:
    it = pair()
    ref, had = shelved(it)
    box = closed([1])
    objects = it.a.vat.heap.dump()

    it.a.get(ref.keep([box, box]))
    assert had[-1][0] is had[-1][1]
    with pytest.raises(NoSuchMethod):
        it.b.get(captp.E(had[-1][0]).project())

    gone = weakref.ref(box)
    del box
    gc.collect()
    assert gone() is not None
    had.clear()
    gc.collect()
    it.net.wait(2)
    gc.collect()
    assert gone() is None
    assert it.a.vat.heap.dump() == objects


class Opener(captp.Object):
    @captp.method
    def open(self, what: captp.Data[Any, Any]) -> Any:
        return what.project()

    @captp.method
    def open_maybe(self, what: captp.Data[Any, Any] | None = None) -> Any:
        return what if what is None else what.project()


def test_a_parameter_for_data_takes_nothing_else() -> None:
    it = pair()
    ref = captp.E(it.a.vat.reference(Opener()))

    assert it.a.get(ref.open(data([1]))) == (1,)
    assert it.a.get(ref.open_maybe(data([1]))) == (1,)
    assert it.a.get(ref.open_maybe(None)) is None
    for wrong in (1, [1], "text", Opener()):
        it.a.has_faults = True
        promise = it.a.want(ref.open(wrong))
        it.net.rest()
        with pytest.raises(BadArguments, match="expected Data"):
            outcome(promise)


def test_functions_may_capture_data_and_nothing_that_it_is_in() -> None:
    box = closed([1])
    inside = [box]

    check_captures(lambda: box)
    with pytest.raises(CaptureError, match="inside"):
        check_captures(lambda: inside)


def test_what_cannot_be_tracked_stays_also_when_its_capsule_is_frozen() -> None:
    it = pair()
    ref, kept = shelved(it)
    box, key = captp.Capsule.create().access(lambda access: captp.Data.wrap(access, bytearray(b"ab")))
    key.freeze()

    it.a.get(ref.keep(box))

    assert isinstance(kept[-1], Ref)
