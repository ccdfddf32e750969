"""Every example that ships is short, and runs as its docstring says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import captp.examples
from tests.e2e.cli_host import Host, make_host

FOLDER = Path(captp.examples.__file__).parent
FILES = [path for path in FOLDER.rglob("*.py") if path.stem != "__init__"]
EXAMPLES = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FILES}


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


def test_no_example_has_150_lines_and_each_has_a_test() -> None:
    assert sorted(EXAMPLES) == [
        *(
            "bank",
            "capsules",
            "errors",
            "fetch_and_add",
            "introduction",
            "kv",
            "memcached/__main__",
            "memcached/answers",
            "memcached/commands",
            "memcached/front",
            "rooms",
            "round_trips",
            "social_graph",
            "store",
        )
    ]
    for path in FILES:
        assert len(path.read_text().splitlines()) < 150


def test_the_bank_shows_a_short_session() -> None:
    where, *session = run("bank")

    assert where.startswith("the bank is at ocapn://")
    assert ".tls/s/****?" in where
    assert session == ["ada has 100", "refused: amount must be positive", "ada did: deposit 100"]


def test_the_social_graph_is_the_same_wherever_it_is_changed() -> None:
    *said, proposed, corrected = run("social_graph")

    assert said == [
        "Ann's cat was pet by Dot, a member of Climbers",
        "Dot's cat was pet by Ann, a member of Readers",
        "Ann's cat was pet by Cid, a member of Climbers",
        "Dot's cat was pet by Bob, a member of Readers",
        *(f"{place}: the same world" for place in ("here", "loop", "thread", "process")),
    ]
    assert proposed == "as proposed: CAP301 Pets is changed through a shared borrow"
    assert corrected == "corrected: accepted"


def test_nothing_slips_out_of_a_capsule() -> None:
    assert run("capsules") == [
        "with a password: 15 pears",
        "carried out, and read: Contended",
        "a password after its block: Contended",
        "by ten tasks, in a thread: 20 apples",
        "what was raised with the shelf: Encapsulated",
        "opened where it belongs: Missing",
        "frozen, and read by 4 threads: [45, 45, 45, 45]",
        "frozen, and changed: Frozen",
    ]


def test_the_introduction_outlives_the_introducer() -> None:
    assert run("introduction") == [
        "the friend has an account with 100",
        "the introducer is gone, and the friend has left of it 70",
    ]


@pytest.mark.slow
def test_rooms_and_members_are_gone_from_all_hosts_when_everybody_has_left() -> None:
    header, *rows = [re.split(r"\s{2,}", line.rstrip()) for line in run("rooms")]

    assert header == ["objects", "all", "rooms 1", "rooms 2", "members"]
    before, during, after = rows
    assert before == ["before", "0", "0", "0", "0"]
    assert during == ["during", "30", "5", "5", "20", "200 lines were heard"]
    assert after[:-1] == ["after", *before[1:]]
    took = re.fullmatch(r"(\d+\.\d) s after the last had left", after[-1])
    assert took is not None
    assert float(took[1]) < 10


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


def test_fetch_and_add_counts_exactly_in_every_place() -> None:
    header, *rows, last = run("fetch_and_add", "--calls", "160")

    assert re.split(r"\s{2,}|(?<=place)\s+|(?<=clients)\s+", header) == [
        "place", "clients", "calls/s", "p99.9 µs", "worst µs", "fairness",
    ]  # fmt: skip
    figures = {row[:14].strip(): row[14:].split() for row in rows}
    assert list(figures) == ["a lock", "the loop", "a thread lock", "a thread", "a process", "another vat"]
    for clients, rate, tail, worst, fairness in figures.values():
        assert clients == "8"
        assert int(rate) > 0
        assert 0 <= int(tail) <= int(worst)
        assert 1 / 8 <= float(fairness) <= 1
    # It ends without this line when two have fetched the same number, or a call was lost.
    assert last == "each counted to 160"


def test_each_write_comes_to_its_shard_whoever_guards_it() -> None:
    *rows, last = run("kv", "--calls", "2048")

    places = ["a lock", "locks", "the loop", "a thread lock", "thread locks", "threads"]
    assert [row[:14].strip() for row in rows] == ["batches of 1", *places, "batches of 64", *places]
    for row in rows:
        clients, *figures = row[14:].split()
        if clients != "clients":
            rate, tail, worst, fairness = map(float, figures)
            assert (clients, rate > 0, 0 < tail <= worst, 0.12 < fairness <= 1) == ("8", True, True, True)
    # It ends without this line when a write was lost.
    assert last == "every write has come to its shard"


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
