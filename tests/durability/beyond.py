"""Writes more than the system allows a file, which is an I/O error: a child of `test_store_faults`."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from captp.errors import StoreFailed
from captp.run.store import Change, Verb
from captpd.store.sqlite import SqliteStore


def failure(call: object, *arguments: object) -> str:
    assert callable(call)
    try:
        call(*arguments)
    except StoreFailed as failed:
        return str(failed)
    return "nothing"


def main(folder: Path) -> dict[str, object]:
    path = folder / "main.store"
    store = SqliteStore(path, reserve_bytes=4096)
    store.open()
    found: dict[str, object] = {}
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, most))
    for number in range(1000):
        try:
            store.commit([Change(Verb.INSERT, "object", number.to_bytes(8, "big"), bytes(50_000))])
        except StoreFailed as failed:
            found["failed"] = str(failed)
            break
    found["commit"] = failure(store.commit, [])
    found["get"] = failure(store.get, "object", b"")
    found["has_room"] = failure(store.has_room)
    found["copy"] = failure(store.copy, folder / "copy")
    found["files"] = sorted(file.name for file in folder.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    store.close()
    store.open()
    found["acknowledged"], found["there"] = number, store.count("object")
    store.commit([Change(Verb.INSERT, "object", b"after", b"")])
    store.close()
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
