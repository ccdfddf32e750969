"""From samples to ratios, gates and tables; it starts no process and measures nothing."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Sample = dict[str, float]
#: Per subject and key: ``ratio``, ``ratios`` of every pass, and the medians of a sample's figures.
Results = dict[str, dict[str, Any]]

BASE = "base"
SUBJECTS = {"plain": "captp-plain", "tls": "captp-tls"}

#: The figure of each key that ratios are made of; ``a_p99`` is another figure of ``a``.
FIGURES = {
    "a": "per_s",
    "a_p99": "us",
    "b": "per_s",
    "b_async": "per_s",
    "b_state": "per_s",
    "tasks100": "per_s",
    "c10": "ms",
    "c100": "ms",
    "d": "mib_s",
    "e": "per_s",
    "f": "kib_per_conn",
    "g": "ms",
}

TITLES = {
    "a": "one call after another, calls/s",
    "a_p99": "the same, 99th percentile, us",
    "b": "1000 outstanding, calls/s",
    "b_async": "the same, async def methods",
    "b_state": "the same, a field written per call",
    "tasks100": "100 tasks on one connection, calls/s",
    "c10": "10 dependent calls over 40 ms, ms",
    "c100": "100 dependent calls over 40 ms, ms",
    "d": "1 MiB there and back, MiB/s",
    "e": "fresh object, call, drop, objects/s",
    "f": "idle connection at the server, KiB",
    "g": "server's exec to first result, ms",
}


@dataclass
class Pass:
    """What one pass saw of one key: the base before and after, and a sample per subject between."""

    base: list[Sample] = field(default_factory=list)
    subjects: dict[str, Sample] = field(default_factory=dict)

    def ratio(self, subject: str, figure: str) -> float:
        """Return a subject's figure over the mean of the base's two in this pass."""
        return self.subjects[subject][figure] / statistics.mean(s[figure] for s in self.base)


@dataclass(frozen=True)
class Gate:
    """One promise: a figure of a key of one subject, and what it must and should be."""

    key: str
    variant: str
    gate: float
    aim: float
    figure: str = "ratio"
    unit: str = "x base"
    at_most: bool = False

    def holds(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


def _both(key: str, gate: float, aim: float, figure: str, unit: str, *, at_most: bool = False) -> list[Gate]:
    return [Gate(key, v, gate, aim, figure, unit, at_most) for v in SUBJECTS]


GATES = [
    Gate("a", "plain", 0.45, 0.65),
    Gate("a", "tls", 0.25, 0.4),
    Gate("b", "plain", 1.2, 2.0),
    Gate("b", "tls", 0.9, 1.6),
    Gate("b_async", "plain", 0.6, 1.0),
    *_both("b_state", 0.8, 1.0, "of_b", "x b"),
    Gate("tasks100", "plain", 0.6, 0.9),
    *_both("c10", 1.25, 1.1, "trips", "trips", at_most=True),
    *_both("c100", 30.0, 10.0, "over_ms", "ms over one trip", at_most=True),
    Gate("d", "plain", 0.7, 1.1),
    Gate("d", "tls", 0.35, 0.6),
    Gate("e", "plain", 0.8, 2.0),
    *_both("e", 0.0, 0.0, "left", "objects left", at_most=True),
    Gate("f", "plain", 80.0, 60.0, "kib_per_conn", "KiB", at_most=True),
    Gate("g", "plain", 3.5, 2.5, at_most=True),
]


def split_keys(key: str, seen: Pass) -> dict[str, Pass]:
    """Give what one measurement saw under the keys it reports: ``a`` is two of them."""
    if key != "a":
        return {key: seen}

    def p99(sample: Sample) -> Sample:
        return {"us": sample["p99_us"]}

    tail = Pass([p99(s) for s in seen.base], {n: p99(s) for n, s in seen.subjects.items()})
    return {"a": seen, "a_p99": tail}


def collect(passes: dict[str, list[Pass]]) -> Results:
    """Return, per subject and key, the medians over the passes; ``ratios`` keeps every pass.

    A subject that failed in any pass has no medians for that key: half a measurement is none.
    """
    results: Results = {}
    for key, seen in passes.items():
        figure = FIGURES[key]
        bases = [sample for one in seen for sample in one.base]
        whole = len(bases) == 2 * len(seen)
        if whole:
            results.setdefault(BASE, {})[key] = {"ratio": 1.0, **_medians(bases)}
        for subject in SUBJECTS.values():
            samples = [one.subjects[subject] for one in seen if subject in one.subjects]
            if not whole or len(samples) < len(seen):
                continue
            ratios = [one.ratio(subject, figure) for one in seen]
            medians = _medians(samples)
            results.setdefault(subject, {})[key] = {
                "ratio": statistics.median(ratios),
                **medians,
                "ratios": ratios,
            }
    return results


def _medians(samples: list[Sample]) -> Sample:
    return {name: statistics.median(s[name] for s in samples) for name in samples[0]}


def judge(results: Results, variants: Iterable[str], keys: Iterable[str]) -> list[list[str]]:
    """Return one row per gate of what ran: goal, measured, gate, aim, verdict."""
    variants, keys = set(variants), set(keys)
    rows = []
    for gate in GATES:
        if gate.variant not in variants or gate.key not in keys:
            continue
        found = results.get(SUBJECTS[gate.variant], {}).get(gate.key)
        sign = "<=" if gate.at_most else ">="
        value = None if found is None else found[gate.figure]
        passed = value is not None and gate.holds(value, gate.gate)
        rows.append(
            [
                f"{gate.key} {gate.variant}, {gate.unit}",
                "not measured" if value is None else _number(value),
                f"{sign} {gate.gate:g}",
                f"{gate.aim:g}" + (" reached" if value is not None and gate.holds(value, gate.aim) else ""),
                "PASS" if passed else "FAIL",
            ]
        )
    return rows


def summary(rows: list[list[str]]) -> tuple[str, int]:
    """Return the last line of the report and the number of gates missed."""
    missed = sum(row[-1] == "FAIL" for row in rows)
    return f"{len(rows) - missed} gates met, {missed} missed", missed


def figures_table(results: Results, variants: Iterable[str]) -> str:
    """Return the measured figures and ratios, one line per key."""
    subjects = [SUBJECTS[v] for v in SUBJECTS if v in set(variants)]
    head = ["", BASE, *(word for s in subjects for word in (s, "ratio [min-max]"))]
    rows = []
    for key in FIGURES:
        if not any(key in found for found in results.values()):
            continue
        row = [f"{key}: {TITLES[key]}", _figure(results.get(BASE, {}).get(key), key)]
        for subject in subjects:
            found = results.get(subject, {}).get(key)
            row += [_figure(found, key), _spread(found)]
        rows.append(row)
    return table(head, rows)


def details_table(results: Results) -> str:
    """Return the figures beside the main ones, one line per subject and key that has any."""
    rows = []
    for key, figure in FIGURES.items():
        for subject in (BASE, *SUBJECTS.values()):
            found = results.get(subject, {}).get(key, {})
            beside = [n for n in found if n not in ("ratio", "ratios", "calls", figure, "p99_us")]
            if beside:
                rows.append([key, subject, ", ".join(f"{n} {_number(found[n])}" for n in beside)])
    return table(["", "subject", "medians"], rows)


def gates_table(rows: list[list[str]]) -> str:
    """Return the gates and their verdicts."""
    return table(["goal", "measured", "gate", "aim", ""], rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, padded so that it reads well as text too."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def _figure(found: dict[str, Any] | None, key: str) -> str:
    return "-" if found is None else _number(found[FIGURES[key]])


def _spread(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    return f"{found['ratio']:.2f} [{min(found['ratios']):.2f}-{max(found['ratios']):.2f}]"


_PLACES: list[tuple[float, Callable[[float], str]]] = [
    (1000, lambda v: f"{v:,.0f}"),
    (100, lambda v: f"{v:.0f}"),
    (10, lambda v: f"{v:.1f}"),
    (0, lambda v: f"{v:.2f}"),
]


def _number(value: float) -> str:
    """Write a number with about three digits; whole numbers stay whole."""
    if value == int(value) and abs(value) < 1000:
        return str(int(value))
    return next(write for least, write in _PLACES if abs(value) >= least)(value)
