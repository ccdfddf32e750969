"""Two daemons in two network namespaces with their own addresses, driven by the how-to page itself."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "two-hosts.md"
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
READY_S = 20


class Hosts:
    """Two network namespaces joined by one cable, each with a home folder."""

    def __init__(self, folder: Path) -> None:
        tag = uuid4().hex[:6]
        self.names = {n: f"captp{tag}{n}" for n in "12"}
        self.homes = {n: folder / f"host{n}" for n in "12"}
        self.daemons: list[subprocess.Popen[bytes]] = []
        for home in self.homes.values():
            home.mkdir()

    def build(self) -> None:
        one, two = self.names["1"], self.names["2"]
        for name in (one, two):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", f"{one}v", "netns", one, "type", "veth", "peer", "name", f"{two}v", "netns", two)
        for number, name in self.names.items():
            _ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", f"{name}v")
            _ip("-n", name, "link", "set", f"{name}v", "up")

    def remove(self) -> None:
        for daemon in self.daemons:
            daemon.send_signal(signal.SIGTERM)
        for daemon in self.daemons:
            daemon.wait(10)
            assert daemon.stdout is not None
            daemon.stdout.close()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def start(self, host: str, command: str) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.homes[host]),
            "LANG": "C.UTF-8",
        }
        return subprocess.Popen(
            ["ip", "netns", "exec", self.names[host], "bash", "-ec", f"exec {command}"],
            cwd=self.homes[host],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, host: str, command: str) -> str:
        process = self.start(host, command)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, f"host {host}: {command}\n{output.decode()}"
        return output.decode()

    def run_daemon(self, host: str, command: str) -> None:
        daemon = self.start(host, command)
        self.daemons.append(daemon)
        deadline = time.monotonic() + READY_S
        assert daemon.stdout is not None
        while b"ready" not in (line := daemon.stdout.readline()):
            assert line, f"host {host}: {command} ended before it was ready"
            assert time.monotonic() < deadline
        # Somebody must read on, or the daemon would block once the pipe is full.
        threading.Thread(target=daemon.stdout.read, daemon=True).start()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    if os.environ.get("CI") is None and (os.geteuid() != 0 or shutil.which("ip") is None):
        pytest.skip("network namespaces need root and iproute2; CI has both")
    made = Hosts(tmp_path_factory.mktemp("h"))  # short: a socket in it has 107 bytes for its path
    try:
        made.build()
        yield made
    finally:
        made.remove()


@pytest.mark.slow
def test_two_daemons_on_two_hosts_share_objects_as_the_page_says(hosts: Hosts) -> None:
    printed: list[str] = []

    for kind, options, body in BLOCK.findall(PAGE.read_text()):
        option = dict(o.split("=") for o in options.split())
        if kind == "console":
            for line in body.strip().splitlines():
                if line.endswith("&"):
                    hosts.run_daemon(option["host"], line.removesuffix("&"))
                else:
                    printed.append(hosts.run(option["host"], line))
        elif kind == "python":
            (hosts.homes[option["host"]] / option["file"]).write_text(body)
        elif "copy" in option:
            source = hosts.homes[option["from"]] / option["copy"]
            assert source.stat().st_mode & 0o777 == 0o600
            shutil.copy2(source, hosts.homes[option["to"]])

    results = [text.strip().splitlines()[-1] for text in printed]
    assert results.count("100") == 2
    assert results[-1] == "40"
