"""Drives a child's vat on its socket, blocking, without trio or tasks; it knows no parent but that.

Between turns it waits in one place. A kernel timer kills the process when one turn takes too long, also
inside C code. What ``captp.outside`` asks for runs beside it, in a thread that comes with the first.
"""

from __future__ import annotations

import logging
import math
import select
import signal
import socket
import threading
from collections.abc import Callable
from os import sched_yield
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from captp.errors import Unreachable
from captp.model.current import CURRENT_VAT
from captp.net.seqpacket_socket import PacketSocket
from captp.peer import pressure
from captp.peer.load import Meter
from captp.peer.outputs import Batch, Call, Dial, Hangup, Trace, Woken, Write
from captp.peer.peer import Peer
from captp.run.child_outside import OutsideThread
from captp.run.crowd import SHARED_S, Crowd
from captp.run.outside_call import OutsideCall, enter
from captp.run.sample import sample
from captp.session.handshake import Channel
from captp.vat.turns import Turns

if TYPE_CHECKING:
    from captp.run.child_store import ChildStore

__all__ = ["Deadline", "Driver"]

#: Deliveries between two writes: at most this many, and one alone after some that took longer than this.
SLICE: Final = 128
SLICE_S: Final = 0.005
#: Seconds that the next message is waited for awake, where one came within so many before.
SPIN_S: Final = 0.0002
QUICK_S: Final = 0.0005
#: Bytes of stack for the thread that watches: it calls next to nothing.
STACK: Final = 128 * 1024
#: The same for each further one: Python's deepest recursion, but not the room of a small vat.
MORE_STACK: Final = 2 * 1024 * 1024
#: Seconds between looks at what time alone changes.
BEAT_S: Final = 0.25
#: Beside what a poll says of the socket: that outside calls have ended, and that the store has news.
ENDED: Final = 1 << 16
STORED: Final = 1 << 17

log = logging.getLogger("captp")


class Deadline:
    """The kernel's timer, which kills the process unless it is set again in time.

    A thread sets it while turns go by or nothing runs. In a turn that does not end it does not, and where C
    code keeps the interpreter it cannot. So a turn dies between ``turn_s`` and a quarter more.
    """

    def __init__(self, turn_s: float, turns: Turns) -> None:
        self._turns = turns
        self._tick = turn_s / 16
        self._limit = turn_s + 4 * self._tick
        #: Whether the driver waits for its socket.
        self.is_idle = False

    def start(self) -> None:
        """Set the timer, and begin to watch."""
        signal.setitimer(signal.ITIMER_REAL, self._limit)
        threading.stack_size(STACK)
        threading.Thread(target=self._watch, daemon=True).start()
        threading.stack_size(MORE_STACK)

    def _watch(self) -> None:
        seen = -1
        while True:
            sleep(self._tick)
            count = self._turns.count
            if self.is_idle or count != seen:
                seen = count
                signal.setitimer(signal.ITIMER_REAL, self._limit)


class Driver:
    """Drives one peer on one socket; ``run`` returns when its session is over."""

    def __init__(
        self,
        peer: Peer,
        sock: socket.socket,
        deadline: Deadline,
        meter: Meter,
        store: ChildStore | None = None,
    ) -> None:
        self.peer = peer
        self._meter = meter
        self._store = store
        self._packets = PacketSocket(sock)
        self._deadline = deadline
        self._conn = peer.router.new_conn()
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._watched = select.POLLIN
        #: By its number, what it means that another file is ready.
        self._others: dict[int, int] = {}
        if store is not None:
            self._watch_also(store.sock.fileno(), STORED)
        self._slice = 1
        self._is_full = False
        self._is_over = False
        #: Whether the last message came so soon that the next one may be waited for awake.
        self._is_quick = False
        self._crowd = Crowd()
        #: Outside calls under way, those that the last part of the work asked for, and their thread, if any.
        self._under_way: set[OutsideCall] = set()
        self._asked: list[OutsideCall] = []
        self._outside: OutsideThread | None = None

    def run(self, channel: Channel) -> None:
        """Work until the other end closes the socket, or the session breaks off."""
        CURRENT_VAT.set(self.peer.vat)
        self.peer.vat.thread = threading.get_ident()
        self._deadline.start()
        self.peer.connected(self._conn, channel, monotonic())
        if self._store is not None:
            self._store.begin(self.peer, self._act)
        self._go_on()
        if self._outside is not None:
            self._outside.close()

    def _go_on(self) -> None:
        pause = self._work()
        while not self._is_over:
            if self._asked:
                self._begin_outside()
            is_full = self._store is not None and self._store.is_full
            is_behind = not is_full and pressure.is_behind(self.peer, self._conn)
            ready = self._wait(pause, 0 if is_behind or is_full else select.POLLIN)
            if self._packets.pending:
                self._packets.push()
                self._look_at_pending()
            if ready & select.POLLIN or (pause and is_behind and not ready):
                # The parent may wait for us to read before it reads: then a little is read all the same.
                self._read()
            elif ready & ~(select.POLLOUT | ENDED | STORED):
                return
            elif pause and not ready & ~ENDED:
                self.peer.tick(monotonic())
            if ready & ENDED and self._outside is not None:
                self._outside.settle()
            if ready & STORED and self._store is not None:
                self._store.look()
                self._is_over = self._is_over or self._store.is_over
            pause = self._work()

    def _wait(self, seconds: float, events: int) -> int:
        """Wait, with the timer off; return what the socket is ready for, and whether outside calls ended."""
        if self._packets.pending:
            events |= select.POLLOUT
        if events != self._watched:
            self._watched = events
            self._poll.modify(self._packets.sock, events)
        if self._store is not None:
            self._poll.modify(self._store.sock, self._store.events)
        if seconds:
            # Whether what comes is quick is not known: its first results leave before the rest has run.
            self._slice = 1
        self._deadline.is_idle = True
        ready = self._spun() if seconds and self._is_quick else self._poll.poll(0)
        if not ready and seconds:
            began = monotonic()
            ready = self._poll.poll(math.ceil(seconds * 1000))
            self._is_quick = monotonic() - began < QUICK_S
        self._deadline.is_idle = False
        if not self._others:
            return ready[0][1] if ready else 0
        return sum(self._others.get(number, event) for number, event in ready)

    def _watch_also(self, number: int, means: int) -> None:
        self._others[number] = means
        self._poll.register(number, select.POLLIN)

    def _spun(self) -> list[tuple[int, int]]:
        """Look for the next message for a moment: where a core is free, it is cheaper than to sleep."""
        crowd = self._crowd
        if crowd.left and crowd.is_there():
            return self._poll.poll(0)
        now = monotonic()
        until, lost = now + SPIN_S, False
        while not (ready := self._poll.poll(0)) and now < until and not lost:
            sched_yield()
            before, now = now, monotonic()
            # Somebody else had this core meanwhile, perhaps who is to send: it is his.
            lost = now - before > SHARED_S
        if lost or crowd.lost:
            crowd.looked(lost=lost)
        return ready

    def _read(self) -> None:
        data = self._packets.receive()
        if data:
            self.peer.received(self._conn, data, monotonic())
        elif data is not None:
            self._is_over = True

    def _begin_outside(self) -> None:
        """Have run what was asked for, now that only whoever waits for it holds its promise."""
        if self._outside is None:
            self._outside = OutsideThread(self.peer.vat, self._under_way)
            self._watch_also(self._outside.bell, ENDED)
        for call in self._asked:
            self._outside.begin(call)
        self._asked.clear()

    def _work(self) -> float:
        """Run one part of what there is and write what it gave; return for how long there is no more."""
        peer, store = self.peer, self._store
        if store is not None and store.is_full:
            return BEAT_S
        began = peer.now = monotonic()
        self._meter.begin(began)
        if peer.vat.turns.count >= self._meter.sample_at:
            sample(peer, self._meter)
        peer.run(self._slice)
        batch = peer.drain()
        if store is None:
            self._act(batch)
        else:
            store.push(batch)
        now = monotonic()
        self._meter.end(began, now)
        self._slice = min(2 * self._slice, SLICE) if now - began < SLICE_S else 1
        if batch.more or peer.vat.awake:
            return 0.0
        if batch.wake_at is None:
            return BEAT_S
        return min(max(batch.wake_at - now, 0.001), BEAT_S)

    # Actions.

    def _act(self, batch: Batch) -> None:
        for output in batch.outputs:
            _ACTIONS[type(output)](self, output)

    def _write(self, output: Write) -> None:
        self._packets.send(output.data)
        if self._packets.pending:
            self._look_at_pending()

    def _look_at_pending(self) -> None:
        pending, limits = self._packets.pending, self.peer.limits
        if pending > limits.send_buffer // 2:
            self._is_full = True
            pressure.congested(self.peer, self._conn, pending)
        elif self._is_full:
            self._is_full = False
            pressure.drained(self.peer, self._conn)

    def _hangup(self, output: Hangup) -> None:  # noqa: ARG002
        self._is_over = True

    def _dial(self, output: Dial) -> None:
        nobody = Unreachable(
            "a process trustee reaches nobody but the vat that started it: let that vat call, and pass it"
            " a reference to an object of its own"
        )
        self.peer.dial_failed(output.conn, nobody, monotonic())

    def _call(self, output: Call) -> None:
        call = enter(self.peer.vat, output, self._under_way)
        if call is not None:
            self._asked.append(call)

    def _wake(self, output: Woken) -> None:
        for waiter in output.waiters:
            waiter.wake()

    def _trace(self, output: Trace) -> None:
        level = logging.getLevelNamesMapping()[output.level.upper()]
        log.log(level, "%s %s", output.event, output.fields, exc_info=output.error)


_ACTIONS: Final[dict[type, Callable[[Driver, Any], None]]] = {
    Write: Driver._write,
    Dial: Driver._dial,
    Hangup: Driver._hangup,
    Call: Driver._call,
    Woken: Driver._wake,
    Trace: Driver._trace,
}
