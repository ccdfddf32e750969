"""Every example that ships is short, and runs as its docstring says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import captp.examples
from tests.e2e.cli_host import Host, make_host

FOLDER = Path(captp.examples.__file__).parent
EXAMPLES = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = make_host(tmp_path_factory.mktemp("examples"))
    with made.daemon():
        made.captp("new", "captp.examples.bank:Vault", "--name", "bank")
        made.captp("share", "bank")
        yield made


def run(name: str, *words: str, lines: int = 0) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"captp.examples.{name}", *words],
        input="\n" * lines,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_no_example_has_150_lines_and_each_has_a_test_here() -> None:
    assert sorted(EXAMPLES) == ["bank", "errors", "introduction", "round_trips"]
    for name in EXAMPLES:
        assert len((FOLDER / f"{name}.py").read_text().splitlines()) < 150


def test_the_bank_shows_a_short_session() -> None:
    where, *session = run("bank")

    assert where.startswith("the bank is at ocapn://")
    assert ".tls/s/****?" in where
    assert session == ["ada has 100", "refused: amount must be positive", "ada did: deposit 100"]


def test_the_introduction_outlives_the_introducer() -> None:
    assert run("introduction") == [
        "the friend has an account with 100",
        "the introducer is gone, and the friend has left of it 70",
    ]


def test_the_errors_show_each_kind_where_it_arrives() -> None:
    found = dict(line.split(":", 1) for line in run("errors"))

    shown = {what: said.strip().split(":")[0] for what, said in found.items()}
    assert shown == {
        "the object says no": "Refused",
        "a wrong type": "BadArguments",
        "no such method": "NoSuchMethod",
        "a call on a broken promise": "NoSuchMethod",
        "what cannot cross, before it is sent": "args[0][1].amount",
        "an error with data": "30 is missing; the till holds 0 as before",
        "a bug in the object": "RemoteFault",
        "a time limit in the object": "Timeout",
        "a wrong swiss number": "NotFound",
        "a host that is away": "Unreachable",
    }


def test_round_trips_counts_four_for_awaited_calls_and_one_for_a_chain(host: Host) -> None:
    steps = {
        s.pop("step"): s for s in map(json.loads, run("round_trips", str(host.folder / "bank.cap"), lines=2))
    }

    assert list(steps) == ["one_by_one", "as_a_chain", "held", "dropped", "again"]
    assert (steps["one_by_one"]["calls"], steps["one_by_one"]["round_trips"]) == (4, 4)
    assert (steps["as_a_chain"]["calls"], steps["as_a_chain"]["round_trips"]) == (4, 1)
    assert steps["held"]["imports"] > 0
    assert set(steps["dropped"].values()) == {0}
    assert steps["again"]["balance"] == 70


def test_round_trips_ends_when_nobody_says_to_go_on(host: Host) -> None:
    assert len(run("round_trips", str(host.folder / "bank.cap"))) == 3
