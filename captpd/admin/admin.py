"""The object behind the control sturdyref: it turns calls into calls of a host and knows no daemon.

The host is a power, not state: it is no passable value and no turn can roll it back. So it sits in a
declared slot beside the state fields, reachable by this object alone, rather than in a registry that
any module could read.
"""

from __future__ import annotations

from typing import Any, Protocol, final

import captp
from captp.lib.control import Control

__all__ = ["Admin", "Host"]


class Host(Protocol):
    """What the control plane needs of a daemon; results are passable, refusals are captp.Refused."""

    def status(self) -> dict[str, Any]:
        """Describe the process, its vats and its sessions."""
        ...

    async def new(self, class_path: str, name: str) -> dict[str, Any]:
        """Make and name an object, and remember it; describe it."""
        ...

    def objects(self) -> list[dict[str, Any]]:
        """Describe every named object, in order of their names."""
        ...

    def sturdyref(self, name: str) -> captp.SturdyRef:
        """Return the sturdyref of a named object."""
        ...

    def tables(self) -> dict[str, Any]:
        """Count the tables of every session."""
        ...

    async def trustees(self) -> list[dict[str, Any]]:
        """Give the figures of every trustee of every vat."""
        ...

    def gc(self) -> list[dict[str, Any]]:
        """Give the figures of each vat's collector."""
        ...

    def why(self, what: Any) -> dict[str, Any]:
        """Tell why an object is kept."""
        ...

    async def copy_stores(self) -> str:
        """Copy all that is stored into a new folder; return its path."""
        ...

    async def compact_stores(self) -> None:
        """Make all stores as small as they can be."""
        ...

    async def stop(self) -> None:
        """Begin to drain."""
        ...


@final
class Admin(captp.Object, Control):
    """A daemon's Control; holding a reference to it is being the operator."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    @captp.method
    def status(self) -> dict[str, Any]:
        return self._host.status()

    # What changes the daemon runs outside the turn: after its commit, since none of it rolls back,
    # and in no vat's turn, since the new object belongs to another vat. A fiber holds what was asked
    # next until it is done, so that `share` finds what `new` made without waiting for it.

    @captp.method
    async def new(self, class_path: str, name: str) -> dict[str, Any]:
        made: dict[str, Any] = await captp.outside(self._host.new, class_path, name)
        return made

    @captp.method
    def ls(self) -> list[dict[str, Any]]:
        return self._host.objects()

    @captp.method
    def share(self, name: str) -> captp.SturdyRef:
        return self._host.sturdyref(name)

    @captp.method
    def tables(self) -> dict[str, Any]:
        return self._host.tables()

    @captp.method
    def gc(self) -> list[dict[str, Any]]:
        return self._host.gc()

    @captp.method
    def why(self, what: Any) -> dict[str, Any]:
        return self._host.why(what)

    # These may take long, and whoever looks at the daemon meanwhile need not wait.

    @captp.method(latch=False)
    async def trustees(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await captp.outside(self._host.trustees)
        return rows

    @captp.method(latch=False)
    async def copy_stores(self) -> str:
        path: str = await captp.outside(self._host.copy_stores)
        return path

    @captp.method(latch=False)
    async def compact_stores(self) -> None:
        await captp.outside(self._host.compact_stores)

    @captp.method
    async def stop(self) -> None:
        await captp.outside(self._host.stop)
