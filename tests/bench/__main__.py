"""Runs the passes: base, product, base again in every scenario; prints the report, exits 1 on a miss."""

from __future__ import annotations

import argparse
import json
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.bench import report
from tests.bench.scenarios import ONE_WAY_S, SCENARIOS

ROOT = Path(__file__).parents[2]
MODULES = {
    report.BASE: ["tests.bench.base"],
    "captp-plain": ["tests.bench.product", "plain"],
    "captp-tls": ["tests.bench.product", "tls"],
}
START_S = 20.0
CLIENT_S = 60.0


class Failed(Exception):
    """A server or a client did not do its part."""


@contextmanager
def started(*words: str) -> Iterator[tuple[int, int]]:
    """Run a module that says its port on its first line; give port and process id, kill it after."""
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield _port_of(process.stdout, words[0]), process.pid
        finally:
            process.kill()


def _port_of(output: IO[str], name: str) -> int:
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        line = output.readline() if selector.select(START_S) else ""
    if not line.strip().isdecimal():
        raise Failed(f"{name} did not say its port within {START_S:g} s")
    return int(line)


def measure(subject: str, key: str, effort: str) -> report.Sample:
    """Run one measurement in fresh processes. Raises Failed."""
    module = MODULES[subject]
    if key == "g":
        return _client(module, key, 0, 0, effort)
    with started(*module, "server") as (port, pid):
        if key not in ("c10", "c100"):
            return _client(module, key, port, pid, effort)
        with started("tests.bench.relay", str(port), str(ONE_WAY_S)) as (relayed, _):
            return _client(module, key, relayed, pid, effort)


def _client(module: list[str], key: str, port: int, pid: int, effort: str) -> report.Sample:
    command = [sys.executable, "-m", *module, "client", key, str(port), str(pid), effort]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=CLIENT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"the client did not end within {CLIENT_S:g} s") from None
    if done.returncode != 0:
        raise Failed((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    sample: report.Sample = json.loads(done.stdout)
    return sample


def one_pass(key: str, subjects: list[str], effort: str) -> report.Pass:
    """Measure one key of the base, of each subject, and of the base again."""
    seen = report.Pass()
    for subject in [report.BASE, *subjects, report.BASE]:
        try:
            sample = measure(subject, key, effort)
        except Failed as problem:
            print(f"{key} {subject}: FAILED: {problem}", file=sys.stderr, flush=True)
            continue
        print(f"{key} {subject}: {json.dumps(sample)}", file=sys.stderr, flush=True)
        if subject == report.BASE:
            seen.base.append(sample)
        else:
            seen.subjects[subject] = sample
    return seen


def _listed(known: dict[str, object], text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in known]
    if unknown or not words:
        raise argparse.ArgumentTypeError(f"expected a list of {','.join(known)}, got {text!r}")
    return [word for word in known if word in words]


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    letters = dict[str, object](SCENARIOS)
    variants = dict[str, object](report.SUBJECTS)
    parser.add_argument("--scenarios", type=lambda t: _listed(letters, t), default=",".join(letters))
    parser.add_argument("--variants", type=lambda t: _listed(variants, t), default=",".join(variants))
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short pass: shows that all works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the medians go")
    return parser.parse_args(words)


def main() -> int:
    """Run what was asked for and report it."""
    chosen = options()
    subjects = [report.SUBJECTS[variant] for variant in chosen.variants]
    effort = "quick" if chosen.quick else "full"
    passes: dict[str, list[report.Pass]] = {}
    for number in range(1 if chosen.quick else chosen.passes):
        print(f"pass {number + 1}", file=sys.stderr, flush=True)
        for letter in chosen.scenarios:
            for key in SCENARIOS[letter]:
                for name, seen in report.split_keys(key, one_pass(key, subjects, effort)).items():
                    passes.setdefault(name, []).append(seen)
    results = report.collect(passes)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")
    rows = report.judge(results, chosen.variants, passes)
    last, missed = report.summary(rows)
    print(report.figures_table(results, chosen.variants), report.details_table(results), sep="\n\n")
    print("", report.gates_table(rows), "", last, sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
