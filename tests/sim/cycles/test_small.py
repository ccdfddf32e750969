"""Very small worlds, every order of events: nothing that lives is lost, and a fault is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from captp.sim.cycles import small
from captp.sim.cycles.small import Small, explore
from tests.sim.cycles import planted

Make = Callable[[int], Small]


@pytest.mark.parametrize("make", [small.two, small.three])
def test_a_ring_with_one_free_choice_is_safe_in_every_order(make: Make) -> None:
    seen = explore(make(1), most=20_000)

    assert not seen.violation, seen.path
    assert seen.is_whole
    assert seen.cuts


@pytest.mark.slow
@pytest.mark.parametrize(("make", "choices"), [(small.two, 2), (small.three, 2), (small.third, 1)])
def test_more_of_a_world_is_safe_in_every_order(make: Make, choices: int) -> None:
    seen = explore(make(choices), most=100_000)

    assert not seen.violation, seen.path
    assert seen.is_whole
    assert seen.cuts


@pytest.mark.slow
def test_that_nobody_looks_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.nobody_looks_twice(monkeypatch)

    assert explore(small.three(2), most=20_000).violation


@pytest.mark.slow
def test_that_gifts_are_no_roots_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    planted.gifts_are_no_roots(monkeypatch)

    assert explore(small.third(1), most=100_000).violation
