"""The table of ``captp trustees``, for every kind of trustee."""

from __future__ import annotations

import re

from captp.cli.trustees import shown

LOOP = {
    "vat": "main",
    "trustee": "loop",
    "turns": 1200,
    "zero_hop": 30,
    "batches": 400,
    "depth": 2,
    "high_water": 64,
    "busy_s": 1.5,
    "longest_batch_s": 0.0125,
    "longest_wait_s": 0.2,
    "longest_hold_s": 0.0305,
    "sizes": [0, 300, 0, 100],
    "waits": [0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 1],
    "age_s": 12.0,
    "classes": {"Counter": 0.5, "Till": 1.5},
}
THREAD = {
    "vat": "main",
    "trustee": "thread-1",
    "turns": 7,
    "batches": 5,
    "depth": 1,
    "high_water": 3,
    "cancelled": 0,
    "overloads": 4,
    "unheard": 0,
    "live": 2,
    "wakes": 6,
    "busy_s": 0.25,
    "longest_wait_s": 0.001,
    "sizes": [],
    "waits": [],
    "age_s": 5.0,
}
PROCESS = {
    "vat": "side",
    "trustee": "process-2",
    "state": "down",
    "pid": None,
    "restarts": 1,
    "live": 0,
    "waiting": 5,
    "cpu_s": 0.0,
    "memory_bytes": 0,
}


def test_a_loop_alone_has_the_columns_that_say_something_of_it() -> None:
    title, row = shown([LOOP]).splitlines()

    assert title.split() == [
        *("vat", "trustee", "load", "busy", "turns", "turns/s", "zero-hop", "waiting"),
        *("most", "wait-p50", "wait-p99", "longest-wait", "longest-batch"),
        *("longest-hold", "busiest"),
    ]
    cells = [cell.strip() for cell in row.split("  ") if cell]
    assert cells == [
        *("main", "loop", "12.5%", "1.50 s", "1200", "102", "30", "2"),
        *("64", "< 0.064 ms", "< 16.4 ms", "200.0 ms", "12.5 ms", "30.5 ms"),
        "Till 75%",
    ]


def test_threads_and_processes_stand_in_the_same_columns_with_what_is_known_of_them() -> None:
    title, *rows = shown([LOOP, THREAD, PROCESS]).splitlines()

    def below(name: str) -> list[str]:
        at = title.index(name)
        return [row[at:].partition("  ")[0].strip() for row in rows]

    assert below("state") == ["", "", "down"]
    assert below("load") == ["12.5%", "5.0%", ""]
    assert below("turns/s") == ["102", "1.4", ""]
    assert below("busy") == ["1.50 s", "0.25 s", "0.00 s"]
    assert below("waiting") == ["2", "1", "5"]
    assert below("overloads") == ["", "4", ""]
    assert below("restarts") == ["", "", "1"]


def test_what_a_process_says_of_its_loop_stands_in_the_columns_of_a_loop() -> None:
    title, row = shown([{**LOOP, **PROCESS, "state": "up"}]).splitlines()

    cells = dict(zip(title.split(), re.split(r"  +", row.strip()), strict=True))
    assert (cells["load"], cells["turns/s"], cells["waiting"], cells["wait-p99"]) == (
        *("12.5%", "102", "5", "< 16.4 ms"),
    )


def test_a_vat_that_was_opened_just_now_has_no_load_yet() -> None:
    assert "load" not in shown([{**LOOP, "age_s": 0.0}])
