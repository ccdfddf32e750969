"""The settings of a collector, and what of it cannot be set."""

from __future__ import annotations

from typing import Final

from captp.cycles import Cycles as Settings

__all__ = ["REMEMBERED", "Settings"]

#: Names of traces that are over and remembered; the oldest go first.
REMEMBERED: Final = 4096
