"""The mailbox: one deque per source, a ring of those with work, and a quantum each.

A source is quiet, ready (in the ring) or held; messages of one source run in the order they came.
quiet --message--> ready --drained--> quiet; ready | quiet --hold--> held --release--> ready.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from captp.errors import InvariantBroken


class Source:
    """Where messages come from: a session, or the vat itself."""

    __slots__ = ("held", "messages", "name", "ready")

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: deque[Any] = deque()
        self.ready = False
        self.held = False

    def __repr__(self) -> str:
        return f"<source {self.name}: {len(self.messages)} waiting>"


class Queues:
    """All sources of one vat and the order in which they have their go."""

    __slots__ = ("ring", "sources")

    def __init__(self) -> None:
        self.ring: deque[Source] = deque()
        self.sources: list[Source] = []

    def open(self, name: str) -> Source:
        """Add a source; close it when it can send no more."""
        source = Source(name)
        self.sources.append(source)
        return source

    def close(self, source: Source) -> None:
        """Forget a source; what it sent before its end still runs."""
        self.sources.remove(source)

    def hold(self, source: Source) -> None:
        """Let nothing of ``source`` run until it is released."""
        source.held = True
        if source.ready:
            source.ready = False
            if source in self.ring:
                self.ring.remove(source)

    def release(self, source: Source) -> None:
        """Let a held source run again."""
        source.held = False
        if source.messages and not source.ready:
            source.ready = True
            self.ring.append(source)

    def check(self) -> None:
        """Raise InvariantBroken unless exactly the ready sources are in the ring, once each."""
        for source in self.sources:
            times = sum(s is source for s in self.ring)
            if times != int(source.ready):
                raise InvariantBroken(f"{source!r} stands {times} times in the ring")
            if source.messages and not source.ready and not source.held:
                raise InvariantBroken(f"{source!r} has work but will never run")

    def dump(self) -> list[str]:
        """Return one line per source that has work."""
        return [repr(s) for s in self.sources if s.messages]
