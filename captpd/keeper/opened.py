"""A store of a daemon that does not run, open for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from captp.model.keys import PrivateKey
from captp.run.sealed import Sealed
from captpd.keeper.survey import Survey, survey
from captpd.store.sqlite import SqliteStore

__all__ = ["looked_at", "opened"]

#: Nothing is committed but a head: no room need be held back.
_RESERVE_BYTES = 4096


@contextmanager
def opened(path: Path, key: PrivateKey) -> Iterator[Sealed]:
    """Open the store of a vat whose key is given, with its head unread. Raises a StoreError."""
    sealed = Sealed(SqliteStore(path, reserve_bytes=_RESERVE_BYTES), key.seed())
    sealed.store.open()
    try:
        yield sealed
    finally:
        sealed.close()


def looked_at(path: Path, key: PrivateKey) -> Survey:
    """Return what is found in a store. Raises a StoreError where it cannot be used at all."""
    with opened(path, key) as sealed:
        return survey(sealed)
