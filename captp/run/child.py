"""The main program of a child process, ``python -m captp.run.child``: a vat on the socket it inherited.

It listens nowhere and reaches nobody but its parent, which alone says what it makes instances of. It ends
with its socket, or by the kernel's timer: not even as an orphan does it stay.
"""

from __future__ import annotations

import gc
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from attrs import asdict, evolve

from captp.errors import NotFound, Refused
from captp.model.interface import method
from captp.model.keys import PrivateKey
from captp.model.object import Object
from captp.net.seqpacket_socket import PACKET
from captp.peer.load import Meter
from captp.peer.peer import Peer
from captp.run.child_driver import Deadline, Driver
from captp.run.child_opening import EXIT_MEMORY, READY, START_S, TRANSPORT, Opening
from captp.session.handshake import Channel

if TYPE_CHECKING:
    from captp.peer.durable.stored import Image, Stored
    from captp.run.child_store import ChildStore

__all__ = ["main"]

#: File descriptors that the process may have open.
FILES: Final = 64


def workshop(classes: Sequence[type[Object]], meter: Meter, stored: Stored | None) -> Object:
    """Return the object that the parent finds by its swiss number: it makes instances, by index.

    It tells too how busy the loop is.
    """

    class Workshop(Object):
        __slots__ = ("_is_not_stored",)

        @method
        def make(self, index: int, args: Any, kwargs: Any) -> Any:
            return classes[index](*args, **kwargs)

        @method
        def figures(self) -> Any:
            return asdict(meter.view(monotonic()))

        @method
        def root(self, name: str, index: int, args: Any, kwargs: Any) -> Any:
            def make() -> Object:
                if args is None:
                    raise NotFound(f"no root {name!r} is stored any more")
                return classes[index](*args, **kwargs)

            assert stored is not None
            ref = stored.root(name, make)
            if type(ref._anchor) is not classes[index]:
                raise Refused(f"root {name!r} is a {type(ref._anchor).__name__}")
            return ref

    return Workshop()


def main() -> None:
    """Be a child until the parent closes the socket, whose number is an argument.

    A second number is that of the socket to a store, with which the vat is durable.
    """
    # Whatever the parent does with this signal: here it kills.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.setitimer(signal.ITIMER_REAL, START_S)
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    opening = Opening.decode(sock.recv(PACKET))
    store = _store(int(sys.argv[2])) if len(sys.argv) > 2 else None
    try:
        _serve(sock, opening, store)
    except MemoryError:
        # What would be said or cleaned up needs memory too.
        os._exit(EXIT_MEMORY)
    # Cleaning up is the last turn.
    signal.setitimer(signal.ITIMER_REAL, opening.turn_s)


def _store(number: int) -> ChildStore:
    from captp.run.child_store import ChildStore  # noqa: PLC0415 - most children have none

    sock = socket.socket(fileno=number)
    sock.set_inheritable(False)
    return ChildStore(sock)


def _serve(sock: socket.socket, opening: Opening, store: ChildStore | None) -> None:
    _limit(opening.memory_bytes)
    what = "import its classes"
    try:
        classes = [_find(path) for path in opening.classes]
        what = "read its store"
        peer = _peer(opening, None if store is None else store.image())
    except Exception as problem:
        sock.send(f"{what}: {type(problem).__name__}: {problem}".encode()[:PACKET])
        raise
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    meter = Meter(peer, monotonic())
    peer.mint(workshop(classes, meter, peer.stored), TRANSPORT, swiss=opening.swiss)
    # What was loaded stays as long as the process: the collector need not look through it ever again.
    gc.collect()
    gc.freeze()
    sock.send(READY)
    deadline = Deadline(opening.turn_s, peer.vat.turns)
    Driver(peer, sock, deadline, meter, store).run(Channel(opening.parent, opening.binding, TRANSPORT))


def _peer(opening: Opening, image: Image | None) -> Peer:
    # Nobody else can be at the other end, so a silent parent is one that is busy.
    limits = evolve(opening.limits, ping_interval_s=math.inf, ping_dead_s=math.inf)
    key = PrivateKey.from_seed(opening.seed)
    return Peer(key=key, entropy=os.urandom, limits=limits, cycles=opening.cycles, durable=image)


def _find(path: str) -> type[Object]:
    module, _, name = path.partition(":")
    found: type[Object] = attrgetter(name)(import_module(module))
    return found


def _limit(memory_bytes: int) -> None:
    """Give up, for good, what the classes shall not have."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    for limit, most in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, FILES),
    ):
        _, hard = resource.getrlimit(limit)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    main()
