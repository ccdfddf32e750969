"""Runs a memcached on the loopback.

``python -m captp.examples.memcached`` keeps what it is given itself. With ``.cap`` files of stores, as
``captp share`` writes them, it is kept there: each store has its share of the keys, by its place in the row.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

import trio

from captp.examples.memcached.front import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m captp.examples.memcached")
    parser.add_argument("stores", nargs="*", type=Path, help=".cap files of stores; none for its own")
    parser.add_argument("--port", type=int, default=11211, help="11211 by default, 0 for any")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        trio.run(serve, given.stores, given.port)
