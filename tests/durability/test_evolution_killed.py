"""Whoever is killed while a store is upgraded leaves all of it old or all of it new, and a whole copy."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp.peer.rows import TABLES
from captp.run.sealed import HEAD, Sealed
from captpd.store.sqlite import SqliteStore

KEY = captp.PrivateKey.from_seed(b"k" * 32)
KIND = "killed:Row"
OBJECTS = 300
#: Instructions of SQLite's machine between two looks whether it is time to die.
STEP = 20

Plain = dict[tuple[str, bytes], bytes]


class Rows(captp.Object):
    rows: captp.List[Any]


def first() -> type[captp.Object]:
    class Row(captp.Object, kind=KIND):
        number: int
        names: captp.Map[str, int]

    return Row


def second() -> type[captp.Object]:
    class Row(captp.Object, version=2, kind=KIND):
        text: str
        names: captp.List[Any]

        @captp.migrate(from_version=1)
        def as_text(state: dict[str, Any]) -> dict[str, Any]:
            return {"text": str(state["number"]) * 50, "names": list(state["names"])}

    return Row


def fill(path: Path) -> None:
    row = first()

    def make() -> captp.Object:
        return Rows(rows=[row(number=n, names={str(n): n}) for n in range(OBJECTS)])

    async def run() -> None:
        async with captp.open_vat(key=KEY, store=SqliteStore(path, reserve_bytes=4096)) as vat:
            vat.root("rows", make)

    trio.run(run)


def upgrade(store: SqliteStore) -> None:
    row = second()

    async def run() -> None:
        async with captp.open_vat(key=KEY, store=store):
            assert row

    trio.run(run)


class Failpoint:
    """Counts the steps of the first commit of a store, and kills the process at one of them."""

    def __init__(self, store: SqliteStore, at: int | None) -> None:
        self.steps = 0
        self._store, self._at = store, at
        self._commit, store.commit = store.commit, self.commit  # type: ignore[method-assign]

    def commit(self, changes: Any) -> None:
        database = self._store._database
        assert database is not None
        database.set_progress_handler(self.step, STEP)
        self._commit(changes)
        database.set_progress_handler(None, STEP)
        self._store.commit = self._commit  # type: ignore[method-assign]
        self.step()

    def step(self) -> None:
        self.steps += 1
        if self.steps == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def upgraded(path: Path, at: int | None = None) -> int:
    """Upgrade a store, or be killed at a step of the commit; return how many steps there were."""
    store = SqliteStore(path, reserve_bytes=4096)
    point = Failpoint(store, at)
    upgrade(store)
    return point.steps


def killed(path: Path, at: int) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            upgraded(path, at)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "the process ended by itself"


def plain(path: Path) -> Plain:
    """Return all rows of a store, unsealed, but the one that each opening changes."""
    sealed = Sealed(SqliteStore(path, reserve_bytes=4096), KEY.seed())
    sealed.open(0.0)
    found = {(table, key): value for table in TABLES for key, value in sealed.rows(table)}
    sealed.close()
    del found["meta", HEAD]
    return found


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "main.db"
    fill(path)
    return path


def test_a_kill_at_any_step_of_the_migration_leaves_all_old_or_all_new(stored: Path, tmp_path: Path) -> None:
    old, whole = plain(stored), tmp_path / "whole.db"
    shutil.copy(stored, whole)
    steps = upgraded(whole)
    new = plain(whole)
    assert old != new
    assert steps > 100

    for at in (1, 2, *range(steps // 9, steps - 1, steps // 9), steps - 1, steps):
        path = tmp_path / f"{at}.db"
        shutil.copy(stored, path)
        killed(path, at)
        assert plain(path) == (new if at == steps else old), f"killed at step {at} of {steps}"
        (copy,) = tmp_path.glob(f"{at}.db-before-upgrade-*")
        shutil.copy(copy, tmp_path / "copy.db")
        assert plain(tmp_path / "copy.db") == old

        upgraded(path)
        assert plain(path) == new


def test_a_copy_is_of_its_owner_alone_and_can_take_the_place_of_the_store(
    stored: Path, tmp_path: Path
) -> None:
    old = plain(stored)
    (tmp_path / "main.db-copying").touch()  # as a kill leaves it

    upgraded(stored)

    (copy,) = tmp_path.glob("main.db-before-upgrade-*")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "main.db-copying").exists()
    copy.replace(stored)
    assert plain(stored) == old
