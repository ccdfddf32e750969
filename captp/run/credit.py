"""How many calls to a thread trustee may be unanswered, of each client and of all, and what waits for that.

A client is free, short or in line. Short, its first held job waits for answers to its own jobs, and keeps
nobody else; in line, for answers to anybody's: one job of each has its go in turn, and none overtakes them.
free --a job does not fit--> short | in line; short --its answers--> in line --room--> free | short | in line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain

from captp.errors import Overloaded
from captp.run.jobs import Job, Speaker

__all__ = ["Credit"]


class Credit:
    """Counts what is handed over and unanswered, and holds jobs back; the worker's lock guards it."""

    __slots__ = ("_line", "_window", "free", "held", "high_water", "max_inflight", "overloads")

    def __init__(self, window: int, max_inflight: int) -> None:
        self._window = window
        self.max_inflight = self.free = max_inflight
        self.high_water = self.overloads = 0
        #: The held jobs of each client that has some, which is short or in line.
        self.held: dict[Speaker, deque[Job]] = {}
        self._line: deque[Speaker] = deque()

    @property
    def depth(self) -> int:
        """Calls that are handed over and unanswered."""
        return self.max_inflight - self.free

    def take(self, job: Job, waits: bool) -> bool:
        """Count a job as handed over; else hold it and return False, or raise Overloaded."""
        client, size = job.client, job.size
        if (self.held or client.free < size or self.free < size) and not self._fits(job):
            if not waits or size > self.max_inflight:
                raise self._refused(job)
            jobs = self.held.get(client)
            if jobs is not None:
                jobs.append(job)
            else:
                self.held[client] = deque((job,))
                if not self._is_short(job):
                    self._line.append(client)
            return False
        self._count(client, size)
        return True

    def give_back(self, client: Speaker, count: int) -> Sequence[Job]:
        """So many calls more of a client are answered: return what is to be handed over for them."""
        self.free += count
        client.free += count
        if not self.held:
            return ()
        jobs = self.held.get(client)
        if jobs and client.free - count < self._least(jobs[0]) <= client.free:
            self._line.append(client)
        ready = []
        while self._line and self.held[self._line[0]][0].size <= self.free:
            first = self._line.popleft()
            jobs = self.held[first]
            job = jobs.popleft()
            self._count(first, job.size)
            ready.append(job)
            if not jobs:
                del self.held[first]
            elif not self._is_short(jobs[0]):
                self._line.append(first)
        return ready

    def empty(self) -> list[Job]:
        """Return all that is held, which counts as handed over until it is answered."""
        held, self.held = self.held, {}
        self._line.clear()
        jobs = list(chain.from_iterable(held.values()))
        for job in jobs:
            self.free -= job.size
            job.client.free -= job.size
        return jobs

    def _count(self, client: Speaker, size: int) -> None:
        client.free -= size
        self.free -= size
        used = self.max_inflight - self.free
        if used > self.high_water:  # noqa: PLR1730 - for every call
            self.high_water = used

    def _least(self, job: Job) -> int:
        """Return what a client needs free for a job; one of more than the window goes alone."""
        return min(job.size, self._window)

    def _is_short(self, job: Job) -> bool:
        return job.client.free < self._least(job)

    def _fits(self, job: Job) -> bool:
        """Tell whether a job may go, with nothing held that it would overtake."""
        is_next = not self._line and job.client not in self.held
        return is_next and job.size <= self.free and not self._is_short(job)

    def _refused(self, job: Job) -> Overloaded:
        """Make the error for a job that is not held; it keeps no object, however long the error keeps it."""
        self.overloads += job.size
        del job.keep
        used, limit = self.depth, f"max_inflight={self.max_inflight}"
        # A finalizer that comes in the middle of give_back finds clients with no job.
        first = next(iter(self.held.get(job.client, ())), job)
        if job.size <= self.max_inflight and self._is_short(first):
            used, limit = self._window - job.client.free, f"window={self._window} for each client"
        return Overloaded(
            f"{used} calls are unanswered and this has {job.size}, with {limit}:"
            " await one with apply, or hand over fewer"
        )
