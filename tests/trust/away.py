"""This process's end of the processes that ``host`` describes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_S = 20.0


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Have a process run during the block, and no longer."""
    command = [sys.executable, "-m", "tests.trust.host", *words]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def host() -> Iterator[str]:
    """Give the URI of a shop in another process."""
    with process("host") as running:
        assert running.stdout is not None
        yield running.stdout.readline().strip()
