"""A class whose import waits until the test closes a named pipe."""

from __future__ import annotations

import os
from pathlib import Path

import captp

Path(os.environ["DAEMON_SLOW_PIPE"]).read_text()


class Slow(captp.Object):
    pass
