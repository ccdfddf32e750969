"""Fills the small disk that its folder is on, through a store: a child of `test_store_faults`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from captp.errors import StoreFull
from captp.run.store import Change, Verb
from captpd.store.sqlite import SqliteStore

MIB = 2**20


def row(number: int) -> Change:
    return Change(Verb.INSERT, "object", number.to_bytes(8, "big"), bytes([number % 256]) * 50_000)


def main(folder: Path) -> dict[str, object]:
    path, ballast, copy = folder / "main.store", folder / "ballast", folder / "copy"
    found: dict[str, object] = {}
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 6 * MIB)
    store = SqliteStore(path, reserve_bytes=4 * MIB)
    store.open()
    number = 0
    while store.has_room():
        number += 1
        store.commit([row(number)])
    # What filled the disk was moving the log into the database, which has the reserve now.
    found["the log was moved"] = path.stat().st_size > number * 50_000 - MIB
    found["reserve when there is no room"] = path.with_name("main.store-reserve").exists()
    others = 0
    while True:
        try:
            number += 1
            store.commit([Change(Verb.INSERT, "meta", b"of %d" % number, b""), row(number)])
        except StoreFull as full:
            found["full"] = str(full)
            break
        others += 1
    found["rows by way of the reserve"] = others
    number -= 1
    found["nothing of it"] = store.count("object") == number and store.count("meta") == others
    try:
        store.copy(copy)
    except StoreFull as full:
        found["copy"] = str(full)
    found["copy is there"] = copy.exists()
    found["room"] = store.has_room()
    found["reads"] = store.get("object", row(number).key) == row(number).value
    ballast.unlink()
    found["room again"] = store.has_room()
    store.commit([row(number + 1)])
    store.close()
    store.open()
    numbers = range(1, number + 2)
    found["all rows"] = store.scan("object") == [(row(n).key, row(n).value) for n in numbers]
    store.close()
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
