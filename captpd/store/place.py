"""The files of a store beside its database: who may have them, who has them, and the room held back.

The database is looked at by its name alone: closing any descriptor of it would drop the locks that SQLite
holds on it, since POSIX counts them by process.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final, final

from attrs import frozen

from captp.errors import StoreBusy, StoreDamaged, StoreError, StoreFull, StoreUnusable
from captpd.config.lock import HeldError, let_go, take

__all__ = ["NO_ROOM", "Place", "Reserve", "new_file", "sync_folder"]

#: The numbers of the errors that say that a disk, or the user's share of it, is full.
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_PRIVATE: Final = 0o600
_OWN: Final = {"folder": 0o700, "file": 0o600}


@final
@frozen
class Place:
    """Where a store lies: its database, and the names of what lies beside that."""

    path: Path

    def beside(self, suffix: str) -> Path:
        """Return the path of the file whose name is the database's with ``suffix`` behind it."""
        return self.path.with_name(self.path.name + suffix)

    def take(self) -> int:
        """Hold the store for this process, its database made where there is none; return the lock.

        Raises StoreBusy, StoreUnusable and StoreDamaged, which say what to do.
        """
        _check(self.path.parent, "folder")
        try:
            lock = take(self.beside("-lock"))
        except HeldError as held:
            raise StoreBusy(
                f"{self.path} is in use by another process (pid {held.pid}); stop that one, or use another"
                " store"
            ) from None
        except OSError as error:
            raise StoreUnusable(f"cannot lock {self.beside('-lock')}: {error.strerror}") from None
        try:
            self._check_files()
        except BaseException:
            let_go(lock)
            raise
        return lock

    def _check_files(self) -> None:
        sizes = {
            suffix: _check(self.beside(suffix), "file")
            for suffix in ("", "-wal", "-shm", "-journal", "-reserve")
            if os.path.lexists(self.beside(suffix))
        }
        # SQLite would take the log for a stranger's, and remove it.
        if not sizes.get("") and sizes.get("-wal"):
            raise StoreDamaged(
                f"{self.beside('-wal')} is there and the database that it belongs to is not; put"
                f" {self.path} back, or move the log away to begin anew"
            )
        if "" not in sizes:
            os.close(new_file(self.path))


@final
class Reserve:
    """Room on the disk that nothing uses, to be given up when there is no other."""

    def __init__(self, path: Path, size: int) -> None:
        self.is_there = False
        self._path = path
        self._size = size

    def make(self) -> bool:
        """Hold the room back; return whether there is enough."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags, _PRIVATE)
            try:
                os.fchmod(descriptor, _PRIVATE)
                # Costs nothing for what is there already.
                os.posix_fallocate(descriptor, 0, self._size)
            finally:
                os.close(descriptor)
        except OSError:
            self.give_up()  # of what there was, others can make better use
            return False
        self.is_there = True
        return True

    def give_up(self) -> bool:
        """Give the room back to the disk; return whether any was held."""
        was_there, self.is_there = self.is_there, False
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return False
        return was_there


def new_file(path: Path) -> int:
    """Make an empty file that the owner alone can read, whatever the umask; return its descriptor.

    Raises StoreUnusable where there is one already, or none can be made; StoreFull.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
        try:
            os.fchmod(descriptor, _PRIVATE)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
    except FileExistsError:
        raise StoreUnusable(f"{path} is there already; choose a name that is not") from None
    except OSError as error:
        why: type[StoreError] = StoreFull if error.errno in NO_ROOM else StoreUnusable
        raise why(f"cannot make {path}: {error.strerror}") from None
    return descriptor


def sync_folder(folder: Path) -> None:
    """Have the names in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(path: Path, kind: str) -> int:
    """Return the size of a file or folder that is its owner's alone; raises StoreUnusable, with the fix."""
    try:
        # A link to a folder is the owner's choice; one in the place of a file could be anybody's.
        info = path.stat() if kind == "folder" else path.lstat()
    except FileNotFoundError:
        raise StoreUnusable(f"the folder {path} is not there; make it: mkdir -m 700 {path}") from None
    except OSError as error:
        raise StoreUnusable(f"cannot look at {path}: {error.strerror}") from None
    if stat.S_IFMT(info.st_mode) != (stat.S_IFDIR if kind == "folder" else stat.S_IFREG):
        raise StoreUnusable(f"{path} is no {kind}; move it away, or choose another place for the store")
    if info.st_uid != os.geteuid():
        raise StoreUnusable(
            f"{path} belongs to user {info.st_uid}, not to you (user {os.geteuid()}); open the store as its"
            " owner, or choose another place for it"
        )
    mode, own = stat.S_IMODE(info.st_mode), _OWN[kind]
    if mode & 0o077:
        raise StoreUnusable(f"{path} is open to others (mode {mode:o}); close it: chmod {own:o} {path}")
    # Not by trying: root may write what is not to be written.
    if mode & own != own:
        raise StoreUnusable(f"{path} is read-only (mode {mode:o}); allow writing: chmod {own:o} {path}")
    return info.st_size
