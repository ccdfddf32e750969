"""One file that has all durable stores and the book of sturdyrefs, and how they come out of it again.

It is proved before it has its name: unpacked into a folder, and every row of every store looked at.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from attrs import field, frozen

from captp.errors import StoreDamaged, UsageError
from captp.model.keys import PrivateKey
from captp.peer.rows import packed, unpacked
from captpd.config.places import STORE
from captpd.keeper.opened import looked_at
from captpd.keeper.sealed_file import CHUNK, Reader, Writer
from captpd.keeper.survey import Survey
from captpd.store.place import new_file, sync_folder

__all__ = [
    "Contents",
    "Keyring",
    "new_workspace",
    "read_backup",
    "remove_workspaces",
    "workspace",
    "write_backup",
]

#: What the names of folders begin with that outlive nothing.
_WORKSPACE: Final = ".captpd-copies-"
_LENGTH: Final = 4


@final
@frozen
class Keyring:
    """The secret of a daemon, and the key that each of its vats has of that."""

    seed: bytes = field(repr=False)
    of_vat: Callable[[str], PrivateKey]


@final
@frozen
class Contents:
    """What a backup has: when it was made, the book, its stores by vat, and what was found in each."""

    made: float
    book: bytes
    stores: Mapping[str, Path]
    surveys: Mapping[str, Survey]


def write_backup(
    path: Path, keys: Keyring, stores: Mapping[str, Path], book: bytes, folder: Path
) -> Contents:
    """Write copies of stores, and a book, into a new file; return what was read from it again.

    ``folder`` is empty, and for what is unpacked. Raises StoreDamaged where a store is, and StoreUnusable,
    StoreFull and OSError where the file cannot be written; then there is none.
    """
    if path.exists():
        raise UsageError(f"{path} is there already; choose a name that is not")
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(new_file(draft), "wb") as file:
        try:
            writer = Writer(file, keys.seed)
            sizes = [(name, store.stat().st_size) for name, store in stores.items()]
            head = packed(time.time(), len(book), sizes)
            writer.write(len(head).to_bytes(_LENGTH, "big") + head + book)
            for store in stores.values():
                with store.open("rb") as copied:
                    while data := copied.read(CHUNK):
                        writer.write(data)
            writer.finish()
            file.flush()
            os.fsync(file.fileno())
            contents = read_backup(draft, keys, folder)
            if contents.book != book:
                raise StoreDamaged(
                    "the backup does not have the sturdyrefs that were written: try another disk"
                )
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    return contents


def read_backup(path: Path, keys: Keyring, folder: Path) -> Contents:
    """Unpack a backup into an empty folder and look at all of it. Raises UsageError and a StoreError."""
    with path.open("rb") as file:
        reader = Reader(file, path, keys.seed)
        head = reader.read(int.from_bytes(reader.read(_LENGTH), "big"))
        made, book_size, sizes = unpacked(head, 3)
        book = reader.read(book_size)
        stores = {name: folder / f"{name}{STORE}" for name, _ in sizes}
        for name, size in sizes:
            with os.fdopen(new_file(stores[name]), "wb") as store:
                for at in range(0, size, CHUNK):
                    store.write(reader.read(min(CHUNK, size - at)))
                store.flush()
                os.fsync(store.fileno())
        reader.finish()
    surveys = {name: looked_at(store, keys.of_vat(name)) for name, store in stores.items()}
    for name, survey in surveys.items():
        if survey.problems:
            raise StoreDamaged(f"the store of vat {name} is damaged: {survey.problems[0]}: see captpd check")
    return Contents(made, book, stores, surveys)


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """Give a new folder in another for the block, which its owner alone can enter."""
    made = new_workspace(folder)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def new_workspace(folder: Path) -> Path:
    """Return a new folder in another, which its owner alone can enter."""
    return Path(tempfile.mkdtemp(prefix=_WORKSPACE, dir=folder))


def remove_workspaces(folder: Path) -> None:
    """Remove those that were left by processes that were killed."""
    for left in folder.glob(f"{_WORKSPACE}*"):
        shutil.rmtree(left, ignore_errors=True)
