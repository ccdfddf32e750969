"""What the traced daemons host: each turn makes one row, and its answer says which in plain text."""

from __future__ import annotations

from typing import Any

import captp


class Ledger(captp.Object):
    count: int = 0
    rows: captp.Map[Any, Any]

    @captp.method
    def write(self, what: str) -> str:
        place = self.count
        self.rows[place] = what
        self.count += 1
        return f"turn {place:08} is done"

    @captp.method
    def read(self) -> Any:
        return tuple(self.rows.values())
