"""The typed surface: what must pass passes, and every marked mistake is reported, by both checkers.

``# E: [code]`` marks a line that mypy reports with that code and basedpyright with any;
``# E(mypy): [code]`` and ``# E(basedpyright): [rule]`` mark one that only the named checker reports.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

HERE = Path(__file__).parent
PASSING = sorted((HERE / "should_pass").glob("*.py"))
FAILING = sorted((HERE / "should_fail").glob("*.py"))
MARK = re.compile(r"# E(?:\((?P<who>\w+)\))?: \[(?P<code>[\w-]+)\]")

#: Errors of one file by line: the codes reported there.
Found = dict[int, set[str]]


def run(command: list[str], folder: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=110, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@cache
def mypy() -> dict[Path, Found]:
    """Check all files the way a user of the installed package would."""
    found: dict[Path, Found] = {}
    with TemporaryDirectory() as empty:
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
        command += ["--cache-dir", str(Path(__file__).parents[2] / ".mypy_cache" / "typing")]
        # From an empty folder, so that captp is found as installed and only the files here are judged.
        command += ["--scripts-are-modules", "--hide-error-context", "--no-pretty"]
        output = run([*command, *map(str, PASSING + FAILING)], empty)
    for report in re.findall(r"^.+: error: .+$", output, re.MULTILINE):
        read = re.fullmatch(r"(.+?):(\d+): error: .*\[([\w-]+)\]", report)
        assert read is not None, report
        found.setdefault(Path(read[1]).resolve(), {}).setdefault(int(read[2]), set()).add(read[3])
    return found


@cache
def basedpyright() -> dict[Path, Found]:
    """Check all files in the mode that editors show by default for a typed project."""
    found: dict[Path, Found] = {}
    with TemporaryDirectory() as folder:
        config = {
            "include": [str(HERE / "should_pass"), str(HERE / "should_fail")],
            "typeCheckingMode": "standard",
            "pythonVersion": "3.11",
        }
        Path(folder, "pyrightconfig.json").write_text(json.dumps(config))
        tool = Path(sys.executable).with_name("basedpyright")
        command = [str(tool), "--outputjson", "--pythonpath", sys.executable, "-p", folder]
        report = json.loads(run(command, folder))
    assert report["summary"]["filesAnalyzed"] == len(PASSING + FAILING)
    for entry in report["generalDiagnostics"]:
        if entry["severity"] == "error":
            line = entry["range"]["start"]["line"] + 1
            found.setdefault(Path(entry["file"]).resolve(), {}).setdefault(line, set()).add(entry["rule"])
    return found


def marks(path: Path, checker: str) -> Found:
    """Return what ``checker`` must report in a file."""
    expected: Found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for mark in MARK.finditer(line):
            if mark["who"] in (None, checker):
                expected.setdefault(number, set()).add(mark["code"])
    return expected


CHECKERS: dict[str, Callable[[], dict[Path, Found]]] = {"mypy": mypy, "basedpyright": basedpyright}

every_checker = pytest.mark.parametrize("checker", CHECKERS)


@every_checker
@pytest.mark.parametrize("path", PASSING, ids=lambda p: p.stem)
def test_what_a_program_may_write_passes(checker: str, path: Path) -> None:
    assert CHECKERS[checker]().get(path.resolve(), {}) == {}


@every_checker
@pytest.mark.parametrize("path", FAILING, ids=lambda p: p.stem)
def test_every_marked_line_is_reported_and_no_other(checker: str, path: Path) -> None:
    reported, expected = CHECKERS[checker]().get(path.resolve(), {}), marks(path, checker)

    assert {line: reported[line] for line in reported.keys() - expected.keys()} == {}, "not marked"
    assert {line: expected[line] for line in expected.keys() - reported.keys()} == {}, "not reported"
    if checker == "mypy":
        assert {n: codes for n, codes in reported.items() if codes != expected[n]} == {}


def test_there_is_something_to_check() -> None:
    assert len(PASSING) >= 2
    for checker in CHECKERS:
        assert sum(len(marks(path, checker)) for path in FAILING) > 30
