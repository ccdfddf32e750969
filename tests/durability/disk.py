"""A disk that can lose power: it remembers what SQLite wrote and synced, and what a cut may leave.

What was synced stays. Of what came after, any sector may have any of its contents since then, a file any
of its sizes, and a folder, name by name, any of its entries: a page cache promises no order.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import apsw

from captpd.store import sqlite as adapter
from tests.durability.apsw_as_sqlite3 import Connection

VFS_NAME = "captp-tests"
#: SQLite syncs the folder with the first sync of such a file.
BRINGS_ITS_FOLDER = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL


class Event(NamedTuple):
    """Something that happened: create, write, truncate, sync, delete, sync folder, or what was told."""

    verb: str
    name: str = ""
    at: int = 0
    data: bytes = b""


class Disk:
    """What happens in one folder, in order; ``before`` each step it may be made to fail."""

    def __init__(self, folder: Path, before: Callable[[str, str], None] | None = None) -> None:
        self.folder = folder
        self.log: list[Event] = []
        self.names: set[str] = set()
        self.before = before or (lambda verb, name: None)

    def tell(self, what: str, number: int) -> None:
        """Put down what a program was told."""
        self.log.append(Event(what, at=number))

    def did(self, verb: str, name: str = "", at: int = 0, data: bytes = b"") -> None:
        if verb == "open" and name not in self.names:
            self.names.add(name)
            verb = "create"
        if verb == "delete":
            self.names.discard(name)
        # Files without a name are gone after a cut.
        if verb != "open" and (name or verb == "sync folder"):
            self.log.append(Event(verb, name, at, data))

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have stores in the folder work on this disk."""
        vfs = _Vfs(self)

        def connect(path: Path, **settings: Any) -> Connection:
            return Connection(path, VFS_NAME, **settings)

        with (
            mock.patch.object(adapter, "sqlite3", SimpleNamespace(**vars(sqlite3) | {"connect": connect})),
            mock.patch.object(os, "fsync", self._fsync(os.fsync)),
        ):
            yield
        vfs.unregister()

    def _fsync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def fsync(descriptor: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if path == self.folder:
                self.before("sync folder", "")
                real(descriptor)
                self.did("sync folder")
            elif path.parent == self.folder:
                self.before("fsync", path.name)
                real(descriptor)
                self.did("sync", path.name)
            else:
                real(descriptor)

        return fsync


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        super().__init__(VFS_NAME, "")
        self._disk = disk

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "")
        self._disk.before("open", path.name)
        file = _File(self._disk, path.name, name, flags)
        self._disk.did("open", path.name)
        return file

    def xDelete(self, name: str, sync_folder: bool) -> None:
        self._disk.before("delete", Path(name).name)
        super().xDelete(name, sync_folder)
        self._disk.did("delete", Path(name).name)
        if sync_folder:
            self._disk.did("sync folder")


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, short: str, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._short = short
        self._brings_folder = bool(flags[0] & BRINGS_ITS_FOLDER)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, at: int) -> None:
        self._disk.before("write", self._short)
        super().xWrite(data, at)
        self._disk.did("write", self._short, at, bytes(data))

    def xTruncate(self, size: int) -> None:
        self._disk.before("truncate", self._short)
        super().xTruncate(size)
        self._disk.did("truncate", self._short, size)

    def xSync(self, flags: int) -> None:
        self._disk.before("sync", self._short)
        super().xSync(flags)
        self._disk.did("sync", self._short)
        if self._brings_folder:
            self._brings_folder = False
            self._disk.did("sync folder")

    def xLock(self, level: int) -> None:
        self._disk.before("lock", self._short)
        super().xLock(level)


class _Kept:
    """One file: its bytes when it was synced, and what was done to it since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.since: list[Event] = []

    def sync(self) -> None:
        for event in self.since:
            _do(self.synced, event)
        self.since.clear()

    def after_cut(self, chance: random.Random, how: str) -> bytes:
        made = bytearray(self.synced)
        if how == "nothing":
            return bytes(made)
        sector = chance.choice((512, 4096))
        if how != "sectors":
            count = len(self.since) if how == "all" else chance.randint(0, len(self.since))
            for event in self.since[:count]:
                _do(made, event)
            if count < len(self.since) and self.since[count].verb == "write":
                torn = self.since[count]
                _do(made, torn._replace(data=torn.data[: chance.randrange(0, len(torn.data) + 1, sector)]))
            return bytes(made)
        sizes = [len(made)]
        contents: dict[int, list[bytes]] = {}
        for event in self.since:
            before = len(made)
            old = {n: _sector(made, n, sector) for n in range(_sectors(made, sector))}
            _do(made, event)
            end = before if event.verb == "truncate" else event.at + len(event.data)
            for number in range(event.at // sector, (max(end, event.at) + sector - 1) // sector):
                versions = contents.setdefault(number, [old.get(number, bytes(sector))])
                versions.append(_sector(made, number, sector))
            sizes.append(len(made))
        size = chance.choice(sizes)
        made = self.synced[:size] + bytes(max(0, size - len(self.synced)))
        for number, versions in contents.items():
            if number * sector < size:
                content = chance.choice(versions)
                made[number * sector : (number + 1) * sector] = content[: size - number * sector]
        assert len(made) == size
        return bytes(made)


class Platter:
    """What is on the disk for sure, and what may be, after each event."""

    def __init__(self) -> None:
        self._names: dict[str, _Kept] = {}
        #: By name, what may be under it: first what was when the folder was synced.
        self._entries: dict[str, list[_Kept | None]] = {}

    def follow(self, event: Event) -> None:
        match event.verb:
            case "create":
                self._enter(event.name, _Kept())
            case "delete":
                self._enter(event.name, None)
            case "write" | "truncate":
                self._names[event.name].since.append(event)
            case "sync":
                self._names[event.name].sync()
            case "sync folder":
                newest = {name: entries[-1] for name, entries in self._entries.items()}
                self._entries = {name: [file] for name, file in newest.items() if file is not None}

    def _enter(self, name: str, file: _Kept | None) -> None:
        self._entries.setdefault(name, [None]).append(file)
        if file is None:
            del self._names[name]
        else:
            self._names[name] = file

    def cut(self, chance: random.Random, folder: Path) -> None:
        """Put into ``folder`` what may be left when the power fails now."""
        how = chance.choice(("nothing", "all", "torn", "sectors", "sectors"))
        for name, entries in self._entries.items():
            file = {"nothing": entries[0], "all": entries[-1]}.get(how, chance.choice(entries))
            if file is not None:
                path = folder / name
                path.write_bytes(file.after_cut(chance, how))
                path.chmod(0o600)


def _do(made: bytearray, event: Event) -> None:
    if event.verb == "truncate":
        del made[event.at :]
        return
    if not event.data:
        return
    made.extend(bytes(max(0, event.at - len(made))))
    made[event.at : event.at + len(event.data)] = event.data


def _sectors(made: bytearray, sector: int) -> int:
    return (len(made) + sector - 1) // sector


def _sector(made: bytearray, number: int, sector: int) -> bytes:
    return bytes(made[number * sector : (number + 1) * sector]).ljust(sector, b"\0")
