"""``python -m tests.fuzz TARGET --runs N --seed S``: random inputs to one decoder, or to all of them."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.bar import weighed
from tests.fuzz.targets import DECODERS, TARGETS, checked, tried

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"

#: Longer inputs are for tests that say what is long about them.
MAX_BYTES = 4096
#: An input of these is a whole session or a file: they get one where the others get so many.
SHARES = {"config": 4, "ops": 10}

_RUNS = re.compile(r"stat::number_of_executed_units: (\d+)")
_SLOWEST = re.compile(r"slowest: ([\d.]+) ms")


class Failed(Exception):
    """An input that is a bug; the text says which and why."""


def main() -> int:
    """Run the targets one after the other; print a line each, and how many failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--runs", type=int, default=200_000, metavar="N", help="how many inputs (200000)")
    parser.add_argument("--seed", type=int, metavar="S", help="repeats a run; by default another each time")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="keep what reaches new code in DIR/TARGET")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(f"atheris is not installed; install it: {sys.executable} -m pip install 'atheris>=3'")
        return 2
    seed = options.seed or secrets.randbelow(1 << 31) + 1
    names = list(TARGETS) if options.target == "all" else [options.target]
    print(f"seed {seed}", flush=True)
    failures = 0
    for name in names:
        runs = max(options.runs // SHARES.get(name, 1), 1)
        with tempfile.TemporaryDirectory(prefix="captp-fuzz-") as scratch:
            found = (options.corpus or Path(scratch)) / name
            found.mkdir(parents=True, exist_ok=True)
            try:
                print(f"{name}: {fuzz(name, runs, seed, found)}, seed {seed}", flush=True)
                weigh(name, found)
            except Failed as problem:
                failures += 1
                print(f"{name}: FAILED, seed {seed}\n{problem}", flush=True)
    print(f"{len(names)} targets, {failures} failures")
    return 1 if failures else 0


def fuzz(name: str, runs: int, seed: int, found: Path) -> str:
    """Run one target and return its figures. Raises Failed; the input is then in the corpus."""
    known = CORPUS / name
    known.mkdir(parents=True, exist_ok=True)
    bounds = [f"-runs={runs}", f"-max_len={MAX_BYTES}", "-timeout=20", "-rss_limit_mb=1024"]
    reports = ["-print_final_stats=1", f"-artifact_prefix={known}/"]
    command = [sys.executable, "-m", "tests.fuzz.child", name, f"-seed={seed}", *bounds, *reports]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    begin = time.perf_counter()
    done = subprocess.run(
        [*command, str(found), str(known)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise Failed(done.stdout + _tail(done.stderr))
    (inputs,) = map(int, _RUNS.findall(done.stderr))
    slowest = _SLOWEST.findall(done.stderr)[-1]
    return f"{inputs} inputs, {inputs / seconds:.0f} a second, slowest {slowest} ms"


def _tail(log: str) -> str:
    """Return what a person wants to read of libFuzzer's output after a failure."""
    lines = log.splitlines()
    begin = next((i for i, line in enumerate(lines) if "Uncaught Python exception" in line), len(lines) - 30)
    return "\n".join(lines[max(begin, 0) :])


def weigh(name: str, found: Path) -> None:
    """Run what reached new code once more, without atheris, against both bars. Raises Failed."""
    decode = tried(name)
    for file in sorted(found.iterdir()):
        data = file.read_bytes()
        try:
            checked(name, data)
            if name in DECODERS:
                weighed(decode, data)
        except AssertionError as problem:
            raise Failed(f"{problem}\n{data.hex()}") from problem


if __name__ == "__main__":
    sys.exit(main())
