"""What threads that hand over calls at once must not do to the counts of those that are unanswered."""

from __future__ import annotations

import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count, permutations, product
from typing import Any, Final, TypeAlias

import pytest
import trio

import captp
from captp.errors import Overloaded
from captp.model.trust import Call
from captp.run.blocking import Blocking
from captp.run.jobs import Job, Keep, Many, Speaker
from captp.run.threads import open_thread_trustee
from captp.run.worker import Client, Worker
from tests.custody.interleaved import waits_after
from tests.trio.turns_in_threads import Gate, Log, in_threads

# Two threads, one of which stands at each line in turn while the other does its part.


class Guard:
    """The lock of a worker, and what is to be called before somebody waits for it."""

    def __init__(self, lock: Any, on_wait: Callable[[], object]) -> None:
        self._lock = lock
        self._on_wait = on_wait

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._on_wait()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Scene:
    """Clients of a worker without a thread, with room for two calls of each and for three of all."""

    window, most = 2, 3

    def __init__(self) -> None:
        self.worker = Worker(64, self.window, self.most, bool)
        self.stuck = threading.Event()
        self.worker.lock = Guard(self.worker.lock, self.stuck.set)  # type: ignore[assignment]
        self._keep = Keep(self.worker, None)
        self.clients = [Client(self.worker) for _ in range(3)]
        #: What each has handed over or has waiting, in order.
        self.asked: list[list[Job]] = [[] for _ in self.clients]

    def post(self, number: int, size: int = 1, *, waits: bool = True) -> None:
        job = Many(self._keep, self.clients[number], [Call(Log.copy)] * size)
        self.asked[number].append(job)
        try:
            self.worker.post(job, waits=waits)
        except (Overloaded, captp.Closed):
            self.asked[number].remove(job)

    def answer(self, number: int) -> None:
        client = self.clients[number]
        if client.queue:
            job = client.queue.popleft()
            self.asked[number].remove(job)
            self.worker.give_back(client, job.size)

    def at_once(self, lines: int, first: Step, second: Step) -> bool:
        """Have one step wait after so many lines for the other, unless that waits for it."""

        def run() -> None:
            try:
                second(self)
            finally:
                self.stuck.set()

        other = threading.Thread(target=run)

        def meanwhile() -> None:
            other.start()
            assert self.stuck.wait(10)

        went_on = waits_after(lines, partial(first, self), meanwhile, "captp.run.")
        other.join(10)
        assert not other.is_alive()
        return went_on

    def check(self) -> None:
        held = self.worker.credit.held
        used = [sum(job.size for job in client.queue) for client in self.clients]
        assert self.worker.credit.depth == sum(used) <= self.most
        # It is a figure, and one may overwrite what the other has noted.
        assert self.worker.credit.high_water <= self.most
        for client, mine, jobs in zip(self.clients, used, self.asked, strict=True):
            assert len(client.unanswered) == mine
            assert mine <= self.window or len(client.queue) == 1
            assert jobs == [*client.queue, *held.get(client, ())]
            assert not client.queue or client.armed
        in_line = [jobs[0].size for client, jobs in held.items() if self._fits(client, jobs[0].size)]
        assert not in_line or max(in_line) > self.most - sum(used)

    def _fits(self, client: Speaker, size: int) -> bool:
        return min(size, self.window) <= self.window - len(client.unanswered)


Step: TypeAlias = Callable[[Scene], None]


def post(number: int, size: int = 1, *, waits: bool = True) -> Step:
    return lambda scene: scene.post(number, size, waits=waits)


def answer(number: int) -> Step:
    return lambda scene: scene.answer(number)


#: What was done before, and most of it not in the default run.
BEFORE: Final = {
    "nothing": (),
    "one place is left": (post(2), post(2)),
    "none is left": (post(2), post(2), post(1)),
    "one waits for all": (post(2), post(2), post(1), post(0)),
    "one waits for a batch": (post(2, 2), post(1), post(0)),
    "two wait for all": (post(2), post(2), post(1), post(0), post(1), post(1)),
    "one waits for its own": (post(2), post(2), post(2)),
    "a batch waits for all": (post(2), post(1), post(0, 3)),
}
OFTEN: Final = ("one place is left", "one waits for all", "one waits for a batch")
#: What each thread may do: two are clients, and one answers.
DONE_BY: Final = (
    (post(0), post(0, 2)),
    (post(1), post(1, waits=False)),
    (answer(2),),
)
PAIRS: Final = [pair for a, b in permutations(DONE_BY, 2) for pair in product(a, b)]


@pytest.mark.parametrize(
    "before", [*OFTEN, *(pytest.param(b, marks=pytest.mark.slow) for b in BEFORE if b not in OFTEN)]
)
def test_two_at_once_leave_what_one_after_the_other_leave(before: str) -> None:
    for first, second in PAIRS:
        for lines in count(1):
            scene = Scene()
            for step in BEFORE[before]:
                step(scene)
            scene.check()
            went_on = scene.at_once(lines, first, second)
            scene.check()
            for number in (2, 1, 0) * 4:
                scene.answer(number)
                scene.check()
            assert not any(scene.asked)
            if not went_on:
                break


@pytest.mark.parametrize("is_first", [True, False])
def test_what_is_handed_over_while_the_trustee_closes_is_broken_or_refused(is_first: bool) -> None:
    def close(scene: Scene) -> None:
        scene.worker.close()

    for step in (post(2), post(0), post(1, 2), post(1, waits=False)):
        for lines in count(1):
            scene = Scene()
            for done in (post(2), post(2), post(1)):
                done(scene)
            went_on = scene.at_once(lines, *((step, close) if is_first else (close, step)))
            assert not any(client.queue for client in scene.clients)
            assert (scene.worker.credit.depth, scene.worker.credit.held) == (0, {})
            if not went_on:
                break


# Many threads.


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Have threads take turns as often as the interpreter lets them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
async def test_of_the_calls_that_sixteen_threads_hand_over_at_once_exactly_so_many_pass() -> None:
    gate, together = Gate(), threading.Barrier(16)
    async with open_thread_trustee(window=20, max_inflight=101) as trustee:
        trust = trustee.entrust(Log())
        await gate.shut(trust)

        def flood(number: int) -> None:
            together.wait(5)  # else one thread might be several
            handle = trust.blocking
            for _ in range(15):
                with suppress(Overloaded):
                    handle.apply_then(Log.add, number)

        await in_threads(16, flood)
        stats = trustee.stats()
        assert (stats.depth, stats.high_water, stats.overloads) == (101, 101, 16 * 15 - 100)
        gate.open.set()
        while len(lines := await trust.apply(Log.copy)) < 101:
            pass
        assert (lines[0], trustee.stats().depth) == ("gate", 0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("many_switches")
def test_with_threads_at_once_never_more_is_unanswered_and_nothing_is_lost_or_overtaken(seed: int) -> None:
    draw = random.Random(seed)
    window, most = draw.randint(1, 8), draw.randint(8, 20)
    worker = Worker(64, window, most, bool)
    keep, clients = Keep(worker, None), [Client(worker) for _ in range(8)]
    asked: list[deque[Job]] = [deque() for _ in clients]
    sizes = [[draw.choice((1, 1, 1, 2, 5)) for _ in range(150)] for _ in clients]
    refused = [0] * len(clients)

    def hand_over(number: int) -> None:
        for at, size in enumerate(sizes[number]):
            job: Job = Many(keep, clients[number], [Call(Log.copy)] * size)
            asked[number].append(job)
            try:
                worker.post(job, waits=at % 3 > 0)
            except Overloaded:
                asked[number].remove(job)
                refused[number] += 1

    threads = [threading.Thread(target=partial(hand_over, number)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    answered = 0
    while any(thread.is_alive() for thread in threads) or any(asked):
        # Others only add to these meanwhile, so that there are as many at the end of this at least.
        queued = [[job.size for job in list(client.queue)] for client in clients]
        assert sum(map(sum, queued)) <= most
        assert all(sum(own) <= window or len(own) == 1 for own in queued)
        for client, jobs in zip(clients, asked, strict=True):
            if client.queue and draw.random() < 0.5:
                job = client.queue.popleft()
                assert job is jobs.popleft()
                worker.give_back(client, job.size)
                answered += 1

    assert answered + sum(refused) == 150 * len(clients)
    assert worker.credit.depth == sum(len(client.unanswered) for client in clients) == 0
    assert not worker.credit.held
    assert worker.stats().high_water <= most


@pytest.mark.usefixtures("many_switches")
async def test_what_threads_hand_over_while_the_trustee_closes_is_answered_or_refused() -> None:
    ended = list[str]()

    def work(handle: Blocking[Log]) -> None:
        with pytest.raises(captp.Closed):
            all(handle.apply(Log.add, 1) for _ in count())
        ended.append("closed")

    for _ in range(10):
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery, open_thread_trustee() as trustee:
                trust = trustee.entrust(Log())
                for _ in range(8):
                    nursery.start_soon(trio.to_thread.run_sync, work, trust.blocking)
                while not trustee.stats().turns:
                    await trio.sleep(0)
        assert trustee.stats().depth == 0

    assert len(ended) == 80
