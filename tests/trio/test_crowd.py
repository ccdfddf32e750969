"""When to sleep instead of looking awake: after some looks that lost the core, and longer each time."""

from __future__ import annotations

import itertools

from captp.run.crowd import LONGEST, LOST, SHORTEST, Crowd


def sleeps(crowd: Crowd, count: int, *, lost: bool) -> list[int]:
    """Look so often, awake where that is advised; return how many looks in a row were slept through."""
    advised = []
    for _ in range(count):
        advised.append(crowd.is_there())
        if not advised[-1]:
            crowd.looked(lost=lost)
    return [len(list(group)) for asleep, group in itertools.groupby(advised) if asleep]


def test_some_looks_in_a_row_have_to_lose_the_core() -> None:
    crowd = Crowd()

    for _ in range(3):
        assert sleeps(crowd, LOST - 1, lost=True) == []
        assert sleeps(crowd, 1, lost=False) == []
    assert sleeps(crowd, LOST, lost=True) == []
    assert sleeps(crowd, 1, lost=True) == [1]


def test_each_look_that_loses_it_again_is_followed_by_twice_as_many_asleep() -> None:
    found = sleeps(Crowd(), 6000, lost=True)

    assert found[:8] == [SHORTEST << n for n in range(7)] + [LONGEST]
    assert set(found[7:-1]) == {LONGEST}


def test_a_look_that_keeps_it_ends_the_crowd() -> None:
    crowd = Crowd()

    for _ in range(2):
        assert sleeps(crowd, LOST, lost=True) == []
        # It has not become longer the second time.
        assert sleeps(crowd, 2 * LONGEST, lost=False) == [SHORTEST]
