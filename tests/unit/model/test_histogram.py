"""Counts by powers of two, and what a share of them was below."""

from __future__ import annotations

import pytest

from captp.model.histogram import SIZES, Histogram, below


def test_a_number_counts_for_the_power_of_two_that_it_is_below() -> None:
    found = Histogram()
    for value in (0, 1, 2, 3, 4, 7, 8):
        found.add(value)

    assert found.counts == (1, 1, 2, 2, 1)


def test_what_is_too_large_counts_as_the_largest() -> None:
    found = Histogram()
    found.add(2 ** (SIZES - 1) - 1)
    found.add(1 << 99)

    assert found.counts == (*[0] * (SIZES - 1), 2)


@pytest.mark.parametrize(
    ("share", "bound"), [(0.01, 1), (0.25, 1), (0.26, 4), (0.75, 4), (0.76, 1024), (1, 1024)]
)
def test_a_share_of_the_values_was_below(share: float, bound: int) -> None:
    assert below((1, 0, 2, *[0] * 7, 1), share) == bound


def test_nothing_is_said_of_none() -> None:
    assert Histogram().counts == ()
    assert below((), 0.5) is None
