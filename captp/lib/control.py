"""The control plane of a daemon as others see it: one capability on its unix socket."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

from captp.model.interface import Interface, method
from captp.model.locator import SturdyRef


class Control(Interface):
    """What whoever holds the daemon's control sturdyref may ask of it."""

    @method
    def status(self) -> dict[str, Any]:
        """Return pid, uptime, store, vats with designator and listeners, and open sessions."""
        ...

    @method
    async def new(self, class_path: str, name: str) -> dict[str, Any]:
        """Make an object of an allow-listed class ``module:Class`` and name it; describe it."""
        ...

    @method
    def ls(self) -> list[dict[str, Any]]:
        """Describe every named object."""
        ...

    @method
    def share(self, name: str) -> SturdyRef:
        """Return the sturdyref of a named object; the same one every time."""
        ...

    @method
    def tables(self) -> dict[str, Any]:
        """Return the tables of every session, counts and states only."""
        ...

    @method
    async def trustees(self) -> list[dict[str, Any]]:
        """Give the figures of every trustee: the loop of each vat, its threads and its processes."""
        ...

    @method
    def gc(self) -> list[dict[str, Any]]:
        """Give the figures of each vat's collector, its suspects, and what it has collected lately."""
        ...

    @method
    def why(self, what: Any) -> dict[str, Any]:
        """Tell why an object is kept: one by its name, its sturdyref, or its id, as ``main:o12``."""
        ...

    @method
    async def copy_stores(self) -> str:
        """Copy what every durable vat has stored, and the sturdyrefs, into a new folder; return its path."""
        ...

    @method
    async def compact_stores(self) -> None:
        """Give back to the system what deleted objects took on disk."""
        ...

    @method
    async def stop(self) -> None:
        """Drain and stop the daemon."""
        ...
