"""The captp command before any verb runs, and how errors become texts and exit codes."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from captp import errors
from captp.cli import problems
from captp.cli.main import OVERVIEW, VERBS, main
from captp.cli.problems import Failure, call_failed, failure_of
from captp.version import __version__

SECRET = "ocapn://abcd.tls/s/c2VjcmV0c2VjcmV0?host=h&port=1"


def captp(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "captp", *words], capture_output=True, text=True, timeout=30, check=False
    )


def test_the_command_alone_shows_every_verb_and_three_examples_in_few_lines() -> None:
    done = captp()

    assert (done.returncode, done.stdout, done.stderr) == (0, OVERVIEW, "")
    assert len(OVERVIEW.splitlines()) <= 18
    assert all(f"  captp {verb}" in OVERVIEW for verb in VERBS)


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_is_the_same_overview(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert capsys.readouterr().out == OVERVIEW


def test_the_version_loads_neither_trio_nor_cryptography_nor_cyclopts() -> None:
    heavy = "{'trio', 'cryptography', 'OpenSSL', 'cyclopts', 'attrs', 'anyio'}"
    told = f"main(['--version']); print({heavy} & set(sys.modules))"

    assert run_python(f"import sys; from captp.cli.main import main; {told}") == f"{__version__}\nset()\n"


def test_the_version_takes_at_most_60_ms_more_than_an_interpreter_that_does_nothing() -> None:
    told = "from captp.cli.main import main; main(['--version'])"

    assert fastest(told) - fastest("pass") < 0.06


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


def fastest(code: str) -> float:
    took = []
    for _ in range(5):
        started = time.perf_counter()
        run_python(code)
        took.append(time.perf_counter() - started)
    return min(took)


def test_a_verb_that_does_not_exist_is_told_with_the_closest_one() -> None:
    done = captp("cal")

    assert done.returncode == problems.USAGE
    assert done.stdout == ""
    assert done.stderr == (
        "captp: there is no verb 'cal'; did you mean call?\n`captp` alone shows what there is\n"
    )


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"Usage: captp {verb}" in capsys.readouterr().out


def test_a_word_too_few_and_an_option_too_many_are_told_with_the_way_to_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["share"]) == problems.USAGE
    assert capsys.readouterr().err == (
        "captp: Parameter NAME requires an argument.\n`captp share --help` shows what there is\n"
    )
    assert main(["ls", "--jsn"]) == problems.USAGE
    assert "--jsn" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.UsageError("x"), 2),
        (errors.BadLocator("x"), 2),
        (errors.Unreachable("x"), 3),
        (errors.WrongPeer("x"), 3),
        (errors.Disconnected("x"), 3),
        (errors.NotFound("x"), 4),
        (errors.Refused("x"), 4),
        (errors.Timeout("x"), 5),
        (errors.RemoteFault("x"), 1),
        (errors.Overloaded("x"), 1),
        (errors.InvariantBroken("x"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(problem: errors.Error, code: int) -> None:
    assert failure_of(problem).code == code


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.Refused("x"), 1),
        (errors.NotFound("x"), 1),
        (errors.RemoteFault("x"), 1),
        (errors.NoSuchMethod("x"), 1),
        (errors.BadArguments("x"), 1),
        (errors.Unpassable("x"), 2),
        (errors.Disconnected("x"), 3),
        (errors.Timeout("x"), 5),
    ],
)
def test_what_a_method_raised_is_told_from_what_keeps_us_from_the_target(
    problem: errors.Error, code: int
) -> None:
    assert call_failed(problem, "bank", "open", at_target=False).code == code


def test_no_text_that_leaves_holds_a_swiss_number_or_steers_the_terminal() -> None:
    failure = Failure(f"cannot use {SECRET} \x1b[2J\u202e\x9b", 1)

    assert "c2VjcmV0" not in str(failure)
    assert str(failure).endswith("port=1 \\u001b[2J\\u202e\\u009b")
