"""What outlives the process: names, classes and swiss numbers; it holds no object."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

from attrs import evolve, field, frozen

from captp.errors import UsageError
from captp.model.swiss import mint
from captpd.config.places import write_file

__all__ = ["BY_CONFIG", "BY_NEW", "Book", "Record", "new_swiss", "read_book"]

FORMAT: Final = 1
BY_CONFIG: Final = "config"
BY_NEW: Final = "new"


def new_swiss() -> bytes:
    """Return a swiss number nobody knows."""
    return mint(os.urandom)


@final
@frozen(kw_only=True)
class Record:
    """One named object: how to make it again, and the swiss number others know it by."""

    class_path: str
    vat: str
    by: str
    swiss: bytes = field(repr=False)


@final
@frozen(kw_only=True)
class Book:
    """All records, and the swiss number of the control plane."""

    control: bytes = field(repr=False)
    records: Mapping[str, Record] = field(factory=dict)

    def having(self, name: str, record: Record) -> Book:
        """Return this book with a record added or replaced."""
        return evolve(self, records={**self.records, name: record})

    def write(self, path: Path) -> None:
        """Store the book, mode 0600, whole or not at all."""
        rows = {
            name: {"class": r.class_path, "vat": r.vat, "by": r.by, "swiss": _encode(r.swiss)}
            for name, r in self.records.items()
        }
        document = {"format": FORMAT, "control": _encode(self.control), "objects": rows}
        write_file(path, json.dumps(document, indent=1) + "\n")


def read_book(path: Path) -> Book:
    """Read the book at ``path``, a new one if there is none; raises UsageError when it is damaged."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Book(control=new_swiss())
    except (OSError, UnicodeDecodeError):
        raise _damaged(path) from None
    try:
        document: dict[str, Any] = json.loads(text)
        if document["format"] != FORMAT:
            raise UsageError(
                f"{path} has format {document['format']!r}, this captpd writes {FORMAT}; use the captpd"
                " that wrote it"
            )
        records = {
            str(name): Record(
                class_path=str(row["class"]),
                vat=str(row["vat"]),
                by=str(row["by"]),
                swiss=_decode(row["swiss"]),
            )
            for name, row in document["objects"].items()
        }
        return Book(control=_decode(document["control"]), records=records)
    except (ValueError, KeyError, TypeError, AttributeError):
        # Nothing is chained: a parser's error may quote what it read, and that is secret.
        raise _damaged(path) from None


def _damaged(path: Path) -> UsageError:
    return UsageError(
        f"{path} is damaged: restore it from a backup, or move it away to start with no objects (the"
        " sturdyrefs given out so far then stop working)"
    )


def _encode(swiss: bytes) -> str:
    return base64.urlsafe_b64encode(swiss).decode("ascii")


def _decode(text: str) -> bytes:
    swiss = base64.b64decode(text, altchars=b"-_", validate=True)
    if not swiss:
        raise ValueError("empty swiss number")
    return swiss
