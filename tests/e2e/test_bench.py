"""``captp bench``, run as users do: that it has all its figures, and not which."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from captp.cli.bench import PAIRS


@pytest.mark.slow
def test_each_pair_is_measured_and_the_exit_code_says_whether_all_guards_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "captp", "bench", "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.stderr == ""
    told = json.loads(done.stdout)
    rows = told["rows"]
    assert [(row["what"], row["theirs"]) for row in rows] == [(pair.what, pair.theirs) for pair in PAIRS]
    assert told["ok"] == all(row["ok"] for row in rows)
    assert done.returncode == (0 if told["ok"] else 1)
    peers = {"RPyC": find_spec("rpyc") is not None, "Pyro5": find_spec("Pyro5") is not None}
    for row in rows:
        assert row["ours_per_s"] > 0
        is_there = peers.get(row["theirs"].partition(",")[0], True)
        assert (row["theirs_per_s"] is not None) == (row["ratio"] is not None) == is_there
        assert row["ok"] == (row["ratio"] is None or row["ratio"] >= row["at_least"])
        assert 0 < row["at_least"] < row["recorded"][0] <= row["recorded"][1]
