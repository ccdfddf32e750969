"""Both sides of a session apply the same puts and forgets, whatever is sent and whatever fails to be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.errors import Unpassable
from captp.limits import Limits
from tests.transcript.parties import Parties, Root
from tests.unit.peer.pair import Pair, outcome, pair
from tests.unit.session.boxes import data, shelved

VALUES = 4
BYTES = 1_500

#: What one message carries: by number and size, data made once; and whether it fails behind them.
PARTS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 300, 700, 1_300, 1_600])), max_size=6)
SENDS = st.lists(st.tuples(PARTS, st.sampled_from(["keep", "give back", "fail"])), max_size=25)


def in_step(it: Pair) -> None:
    """Assert that each side knows what the other has of it."""
    a, b = (it.net.link(one, other).session.tables.frozen for one, other in ((it.a, it.b), (it.b, it.a)))
    for sender, reader in ((a, b), (b, a)):
        known = {
            digest: box._captp_sealed.weight for digest, box in reader.known.items() if box._captp_sealed
        }
        assert sender.sent == known
        assert sender.sent_weight == reader.known_weight
        assert len(known) <= VALUES
        assert reader.known_weight <= BYTES


def plain(value: Any) -> Any:
    return value.project() if isinstance(value, captp.Data) else value


@settings(max_examples=60, deadline=None)
@given(SENDS)
def test_the_tables_of_both_sides_are_equal_after_each_message(sends: Any) -> None:
    limits = Limits(frozen_values=VALUES, frozen_bytes=BYTES)
    it = pair(limits, limits)
    ref, kept = shelved(it)
    made: dict[Any, captp.Data[Any, Any]] = {}
    for parts, how in sends:
        boxes = [made.setdefault(part, data((part[0], "x" * part[1]))) for part in parts]
        args: Any = [*boxes, 10**5_000] if how == "fail" else boxes
        promise = (ref.keep if how == "keep" else ref.give_back)(args)
        it.a.want(promise)
        it.net.rest()
        in_step(it)
        if how == "fail":
            with pytest.raises(Unpassable):
                outcome(promise)
            continue
        came = kept[-1] if how == "keep" else outcome(promise)
        assert [plain(one) for one in came] == [box.project() for box in boxes]


@pytest.mark.parametrize("count", [VALUES, VALUES + 1])
def test_one_message_names_no_more_than_the_table_takes_and_has_the_rest_as_it_is(count: int) -> None:
    limits = Limits(frozen_values=VALUES, frozen_bytes=BYTES)
    it = pair(limits, limits)
    ref, kept = shelved(it)
    it.a.get(ref.keep([data(number) for number in range(count)]))

    in_step(it)
    kinds = [type(one) for one in kept[-1]]
    assert kinds == [captp.Data] * VALUES + [int] * (count - VALUES)


def test_what_was_named_last_is_forgotten_last() -> None:
    limits = Limits(frozen_values=2, frozen_bytes=BYTES)
    it = pair(limits, limits)
    ref, _ = shelved(it)
    one, two, three = map(data, range(3))
    for box in (one, two, one, three):
        it.a.get(ref.keep(box))

    table = it.net.link(it.a, it.b).session.tables.frozen
    assert [*table.sent] == [box._captp_sealed.digest for box in (one, three) if box._captp_sealed]


def test_a_peer_with_a_smaller_table_is_sent_less() -> None:
    it = pair(Limits(), Limits(frozen_values=2, frozen_bytes=BYTES))
    ref, kept = shelved(it)
    for number in range(5):
        it.a.get(ref.keep(data((number, "x" * 900))))
    it.a.get(ref.keep(data("x" * 2_000)))

    assert [type(one) for one in kept] == [captp.Data] * 5 + [str]
    assert len(it.a.sessions[0].session.tables.frozen.sent) == 1


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_peer_without_the_extension_gets_the_plain_value(size: int) -> None:
    net = Parties([("A", "B")])
    a, b = net.party("A"), net.party("B")
    root = Root()
    promise = a.want(a.enliven(b.mint(root)))
    net.rest()
    value = {"rows": ["x" * size, 1.5, None], "big": 2**70}

    a.get(captp.E(outcome(promise)).keep(data(value)))

    assert root.kept[-1] == {"rows": ("x" * size, 1.5, None), "big": 2**70}


def test_no_more_is_noted_of_a_larger_table_than_one_s_own_takes() -> None:
    it = pair(Limits(frozen_values=2, frozen_bytes=BYTES), Limits())
    ref, kept = shelved(it)
    for number in range(5):
        it.a.get(ref.keep(data(number)))

    assert [type(one) for one in kept] == [captp.Data] * 5
    assert len(it.a.sessions[0].session.tables.frozen.sent) == 2


def test_what_is_forgotten_is_told_in_messages_that_are_small_enough() -> None:
    limits = Limits(message_bytes=65_536, frozen_values=5_000, frozen_bytes=150_000)
    it = pair(limits, limits)
    ref, kept = shelved(it)
    for first in (0, 1_000):
        it.a.get(ref.keep([data(first + number) for number in range(1_000)]))
    it.a.get(ref.keep(data("x" * 149_000)))

    assert len(kept[-1].project()) == 149_000
    sent, came = (link.session.tables.frozen for link in (it.net.link(it.a, it.b), it.net.link(it.b, it.a)))
    assert [*sent.sent] == [*came.known]
    assert len(sent.sent) < 20
