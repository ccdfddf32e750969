"""The arithmetic of the benchmark's report: ratios, medians, gates, the shape of its JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bench.report import (
    FIGURES,
    GATES,
    SUBJECTS,
    Gate,
    Pass,
    collect,
    details_table,
    figures_table,
    gates_table,
    judge,
    split_keys,
    summary,
)
from tests.bench.scenarios import SCENARIOS, percentile

PLAIN, TLS = "captp-plain", "captp-tls"

#: A sample that has every figure, so that one shape serves every key.
WHOLE = {
    "per_s": 100.0, "p50_us": 1.0, "p99_us": 2.0, "ms": 40.0, "trips": 1.0, "over_ms": 0.0, "of_b": 1.0,
    "mib_s": 100.0, "left": 0.0, "kib_per_conn": 50.0,
}  # fmt: skip


def seen(key: str, subject: float, *base: float) -> Pass:
    figure = FIGURES[key]
    return Pass(
        [{**WHOLE, figure: b} for b in base],
        {name: {**WHOLE, figure: subject} for name in SUBJECTS.values()},
    )


def all_keys(**changed: float) -> dict[str, list[Pass]]:
    """One pass in which every subject is exactly like the base, but for what is ``changed``."""
    passes: dict[str, list[Pass]] = {}
    for keys in SCENARIOS.values():
        for key in keys:
            one = Pass([WHOLE, WHOLE], {name: {**WHOLE, **changed} for name in SUBJECTS.values()})
            for name, part in split_keys(key, one).items():
                passes.setdefault(name, []).append(part)
    return passes


def test_a_ratio_is_to_the_mean_of_the_two_bases_of_its_own_pass() -> None:
    results = collect({"b": [seen("b", 60.0, 20.0, 40.0)]})

    assert results[PLAIN]["b"]["ratio"] == 2.0


def test_the_ratio_is_the_median_of_the_ratios_and_not_the_ratio_of_the_medians() -> None:
    # Medians 10 and 100 would say 0.1; the pass in the middle says 0.5.
    passes = [seen("b", 10, 10, 10), seen("b", 50, 100, 100), seen("b", 9, 100, 100)]

    results = collect({"b": passes})

    assert results[PLAIN]["b"]["ratios"] == [1.0, 0.5, 0.09]
    assert results[PLAIN]["b"]["ratio"] == 0.5
    assert results[PLAIN]["b"]["per_s"] == 10


def test_the_base_takes_the_median_over_both_its_runs_of_all_passes() -> None:
    results = collect({"b": [seen("b", 1, 10, 20), seen("b", 1, 30, 50)]})

    assert results["base"]["b"]["per_s"] == 25
    assert results["base"]["b"]["ratio"] == 1.0


def test_a_pass_without_a_subjects_sample_leaves_that_subject_without_medians() -> None:
    broken = seen("b", 100, 100, 100)
    del broken.subjects[TLS]

    results = collect({"b": [seen("b", 100, 100, 100), broken]})

    assert "b" in results[PLAIN]
    assert "b" not in results.get(TLS, {})


def test_a_pass_without_one_of_its_bases_leaves_no_ratio() -> None:
    results = collect({"b": [seen("b", 100, 100)]})

    assert results == {}


def test_the_tail_of_sequential_calls_is_a_key_of_its_own_in_microseconds() -> None:
    one = Pass([{**WHOLE, "p99_us": 10.0}] * 2, {PLAIN: {**WHOLE, "p99_us": 25.0}})

    split = split_keys("a", one)

    assert list(split) == ["a", "a_p99"]
    assert split["a_p99"].subjects == {PLAIN: {"us": 25.0}}
    assert split["a_p99"].ratio(PLAIN, "us") == 2.5


def test_the_json_has_exactly_the_promised_subjects_and_keys() -> None:
    text = json.dumps(collect(all_keys()))

    read = json.loads(text)
    expected = {
        "a", "a_p99", "b", "b_async", "b_state", "tasks100", "c10", "c100", "d", "e", "f", "g"
    }  # fmt: skip
    assert set(read) == {"base", PLAIN, TLS}
    for subject in read.values():
        assert set(subject) == expected
        assert all(isinstance(found["ratio"], float) for found in subject.values())


@pytest.mark.parametrize(
    ("at_most", "value", "holds"),
    [(False, 1.2, True), (False, 1.1999, False), (True, 1.2, True), (True, 1.2001, False)],
)
def test_a_gate_holds_at_its_bound_and_not_beyond(at_most: bool, value: float, holds: bool) -> None:
    gate = Gate("b", "plain", 1.2, 2.0, at_most=at_most)

    assert gate.holds(value, gate.gate) is holds


def rows_of(passes: dict[str, list[Pass]], *variants: str) -> list[list[str]]:
    return judge(collect(passes), variants or SUBJECTS, passes)


def test_what_is_as_good_as_the_base_misses_only_the_gate_that_asks_for_more() -> None:
    rows = rows_of(all_keys())

    missed = [row for row in rows if row[-1] == "FAIL"]
    assert [row[0] for row in missed] == ["b plain, x base"]
    assert summary(rows) == (f"{len(GATES) - 1} gates met, 1 missed", 1)


def test_one_object_left_is_one_too_many() -> None:
    rows = rows_of(all_keys(left=1.0))

    assert ["e plain, objects left", "1", "<= 0", "0", "FAIL"] in rows


def test_gates_of_scenarios_and_variants_that_did_not_run_are_not_counted() -> None:
    passes = {"b": [seen("b", 130, 100, 100)]}

    rows = rows_of(passes, "plain")

    assert rows == [["b plain, x base", "1.30", ">= 1.2", "2", "PASS"]]


def test_a_gate_without_a_measurement_is_missed() -> None:
    failed = seen("b", 130, 100, 100)
    failed.subjects.clear()

    rows = rows_of({"b": [failed]}, "plain")

    assert rows == [["b plain, x base", "not measured", ">= 1.2", "2", "FAIL"]]
    assert summary(rows)[1] == 1


def test_every_gate_reads_a_figure_that_its_scenario_gives() -> None:
    results: dict[str, Any] = collect(all_keys())

    for gate in GATES:
        assert gate.figure in results[SUBJECTS[gate.variant]][gate.key]


def test_tables_have_one_line_per_key_and_equal_columns() -> None:
    passes = all_keys()
    results = collect(passes)

    shown = figures_table(results, SUBJECTS).splitlines()

    assert len(shown) == 2 + len(FIGURES)
    for text in (shown, details_table(results).splitlines(), gates_table(rows_of(passes)).splitlines()):
        assert len({line.count("|") for line in text}) == 1
        assert len({len(line) for line in text}) == 1


def test_percentiles_of_a_hundred_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]

    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([7.0], 0.99) == 7
