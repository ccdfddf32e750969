"""One life of one child process, seen from its parent: started, spoken to, reaped; it restarts nothing.

starting --ready--> running --it ends, or is killed by its number--> gone. Whoever waits for the end of its
session is told of it when the process is gone, so that they learn why.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import trio

from captp.errors import Broken, BrokenTrustee, Disconnected
from captp.model import swiss as swiss_numbers
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator, SturdyRef, mask
from captp.net.seqpacket import ChildNetlayer, SeqpacketConduit
from captp.net.seqpacket_socket import PacketSocket, packet_pair
from captp.peer.peer import Peer
from captp.run.child_opening import EXIT_MEMORY, READY, START_S, TRANSPORT, Opening

__all__ = ["ChildProcess", "Plan"]

#: Seconds that a process has to end by itself when its socket is closed.
GRACE_S: Final = 1.0
#: What a session has besides the objects that were made: the workshop.
OWN_IMPORTS: Final = 1
#: Bytes of what it wrote to stderr that are kept for the log.
TAIL: Final = 4096
#: Seconds between looks whether a silent process runs.
LOOK_S: Final = 5.0

_CRASHES: Final = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})


class Plan:
    """What every process of one trustee is started with."""

    def __init__(
        self, peer: Peer, layer: ChildNetlayer, classes: Sequence[str], memory_bytes: int, turn_s: float
    ) -> None:
        self.peer = peer
        self.layer = layer
        self.classes = tuple(classes)
        self.memory_bytes = memory_bytes
        self.turn_s = turn_s


class ChildProcess:
    """A process and the session with it; made by ``start``."""

    def __init__(self, plan: Plan, process: trio.Process, sock: socket.socket, errors: int) -> None:
        self._plan = plan
        self._process = process
        self._packets = PacketSocket(sock)
        self._errors = errors
        self._tail = b""
        self._killed_for = ""
        self._refusal = ""
        self._conduit: SeqpacketConduit | None = None
        self.pid = process.pid
        self.designator = ""
        #: How it ended, once ``gone`` is set; reads on after "the process".
        self.end = ""
        self.gone = trio.Event()

    @classmethod
    async def start(cls, plan: Plan, store: socket.socket | None = None) -> ChildProcess:
        """Start a process that inherits one end of a socket pair, a socket to its store, and nothing else.

        The caller runs ``watch`` at once. Raises BrokenTrustee when the system has no room for it.
        """
        ours, theirs = packet_pair()
        errors, its_errors = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(errors, False)
        inherited = tuple([sock.fileno() for sock in (theirs, store) if sock is not None])
        try:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-P", "-B", "-m", "captp.run.child", *map(str, inherited)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=its_errors,
                close_fds=True,
                pass_fds=inherited,
                # Each further arena takes 64 MiB of the address space, which is what is limited.
                env={"PYTHONPATH": _search_path(), "MALLOC_ARENA_MAX": "1"},
                cwd="/",
                start_new_session=True,
            )
        except BaseException as problem:
            ours.close()
            os.close(errors)
            if isinstance(problem, OSError):
                why = os.strerror(problem.errno or 0)
                raise BrokenTrustee(f"no process could be started: {why}", may_have_run=False) from problem
            raise
        finally:
            theirs.close()
            os.close(its_errors)
        return cls(plan, process, ours, errors)

    async def watch(self) -> None:
        """Stay with the process until it is gone and reaped; cancelled, kill it first."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_errors)
                await self._process.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.kill("its block has ended")
            with trio.CancelScope(shield=True):
                await self._process.wait()
            self._keep_errors()
            os.close(self._errors)
            self.end = self._words()
            if self._conduit is None or self._plan.layer.withdraw(self.designator):
                trio.lowlevel.notify_closing(self._packets.sock)
                self._packets.close()
            self.gone.set()

    async def open(self) -> Any:
        """Wait until the process is ready, open the session, and return its workshop.

        Raises BrokenTrustee when the process does not come that far; it is killed then.
        """
        seed, swiss, binding = os.urandom(32), swiss_numbers.mint(os.urandom), os.urandom(32)
        key, plan = PrivateKey.from_seed(seed), self._plan
        self.designator = key.public.designator
        opening = Opening(
            seed=seed,
            swiss=swiss,
            parent=plan.peer.key.public.raw,
            binding=binding,
            classes=plan.classes,
            memory_bytes=plan.memory_bytes,
            turn_s=plan.turn_s,
            limits=plan.peer.limits,
            cycles=plan.peer.cycle_settings,
        )
        self._packets.send(opening.encode())
        await self._greeted()
        self._conduit = SeqpacketConduit(
            self._packets, f"process {self.pid}", key.public.raw, binding, self._why_gone
        )
        plan.layer.offer(self.designator, self._conduit)
        plan.peer.now = trio.current_time()
        locator = PeerLocator.make(TRANSPORT, self.designator, {"exts": "mp1"})
        try:
            return await plan.peer.enliven(SturdyRef(locator, swiss))
        except Disconnected as problem:
            self.kill("its session could not be opened")
            await self.gone.wait()
            raise self.broken(may_have_run=False) from problem

    async def _greeted(self) -> None:
        said: bytes | None = None
        with trio.move_on_after(START_S), suppress(trio.ClosedResourceError):
            while said is None:
                await trio.lowlevel.wait_readable(self._packets.sock)
                said = self._packets.receive()
        if said == READY:
            return
        if said is None:
            self.kill(f"it was not ready within {START_S:g} s")
        elif said:
            self._refusal = mask(said.decode(errors="replace"))
        await self.gone.wait()
        raise self.broken(may_have_run=False)

    async def follow(self) -> None:
        """Kill the process when this end gives its session up; until then, tell silence from death."""
        conduit = self._conduit
        assert conduit is not None
        while True:
            with trio.move_on_after(LOOK_S):
                await conduit.closing.wait()
                self.kill("its session was broken off")
                return
            link = self._plan.peer.router.live.get((TRANSPORT, self.designator))
            if link is not None and self._is_running():
                # Its end closes the socket and its turns have a deadline, so silence means much work.
                link.heard_at = trio.current_time()

    def _is_running(self) -> bool:
        return self._process.poll() is None and _stat(self.pid)[0] not in ("T", "t")

    def kill(self, why: str) -> None:
        """Kill the process by its number, unless it has ended."""
        if self._process.poll() is None:
            self._killed_for = self._killed_for or why
            self._process.kill()

    async def close(self) -> None:
        """Let the process end by itself, for a moment; then kill it."""
        self._packets.shutdown()
        with trio.move_on_after(GRACE_S):
            await self.gone.wait()
        self.kill("its block has ended")
        await self.parted()

    async def parted(self) -> None:
        """Wait until it is gone, and the vat has heard of it, so that whoever waited was told."""
        await self.gone.wait()
        conduit = self._conduit
        if conduit is not None:
            with trio.move_on_after(GRACE_S):
                await conduit.closed.wait()
            # Its own children may hold the other end open.
            await conduit.aclose()

    def explain(self, problem: Broken) -> Exception:
        """Return what the loss of this very process means for its callers; anything else as it is."""
        if isinstance(problem, Disconnected) and problem.peer == self.designator:
            return self.broken(may_have_run=True, reason=str(problem))
        return problem

    def explain_root(self, problem: Broken) -> Exception:
        """Return the same for an object that the next process has again."""
        if isinstance(problem, Disconnected) and problem.peer == self.designator:
            advice = "its root() is there again as it was last stored"
            return self.broken(may_have_run=True, reason=str(problem), advice=advice)
        return problem

    def broken(
        self,
        *,
        may_have_run: bool,
        reason: str = "",
        advice: str = "make the object anew with entrust_new()",
    ) -> BrokenTrustee:
        """Return the error for calls that this process does not answer."""
        ran = "may have run" if may_have_run else "did not run"
        return BrokenTrustee(
            f"the process {self.pid} of this trustee {self.end or f'is lost: {reason}'}; the call {ran}:"
            f" {advice}",
            may_have_run=may_have_run,
        )

    def usage(self) -> tuple[float, int]:
        """Return the processor time that it took, in seconds, and the memory that it has, in bytes."""
        if self._process.poll() is not None:
            return 0.0, 0
        fields = _stat(self.pid)
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")

    def load(self) -> tuple[int, int]:
        """Return how many of its objects this vat has references to, and how many calls are unanswered."""
        link = self._plan.peer.router.live.get((TRANSPORT, self.designator))
        if link is None:
            return 0, 0
        tables = link.session.tables
        return max(len(tables.imports) - OWN_IMPORTS, 0), len(tables.questions)

    @property
    def tail(self) -> str:
        """The last lines that it wrote to stderr, without sturdyrefs."""
        return mask(self._tail.decode(errors="replace").strip())

    async def _why_gone(self) -> str:
        with trio.move_on_after(GRACE_S):
            await self.gone.wait()
        self.kill("it closed its socket and went on")
        await self.gone.wait()
        return self.end

    def _words(self) -> str:
        code = self._process.returncode
        assert code is not None
        if self._refusal:
            return f"could not {self._refusal}"
        if self._killed_for and code == -signal.SIGKILL:
            return f"was killed: {self._killed_for}"
        if code == EXIT_MEMORY:
            return "ran out of memory"
        if code >= 0:
            return f"exited with status {code}"
        if code == -signal.SIGALRM:
            return f"was killed: its turn ran over {self._plan.turn_s:g} s"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if code == -signal.SIGKILL:
            return "was killed with SIGKILL, by somebody or for want of memory"
        return f"crashed with {name}" if -code in _CRASHES else f"was killed with {name}"

    async def _read_errors(self) -> None:
        while self._keep_errors():
            await trio.lowlevel.wait_readable(self._errors)

    def _keep_errors(self) -> bool:
        """Keep the end of what was written until now; say whether more may come."""
        with suppress(BlockingIOError):
            while data := os.read(self._errors, TAIL):
                self._tail = (self._tail + data)[-TAIL:]
            return False
        return True


def _search_path() -> str:
    """Return where this process imports from, as it stands for one that works elsewhere."""
    return os.pathsep.join(os.path.abspath(entry) for entry in sys.path if isinstance(entry, str))


def _stat(pid: int) -> list[str]:
    """Return what the kernel tells of a process, from its state on."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(") ")[2].split()
