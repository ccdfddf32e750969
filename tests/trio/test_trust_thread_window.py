"""A trustee with a thread of its own: how many calls of a client may be unanswered, and what waits."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import deque
from functools import partial
from queue import SimpleQueue

import pytest
import trio

from captp.errors import Closed, Overloaded
from captp.model.trust import Call
from captp.run.jobs import Job, Keep, Many
from captp.run.threads import ThreadTrust, open_thread_trustee
from captp.run.worker import Client, Worker
from tests.trio.turns_in_threads import Gate, Log, in_threads


async def test_the_call_after_the_window_is_refused_or_waits_and_other_clients_are_not_concerned() -> None:
    gate = Gate()
    async with open_thread_trustee(window=4) as trustee, trio.open_nursery() as nursery:
        trust = trustee.entrust(Log())
        await gate.shut(trust)
        for number in range(3):
            trust.apply_then(Log.add, number)
        assert (trustee.stats().depth, trustee.stats().overloads) == (4, 0)

        with pytest.raises(Overloaded, match="4 calls are unanswered and this has 1, with window=4"):
            trust.apply_then(Log.add, "no")
        nursery.start_soon(trust.apply, Log.add, 3)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(trust.apply_many, [Call(Log.add, 4), Call(Log.add, 4)])
        await trio.testing.wait_all_tasks_blocked()
        assert (trustee.stats().depth, trustee.stats().overloads) == (4, 1)

        together = threading.Barrier(3)

        def other(number: int) -> None:
            together.wait(5)  # else one thread might be all three
            for _ in range(4):
                trust.blocking.apply_then(Log.add, f"thread {number}")
            with pytest.raises(Overloaded, match="window=4"):
                trust.blocking.apply_then(Log.add, "no")

        await in_threads(3, other)
        assert (trustee.stats().depth, trustee.stats().overloads) == (16, 4)
        gate.open.set()

        while len(lines := await trust.apply(Log.copy)) < 19:
            pass
        assert [line for line in lines if type(line) is int] == [0, 1, 2, 3, 4, 4]
        assert [lines.count(f"thread {number}") for number in range(3)] == [4, 4, 4]
        assert (trustee.stats().depth, trustee.stats().high_water) == (0, 16)


async def test_calls_of_others_have_their_turns_while_those_of_one_client_wait_for_its_window() -> None:
    gate, seen = Gate(), list[object]()
    async with open_thread_trustee(window=1) as trustee, trio.open_nursery() as nursery:
        trust = trustee.entrust(Log())
        await gate.shut(trust)
        for line in ("answered", "held"):
            nursery.start_soon(trust.apply, Log.add, line)
            await trio.testing.wait_all_tasks_blocked()

        def other() -> None:
            gate.open.set()
            for _ in range(10):
                trust.blocking.apply(Log.add, "other")
            seen.extend(trust.blocking.apply(Log.copy))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(5)  # on the loop, which takes no answers meanwhile

        assert seen.count("other") == 10
        assert "held" not in seen
        assert (await trust.apply(Log.copy))[-1] == "held"


async def test_a_call_without_an_answer_leaves_its_place_when_it_has_run() -> None:
    async with open_thread_trustee(window=2) as trustee:
        trust = trustee.entrust(Log())
        for number in range(0, 100, 2):
            trust.apply_then(Log.add, number)
            await trust.apply(Log.add, number + 1)

        assert await trust.apply(Log.copy) == list(range(100))
        assert trustee.stats().overloads == 0


async def test_a_batch_of_more_than_the_window_goes_when_its_client_has_nothing_else() -> None:
    gate = Gate()
    async with open_thread_trustee(quota=2, window=4, max_inflight=40) as trustee:
        trust = trustee.entrust(Log())
        assert len(await trust.apply_many([Call(Log.add, "at once")] * 10)) == 10
        assert trustee.stats().high_water == 10
        with pytest.raises(Overloaded, match="this has 41, with max_inflight=40"):
            await trust.apply_many([Call(Log.add, "no")] * 41)

        await gate.shut(trust)
        async with trio.open_nursery() as nursery:
            for calls in ([Call(Log.add, "first")] * 5, [Call(Log.add, "second")] * 3):
                nursery.start_soon(trust.apply_many, calls)
                await trio.testing.wait_all_tasks_blocked()
            assert trustee.stats().depth == 1
            with pytest.raises(Overloaded, match="window=4"):  # it would fit, were it not for those before
                trust.apply_then(Log.add, "no")
            gate.open.set()

        assert (await trust.apply(Log.copy))[10:] == ["gate", *["first"] * 5, *["second"] * 3]
        assert trustee.stats().high_water == 10


async def test_a_call_cancelled_while_it_waits_for_the_window_never_runs_nor_keeps_those_behind_it() -> None:
    gate = Gate()
    async with open_thread_trustee(window=1) as trustee, trio.open_nursery() as nursery:
        trust = trustee.entrust(Log())
        await gate.shut(trust)
        async with trio.open_nursery() as given_up:
            given_up.start_soon(trust.apply, Log.add, "never")
            given_up.start_soon(trust.apply_many, [Call(Log.add, "never")] * 3)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(trust.apply, Log.add, "behind them")
            await trio.testing.wait_all_tasks_blocked()
            given_up.cancel_scope.cancel()
        assert trustee.stats().depth == 1
        gate.open.set()

        assert await trust.apply(Log.copy) == ["gate", "behind them"]
        assert (trustee.stats().cancelled, trustee.stats().depth) == (4, 0)


async def test_closing_breaks_what_waits_for_the_window_in_every_client() -> None:
    gate, broken = Gate(), threading.Semaphore(0)
    log = Log()

    def thread(trust: ThreadTrust[Log], _: int) -> None:
        for _ in range(2):
            trust.blocking.apply_then(Log.add, "no", then=lambda _: broken.release())
        with pytest.raises(Closed):
            trust.blocking.apply(Log.add, "no")
        broken.release()

    async def task(trust: ThreadTrust[Log]) -> None:
        with pytest.raises(Closed):
            await trust.apply(Log.add, "no")
        broken.release()

    def open_when_broken() -> None:
        assert all(broken.acquire(timeout=5) for _ in range(13))
        gate.open.set()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery, open_thread_trustee(window=2) as trustee:
            trust = trustee.entrust(log)
            await gate.shut(trust)
            nursery.start_soon(in_threads, 3, partial(thread, trust))
            for _ in range(4):
                nursery.start_soon(task, trust)
            worker = trustee._worker
            while sum(map(len, worker.credit.held.values())) < 3 + 3:
                await trio.lowlevel.checkpoint()
            assert trustee.stats().depth == 8
            nursery.start_soon(trio.to_thread.run_sync, open_when_broken)

    assert log.lines == ["gate"]
    assert (trustee.stats().depth, trustee.stats().live, len(trustee._loop.unanswered)) == (0, 0, 0)


def test_an_os_thread_interrupted_while_it_waits_for_the_window_leaves_nothing_behind() -> None:
    gate, handles, over = Gate(), SimpleQueue[ThreadTrust[Log]](), threading.Event()

    async def keep() -> None:
        async with open_thread_trustee(window=2) as trustee:
            trust = trustee.entrust(Log())
            await gate.shut(trust)
            handles.put(trust)
            assert await trio.to_thread.run_sync(over.wait, 10)

    def interrupt() -> None:
        for _ in range(5000):
            if worker.credit.held:
                break
            time.sleep(0.001)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    loop = threading.Thread(target=trio.run, args=(keep,))
    loop.start()
    trust = handles.get(timeout=10)
    worker = trust._trustee._worker
    interrupter = threading.Thread(target=interrupt)
    try:
        for number in range(2):
            trust.blocking.apply_then(Log.add, number)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            trust.blocking.apply(Log.add, "never")
        assert len(worker.credit.held) == 1
        gate.open.set()
        lines = trust.blocking.apply(Log.copy)
    finally:
        gate.open.set()
        interrupter.join(10)
        over.set()
        loop.join(10)

    assert lines == ["gate", 0, 1]
    assert (worker.stats().cancelled, worker.stats().depth, len(worker.credit.held)) == (1, 0, 0)


async def test_what_a_thread_that_has_ended_left_waiting_has_its_turn() -> None:
    gate = Gate()
    async with open_thread_trustee(window=2) as trustee:
        trust = trustee.entrust(Log())
        await gate.shut(trust)
        worker, keep = trustee._worker, trust._hold.get()

        def post(number: int) -> None:
            client = Client(worker)
            for _ in range(7):
                worker.post(Job(keep, client, Log.add, (number,), {}))

        await in_threads(2, post)
        assert trustee.stats().depth == 5
        gate.open.set()
        while len(lines := await trust.apply(Log.copy)) < 15:
            pass

        assert (lines.count(0), lines.count(1)) == (7, 7)
        assert not worker.credit.held


# Many random programs, without a thread: what is handed over is answered here.


class Program:
    """Clients that hand over jobs of random sizes, which are answered in any order of the clients."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.window, self.most = self.draw.randint(1, 8), self.draw.randint(1, 24)
        self.worker = Worker(64, self.window, self.most, bool)
        self.keep = Keep(self.worker, None)
        self.clients = [Client(self.worker) for _ in range(3)]
        #: What each client handed over or has waiting, in order.
        self.asked: dict[Client, deque[Job]] = {client: deque() for client in self.clients}

    def hand_over(self) -> None:
        client, size = self.draw.choice(self.clients), self.draw.randint(1, 10)
        job = Many(self.keep, client, [Call(Log.copy)] * size)
        waits, overtakes = self.draw.random() < 0.8, bool(self.in_line())
        try:
            self.worker.post(job, waits=waits)
        except Overloaded:
            assert size > self.most or not waits
        else:
            self.asked[client].append(job)
            assert not (overtakes and job in client.queue)

    def answer(self) -> None:
        busy = [client for client in self.clients if client.queue]
        if busy:
            client = self.draw.choice(busy)
            job = client.queue.popleft()
            assert job is self.asked[client].popleft()
            self.worker.give_back(client, job.size)

    def in_line(self) -> list[int]:
        """Return the sizes of what waits for the room of all, and not for its client's window."""
        held = self.worker.credit.held
        firsts = [(client, jobs[0].size) for client, jobs in held.items()]
        return [size for client, size in firsts if min(size, self.window) <= self.free(client)]

    def free(self, client: Client) -> int:
        return self.window - len(client.unanswered)

    def check(self) -> None:
        credit = self.worker.credit
        used = {client: sum(job.size for job in client.queue) for client in self.clients}
        assert credit.depth == sum(used.values()) <= credit.high_water <= self.most
        for client in self.clients:
            assert len(client.unanswered) == used[client]
            assert used[client] <= self.window or len(client.queue) == 1
            assert list(self.asked[client]) == [*client.queue, *credit.held.get(client, ())]
        # Who is not short waits only while the first in line does.
        in_line = self.in_line()
        assert not in_line or max(in_line) > credit.max_inflight - credit.depth


@pytest.mark.parametrize("seed", range(40))
def test_what_clients_hand_over_fits_and_goes_in_order_and_nothing_waits_without_reason(seed: int) -> None:
    program = Program(seed)
    for _ in range(300):
        program.draw.choice((program.hand_over, program.answer))()
        program.check()
    while any(program.asked.values()):
        program.answer()
        program.check()
    assert not program.worker.credit.held


def test_those_that_wait_for_the_room_of_all_have_their_go_in_turn() -> None:
    worker = Worker(64, 3, 3, bool)
    clients = [Client(worker) for _ in range(3)]
    keep = Keep(worker, None)
    for client, count in zip(clients, (6, 3, 2), strict=True):
        for _ in range(count):
            worker.post(Job(keep, client, Log.copy, (), {}))

    going, order = [0, 0, 0], list[int]()
    while going:
        clients[going[0]].queue.popleft()
        worker.give_back(clients[going.pop(0)], 1)
        handed = [number for number in range(3) if len(clients[number].queue) > going.count(number)]
        going += handed
        order += handed

    assert order == [1, 2, 0, 1, 2, 0, 1, 0]
