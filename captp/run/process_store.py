"""The store of a process trustee, as the parent has it: it writes what the process sends, and says when.

One for each life of a process. What the process sends may be anybody's: it reaches rows of this store alone,
and what no vat of captp sends ends that process. The key of the store stays here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, final

import trio

from captp.errors import Disconnected, InvariantBroken, StoreDamaged, StoreFull
from captp.model.idents import Oid
from captp.model.keys import PrivateKey, derive
from captp.net.seqpacket_socket import PacketSocket, packet_pair
from captp.peer.durable.loading import Rows
from captp.peer.durable.records import (
    MOST_RECORD,
    Loaded,
    RecordRefused,
    Records,
    Room,
    StoredUpTo,
    Swept,
    Told,
    asked,
    encoded,
)
from captp.peer.durable.stored import Image
from captp.peer.outputs import Batch, Commit, Load, Sweep
from captp.run.gate import Gate
from captp.run.sealed import Overread, Sealed, open_sealed
from captp.run.store import Store

__all__ = ["ProcessStore"]

log = logging.getLogger("captp")

#: Ids that a sweep has in memory, by page and one by one, and rows that it deletes at once: about 300 MiB.
MOST_SWEPT: Final = 1 << 21
#: Objects that are read at once; others wait here, as numbers.
MOST_READS: Final = 64
#: Of the memory that a process may have, what is read for it at once: as rows, as a record and as objects it
#: has it there three times, and more would be of no use to it.
SHARE: Final = 4
#: Bytes that the process has not taken yet above which nothing more is read from it, or for it.
MOST_UNSENT: Final = 1024 * 1024
#: Bytes of a record from which on it is taken apart in a thread, so that the loop goes on.
LARGE: Final = 256 * 1024
#: Seconds that a process has to be gone when its socket is closed.
GRACE_S: Final = 1.0


class Process(Protocol):
    """Whose store it is."""

    @property
    def gone(self) -> trio.Event:
        """Set when it has ended."""
        ...

    def kill(self, why: str) -> None:
        """Have it end."""
        ...


@final
class ProcessStore:
    """The store during one life of a process; made by ``open``, and ``aclose`` is to be called.

    reading --the process is gone--> closed; reading --it sends what is refused--> refused, it is killed;
    reading --the store fails--> failed, it is killed, and no other shall be started.
    """

    def __init__(self, sealed: Sealed, image: Image, memory_bytes: int) -> None:
        self._ours, self.theirs = packet_pair()
        self._sealed = sealed
        sealed.most_swept = MOST_SWEPT
        self._readable = memory_bytes // SHARE
        self._packets = PacketSocket(self._ours)
        self._records = Records(MOST_RECORD)
        self._gate = Gate(sealed, self)
        self._kill: Callable[[str], None] = _nobody
        #: Objects to be read, and how many are: what they take together is counted.
        self._wanted: deque[Oid] = deque()
        self._reads = 0
        self._last_commit = 0
        self._is_sweeping = False
        self._is_refused = False
        #: Set while all that the process was told is taken.
        self._sent = trio.Event()
        self._unsent = trio.Event()
        #: Why the store can be used no more, once it cannot.
        self.failure: BaseException | None = None
        self._say(image)

    @classmethod
    async def open(cls, store: Store, key: PrivateKey, memory_bytes: int) -> ProcessStore:
        """Open a store for a process that may take so much memory. Raises as ``open_sealed``."""
        seed = derive(key.seed(), b"captp process trustee")
        image, sealed = await open_sealed(store, PrivateKey.from_seed(seed), _image, memory_bytes // SHARE)
        try:
            return cls(sealed, image, memory_bytes)
        except BaseException:
            sealed.close()
            raise

    async def serve(self, process: Process) -> None:
        """Do what a process asks for until it ends."""
        self.theirs.close()
        self._kill = process.kill
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_on)
            while not self._is_refused:
                # Whoever may not read on waits: the kernel has the rest, and the process waits too.
                if self._gate.is_full:
                    await self._gate.room()
                elif self._packets.pending > MOST_UNSENT or self._wanted:
                    await self._sent.wait()
                else:
                    await trio.lowlevel.wait_readable(self._ours)
                    if await self._take() == b"":
                        break
            with trio.move_on_after(GRACE_S):
                await process.gone.wait()
            process.kill("it closed the socket of its store")
            nursery.cancel_scope.cancel()

    async def aclose(self) -> None:
        """Store what a process that is gone has sent, and close the store."""
        self._kill = _nobody
        self.theirs.close()
        while not (self._is_refused or self._gate.is_full) and await self._take():
            pass
        await self._gate.aclose()
        self._packets.close()

    # What the process asks for.

    async def _take(self) -> bytes | None:
        """Do what has come; return it, as the socket does."""
        data = None
        try:
            data = self._packets.receive()
            for record in self._records.feed(data or b""):
                if len(record) < LARGE:
                    self._do(asked(record))
                else:
                    # Cancelled, it would be left out, and what comes behind it would not.
                    with trio.CancelScope(shield=True):
                        self._do(await trio.to_thread.run_sync(asked, record))
        except (RecordRefused, Disconnected) as problem:
            self._refuse(str(problem))
        except Exception as problem:
            # A mistake of ours, and a process has found it: the vat must not pay for it.
            log.error("a record for a store failed", exc_info=problem)
            self._refuse(f"what broke this end: {type(problem).__name__}")
        return data

    def _do(self, record: Commit | Load | Sweep) -> None:
        match record:
            case Commit():
                if record.number <= self._last_commit:
                    raise RecordRefused(f"commit {record.number} after {self._last_commit}")
                self._last_commit = record.number
                self._gate.push(Batch(record.number, record, [], None, False))
            case Load():
                self._wanted += record.oids
                self._read_on()
            case Sweep():
                if self._is_sweeping:
                    raise RecordRefused("a sweep before the last one has ended")
                self._is_sweeping = True
                self._gate.sweep(record)

    def _read_on(self) -> None:
        if self._reads or not self._wanted or self._packets.pending > MOST_UNSENT:
            return
        self._sealed.allow(self._readable)
        while self._wanted and self._reads < MOST_READS:
            self._reads += 1
            self._gate.load(self._wanted.popleft())

    def _refuse(self, why: str) -> None:
        self._is_refused = True
        self._kill(f"it sent its store {why}")

    # What it is told.

    def _say(self, record: Told) -> None:
        self._packets.send(encoded(record))
        if self._packets.pending:
            self._unsent.set()

    async def _write_on(self) -> None:
        while True:
            await self._unsent.wait()
            while self._packets.pending:
                await trio.lowlevel.wait_writable(self._ours)
                self._packets.push()
            self._unsent = trio.Event()
            self._read_on()
            self._look_whether_sent()

    def _look_whether_sent(self) -> None:
        if not self._wanted and self._packets.pending <= MOST_UNSENT:
            self._sent.set()
            self._sent = trio.Event()

    def released(self, batch: Batch) -> None:
        """Say that a commit is stored."""
        self._say(StoredUpTo(batch.number))

    def loaded(self, oid: Oid, bundle: dict[int, Rows] | None) -> None:
        """Say what was read of an object."""
        self._reads -= 1
        self._say(Loaded(oid, bundle))
        self._read_on()
        self._look_whether_sent()

    def swept(self, deleted: int, floating: int, freed: list[int], damage: str) -> None:
        """Say how a sweep ended."""
        self._is_sweeping = False
        self._say(Swept(deleted, floating, freed, damage))

    def has_room(self, has_room: bool) -> None:
        """Say whether the disk has room for more."""
        self._say(Room(has_room))

    def failed(self, problem: BaseException) -> None:
        """End the process: nothing that it does can be stored."""
        if isinstance(problem, StoreDamaged | InvariantBroken):
            # By the rules of the store nothing has changed: the next process may do better.
            self._refuse(f"a change that does not fit what is there: {problem}")
        elif isinstance(problem, Overread):
            self._refuse(f"for objects of more than {self._readable} bytes at once")
        elif not isinstance(problem, StoreFull):
            self.failure = problem
            self._kill(f"its store failed: {problem}")


def _image(*, durable: Image) -> Image:
    return durable


def _nobody(_why: str) -> None:
    """Kill nobody: the process has not begun, or is gone."""
