"""The store in one SQLite file: what it promises, whom it refuses, and that nobody else can read it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from captp.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFailed,
    StoreFull,
    StoreTooNew,
    StoreUnusable,
    UsageError,
)
from captp.run.store import TABLES, Change, Store, Verb
from captp.testing import check_store
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

    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "locking_mode": "exclusive",
        "wal_autocheckpoint": 0,
    }


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
    assert f"edge entry meta object swiss, expected {FORMAT} and {expected};" in refusal(path, StoreDamaged)


def test_a_log_without_its_database_is_not_thrown_away(path: Path) -> None:
    beside(path, "-wal").write_bytes(b"commits")
    beside(path, "-wal").chmod(0o600)

    assert refusal(path, StoreDamaged) == (
        f"{path}-wal is there and the database that it belongs to is not; put {path} back, or move the log"
        " away to begin anew"
    )
    assert beside(path, "-wal").read_bytes() == b"commits"


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


# Who may read it.


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
