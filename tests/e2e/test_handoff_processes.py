"""Three processes: an introducer that is killed as it stands leaves two peers that need it for nothing."""

from __future__ import annotations

import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "handoff_vats.py"
LONGEST_S = 10.0


class Vat:
    """One process, spoken to in lines; no wait is without an end."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._heard = b""

    def line(self) -> str:
        """Return the next line that it says."""
        stdout = self.process.stdout
        assert stdout is not None
        deadline = time.monotonic() + LONGEST_S
        with selectors.DefaultSelector() as waiting:
            waiting.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._heard:
                assert waiting.select(deadline - time.monotonic()), "nothing was said in time"
                part = stdout.read(4096)
                assert part, f"the process ended with {self.process.wait(LONGEST_S)}"
                self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def asked(self, line: str) -> str:
        """Say a line and return the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        return self.line()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait(LONGEST_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def vats() -> Iterator[list[Vat]]:
    started: list[Vat] = []
    yield started
    for vat in started:
        if vat.process.poll() is None:
            vat.kill()


@pytest.mark.parametrize("transport", ["tls", "tcp-testing-only"])
def test_a_receiver_calls_what_it_was_given_when_the_introducer_has_been_killed(
    transport: str, vats: list[Vat]
) -> None:
    vats += [Vat("exporter", transport), Vat("receiver", transport)]
    exporter, receiver = vats
    uris = exporter.line(), receiver.line()
    introducer = Vat("introducer", *uris)
    vats.append(introducer)
    # The receiver has called the object once when it is introduced.
    assert introducer.line() == "1"

    introducer.kill()

    assert receiver.asked("10") == "11"
    assert receiver.asked("100") == "111"
    # And it was the exporter that answered: without it there is nothing.
    exporter.kill()
    assert receiver.asked("1000") == "Disconnected"
