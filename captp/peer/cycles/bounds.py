"""What bounds a peer's collector and cannot be set; see captp.cycles for what can."""

from __future__ import annotations

from typing import Final

#: Names of traces that are over and remembered; the oldest go first.
REMEMBERED: Final = 4096

#: Bytes that a statement of a peer's counts for at least, where those are limited: each is verified once.
STATEMENT: Final = 1024

#: Seconds in which a peer may have this vat keep the statements of one trace more.
STATEMENTS_S: Final = 4.0
