"""A running host per module, and the ways to talk to it: three dialects, two framings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.interop.client import Host, Listener, Peer

ROOT = Path(__file__).parents[2]
DIALECTS = ("d0", "d1", "d2")
FRAMINGS = (False, True)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    log = tmp_path_factory.mktemp("host") / "stderr"
    command = [sys.executable, "-m", "tests.interop.ocapn_host", "--port", "0"]
    with log.open("w") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line, log.read_text()
            yield Host(line)
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
    # Whatever a peer sends, it is never the host that makes the mistake.
    assert "session failed" not in log.read_text()


@pytest.fixture(
    params=[
        # Framing is one for all dialects: the default run tries both with the current one only.
        pytest.param(way, marks=[pytest.mark.slow] * (way[1] and way[0] != "d2"))
        for way in product(DIALECTS, FRAMINGS)
    ],
    ids=lambda way: f"{way[0]}-{'framed' if way[1] else 'raw'}",
)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    """How a peer speaks."""
    dialect, framed = request.param
    return {"dialect": dialect, "framed": framed}


Connect = Callable[..., Peer]


@pytest.fixture
def connect(host: Host) -> Iterator[Connect]:
    """Make peers that are connected to the host, and have said nothing yet."""
    with ExitStack() as peers:

        def made(**options: Any) -> Peer:
            return peers.enter_context(Peer(host.connect(), **options))

        yield made


@pytest.fixture
def peer(connect: Connect, way: dict[str, Any]) -> Peer:
    """A peer whose session with the host is up."""
    return connect(**way).open()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    with made.socket:
        yield made
