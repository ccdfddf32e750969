"""Imports that Python's collector found in a cycle, until it is known whether a finalizer brought them back.

The collector calls back for each weak reference to a cycle before it runs the finalizers in it, so an
entry is told that its import is gone while an object's ``__dropped__`` may still use that. The import stays
here, alive, until releases are next written: it gets a new entry then, and goes by counting if nobody has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from captp.errors import Broken
from captp.model.ref import Far

if TYPE_CHECKING:
    from captp.session.entries import Import

#: What an import says that was found by a collector in another thread, when its release had been written.
_TOO_LATE: Final = "this reference was released: nobody held it but a cycle that Python's collector found"


class Revived:
    """The imports of one session that the collector found since releases were last written."""

    __slots__ = ("_found", "_reason", "_session")

    def __init__(self, session: Any) -> None:
        self._session = session
        self._found: list[Far] = []
        self._reason: Broken | None = None

    def found(self, far: Far) -> None:
        """Keep an import; called by its finalizer, in any thread."""
        if self._reason is not None:
            far.broken = self._reason
        else:
            self._found.append(far)

    def next_dropped(self) -> Import:
        """Return an import that was dropped; those that were found are in the table again."""
        tables = self._session.tables
        dropped: Import = tables.dropped_imports.popleft()
        while self._found:
            far = self._found.pop()
            old = far.entry
            if tables.imports.get(old.position) is old:
                far.entry = tables._enter_import(far, old.position, old, is_promise=False)
            elif far.broken is None:
                far.broken = Broken(_TOO_LATE)
        return dropped

    def end(self, reason: Broken) -> None:
        """Break what was found with its session."""
        self._reason = reason
        for far in self._found:
            far.broken = reason
        self._found.clear()
