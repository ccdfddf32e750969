"""The tutorial and some how-tos are run as they stand: files written, commands typed, outputs compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemons import LONGEST_S, free_port

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(?:python file=(?P<file>\S+)|console)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


class Shell:
    """A folder, an environment, and the daemons started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: list[subprocess.Popen[str]] = []
        tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # Not the port of a daemon that may run on this machine already.
        port = {"CAPTPD_LISTEN__TLS": f"127.0.0.1:{free_port()}"}
        self.environ = {"PATH": tools, "HOME": str(folder), "LANG": "C.UTF-8", **port}

    def run(self, command: str) -> str:
        """Run a command; return what it wrote, or the first line of what runs on."""
        if command.endswith("&"):
            return self._start(command.removesuffix("&"))
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        return done.stdout + done.stderr if done.returncode else done.stdout

    def _start(self, command: str) -> str:
        daemon = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.daemons.append(daemon)
        assert daemon.stdout is not None
        return daemon.stdout.readline()

    def end(self) -> None:
        for daemon in self.daemons:
            daemon.kill()
            daemon.wait()
            assert daemon.stdout is not None
            daemon.stdout.close()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    try:
        yield made
    finally:
        made.end()


def follow(page: Path, shell: Shell) -> int:
    """Do what a page says; return how many commands that was."""
    ran = 0
    for block in BLOCK.finditer(page.read_text()):
        if block["file"]:
            (shell.folder / block["file"]).write_text(block["body"])
            continue
        for command, golden in COMMAND.findall(block["body"]):
            said = shell.run(command)
            pattern = ".+".join(re.escape(part) for part in golden.strip().split("…"))
            assert re.fullmatch(pattern, said.strip()), f"$ {command}\n{said}"
            ran += 1
    return ran


@pytest.mark.slow
def test_every_command_of_the_tutorial_says_what_the_page_says(shell: Shell) -> None:
    assert follow(DOCS / "tutorial" / "bank.md", shell) > 15


@pytest.mark.slow
def test_every_command_that_backs_a_daemon_up_says_what_the_page_says(shell: Shell) -> None:
    assert follow(DOCS / "how-to" / "back-up.md", shell) > 7


@pytest.mark.slow
def test_every_command_that_tells_why_an_object_is_kept_says_what_the_page_says(shell: Shell) -> None:
    assert follow(DOCS / "how-to" / "kept.md", shell) > 10
