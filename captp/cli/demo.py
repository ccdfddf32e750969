"""``captp demo``: the main job in one terminal, with real processes, TLS and a distance; it cleans up.

It makes, shares and looks as any user does, through files and the control plane, and exits 1 when what
it finds is not what it promises.
"""

from __future__ import annotations

import json as json_format
import math
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, final

import trio
from attrs import asdict, define, field
from cyclopts import Parameter

from captp.cli.figures import Figures
from captp.cli.options import Json, Quiet, run
from captp.cli.play import Play, Screen
from captp.cli.problems import FAILED, INTERRUPTED, OK, Failure

__all__ = ["demo"]

LIMIT_S: Final = 35.0


def demo(
    *,
    keep: Annotated[bool, Parameter(negative=(), help="Leave it running until Ctrl-C.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run daemons, a client, a restart and a handoff on this machine; exit 1 if anything is amiss."""
    show = Show(Screen(is_on=not json and not quiet), is_json=json, is_kept=keep)
    try:
        return run(show.run)
    except KeyboardInterrupt:
        if show.code is None:
            raise
        return show.code  # that is how a demo that was kept ends


@final
@define(eq=False)
class Show:
    """One run of the demo, bounded in time; a signal to end it cleans up like everything else."""

    screen: Screen
    is_json: bool
    is_kept: bool
    figures: Figures = field(factory=Figures)
    code: int | None = None
    _started: float = field(factory=time.monotonic)

    async def run(self) -> int:
        """Play, clean up, sum up; return the exit code."""
        limit = trio.CancelScope(deadline=trio.current_time() + LIMIT_S)
        ended_by: list[int] = []

        async def watch() -> None:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
                async for number in signals:
                    ended_by.append(number)
                    limit.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            with limit, _folder() as folder:
                await self._play(Play(folder, self.screen, self.figures), limit)
            nursery.cancel_scope.cancel()
        if ended_by:
            return INTERRUPTED
        if limit.cancelled_caught:
            raise Failure(f"the demo is not over after {LIMIT_S:g} s; it was at: {self.screen.step}", FAILED)
        self.screen.begin("clean-up")
        self.screen.say("the daemons have ended, their folder is gone")
        return self._sum_up()

    async def _play(self, play: Play, limit: trio.CancelScope) -> None:
        async with play.on_stage():
            await play.all_steps()
            if self.is_kept:
                limit.deadline = math.inf
                self.screen.begin("kept")
                self.screen.say(
                    "until Ctrl-C; in another terminal:",
                    f"export CAPTPD_HOME={play.home}",
                    "captp ls",
                    f"captp call {play.cap} open owner=eve ./deposit amount:=5",
                )
                self.code = self._sum_up()
                await trio.sleep_forever()

    def _sum_up(self) -> int:
        figures = self.figures
        figures.elapsed_s = round(time.monotonic() - self._started, 3)
        amiss = figures.amiss()
        if self.is_json:
            print(json_format.dumps({"ok": not amiss, "amiss": amiss, **asdict(figures)}), flush=True)
        elif amiss:
            print(f"failed: no {', no '.join(amiss)}; {figures.elapsed_s:.1f} s", flush=True)
        else:
            print(f"ok: {figures.summary()}; {figures.elapsed_s:.1f} s", flush=True)
        return FAILED if amiss else OK


@contextmanager
def _folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="captp-demo-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
