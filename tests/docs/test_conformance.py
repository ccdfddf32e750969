"""The commands that the page on conformance names: each exists, and each of pytest's runs something."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/conformance.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\|.*\| `([^`|]+)` \|$", PAGE, re.MULTILINE)
TESTS = [command for command in COMMANDS if command.startswith("pytest ")]
PROGRAMS = [command for command in COMMANDS if not command.startswith("pytest ")]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_row_of_the_table_has_a_command() -> None:
    rows = PAGE.partition("## Our own tests")[2].partition("\n## ")[0].count("\n| ")

    assert len(COMMANDS) == rows - 1 >= 20


@pytest.mark.slow
@pytest.mark.parametrize("command", TESTS)
def test_a_command_of_pytest_leaves_out_nothing_of_what_it_names(command: str) -> None:
    words = [
        part
        for word in shlex.split(command)[1:]
        for part in (sorted(str(p.relative_to(ROOT)) for p in ROOT.glob(word)) if "*" in word else [word])
    ]
    done = run(sys.executable, "-m", "pytest", "-n0", "--collect-only", "-q", *words)

    assert done.returncode == 0, done.stdout[-2000:]
    # A command may ask for the slow tests alone, which is then all there is to it.
    if "-m slow" not in command:
        assert "deselected" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("command", PROGRAMS)
def test_a_program_takes_the_options_that_are_named(command: str) -> None:
    words = shlex.split(command)
    program = [sys.executable, *words[1:]] if words[0] == "python" else [sys.executable, "-m", *words]
    done = run(*program, "--help")

    assert done.returncode == 0, done.stderr
    for option in filter(lambda word: word.startswith("--"), words):
        assert option in done.stdout
