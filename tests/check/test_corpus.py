"""A program that hangs is ended in order, and what it was when it hung is told."""

from __future__ import annotations

import gc

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


@pytest.mark.parametrize("text", [SLEEPS, THREAD, SPINS], ids=["sleeps", "thread", "spins"])
def test_what_hangs_is_ended_in_order(text: str) -> None:
    said, raised = outcome({"main.py": "print('started')\n" + text}, "main.py", longest_s=0.2)

    assert said == "started\n"
    assert isinstance(raised[0], TimeoutError)
    assert any(isinstance(error, KeyboardInterrupt) for error in raised)
    del raised
    # A run of trio that was left half way would warn here.
    gc.collect()
