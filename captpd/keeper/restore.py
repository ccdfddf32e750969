"""A backup takes the place of what a state folder has; that is put aside, and nothing of it is removed.

The order makes an interruption harmless: a mark says that a restore is under way, and until it is gone the
folder is refused by all but another restore.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from captp.errors import StoreDamaged, UsageError
from captpd.config.places import StateFolder, write_file
from captpd.keeper.backup import Contents, Keyring
from captpd.keeper.opened import opened
from captpd.store.place import sync_folder

__all__ = ["check_older", "new_incarnation", "put_in_place", "renew"]

#: The lowest bits of an incarnation that are chance: about a millisecond of nanoseconds.
_CHANCE: Final = 20


def new_incarnation() -> int:
    """Return a number for the next incarnation that no peer has seen: the time in ns, its end by chance."""
    return time.time_ns() >> _CHANCE << _CHANCE | secrets.randbits(_CHANCE)


def check_older(there: Mapping[str, Path], contents: Contents, keys: Keyring) -> None:
    """Raise UsageError if a store that is there has more in it than the backup."""
    for name, path in there.items():
        copied = contents.stores.get(name)
        if copied is None:
            raise UsageError(f"the backup has no vat {name}, and {path} is there; {_FORCE}")
        commits = _commits(path, name, keys)
        known = _commits(copied, name, keys)
        if commits is not None and known is not None and commits > known:
            raise UsageError(
                f"{path} is newer than the backup: it has {commits - known} commits more; {_FORCE}"
            )


_FORCE: Final = "restore all the same with --force: what is there is put aside"


def _commits(path: Path, name: str, keys: Keyring) -> int | None:
    """Return how many commits a store has had, None for a damaged one."""
    try:
        with opened(path, keys.of_vat(name)) as sealed:
            sealed.read_head()
            return sealed.commits
    except StoreDamaged:
        return None


def renew(contents: Contents, keys: Keyring, incarnation: int) -> None:
    """Let the unpacked stores of a backup begin an incarnation that no peer has seen."""
    for name, path in contents.stores.items():
        with opened(path, keys.of_vat(name)) as sealed:
            sealed.read_head()
            sealed.renew(incarnation)


def put_in_place(state: StateFolder, stores: Path, book: str, label: str) -> Path:
    """Exchange what a state folder has for a folder of stores and a book; return where the old ones are."""
    aside = state.path / f"replaced-{label}"
    aside.mkdir(mode=0o700)
    write_file(state.restoring, "a restore is under way here; if it was interrupted, run it again\n")
    if state.stores.exists():
        state.stores.rename(aside / state.stores.name)
    stores.rename(state.stores)
    if state.sturdyrefs.exists():
        os.link(state.sturdyrefs, aside / state.sturdyrefs.name)
    if book:
        write_file(state.sturdyrefs, book)
    sync_folder(aside)
    sync_folder(state.path)
    state.restoring.unlink()
    sync_folder(state.path)
    return aside
