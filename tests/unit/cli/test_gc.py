"""The tables of ``captp gc``."""

from __future__ import annotations

from typing import Any

import pytest

from captp.cli.gc import ago, shown

ROW: dict[str, Any] = {
    "vat": "main",
    "enabled": True,
    "peers": 2,
    "exports": 40,
    "rooted": 30,
    "unrooted": 7,
    "unknown": 3,
    "suspects": 6,
    "oldest_suspect_s": 61.25,
    "started": 12,
    "garbage": 5,
    "live": 4,
    "changed": 1,
    "expired": 1,
    "broken_off": 1,
    "cut": 9,
    "own_circles": 8,
    "held": 2,
    "said": {"query": 20, "end": 4},
    "bytes_said": {"query": 2000, "end": 560},
    "nodes": 1234,
    "fault": "",
    "suspects_now": [],
    "collected_lately": [],
}
SUSPECT = {
    "vat": "main",
    "id": "main:o12",
    "type": "Account",
    "holders": ["abcdefghijkl…", "a peer at c3"],
    "untouched_s": 61.25,
    "asked_s": 3.0,
    "verdict": "live",
}
GONE = {
    "vat": "main",
    "id": "main:o9",
    "type": "Purse",
    "untouched_s": 100.0,
    "collected_s": 40.0,
    "trace": "0123abcd",
}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell]


def test_a_vat_is_a_line_and_words_and_bytes_are_sums() -> None:
    title, row = shown([ROW]).splitlines()

    assert title.split() == [
        *("vat", "peers", "exports", "in-use", "unrooted", "unknown", "suspects", "oldest"),
        *("traces", "garbage", "live", "other", "freed", "own", "held", "words", "bytes", "nodes"),
    ]
    assert cells(row) == [
        *("main", "2", "40", "30", "7", "3", "6", "61.2 s"),
        *("12", "5", "4", "3", "9", "8", "2", "24", "2560", "1234"),
    ]


def test_without_suspects_there_is_no_oldest() -> None:
    assert "oldest" not in shown([{**ROW, "suspects": 0, "oldest_suspect_s": 0.0}])


def test_suspects_of_all_vats_and_what_was_collected_have_tables_of_their_own() -> None:
    never = {**SUSPECT, "id": "side:o1", "asked_s": None, "verdict": ""}
    late = {**GONE, "id": "side:o2", "untouched_s": None}
    first = {**ROW, "suspects_now": [SUSPECT], "collected_lately": [GONE]}
    second = {**ROW, "vat": "side", "suspects_now": [never], "collected_lately": [late]}

    _, suspects, collected = shown([first, second]).split("\n\n")

    assert [cells(line) for line in suspects.splitlines()[2:]] == [
        ["main:o12", "Account", "abcdefghijkl…, a peer at c3", "61.2 s", "3.0 s ago", "live"],
        ["side:o1", "Account", "abcdefghijkl…, a peer at c3", "61.2 s"],
    ]
    assert [cells(line) for line in collected.splitlines()[2:]] == [
        ["main:o9", "Purse", "40.0 s ago", "60.0 s", "0123abcd"],
        ["side:o2", "Purse", "40.0 s ago", "not known", "0123abcd"],
    ]


def test_a_vat_that_collects_nothing_is_named_with_the_reason() -> None:
    text = shown(
        [{**ROW, "enabled": False}, {**ROW, "vat": "side", "fault": "CPython 3.99 has not been tested"}]
    )

    assert "vat main has no collector: [cycles] enabled" in text
    assert "vat side can tell nothing: CPython 3.99 has not been tested" in text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0.0 s"),
        (119.94, "119.9 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2.0 h"),
        (86400, "24.0 h"),
    ],
)
def test_times_are_said_in_units_that_fit(seconds: float, said: str) -> None:
    assert ago(seconds) == said
