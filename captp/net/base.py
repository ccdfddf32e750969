"""What every netlayer promises, connections and conduits; knows no session and no message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol

from trio import TaskStatus

from captp.model.locator import PeerLocator

__all__ = ["RECEIVE_BYTES", "Accept", "Conduit", "Netlayer"]

RECEIVE_BYTES = 256 * 1024


class Conduit(Protocol):
    """One connection: bytes both ways, in order, whole or lost loudly.

    One task may wait in ``receive`` while others call ``send_nowait``; at most one task at a time
    calls ``receive``, and at most one ``flush``.
    """

    @property
    def proved(self) -> bytes | None:
        """The raw 32-byte Ed25519 key that the other end was proved to hold; None: unproved."""
        ...

    @property
    def binding(self) -> bytes:
        """32 bytes that both ends of this very channel, and nobody else, can compute; or none."""
        ...

    @property
    def framed(self) -> bool | None:
        """Whether OCapN messages need a length in front when this end speaks first; None: either way."""
        ...

    @property
    def local(self) -> str | None:
        """The designator that an incoming dialler asked for; None where there is no such thing."""
        ...

    @property
    def remote(self) -> str:
        """The other end in messages to people, as ``127.0.0.1:4711``; never an identity."""
        ...

    @property
    def pending(self) -> int:
        """Bytes, as the netlayer writes them, that ``send_nowait`` took and the kernel did not."""
        ...

    @property
    def taken(self) -> int:
        """How many bytes the kernel has taken that it did not take at once; only ever grows."""
        ...

    async def receive(self) -> bytes:
        """Wait for bytes: 1 to RECEIVE_BYTES of them, or ``b""`` at the end, again and again.

        Cancelling loses nothing. Raises Disconnected when the connection broke or was cut short.
        """
        ...

    def send_nowait(self, data: bytes) -> None:
        """Give the kernel what it takes now and keep the rest, in order. Raises Disconnected.

        What is kept leaves only with the next ``send_nowait``, ``flush`` or ``aclose``.
        """
        ...

    async def flush(self) -> None:
        """Wait until ``pending`` is 0; returns at once when it is. Raises Disconnected."""
        ...

    async def aclose(self) -> None:
        """Close for good; closing twice is the same as once.

        Sends what is pending and the end, then reads and drops what still comes, so that the other
        end reads all that was sent before it learns of the end; shielded, and for a bounded time.
        Under cancellation the connection is dropped at once. A ``receive`` or ``flush`` that waits
        in another task raises Disconnected.
        """
        ...


Accept = Callable[[Conduit], Awaitable[None]]


class Netlayer(Protocol):
    """A way to reach peers, and to be reached by them."""

    #: The name of this netlayer in locators.
    transport: ClassVar[str]

    async def dial(self, locator: PeerLocator) -> Conduit:
        """Connect to a peer. Raises Unreachable, or WrongPeer when somebody else answered."""
        ...

    async def serve(self, accept: Accept, *, task_status: TaskStatus[Any]) -> None:
        """Listen until cancelled; ``task_status.started()`` is called once connections may come.

        Each connection has a task, which runs ``accept`` and closes the conduit after it. A
        Disconnected that leaves ``accept`` ends that connection only. Raises UsageError when
        nothing can listen there.
        """
        ...

    def hints(self) -> dict[str, str]:
        """Give what a locator must carry to reach this listener; {} while it does not listen."""
        ...
