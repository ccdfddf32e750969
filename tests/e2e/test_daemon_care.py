"""What a daemon has stored is checked, backed up while it runs, restored elsewhere, and compacted."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import trio

import captp
from captp.run.sealed import Sealed
from captpd.config.places import StateFolder
from captpd.daemon.identity import read_identity, vat_key
from captpd.store.sqlite import SqliteStore
from tests.e2e.daemons import LONGEST_S, captpd, free_port, running

TILL = "daemon_shop:Till"


def made(path: Path) -> Path:
    """Make a state folder whose main vat is durable."""
    done = captpd(path, "init", "--listen", f"127.0.0.1:{free_port()}")
    assert done.returncode == 0, done.stderr
    config = path / "captpd.toml"
    config.write_text(config.read_text() + "durable = true\n")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return made(tmp_path / "state")


@pytest.fixture
def other(home: Path, tmp_path: Path) -> Iterator[Path]:
    """Make a second state folder, of the same identity and with nothing stored."""
    path = made(tmp_path / "other")
    shutil.copy(home / "identity.key", path / "identity.key")
    return path


async def asked(home: Path, *words: str) -> CompletedProcess[str]:
    return await trio.to_thread.run_sync(lambda: captpd(home, *words))


async def total(sturdyref: captp.SturdyRef, more: int = 0) -> Any:
    with trio.fail_after(LONGEST_S):
        async with captp.connect(sturdyref) as ref:
            return await captp.E(ref).add(more)


async def filled(home: Path, amount: int = 5) -> None:
    async with running(home) as daemon, daemon.control() as control:
        if not await control.ls():
            await control.new(TILL, "till")
        await total(await control.share("till"), amount)
        assert await daemon.end() == 0


def refusal(done: CompletedProcess[str]) -> str:
    """Return the one line that a command was refused with."""
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    return line


def secret(sturdyref: captp.SturdyRef) -> str:
    """Return the part of a sturdyref that gives the object away."""
    return sturdyref.reveal().split("/s/")[1].split("?")[0]


def names(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


def databases(folder: Path) -> list[tuple[Path, bytes]]:
    return sorted((path, path.read_bytes()) for path in folder.rglob("*.db"))


def incarnation(home: Path) -> int:
    state = StateFolder(home)
    sealed = Sealed(SqliteStore(state.store("main")), vat_key(read_identity(state.identity), "main").seed())
    found = sealed.open(0.0).incarnation
    sealed.close()
    return found


async def test_check_counts_what_is_whole_and_names_what_is_damaged(home: Path) -> None:
    assert (await asked(home, "check")).stdout == f"{home} has no store: no vat was durable yet\n"
    await filled(home)

    whole = await asked(home, "check")
    store = SqliteStore(home / "stores" / "main.db")
    store.open()
    database = store._database
    assert database is not None
    database.execute("UPDATE object SET value = zeroblob(60)")
    store.close()
    damaged = await asked(home, "check")

    assert (whole.returncode, whole.stderr) == (0, "")
    counts = "1 objects, 0 entries, 1 roots, 1 sturdyrefs, 0 durable calls, 0 timers, 0 orphans"
    assert whole.stdout == f"main: ok: {counts}\n"
    assert damaged.returncode == 1
    assert damaged.stdout == "main: damaged: object o1: it is not what was written there\n"


@pytest.mark.slow
async def test_a_backup_under_load_has_all_that_was_acknowledged_before_it_began(
    home: Path, other: Path, tmp_path: Path
) -> None:
    file = tmp_path / "all.backup"
    acknowledged = 0

    async def write(till: Any) -> None:
        nonlocal acknowledged
        while True:
            await till.add(acknowledged + 1)
            acknowledged += 1

    async with running(home) as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        shared = await control.share("till")
        async with captp.connect(shared) as ref, trio.open_nursery() as nursery:
            nursery.start_soon(write, captp.E(ref))
            with trio.fail_after(LONGEST_S):
                while acknowledged < 50:
                    await trio.lowlevel.checkpoint()
            before = acknowledged
            backup = await asked(home, "backup", str(file))
            after = acknowledged
            nursery.cancel_scope.cancel()
        await daemon.end(signal.SIGKILL)

    assert backup.returncode == 0, backup.stderr
    assert f"wrote {file}" in backup.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert not names(home, ".captpd*")
    assert names(tmp_path, "*.backup*") == ["all.backup"]
    assert secret(shared).encode() not in file.read_bytes()

    restored = await asked(other, "restore", str(file))
    assert restored.returncode == 0, restored.stderr
    async with running(other) as daemon, daemon.control() as control:
        again = await control.share("till")
        found = await total(again)
        assert await daemon.end() == 0
    sums = {n * (n + 1) // 2: n for n in range(after + 2)}
    assert found in sums, "what was restored is no prefix of what was written"
    assert before <= sums[found]
    assert secret(again) == secret(shared)
    assert (await asked(other, "check")).returncode == 0
    assert incarnation(other) > 10**18 > incarnation(home)


@pytest.mark.slow
async def test_a_backup_that_cannot_be_restored_here_is_refused_and_nothing_changes(
    home: Path, other: Path, tmp_path: Path
) -> None:
    await filled(home)
    file, cut, changed = tmp_path / "a.backup", tmp_path / "cut.backup", tmp_path / "changed.backup"
    assert (await asked(home, "backup", str(file))).returncode == 0
    data = file.read_bytes()
    cut.write_bytes(data[:-1])
    changed.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])
    stranger = made(tmp_path / "stranger")
    await filled(home)
    newer = databases(home)

    assert "is there already; choose a name" in refusal(await asked(home, "backup", str(file)))
    assert "is of another identity" in refusal(await asked(stranger, "restore", str(file)))
    assert "is not what was written there" in refusal(await asked(other, "restore", str(cut)))
    assert "is not what was written there" in refusal(await asked(other, "restore", str(changed)))
    assert "is no backup of captpd" in refusal(await asked(other, "restore", str(home / "captpd.toml")))
    assert "is newer than the backup" in refusal(await asked(home, "restore", str(file)))
    assert databases(home) == newer
    (other / "identity.key").unlink()
    assert "holds no identity" in refusal(await asked(other, "restore", str(file)))
    assert not (other / "stores").exists()

    forced = await asked(home, "restore", str(file), "--force")

    assert forced.returncode == 0, forced.stderr
    aside = home / names(home, "replaced-*")[0]
    assert (aside / "stores" / "main.db").read_bytes() == newer[0][1]
    assert (aside / "sturdyrefs.json").exists()
    async with running(home) as daemon, daemon.control() as control:
        assert await total(await control.share("till")) == 5


async def test_a_daemon_that_runs_keeps_check_and_restore_away_and_is_asked_to_compact(
    home: Path, tmp_path: Path
) -> None:
    await filled(home)
    file = tmp_path / "a.backup"
    assert (await asked(home, "backup", str(file))).returncode == 0
    async with running(home) as daemon:
        pid = f"(pid {daemon.process.pid})"
        assert pid in refusal(await asked(home, "check"))
        assert pid in refusal(await asked(home, "restore", str(file)))
        online = await asked(home, "compact")
        assert await daemon.end() == 0
    offline = await asked(home, "compact")

    assert online.returncode == offline.returncode == 0, online.stderr + offline.stderr
    assert online.stdout.startswith("main: ")
    assert offline.stdout.endswith(" now\n")
    assert (await asked(home, "check")).returncode == 0


@pytest.mark.slow
async def test_a_restore_that_was_interrupted_is_run_again(home: Path, tmp_path: Path) -> None:
    await filled(home)
    file = tmp_path / "a.backup"
    assert (await asked(home, "backup", str(file))).returncode == 0
    # As a kill leaves it between the two moves.
    (home / "restoring").touch(0o600)
    (home / "stores").rename(home / "replaced-then")

    assert "is half restored: run captpd restore again" in refusal(await asked(home, "run"))
    assert "is half restored" in refusal(await asked(home, "check"))
    assert (await asked(home, "restore", str(file))).returncode == 0

    async with running(home) as daemon, daemon.control() as control:
        assert await total(await control.share("till")) == 5


async def test_a_damaged_store_is_not_backed_up(home: Path, tmp_path: Path) -> None:
    await filled(home)
    store = SqliteStore(home / "stores" / "main.db")
    store.open()
    database = store._database
    assert database is not None
    database.execute("DELETE FROM object")
    store.close()

    line = refusal(await asked(home, "backup", str(tmp_path / "a.backup")))

    assert "the store of vat main is damaged: " in line
    assert not names(tmp_path, "*backup*")


@pytest.mark.parametrize(
    ("place", "mode", "problem"),
    [
        (".", 0o755, "is open to others (mode 755)"),
        ("stores", 0o500, "is read-only (mode 500); allow writing: chmod 700"),
        ("stores/main.db", 0o644, "is open to others (mode 644); close it: chmod 600"),
    ],
)
async def test_what_others_can_read_and_what_cannot_be_written_is_refused(
    home: Path, tmp_path: Path, place: str, mode: int, problem: str
) -> None:
    await filled(home)
    usual = 0o600 if place.endswith(".db") else 0o700
    await trio.Path(home / place).chmod(mode)

    try:
        for words in (("check",), ("backup", str(tmp_path / "a.backup")), ("compact",)):
            assert problem in refusal(await asked(home, *words))
    finally:
        await trio.Path(home / place).chmod(usual)


async def test_a_store_and_a_backup_of_a_later_captpd_are_refused(home: Path, tmp_path: Path) -> None:
    await filled(home)
    file = tmp_path / "a.backup"
    assert (await asked(home, "backup", str(file))).returncode == 0
    data = file.read_bytes()
    at = len(b"captpd backup\n")
    file.write_bytes(data[:at] + bytes([data[at] + 1]) + data[at + 1 :])
    with sqlite3.connect(home / "stores" / "main.db") as database:
        database.execute("PRAGMA user_version = 9")
    database.close()

    assert "has format 9, this version writes 2" in refusal(await asked(home, "check"))
    assert "has format 2, and this captpd reads up to 1" in refusal(await asked(home, "restore", str(file)))
