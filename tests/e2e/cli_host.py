"""A daemon and a shell for the tests of the captp command; everything bounded in time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.daemons import captpd, environment

RUN_S = 30.0


class Host:
    """A folder with a daemon's state in it, and the captp command run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "state"

    def captp(self, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; it finds the daemon by CAPTPD_HOME."""
        return subprocess.run(
            [sys.executable, "-m", "captp", *words],
            cwd=self.folder,
            env=environment(self.home, **more),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon during the block."""
        with subprocess.Popen(
            [sys.executable, "-m", "captpd", "run"],
            env=environment(self.home),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                assert process.stdout is not None
                assert b"ready" in process.stdout.readline()
                yield process
            finally:
                process.kill()


def make_host(folder: Path) -> Host:
    """Initialise a state folder whose daemon listens at any free port."""
    host = Host(folder)
    made = captpd(host.home, "init", "--listen", "127.0.0.1:0")
    assert made.returncode == 0, made.stderr
    return host
