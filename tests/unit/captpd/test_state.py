"""What outlives the daemon: secrets in files, written whole, read strictly, for the owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captp.errors import UsageError
from captpd.config.places import StateFolder, write_file
from captpd.daemon.book import BY_NEW, Book, Record, new_swiss, read_book
from captpd.daemon.identity import control_key, make_identity, read_identity, vat_key
from captpd.daemon.lock import AlreadyRunningError, hold_lock


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_identity_reads_back_and_its_file_is_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    previous = os.umask(0)
    try:
        seed = make_identity(path)
    finally:
        os.umask(previous)

    assert read_identity(path) == seed
    assert mode_of(path) == 0o600


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 32 + "\n" + "ab" * 32]
)
def test_a_damaged_identity_is_refused_without_being_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "identity.key"
    path.write_text(text)

    with pytest.raises(UsageError) as raised:
        read_identity(path)

    assert "is damaged" in str(raised.value)
    assert "abab" not in str(raised.value)
    assert raised.value.__context__ is None


def test_each_vat_has_a_key_of_its_own_that_its_name_and_the_secret_decide() -> None:
    seed = bytes(range(32))
    names = ["main", "other", "control"]

    keys = [vat_key(seed, name).public.designator for name in names] + [control_key(seed).public.designator]

    assert len(set(keys)) == 4
    assert keys[0] == vat_key(seed, "main").public.designator
    assert keys[0] != vat_key(bytes(32), "main").public.designator


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,10}", fullmatch=True)
RECORDS = st.builds(
    Record,
    class_path=st.text(st.characters(exclude_categories=["Cs"])),
    vat=NAMES,
    by=st.just(BY_NEW),
    swiss=st.binary(min_size=1, max_size=40),
)


@given(control=st.binary(min_size=1, max_size=40), records=st.dictionaries(NAMES, RECORDS, max_size=4))
def test_a_book_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, control: bytes, records: dict[str, Record]
) -> None:
    path = tmp_path_factory.mktemp("book") / "sturdyrefs.json"
    book = Book(control=control, records=records)

    book.write(path)

    assert read_book(path) == book
    assert mode_of(path) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 1, "control": "!", "objects": {}}',
        '{"format": 1, "control": "", "objects": {}}',
        '{"format": 1, "control": "c2VjcmV0", "objects": []}',
        '{"format": 1, "control": "c2VjcmV0", "objects": {"a": {"class": "x"}}}',
    ],
)
def test_a_damaged_book_is_refused_without_being_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sturdyrefs.json"
    path.write_text(text)

    with pytest.raises(UsageError) as raised:
        read_book(path)

    assert "is damaged" in str(raised.value)
    assert "c2Vj" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_book_of_a_later_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sturdyrefs.json"
    path.write_text('{"format": 2}')

    with pytest.raises(UsageError, match="has format 2, this captpd writes 1"):
        read_book(path)


def test_no_book_is_a_new_one_with_a_control_number_nobody_knows(tmp_path: Path) -> None:
    first, second = read_book(tmp_path / "none"), read_book(tmp_path / "none")

    assert first.records == {}
    assert len(first.control) == 32
    assert first.control != second.control


def test_records_and_books_show_no_swiss_number() -> None:
    swiss = new_swiss()
    record = Record(class_path="a:B", vat="main", by=BY_NEW, swiss=swiss)

    assert repr(swiss)[2:-1] not in repr(Book(control=swiss, records={"a": record}))


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, "old")

    with pytest.raises(UnicodeEncodeError):
        write_file(path, "new \ud800")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_does_not_follow_a_link_at_its_draft(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_text("kept")
    (tmp_path / f".file.{os.getpid()}.new").symlink_to(victim)

    write_file(path, "new")

    assert victim.read_text() == "kept"
    assert path.read_text() == "new"


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755])
def test_a_state_folder_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    state = StateFolder(tmp_path / "state")
    state.path.mkdir(mode=0o700)
    make_identity(state.identity)
    state.check_private()

    state.path.chmod(mode)

    with pytest.raises(UsageError, match=f"mode {mode:o}.*: chmod 700 "):
        state.check_private()


def test_the_lock_is_held_once_and_names_its_holder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.lock.touch(0o600)
    state.lock.write_text("a longer pid of one that was killed\n")

    with hold_lock(state):
        assert state.lock.read_text() == f"{os.getpid()}\n"
        assert mode_of(state.lock) == 0o600
        with pytest.raises(AlreadyRunningError, match=rf"\(pid {os.getpid()}\)"), hold_lock(state):
            pass

    assert state.lock.read_text() == ""
    with hold_lock(state):
        pass


def test_the_lock_is_let_go_of_although_a_child_was_forked_meanwhile(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)

    with hold_lock(state):
        (held,) = [name for name in os.listdir("/proc/self/fd") if _is(name, state.lock)]
        copy = os.dup(int(held))
    with hold_lock(state):
        pass

    os.close(copy)


def _is(descriptor: str, path: Path) -> bool:
    try:
        return Path("/proc/self/fd", descriptor).samefile(path)
    except OSError:
        return False
