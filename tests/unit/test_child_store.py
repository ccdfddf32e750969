"""The store as a child has it: what it is told at its start, and how much may wait for the disk."""

from __future__ import annotations

import select
import time
from typing import Any

import pytest

from captp.net.seqpacket_socket import packet_pair
from captp.peer.durable.records import encoded
from captp.peer.durable.stored import Image
from captp.peer.outputs import Batch, Commit
from captp.peer.rows import Change, Verb
from captp.run.child_store import MOST_BYTES, ChildStore


def batch(number: int, size: int) -> Batch:
    change = Change(Verb.INSERT, "object", number.to_bytes(8, "big"), bytes(size))
    return Batch(number, Commit(number, [change], number), [], None, False)


def test_the_image_is_by_the_clock_of_the_child() -> None:
    ours, theirs = packet_pair()
    with ours, theirs:
        ours.send(encoded(Image(incarnation=3, wall_ahead=5.0)))
        image = ChildStore(theirs).image()

    assert image.incarnation == 3
    assert image.wall_ahead == pytest.approx(time.time() - time.monotonic(), abs=5)


def test_a_child_whose_parent_is_gone_ends() -> None:
    ours, theirs = packet_pair()
    with theirs:
        ours.close()
        with pytest.raises(SystemExit):
            ChildStore(theirs).image()


def test_so_much_waits_for_the_disk_and_not_a_byte_more() -> None:
    beside: Any = len(encoded(batch(1, MOST_BYTES).commit)) - MOST_BYTES  # type: ignore[arg-type]
    for extra in (0, 1):
        ours, theirs = packet_pair()
        with ours, theirs:
            store = ChildStore(theirs)
            store.push(batch(1, MOST_BYTES - beside + extra))

            assert store.is_full == bool(extra)
            assert store.events == select.POLLIN | select.POLLOUT
