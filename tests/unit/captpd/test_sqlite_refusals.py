"""Whom a store in a SQLite file refuses at its opening, with one line each that says what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from captp.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreTooNew,
    StoreUnusable,
)
from captp.run.store import TABLES, Change, Verb
from captpd.store.sqlite import APPLICATION, FORMAT, SqliteStore

INSERT = Verb.INSERT
#: So that most tests need no room to speak of.
SMALL = 4096


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "main.store"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, reserve_bytes=SMALL)
    store.open()
    yield store
    store.close()


def refusal(path: Path, kind: type[StoreError]) -> str:
    """Return what opening says, on one line."""
    with pytest.raises(StoreError) as raised:
        SqliteStore(path, reserve_bytes=SMALL).open()
    assert type(raised.value) is kind
    assert "\n" not in str(raised.value)
    return str(raised.value)


def made(path: Path) -> None:
    """Make a store with one row."""
    store = SqliteStore(path, reserve_bytes=SMALL)
    store.open()
    store.commit([Change(INSERT, "meta", b"a", b"1")])
    store.close()


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


# Who has it.


HOLD = """
import sys
import threading
from pathlib import Path
from captp.run.store import Change, Verb
from captpd.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]), reserve_bytes=4096)
store.open()
store.commit([])
store.commit([Change(Verb.INSERT, "meta", b"a", b"of the other process")])
print("open", flush=True)
sys.stdin.read()
"""


def test_another_process_that_has_it_is_named_until_it_is_killed(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        try:
            assert refusal(path, StoreBusy) == (
                f"{path} is in use by another process (pid {other.pid}); stop that one, or use another store"
            )
        finally:
            other.kill()

    store = SqliteStore(path, reserve_bytes=SMALL)
    store.open()
    assert store.get("meta", b"a") == b"of the other process"
    # Else many that are killed early would leave a log without end.
    assert b"of the other process" not in path.read_bytes()
    store.commit([])
    assert b"of the other process" in path.read_bytes()
    store.close()


def test_a_second_name_of_the_file_does_not_let_two_in(store: SqliteStore, path: Path, folder: Path) -> None:
    os.link(path, folder / "other.store")

    assert "another program has it open" in refusal(folder / "other.store", StoreBusy)


# Whose file it is.


def test_a_later_format_is_refused(path: Path) -> None:
    made(path)
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    database.close()

    assert refusal(path, StoreTooNew) == (
        f"{path} has format {FORMAT + 1}, this version writes {FORMAT}; use the version that wrote it"
    )


def test_another_applications_file_is_refused_and_stays_as_it_was(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE cookies (name)")
    database.close()
    path.chmod(0o600)
    before = path.read_bytes()

    assert refusal(path, StoreUnusable) == (
        f"{path} belongs to another application (id 0x0, expected {APPLICATION:#x}); choose another place for"
        " the store"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["short", "A file of text that is longer than a page.\n" * 200])
def test_a_file_that_is_no_database_is_refused_and_stays_as_it_was(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)

    assert refusal(path, StoreDamaged) == (
        f"{path}: file is not a database: it is no store, or its beginning is damaged; restore it from a"
        " copy, or choose another place for the store"
    )
    assert path.read_text() == text


def test_a_store_that_lacks_a_table_is_damaged(path: Path) -> None:
    made(path)
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE root")
    database.close()

    expected = " ".join(sorted(TABLES))
    there = " ".join(sorted(set(TABLES) - {"root"}))
    assert f"and tables {there}, expected {expected};" in refusal(path, StoreDamaged)


def test_a_store_of_an_earlier_format_becomes_one_of_this(path: Path) -> None:
    made(path)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO root VALUES (x'01', x'02')")
        database.execute("DROP TABLE timer")
        database.execute("PRAGMA user_version = 1")
    database.close()

    for _ in range(2):
        store = SqliteStore(path)
        store.open()
        assert store.get("root", b"\x01") == b"\x02"
        assert store.count("timer") == 0
        store.close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    database.close()


def test_a_log_without_its_database_is_not_thrown_away(path: Path) -> None:
    beside(path, "-wal").write_bytes(b"commits")
    beside(path, "-wal").chmod(0o600)

    assert refusal(path, StoreDamaged) == (
        f"{path}-wal is there and the database that it belongs to is not; put {path} back, or move the log"
        " away to begin anew"
    )
    assert beside(path, "-wal").read_bytes() == b"commits"


# Who may read it.


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755])
def test_a_folder_open_to_others_is_refused(path: Path, mode: int) -> None:
    path.parent.chmod(mode)

    folder = path.parent
    assert refusal(path, StoreUnusable) == (
        f"{folder} is open to others (mode {mode:o}); close it: chmod 700 {folder}"
    )
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal", "-reserve"])
def test_a_file_open_to_others_is_refused(path: Path, suffix: str) -> None:
    made(path)
    file = beside(path, suffix)
    file.touch()
    file.chmod(0o640)

    assert refusal(path, StoreUnusable) == f"{file} is open to others (mode 640); close it: chmod 600 {file}"


def test_a_folder_or_a_file_that_is_read_only_is_refused(path: Path) -> None:
    made(path)
    path.chmod(0o400)
    assert refusal(path, StoreUnusable) == f"{path} is read-only (mode 400); allow writing: chmod 600 {path}"
    folder = path.parent
    folder.chmod(0o500)
    text = f"{folder} is read-only (mode 500); allow writing: chmod 700 {folder}"
    assert refusal(path, StoreUnusable) == text
    folder.chmod(0o700)


def test_a_folder_that_is_not_there_is_named(path: Path) -> None:
    folder = path.parent / "none"

    assert refusal(folder / "main.store", StoreUnusable) == (
        f"the folder {folder} is not there; make it: mkdir -m 700 {folder}"
    )


def test_what_belongs_to_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)

    assert refusal(path, StoreUnusable) == (
        f"{path.parent} belongs to user {uid}, not to you (user {uid + 1}); open the store as its owner, or"
        " choose another place for it"
    )


def test_links_and_folders_in_the_place_of_files_are_refused(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch(0o600)
    path.symlink_to(victim)
    assert refusal(path, StoreUnusable) == (
        f"{path} is no file; move it away, or choose another place for the store"
    )
    path.unlink()
    path.mkdir(mode=0o700)
    assert "is no file" in refusal(path, StoreUnusable)
    path.rmdir()
    beside(path, "-lock").unlink()
    beside(path, "-lock").symlink_to(victim)
    assert "cannot lock" in refusal(path, StoreUnusable)
    assert victim.read_bytes() == b""


def test_a_store_that_was_refused_is_let_go_of(path: Path) -> None:
    path.write_text("no database")
    path.chmod(0o600)
    refusal(path, StoreDamaged)
    path.unlink()

    made(path)
