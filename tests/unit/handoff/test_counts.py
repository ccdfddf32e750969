"""A handoff count is used once, whatever the order, and only so many may be left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import HandoffFailed
from captp.peer.handoff.exporter import Counts


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=60))
def test_a_count_is_taken_once_as_a_plain_set_says(numbers: list[int]) -> None:
    counts, used = Counts(window=100), set[int]()
    for number in numbers:
        if number in used:
            with pytest.raises(HandoffFailed, match=r"^handoff-count: this count was used"):
                counts.use(number)
        else:
            counts.use(number)
            used.add(number)
        assert set(range(counts.floor)) | counts.above == used
        assert counts.floor not in counts.above
        assert not any(n < counts.floor for n in counts.above)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 4))
def test_what_is_remembered_never_outgrows_the_window_and_no_count_is_taken_twice(
    numbers: list[int], window: int
) -> None:
    counts, used = Counts(window), set[int]()
    for number in numbers:
        is_next = number == counts.floor
        is_full = len(counts.above) == window
        try:
            counts.use(number)
        except HandoffFailed:
            assert number in used or (is_full and not is_next)
        else:
            assert number not in used
            used.add(number)
        assert len(counts.above) <= window


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(12)))
def test_in_any_order_all_of_them_leave_nothing_to_remember(numbers: list[int]) -> None:
    counts = Counts(window=12)
    for number in numbers:
        counts.use(number)

    assert (counts.floor, counts.above) == (12, set())


def test_as_many_counts_may_be_ahead_as_the_window_has_and_not_one_more() -> None:
    counts = Counts(window=3)
    for ahead in (5, 7, 9):
        counts.use(ahead)

    with pytest.raises(HandoffFailed, match=r"^handoff-count: too many counts"):
        counts.use(11)

    assert counts.above == {5, 7, 9}


def test_the_next_count_is_taken_when_the_window_is_full() -> None:
    counts = Counts(window=2)
    for ahead in (1, 3):
        counts.use(ahead)

    counts.use(0)

    assert (counts.floor, counts.above) == (2, {3})
    counts.use(9)
    with pytest.raises(HandoffFailed):
        counts.use(1)


def test_a_refused_count_may_be_used_once_there_is_room() -> None:
    counts = Counts(window=1)
    counts.use(1)
    with pytest.raises(HandoffFailed):
        counts.use(2)

    counts.use(0)
    counts.use(2)

    assert (counts.floor, counts.above) == (3, set())
