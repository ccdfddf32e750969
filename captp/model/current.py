"""The vat whose turns run in this context; set around each drain, never per message."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

__all__ = ["CURRENT_VAT"]

CURRENT_VAT: Final[ContextVar[Any]] = ContextVar("captp_current_vat")
