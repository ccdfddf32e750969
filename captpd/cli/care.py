"""``captpd check``, ``backup``, ``restore`` and ``compact``: care for what durable vats have stored."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from captp.errors import StoreDamaged, UsageError
from captpd.cli.control import ask
from captpd.config.places import STORE, StateFolder
from captpd.daemon.identity import read_identity, vat_key
from captpd.daemon.lock import AlreadyRunningError, hold_lock
from captpd.keeper.backup import (
    Keyring,
    new_workspace,
    read_backup,
    remove_workspaces,
    workspace,
    write_backup,
)
from captpd.keeper.opened import looked_at, opened
from captpd.keeper.restore import check_older, new_incarnation, put_in_place, renew
from captpd.keeper.survey import Survey
from captpd.store.sqlite import SqliteStore

__all__ = ["run_backup", "run_check", "run_compact", "run_restore"]

#: Seconds that a daemon may take to copy or compact all its stores.
LONGEST_S: Final = 3600.0
#: Damages of one store that are written out.
SHOWN: Final = 100


def run_check(path: Path) -> int:
    """Look at every row of every store; 1 where any is damaged."""
    state = StateFolder(path)
    with _held(state) as seed:
        found = {name: _looked_at(seed, name, store) for name, store in state.stored_vats().items()}
    for name, survey in found.items():
        for problem in survey.problems[:SHOWN]:
            print(f"{name}: damaged: {problem}")
        if len(survey.problems) > SHOWN:
            print(f"{name}: damaged: {len(survey.problems) - SHOWN} more")
        if not survey.problems:
            print(f"{name}: ok: {survey}")
    if not found:
        print(f"{path} has no store: no vat was durable yet")
    return int(any(survey.problems for survey in found.values()))


def _looked_at(seed: bytes, name: str, store: Path) -> Survey:
    try:
        return looked_at(store, vat_key(seed, name))
    except StoreDamaged as damaged:
        return Survey(problems=[str(damaged)])


def run_backup(path: Path, file: Path) -> int:
    """Write a backup, and say what is in it."""
    state = StateFolder(path)
    file = file.absolute()
    made, book = _copies(state)
    try:
        keys = _keys(read_identity(state.identity))
        stores = {store.name.removesuffix(STORE): store for store in sorted(made.glob(f"*{STORE}"))}
        with workspace(made) as folder:
            contents = write_backup(file, keys, stores, book, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    for name, survey in contents.surveys.items():
        print(f"{name}: {survey}")
    print(f"wrote {file} ({file.stat().st_size} bytes); it was unpacked and checked")
    print(f"it is sealed with {state.identity}, which is not in it: keep that elsewhere")
    return 0


def run_restore(path: Path, file: Path, *, is_forced: bool) -> int:
    """Put what a backup has in the place of what is there."""
    state = StateFolder(path)
    if not state.identity.exists():
        raise UsageError(
            f"{path} holds no identity: put the identity.key of the daemon that the backup is of there first"
            " (mode 600, in a folder of mode 700)"
        )
    state.check_private()
    with hold_lock(state):
        keys = _keys(read_identity(state.identity))
        remove_workspaces(path)
        with workspace(path) as folder:
            stores = folder / "stores"
            stores.mkdir(mode=0o700)
            contents = read_backup(file, keys, stores)
            if not is_forced and not state.restoring.exists():
                check_older(state.stored_vats(), contents, keys)
            renew(contents, keys, new_incarnation())
            label = time.strftime("%Y%m%d-%H%M%S")
            aside = put_in_place(state, stores, contents.book.decode(), label)
    for name, survey in contents.surveys.items():
        print(f"{name}: {survey}")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(contents.made))
    print(f"restored what {path} had at {when}; what was there is in {aside}")
    return 0


def run_compact(path: Path) -> int:
    """Make every store as small as it can be, and say how small that is."""
    state = StateFolder(path)
    before = _sizes(state)
    try:
        with _held(state) as seed:
            for name, store in state.stored_vats().items():
                with opened(store, vat_key(seed, name)) as sealed:
                    sealed.store.compact()
    except AlreadyRunningError:
        trio.run(ask, path, _compact)
    for name, size in _sizes(state).items():
        print(f"{name}: {before[name]} bytes before, {size} now")
    return 0


def _sizes(state: StateFolder) -> dict[str, int]:
    return {name: store.stat().st_size for name, store in state.stored_vats().items()}


def _copies(state: StateFolder) -> tuple[Path, bytes]:
    """Return a folder with a copy of every store, and the book that goes with them; the daemon may run."""
    try:
        with _held(state):
            remove_workspaces(state.path)
            made = new_workspace(state.path)
            try:
                for store in state.stored_vats().values():
                    copied = SqliteStore(store)
                    copied.open()
                    try:
                        copied.copy(made / store.name)
                    finally:
                        copied.close()
                book = state.sturdyrefs.read_bytes() if state.sturdyrefs.exists() else b""
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
    except AlreadyRunningError:
        made = Path(trio.run(ask, state.path, _copy))
        book = (made / state.sturdyrefs.name).read_bytes()
    return made, book


async def _copy(control: Any) -> str:
    with trio.fail_after(LONGEST_S):
        made: str = await control.copy_stores()
        return made


async def _compact(control: Any) -> None:
    with trio.fail_after(LONGEST_S):
        await control.compact_stores()


def _keys(seed: bytes) -> Keyring:
    return Keyring(seed, partial(vat_key, seed))


@contextmanager
def _held(state: StateFolder) -> Iterator[bytes]:
    """Hold a state folder whose daemon does not run, and give its secret."""
    state.check_private()
    state.check_whole()
    with hold_lock(state):
        yield read_identity(state.identity)
