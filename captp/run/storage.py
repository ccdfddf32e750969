"""What a pump does for a durable vat: batches go through the gate, the store's news into the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import trio

from captp.model.idents import Oid
from captp.peer.durable.loading import Rows
from captp.peer.outputs import Batch, Load, Sweep
from captp.run.gate import Gate
from captp.run.sealed import Sealed
from captp.run.store import Store
from captp.vat.written import DurableTrustee

if TYPE_CHECKING:
    from captp.run.pump import Pump

__all__ = ["Storage"]


@final
class Storage:
    """The gate of one vat, between its pump and its store."""

    def __init__(self, pump: Pump, sealed: Sealed) -> None:
        self._pump = pump
        self._gate = Gate(sealed, self)
        self._is_stalled = False

    @property
    def is_open(self) -> bool:
        """Whether what has happened may be seen."""
        return self._gate.is_open

    @property
    def is_full(self) -> bool:
        """Whether too much waits for the disk for anything more to run."""
        return self._gate.is_full

    def stall(self) -> None:
        """Have the pump go on when there is less."""
        self._is_stalled = True

    async def room(self) -> None:
        """Wait until there is less."""
        await self._gate.room()
        self._pump.flush()

    def push(self, batch: Batch) -> None:
        """Let a batch leave when all that it depends on is stored."""
        asked = [output for output in batch.outputs if type(output) in (Load, Sweep)]
        if asked:
            batch.outputs = [output for output in batch.outputs if type(output) not in (Load, Sweep)]
        self._gate.push(batch)
        # That tells nobody anything; it comes behind what was pushed.
        for output in asked:
            if type(output) is Sweep:
                self._gate.sweep(output)
            else:
                for oid in output.oids:
                    self._gate.load(oid)

    def add(self, output: Any) -> None:
        """Let an output leave with the newest batch that waits."""
        self._gate.add(output)

    def sync(self) -> None:
        """Block until what has happened so far is stored."""
        self._pump.flush()
        self._gate.wait()

    async def with_store(self, job: Callable[[Store], None]) -> None:
        """Run a job with the store, between two commits."""
        await self._gate.with_store(job)

    async def aclose(self) -> BaseException | None:
        """Store and release what is under way; return why that failed, if it did."""
        await self._gate.aclose()
        return self._gate.failure

    # What the gate tells.

    def released(self, batch: Batch) -> None:
        """Let a batch leave."""
        self._stored.released(batch.number)
        self._pump.act(batch)
        if self._is_stalled and not self.is_full:
            self._is_stalled = False
            self._pump.ring()

    def loaded(self, oid: Oid, bundle: dict[int, Rows] | None) -> None:
        """Take what was read of an object."""
        self._stored.loaded(oid, bundle)
        self._pump.ring()

    def swept(self, deleted: int, floating: int, freed: list[int], damage: str) -> None:
        """Take note that a sweep has ended."""
        self._pump.peer.now = trio.current_time()
        self._stored.swept(deleted, floating, freed, damage)
        self._pump.ring()

    def has_room(self, has_room: bool) -> None:
        """Take note whether the disk has room for more."""
        trustee = self._pump.peer.vat.trustee
        assert isinstance(trustee, DurableTrustee)
        trustee.has_room = has_room

    def failed(self, problem: BaseException) -> None:
        """End the vat: it is not known what is stored."""
        self._pump.fail(problem)

    @property
    def _stored(self) -> Any:
        return self._pump.peer.stored
