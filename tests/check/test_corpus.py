"""A program that hangs is ended in order, and that it hung is told."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import pytest

from tests.check.corpus import outcome

SLEEPS = "import trio\nasync def main():\n    await trio.sleep_forever()\ntrio.run(main)\n"
THREAD = (
    "import threading, trio\n"
    "go = threading.Event()\n"
    "async def main():\n"
    "    try:\n"
    "        await trio.to_thread.run_sync(go.wait, abandon_on_cancel=True)\n"
    "    finally:\n"
    "        go.set()\n"
    "trio.run(main)\n"
)
SPINS = "while True:\n    pass\n"


@pytest.fixture(autouse=True)
def _deaf() -> Iterator[None]:
    """Have the process ignore interrupts, as one does that was started in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("text", [SLEEPS, THREAD, SPINS], ids=["sleeps", "thread", "spins"])
def test_what_hangs_is_ended_in_order(text: str) -> None:
    before = signal.getsignal(signal.SIGALRM)

    said, raised = outcome({"main.py": "print('started')\n" + text}, "main.py", longest_s=0.2)

    assert said == "started\n"
    assert isinstance(raised[0], TimeoutError)
    assert any(isinstance(error, KeyboardInterrupt) for error in raised)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == (signal.SIG_IGN, before)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    del raised
    # A run of trio that was left half way would warn here.
    gc.collect()
