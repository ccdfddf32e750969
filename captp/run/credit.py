"""How many calls to a thread trustee may be unanswered, of each client and of all, and what waits for that.

What is unanswered is counted without a lock, in byte arrays with one byte for each call: any thread adds or
takes some in one step of the interpreter, also in the middle of another's. Whoever hands over counts first
and looks then. So the last of several who come at once sees all, and no more than may pass.

A client is free, short or in line. Short, its first held job waits for answers to its own jobs, and keeps
nobody else; in line, for answers to anybody's: one job of each has its go in turn, and none overtakes them.
free --a job does not fit--> short | in line; short --its answers--> in line --room--> free | short | in line.
The lock guards those that are short or in line. They stand there before it is looked whether there is room,
and whoever makes room looks for them then: one of both sees the other.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import Final

from captp.errors import Overloaded
from captp.run.jobs import Job, Speaker

__all__ = ["Credit"]

#: One call.
ONE: Final = bytes(1)


class Credit:
    """Counts what is handed over and unanswered, and holds jobs back."""

    __slots__ = (
        "_goes_on", "_line", "_unanswered", "_window", "held", "high_water", "max_inflight", "overloads",
    )  # fmt: skip

    def __init__(self, window: int, max_inflight: int) -> None:
        self._window = window
        self._unanswered = bytearray()
        self.max_inflight = max_inflight
        self.high_water = self.overloads = 0
        #: The held jobs of each client that has some, which is short or in line.
        self.held: dict[Speaker, deque[Job]] = {}
        self._line: dict[Speaker, None] = {}
        self._goes_on = False

    @property
    def depth(self) -> int:
        """Calls that are handed over and unanswered."""
        return len(self._unanswered)

    # Without the lock.

    def take(self, job: Job) -> bool:
        """Count a job as handed over, unless somebody waits or it does not fit: then ``hold`` it."""
        client, size = job.client, job.size
        mine, every = client.unanswered, self._unanswered
        calls = ONE if size == 1 else bytes(size)
        mine += calls
        every += calls
        # The line first: what leaves it was counted before.
        if not self._line and client not in self.held:
            used = len(every)
            if used <= self.max_inflight and len(mine) <= self._window:
                if used > self.high_water:  # noqa: PLR1730 - for every call
                    self.high_water = used
                return True
        self.give_back(client, size)
        return False

    def give_back(self, client: Speaker, count: int) -> bool:
        """So many calls more of a client are answered; say whether somebody waits, who may ``go_on``."""
        del self._unanswered[:count]
        del client.unanswered[:count]
        return bool(self._line) or client in self.held

    # With it.

    def hold(self, job: Job, waits: bool) -> None:
        """Hold a job until it fits, which it may at once; raises Overloaded where it must not wait."""
        client = job.client
        # What ``take`` counted in vain may have kept others.
        self.go_on(client)
        has_others = bool(self._line) or client in self.held
        if job.size > self.max_inflight or (has_others and not waits):
            raise self._refused(job)
        jobs = self.held.setdefault(client, deque())
        jobs.append(job)
        self.go_on(client)
        if jobs and not waits:
            problem = self._refused(job)
            self._line.pop(client, None)
            del self.held[client]
            raise problem

    def go_on(self, client: Speaker) -> None:
        """Hand over what waited for answers to a client's calls, or to anybody's."""
        if self._goes_on:
            return  # a finalizer, in the middle of the same
        self._goes_on = True
        try:
            jobs = self.held.get(client)
            if jobs and not self._is_short(jobs[0]):
                self._line.setdefault(client)
            while self._line:
                first = next(iter(self._line))
                jobs = self.held[first]
                if self.depth + jobs[0].size > self.max_inflight:
                    return
                self._count(jobs[0])
                self.high_water = max(self.high_water, self.depth)
                del self._line[first]
                # It is queued before its client is held no more, whose next one may then pass at once.
                first.take(jobs.popleft())
                if not jobs:
                    del self.held[first]
                elif not self._is_short(jobs[0]):
                    self._line[first] = None
        finally:
            self._goes_on = False

    def empty(self) -> list[Job]:
        """Return all that is held, which counts as handed over until it is answered."""
        jobs = list(chain.from_iterable(self.held.values()))
        for job in jobs:
            self._count(job)
        self._line.clear()
        self.held.clear()
        return jobs

    def _count(self, job: Job) -> None:
        mine, every, calls = job.client.unanswered, self._unanswered, bytes(job.size)
        mine += calls
        every += calls

    def _is_short(self, job: Job) -> bool:
        # One of more than the window goes alone.
        return self._window - len(job.client.unanswered) < min(job.size, self._window)

    def _refused(self, job: Job) -> Overloaded:
        """Make the error for a job that is not held; it keeps no object, however long the error keeps it."""
        self.overloads += job.size
        del job.keep
        used, limit = self.depth, f"max_inflight={self.max_inflight}"
        # A finalizer that comes in the middle of go_on finds clients with no job.
        first = next(iter(self.held.get(job.client, ())), job)
        if job.size <= self.max_inflight and self._is_short(first):
            used, limit = len(job.client.unanswered), f"window={self._window} for each client"
        return Overloaded(
            f"{used} calls are unanswered and this has {job.size}, with {limit}:"
            " await one with apply, or hand over fewer"
        )
