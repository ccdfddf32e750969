"""The command: its figures, a planted fault that it finds, and the page that tells of it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import bar
from tests.fuzz.__main__ import CORPUS
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "fuzz.md"
LINE = re.compile(r"(\w+): (\d+) inputs, \d+ a second, slowest [\d.]+ ms, seed (\d+)")

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None and "CI" not in os.environ,
    reason="atheris is not installed: pip install -e '.[fuzz]'",
)


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these words, from the root of the repository."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@needs_atheris
@pytest.mark.slow
def test_a_run_prints_its_figures_and_its_seed(tmp_path: Path) -> None:
    done = run("-m", "tests.fuzz", "locator", "--runs", "500", "--seed", "5", "--corpus", str(tmp_path))

    first, figures, last = done.stdout.splitlines()
    assert (first, last, done.returncode) == ("seed 5", "1 targets, 0 failures", 0)
    assert LINE.fullmatch(figures), figures
    assert any((tmp_path / "locator").iterdir())


@needs_atheris
@pytest.mark.slow
def test_an_input_that_is_a_bug_is_kept_and_counted(tmp_path: Path) -> None:
    # The fault is planted where the child begins: what no URI can be is no BadLocator any more.
    (tmp_path / "sitecustomize.py").write_text(
        "import captp.errors\n"
        "captp.errors.BadLocator.__init__ = lambda self, text: 1 / ('port' not in text)\n"
    )
    kept = set(CORPUS.glob("locator/*"))

    done = run("-m", "tests.fuzz", "locator", "--runs", "5000", "--seed", "5", PYTHONPATH=str(tmp_path))

    crashers = set(CORPUS.glob("locator/*")) - kept
    for path in crashers:
        path.unlink()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "1 targets, 1 failures")
    assert "ZeroDivisionError" in done.stdout
    assert [path.name[:6] for path in crashers] == ["crash-"]


def test_without_atheris_the_command_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import importlib.util, runpy, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'atheris' else find(name, *more)\n"
        "sys.argv = ['fuzz', 'all']\n"
        "runpy.run_module('tests.fuzz', run_name='__main__')\n"
    )

    done = run("-c", script)

    assert done.returncode == 2
    assert "-m pip install" in done.stdout


def commands_of_the_page() -> list[str]:
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if "-m tests.fuzz" in line]


@needs_atheris
@pytest.mark.parametrize(
    "command",
    [pytest.param(c, marks=[pytest.mark.slow] * ("fuzz all" in c)) for c in commands_of_the_page()],
)
@pytest.mark.slow
def test_a_command_of_the_page_runs(command: str, tmp_path: Path) -> None:
    python, *words = command.replace("build/fuzz", str(tmp_path)).split()

    done = run(*words)

    assert python == ".venv/bin/python"
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_commands() -> None:
    assert len(commands_of_the_page()) == 4


@needs_atheris
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_target_takes_twenty_thousand_inputs() -> None:
    done = run("-m", "tests.fuzz", "all", "--runs", "5000")
    print(done.stdout)

    lines = done.stdout.splitlines()
    assert (lines[-1], done.returncode) == (f"{len(TARGETS)} targets, 0 failures", 0)
    figures = [LINE.fullmatch(line) for line in lines[1:-1]]
    assert [found and found[1] for found in figures] == list(TARGETS)


def test_a_slow_input_counts_when_it_is_slow_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, own = iter([0.0, 0.2, 1.0, 1.2]), iter([0.0, 0.001, 1.0, 1.06])
    monkeypatch.setattr(bar, "perf_counter", lambda: next(wall))
    monkeypatch.setattr(bar, "thread_time", lambda: next(own))

    assert bar.timed(len, b"") == pytest.approx(0.001)
    with pytest.raises(bar.OverTheBar, match="60 ms"):
        bar.timed(len, b"")


def test_a_heavy_input_counts_from_a_mebibyte_and_sixteen_times_its_size() -> None:
    allowed = 1024 * 1024 + 16 * 100
    slack = 500  # what tracing itself takes, more or less

    peak = bar.weighed(lambda data: bytes(allowed - slack if data else 0), b"x" * 100)

    assert allowed - 2 * slack < peak <= allowed
    with pytest.raises(bar.OverTheBar):
        bar.weighed(lambda data: bytes(allowed + slack if data else 0), b"x" * 100)
