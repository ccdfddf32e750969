"""The daemon's own errors that have an exit code of their own; light enough for every command."""

from __future__ import annotations

from pathlib import Path
from typing import final

from captp.errors import UsageError

__all__ = ["ConfigError", "ListeningError", "NotRunningError"]


@final
class ConfigError(UsageError):
    """A configuration cannot be used; the text names the file, the key and what was expected."""


@final
class ListeningError(UsageError):
    """The daemon cannot listen where its configuration says."""


@final
class NotRunningError(UsageError):
    """No daemon answers for a state folder."""

    def __init__(self, state: Path) -> None:
        super().__init__(f"the daemon is not running (state folder {state}); start it: captpd run")
