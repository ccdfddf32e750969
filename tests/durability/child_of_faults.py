"""Opens a store, commits, copies it and closes it, and says what was acknowledged: a child of a tracer."""

from __future__ import annotations

import sys
from pathlib import Path

from captp.errors import StoreError
from captp.run.store import Change, Verb
from captpd.store.sqlite import SqliteStore

ROWS = 3


def row(number: int) -> Change:
    return Change(Verb.INSERT, "object", b"%d" % number, b"value %d" % number)


def main(path: Path) -> None:
    store = SqliteStore(path, reserve_bytes=4096)
    try:
        store.open()
        for number in range(ROWS):
            store.commit([row(number)])
            print("row", number, flush=True)
        store.has_room()
        store.copy(path.with_name("copy"))
        print("copy", flush=True)
        store.close()
    except StoreError as stopped:
        print(type(stopped).__name__, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
