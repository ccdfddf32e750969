"""A process trustee's processes are started again, not for ever, and none is left behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import trio
import trio.testing

import captp
from captp.errors import BrokenTrustee, Closed
from captp.run.process import MOST_ENDS, ProcessTrustee
from tests.e2e.process_things import Tally, Trouble
from tests.e2e.test_process_trustee_ends import is_there

PARENT = Path(__file__).with_name("process_parent.py")


def children() -> list[str]:
    """Every process, zombies too, that this one has started and not reaped."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            text = entry.read_text(errors="replace")
            if text.rpartition(") ")[2].split()[1] == str(os.getpid()):
                found.append(entry.parent.name)
    return sorted(found)


def descriptors() -> dict[str, str]:
    """What each descriptor of this process leads to, but for the one that lists them."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found[entry.name] = str(entry.readlink())
    return found


def pid_of(trustee: ProcessTrustee) -> int:
    pid = trustee.stats().pid
    assert pid is not None
    return pid


@pytest.mark.slow
async def test_it_is_started_again_after_each_end_until_there_were_too_many() -> None:
    pids = []
    async with captp.open_vat() as vat, vat.trustee("process", [Trouble]) as trustee:
        began = trio.current_time()
        for ends in range(MOST_ENDS + 1):
            trouble = await trustee.entrust_new(Trouble)
            assert trustee.stats().restarts == ends
            pids.append(pid_of(trustee))
            with pytest.raises(BrokenTrustee):
                await trouble.apply(Trouble.leave, ends)
        took = trio.current_time() - began

        with pytest.raises(BrokenTrustee, match=r"more than 5 times in 60 s .*status 5") as caught:
            await trustee.entrust_new(Trouble)
        assert not caught.value.may_have_run
        assert trustee.why_broken() == "exited with status 5"
        assert trustee.stats().state == "failed"
        assert (trustee.stats().pid, trustee.stats().restarts) == (None, MOST_ENDS + 1)
        with pytest.raises(BrokenTrustee, match="status 5"):
            await trouble.apply(Trouble.eat, 1)

    assert len(set(pids)) == MOST_ENDS + 1
    # Five rests, each twice the one before.
    assert took > 0.05 * (2**MOST_ENDS - 1)
    assert not any(map(is_there, pids))


async def test_others_of_the_vat_stay_up_when_one_has_failed_for_good() -> None:
    async with captp.open_vat() as vat, vat.trustee("process", [Tally]) as good:
        tally = await good.entrust_new(Tally)
        async with vat.trustee("process", [Trouble]) as bad:
            trouble = await bad.entrust_new(Trouble)
            with pytest.raises(BrokenTrustee):
                await trouble.apply(Trouble.leave, 1)

        assert await tally.apply(Tally.add, 1) == 1
        with pytest.raises(Closed):
            await bad.entrust_new(Trouble)


async def test_a_first_process_that_cannot_import_its_classes_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "picky.py").write_text(
        "import os, captp\n"
        "if 'PICKY' not in os.environ: raise RuntimeError('no PICKY here')\n"
        "class Picky(captp.Object): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PICKY", "1")
    import picky  # type: ignore[import-not-found]

    async with captp.open_vat() as vat:
        with pytest.raises(BrokenTrustee, match="could not import its classes: RuntimeError: no PICKY here"):
            async with vat.trustee("process", [picky.Picky]):
                raise AssertionError("it was opened")


@pytest.mark.parametrize("ending", ["error", "cancel", "left"])
@pytest.mark.parametrize("is_busy", [False, True])
async def test_no_process_is_left_when_the_block_ends(ending: str, is_busy: bool) -> None:
    pid = 0
    ended = []

    async def occupy(trouble: captp.Trust[Trouble]) -> None:
        with pytest.raises(BrokenTrustee) as caught:
            await trouble.apply(Trouble.ignore_the_timer)
        ended.append(str(caught.value))

    async with captp.open_vat() as vat, trio.open_nursery() as nursery:
        began = trio.current_time()
        scope = trio.CancelScope()
        expected = (
            pytest.raises(RuntimeError, match="the block's own") if ending == "error" else nullcontext()
        )
        with expected, scope:
            async with vat.trustee("process", [Trouble]) as trustee:
                trouble = await trustee.entrust_new(Trouble)
                pid = pid_of(trustee)
                if is_busy:
                    nursery.start_soon(occupy, trouble)
                    await trio.testing.wait_all_tasks_blocked()
                if ending == "error":
                    raise RuntimeError("the block's own")
                if ending == "cancel":
                    scope.cancel()
                    await trio.sleep_forever()

        assert not is_there(pid)
        assert trio.current_time() - began < 8
        assert scope.cancelled_caught is (ending == "cancel")
        assert vat.view().sessions == ()

    assert len(ended) == is_busy
    assert all("was killed: its block has ended" in text for text in ended)


@pytest.mark.usefixtures("unwatched")
async def test_a_trustee_that_is_cancelled_while_it_starts_leaves_no_process() -> None:
    async with captp.open_vat() as vat:
        async with vat.trustee("process", [Tally]):
            pass  # trio has its threads and descriptors now
        # Tests that share this process may keep others.
        kept, before = descriptors(), children()
        for wait in (0.0, 0.01, 0.05, 0.1):
            with trio.move_on_after(wait) as scope:
                async with vat.trustee("process", [Tally]):
                    scope.cancel()
                    await trio.sleep_forever()
            assert scope.cancelled_caught

        assert children() == before
        assert descriptors() == kept


@pytest.mark.parametrize("task", ["idle", "busy", "stay", "stay_for_good", "wait_long"])
def test_a_parent_that_is_killed_leaves_no_process(task: str) -> None:
    with subprocess.Popen(
        [sys.executable, str(PARENT), task],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        descriptor = os.pidfd_open(pid)
        try:
            parent.kill()
            parent.wait()
            began = time.monotonic()
            # A turn that does not end outlives its parent by its deadline.
            ready, _, _ = select.select([descriptor], [], [], 10)
        finally:
            os.close(descriptor)

    if not ready:
        os.kill(pid, signal.SIGKILL)
    assert ready
    assert time.monotonic() - began < (1.0 if task == "idle" else 3.0)
