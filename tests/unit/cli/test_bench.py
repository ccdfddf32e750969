"""What ``captp bench`` makes of its figures; what it measures is no test's affair."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice

import pytest

from captp.cli import bench as bench_module
from captp.cli.bench import Pair, Row, bench, measured
from captp.cli.bench_sides import KEYS, Side, Sides, apart, drawn, taken


def side(figures: Iterator[float], name: str = "", turns: list[str] | None = None) -> Side:
    async def next_one(seconds: float) -> float:
        assert seconds == 0.04
        if turns is not None:
            turns.append(name)
        return next(figures)

    return next_one


def pair(ours: list[float], theirs: list[float] | None, recorded: tuple[float, float] = (1.0, 2.0)) -> Pair:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Sides]:
        sides = (side(iter(ours)),)
        yield sides if theirs is None else (*sides, side(iter(theirs)))

    return Pair("counting", "a lock", opened, recorded)


def test_the_ratio_is_the_median_of_those_of_the_rounds() -> None:
    # A neighbour slowed both sides of the second round, and theirs alone in the third.
    row = Row(pair([], []), [100.0, 10.0, 100.0], [50.0, 5.0, 10.0])

    assert row.ratio == 2.0
    assert row.is_ok


@pytest.mark.parametrize(("ours", "is_ok"), [(0.5, True), (0.499, False), (2.0, True), (9.0, True)])
def test_a_ratio_below_half_of_the_least_recorded_is_amiss_and_a_greater_one_is_not(
    ours: float, is_ok: bool
) -> None:
    row = Row(pair([], []), [ours], [1.0])

    assert row.is_ok == is_ok
    assert row.cells()[4].endswith("!") != is_ok
    assert (row.fields()["ok"], row.fields()["at_least"]) == (is_ok, 0.5)


def test_what_is_not_installed_is_told_and_is_not_amiss() -> None:
    row = Row(pair([], None), [1234.4], [])

    assert row.cells() == ["counting", "1,234", "a lock", "not installed", "", "1-2", "0.5"]
    assert row.fields() == {
        "what": "counting",
        "theirs": "a lock",
        "ours_per_s": 1234,
        "theirs_per_s": None,
        "ratio": None,
        "recorded": (1.0, 2.0),
        "at_least": 0.5,
        "ok": True,
    }


async def test_the_sides_take_turns_and_the_rehearsal_does_not_count() -> None:
    turns: list[str] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[Sides]:
        yield (
            side(iter([9.0, 1.0, 2.0, 3.0]), "ours", turns),
            side(iter([7.0, 4.0, 5.0, 6.0]), "theirs", turns),
        )

    row = await measured(Pair("counting", "a lock", opened, (1, 2)), 3, 0.04)

    assert (row.ours, row.theirs) == ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert turns == ["theirs", "ours", "ours", "theirs", "theirs", "ours", "ours", "theirs"]


def test_the_command_prints_a_table_or_json_and_ends_with_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, alone = pair([3.0] * 6, [2.0] * 6), pair([1.0] * 6, [4.0] * 6), pair([1.0] * 6, None)

    monkeypatch.setattr(bench_module, "PAIRS", (good, alone))
    assert bench(quick=True) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "ours      per s  theirs  per s          ratio  recorded  guard",
        "counting  3      a lock  2              1.5    1-2       0.5",
        "counting  1      a lock  not installed         1-2       0.5",
        "0 of 2 ratios are below their guards; medians of 5 rounds",
    ]
    assert said.err == "counting / a lock\n" * 2

    monkeypatch.setattr(bench_module, "PAIRS", (good, bad))
    assert bench(quick=True, json=True) == 1
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["ok"], told["rounds"], said.err) == (False, 5, "")
    assert [(row["ratio"], row["ok"]) for row in told["rows"]] == [(1.5, True), (0.25, False)]


def test_keys_are_drawn_as_zipf_has_it_and_the_same_ones_again() -> None:
    some = list(islice(drawn(), 8192))

    assert some == list(islice(drawn(), 8192))
    often = Counter(key for key, _ in some)
    assert often.most_common(1)[0][0] == 0
    assert 0.05 < often[0] / len(some) < 0.2
    assert 0.35 < often[1] / often[0] < 0.65
    assert max(often) > KEYS // 2
    assert 0.03 < sum(is_write for _, is_write in some) / len(some) < 0.07


def test_what_is_taken_is_sorted_by_shards_and_nothing_is_lost() -> None:
    parts = taken(drawn(), 64)

    assert sorted(at for at, _ in parts) == [0, 1, 2, 3]
    assert sorted(one for _, part in parts for one in part) == sorted(islice(drawn(), 64))


def test_this_process_may_use_all_its_cores_again() -> None:
    cores = os.sched_getaffinity(0)
    with apart([]):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == cores
