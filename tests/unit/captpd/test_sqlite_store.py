"""The store in one SQLite file: what it promises, and that nobody else can read it."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from captp.errors import (
    StoreBusy,
    StoreDamaged,
    StoreFailed,
    StoreFull,
    StoreUnusable,
    UsageError,
)
from captp.run.store import TABLES, Change, Store, Verb
from captp.testing import check_store
from captpd.store.sqlite import SqliteStore

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


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# Promises.


def test_it_keeps_every_promise_of_the_protocol(path: Path) -> None:
    check_store(lambda: SqliteStore(path))

    assert isinstance(SqliteStore(path), Store)
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "main.store",
        "main.store-lock",
        "main.store-reserve",
    ]


def test_a_path_that_is_relative_stays_where_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    store = SqliteStore(Path(path.name), reserve_bytes=SMALL)
    monkeypatch.chdir("/")

    store.open()
    store.copy(path.parent / "copy")
    store.close()

    assert path.exists()


def test_a_commit_is_in_the_log_at_once_and_the_log_is_gone_after_close(path: Path) -> None:
    store = SqliteStore(path, reserve_bytes=SMALL)
    store.open()
    store.commit([Change(INSERT, "meta", b"a", b"a value to look for")])

    assert b"a value to look for" in beside(path, "-wal").read_bytes()
    store.close()
    assert not beside(path, "-wal").exists()
    assert b"a value to look for" in path.read_bytes()


def test_the_log_is_bounded_however_much_is_committed(store: SqliteStore, path: Path) -> None:
    most = 0
    for number in range(120):
        rows = (((number * 64 + i) * 2654435761 % 2**64).to_bytes(8, "little") for i in range(64))
        store.commit([Change(INSERT, "object", row, bytes(1000)) for row in rows])
        most = max(most, beside(path, "-wal").stat().st_size)
    store.commit([Change(INSERT, "object", b"big", bytes(30 * 2**20))])
    store.commit([Change(INSERT, "object", b"small", b"")])
    store.commit([Change(INSERT, "object", b"another", b"")])

    assert path.stat().st_size > 30 * 2**20
    assert most < 16 * 2**20
    assert beside(path, "-wal").stat().st_size <= 16 * 2**20


def test_compacting_gives_room_back(store: SqliteStore, path: Path) -> None:
    store.commit([Change(INSERT, "object", bytes([i]), bytes(100_000)) for i in range(100)])
    store.commit([Change(Verb.DELETE, "object", bytes([i])) for i in range(100)])
    before = path.stat().st_size + beside(path, "-wal").stat().st_size

    store.compact()

    assert before > 10_000_000
    assert path.stat().st_size + beside(path, "-wal").stat().st_size < 200_000


def test_a_copy_is_a_store_by_itself_as_of_the_last_commit(store: SqliteStore, folder: Path) -> None:
    rows = [Change(INSERT, "object", bytes([i]), bytes([i]) * 1000) for i in range(200)]
    store.commit(rows)
    store.copy(folder / "copy")
    store.commit([Change(Verb.DELETE, "object", bytes([0]))])

    copy = SqliteStore(folder / "copy", reserve_bytes=SMALL)
    copy.open()

    assert copy.scan("object") == [(change.key, change.value) for change in rows]
    assert store.count("object") == 199
    copy.close()


def test_a_copy_that_cannot_be_made_leaves_nothing_and_the_store_open(
    store: SqliteStore, folder: Path
) -> None:
    with pytest.raises(StoreUnusable, match=r"cannot make .*/none/copy: No such file or directory"):
        store.copy(folder / "none" / "copy")
    with pytest.raises(StoreUnusable, match="is there already; choose a name that is not"):
        store.copy(folder / "main.store")

    assert store.count("meta") == 0
    assert not (folder / "none").exists()


def test_no_name_of_a_copy_means_anything_but_itself(
    store: SqliteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name in (":memory:", "file:copy?mode=memory", "it's"):
        store.copy(Path(name))

        assert (folder / name).read_bytes().startswith(b"SQLite format 3")


def test_one_object_can_be_opened_again_and_not_twice(path: Path) -> None:
    store = SqliteStore(path, reserve_bytes=SMALL)
    store.open()
    with pytest.raises(StoreBusy, match=rf"in use by another process \(pid {os.getpid()}\)"):
        store.open()
    store.commit([Change(INSERT, "meta", b"a", b"1")])
    store.close()

    with pytest.raises(StoreFailed, match=r"main\.store is closed; open it"):
        store.get("meta", b"a")
    store.open()
    assert store.get("meta", b"a") == b"1"
    store.close()


def test_any_thread_may_use_it_one_at_a_time(store: SqliteStore) -> None:
    thread = threading.Thread(target=store.commit, args=([Change(INSERT, "meta", b"a", b"1")],))
    thread.start()
    thread.join()

    assert store.get("meta", b"a") == b"1"


def test_an_error_that_is_none_of_sqlites_leaves_no_transaction_open(store: SqliteStore) -> None:
    with pytest.raises(KeyError):
        store.commit([Change(INSERT, "meta", b"a", b"1"), Change(INSERT, "no such table", b"a", b"1")])

    assert store.count("meta") == 0
    store.commit([Change(INSERT, "meta", b"a", b"1")])


def test_room_for_nothing_is_refused(path: Path) -> None:
    with pytest.raises(UsageError, match="reserve_bytes is 0"):
        SqliteStore(path, reserve_bytes=0)


def test_it_runs_as_it_says(store: SqliteStore) -> None:
    found = {
        name: store._opened().execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "secure_delete", "locking_mode", "wal_autocheckpoint")
    }

    # What is text comes as bytes: in a damaged row it need not be text.
    assert {k: v.decode() if type(v) is bytearray else v for k, v in found.items()} == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "locking_mode": "exclusive",
        "wal_autocheckpoint": 0,
    }


def test_a_damaged_page_is_damage_and_no_other_error(path: Path) -> None:
    store = SqliteStore(path, reserve_bytes=SMALL)
    store.open()
    store.commit([Change(INSERT, "object", bytes([i]), bytes(2000)) for i in range(200)])
    store.close()
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for page in range(len(TABLES) * 2 + 1, pages):
            file.seek(page * 4096)
            file.write(b"\xee" * 4096)

    store.open()
    for call in (
        lambda: store.scan("object"),
        lambda: [store.get("object", bytes([i])) for i in range(200)],
        lambda: store.copy(path.with_name("copy")),
        lambda: store.commit([Change(Verb.DELETE, "object", bytes([i])) for i in range(200)]),
    ):
        with pytest.raises(StoreDamaged, match="malformed; restore it from a copy"):
            call()
    store.close()


def test_all_its_files_are_the_owners_alone_whatever_the_umask(path: Path) -> None:
    for umask in (0o000, 0o777):
        before = os.umask(umask)
        try:
            store = SqliteStore(path, reserve_bytes=SMALL)
            store.open()
            store.commit([Change(INSERT, "meta", b"a", b"1")])
            store.copy(path.with_name("copy"))
            modes = {file.name: mode_of(file) for file in path.parent.iterdir()}
            store.close()
        finally:
            os.umask(before)

        names = ("copy", "main.store", "main.store-lock", "main.store-reserve", "main.store-wal")
        assert modes == dict.fromkeys(names, 0o600)
        for file in path.parent.iterdir():
            file.unlink()


# Room.


def test_the_database_that_may_grow_no_more_is_full_and_goes_on(path: Path) -> None:
    store = SqliteStore(path, reserve_bytes=SMALL)
    store.open()
    store.commit([Change(INSERT, "object", b"a", bytes(1000))])
    assert store.has_room()
    database = store._opened()
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone()
    big = [Change(INSERT, "meta", b"b", b"2"), Change(INSERT, "object", b"b", bytes(100_000))]

    with pytest.raises(StoreFull, match="is full; nothing was changed; make room on its disk"):
        store.commit(big)

    assert not beside(path, "-reserve").exists()
    assert (store.count("object"), store.count("meta")) == (1, 0)
    store.commit([Change(Verb.REPLACE, "object", b"a", b"small")])
    database.execute("PRAGMA max_page_count = 1000000").fetchone()
    assert store.has_room()
    assert beside(path, "-reserve").stat().st_size == SMALL
    store.commit(big)
    assert (store.count("object"), store.count("meta")) == (2, 1)
    store.close()
