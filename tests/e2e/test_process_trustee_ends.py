"""How a process trustee's process ends, what its callers are told, and what others do not notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp import E
from captp.errors import BrokenTrustee
from captp.model.trust import Outcome
from captp.run.process import ProcessTrustee
from tests.e2e.process_things import Tally, Trouble

TURN_S = 0.5


def is_there(pid: int) -> bool:
    """Whether a process exists, be it as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def trouble(trustee: ProcessTrustee) -> tuple[captp.Trust[Trouble], int]:
    made = await trustee.entrust_new(Trouble)
    pid = trustee.stats().pid
    assert pid is not None
    return made, pid


@pytest.mark.parametrize("name", ["loop", "loop_in_c", "wait"])
async def test_a_stuck_turn_dies_at_its_deadline_and_the_others_go_on(name: str) -> None:
    answered = 0
    async with (
        captp.open_vat() as vat,
        vat.trustee("process", [Trouble], turn_s=TURN_S) as stuck,
        vat.trustee("process", [Tally]) as other,
    ):
        bad, pid = await trouble(stuck)
        tally = await other.entrust_new(Tally)
        began = trio.current_time()

        async def go_on() -> None:
            nonlocal answered
            while True:
                answered = await tally.apply(Tally.add, 1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go_on)
            with pytest.raises(BrokenTrustee, match=f"{pid} .*its turn ran over 0.5 s") as caught:
                await bad.apply(getattr(Trouble, name))
            took = trio.current_time() - began
            nursery.cancel_scope.cancel()

        assert not is_there(pid)
        assert await tally.apply(Tally.add, 0) >= answered

    assert caught.value.may_have_run
    assert TURN_S <= took < TURN_S + 2
    assert answered > 20


async def test_many_turns_that_are_longer_together_than_the_deadline_all_run() -> None:
    count = 6
    async with captp.open_vat() as vat, vat.trustee("process", [Tally], turn_s=TURN_S) as trustee:
        handle = await trustee.entrust_new(Tally)
        _, tally = await trustee._new(Tally, (), {})
        began = trio.current_time()

        apart = [E(tally).work(TURN_S / 4) for _ in range(count)]
        pids = {await promise for promise in apart}
        batch = await handle.apply_many([captp.Call(Tally.work, TURN_S / 4) for _ in range(count)])
        pids |= {outcome.unwrap() for outcome in batch}

        assert trio.current_time() - began >= 2 * count * TURN_S / 4
        assert pids == {trustee.stats().pid}


async def test_a_result_does_not_wait_for_the_slow_calls_behind_it() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as trustee:
        _, tally = await trustee._new(Tally, (), {})
        began = trio.current_time()

        promises = [E(tally).work(0.1) for _ in range(5)]
        await promises[0]
        first = trio.current_time() - began
        for promise in promises:
            await promise

    assert first < 0.3


async def test_threads_take_no_memory_but_what_they_use() -> None:
    """Or the thread that watches the turns takes half the room of a small vat, and only sometimes."""
    async with captp.open_vat() as vat, vat.trustee("process", [Trouble], memory_bytes=256 << 20) as trustee:
        bad, _ = await trouble(trustee)
        assert await bad.apply(Trouble.eat_in_threads, 4, 192) == 192 << 20


async def test_memory_beyond_the_limit_is_an_error_and_harms_nobody() -> None:
    async with (
        captp.open_vat() as vat,
        vat.trustee("process", [Tally, Trouble], memory_bytes=128 << 20) as trustee,
        vat.trustee("process", [Tally]) as other,
    ):
        tally = await trustee.entrust_new(Tally)
        bystander = await other.entrust_new(Tally)
        bad, _ = await trouble(trustee)

        assert await bad.apply(Trouble.eat, 64) == 64 << 20
        with pytest.raises(captp.RemoteFault):
            await bad.apply(Trouble.eat, 128)
        assert await tally.apply(Tally.add, 1) == 1

        with pytest.raises(BrokenTrustee, match="status 7"):
            await bad.apply(Trouble.eat_all)
        with pytest.raises(BrokenTrustee, match="status 7"):
            await tally.apply(Tally.add, 1)
        assert await bystander.apply(Tally.add, 1) == 1


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("leave", (3,), "exited with status 3"),
        ("leave", (82,), "ran out of memory"),
        ("exit", (), "exited with status 5"),
        ("die", (9,), "killed with SIGKILL"),
        ("die", (15,), "killed with SIGTERM"),
        ("crash", (), "crashed with SIGSEGV"),
    ],
)
async def test_every_waiting_caller_is_told_once_how_the_process_ended(
    name: str, args: tuple[Any, ...], words: str
) -> None:
    told: Counter[int] = Counter()
    texts: set[str] = set()

    def tell(at: int, outcome: Outcome[Any]) -> None:
        told[at] += 1
        assert isinstance(outcome.error, BrokenTrustee)
        texts.add(str(outcome.error))

    async with captp.open_vat() as vat, vat.trustee("process", [Tally, Trouble]) as trustee:
        bad, pid = await trouble(trustee)
        tally = await trustee.entrust_new(Tally)

        async def call(at: int) -> None:
            try:
                tell(at, Outcome(await tally.apply(Tally.add, 1)))
            except BrokenTrustee as problem:
                tell(at, Outcome(None, problem))

        with trio.fail_after(10):
            bad.apply_then(getattr(Trouble, name), *args, then=lambda outcome: tell(0, outcome))
            for at in range(1, 10):
                tally.apply_then(Tally.add, 1, then=lambda outcome, at=at: tell(at, outcome))  # type: ignore[misc]
            async with trio.open_nursery() as nursery:
                for at in range(10, 20):
                    nursery.start_soon(call, at)
            # Handles stay broken when the next process is up.
            await trustee.entrust_new(Tally)
            await call(20)

    assert told == Counter(range(21))
    (text,) = texts
    assert str(pid) in text
    assert words in text


@pytest.mark.parametrize(
    ("name", "words"), [("babble", "bad-|broken off|session"), ("hang_up", "closed its socket")]
)
async def test_a_child_that_leaves_the_protocol_is_cut_and_killed(name: str, words: str) -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Trouble], turn_s=60) as trustee:
        bad, pid = await trouble(trustee)
        began = time.monotonic()

        with pytest.raises(BrokenTrustee, match=words):
            await bad.apply(getattr(Trouble, name))
        again, other = await trouble(trustee)

        assert other != pid
        assert not is_there(pid)
        assert time.monotonic() - began < 10
        assert await again.apply(Trouble.eat, 1) == 1 << 20


@pytest.mark.slow
async def test_a_process_that_leaves_another_with_its_socket_is_gone_all_the_same() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Trouble]) as trustee:
        bad, pid = await trouble(trustee)
        with trio.fail_after(5):
            with pytest.raises(BrokenTrustee, match="status 4"):
                await bad.apply(Trouble.fork_and_leave)
            _, other = await trouble(trustee)

    assert other != pid


async def test_what_it_wrote_last_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Trouble]) as trustee:
        bad, pid = await trouble(trustee)
        with pytest.raises(BrokenTrustee):
            await bad.apply(Trouble.shout)
        await trouble(trustee)

    (record,) = [r for r in caplog.records if r.message == "the process of a trustee has ended"]
    assert record.captp == {"pid": pid, "end": "exited with status 3", "stderr": "last words"}  # type: ignore[attr-defined]


async def test_a_program_that_calls_no_more_still_learns_of_the_end() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Trouble]) as trustee:
        bad, pid = await trouble(trustee)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BrokenTrustee):
            await bad.apply(Trouble.eat, 0)

        assert trustee.why_broken() in (None, "was killed with SIGKILL, by somebody or for want of memory")
        await trustee.entrust_new(Trouble)
        assert trustee.why_broken() is None
        assert trustee.stats().restarts == 1


def test_a_module_that_opens_a_process_when_it_is_imported_starts_no_endless_chain(tmp_path: Path) -> None:
    (tmp_path / "chained.py").write_text(
        """
import captp
import trio

class Thing(captp.Object):
    pass

async def main() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Thing]) as trustee:
        await trustee.entrust_new(Thing)

trio.run(main)
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", "import chained"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "BrokenTrustee" in done.stderr
    assert "put that under if __name__ == '__main__'" in done.stderr
