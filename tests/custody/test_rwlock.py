"""Locks for readers and writers: many or one, in order, and what a reader's failure does."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp import Capsule, Data, RwLock
from tests.custody.lock_model import walk
from tests.support import Solo, outcome


class Count(captp.Object):
    n: int = 0


class Odd(Exception):
    """Stays in its capsule."""


class Box:
    """A lock over a capsule with one counter in it."""

    def __init__(self, vat: Any, **options: Any) -> None:
        self.count, key = Capsule.create().access(lambda access: Data.wrap(access, Count()))
        self.lock = RwLock(key, vat, **options)

    def add(self, access: Any, by: int = 1) -> int:
        count = self.count.unwrap(access)
        count.n += by
        return self.read(access)

    def read(self, access: Any) -> int:
        n: int = self.count.unwrap(access).n
        return n

    def fail(self, _access: Any) -> None:
        raise Odd


@pytest.mark.parametrize("seed", range(15))
def test_a_random_walk_agrees_with_the_model(seed: int) -> None:
    walk(seed, is_rw=True)


def test_many_read_and_one_writes_in_order_of_arrival() -> None:
    solo = Solo()
    lock = Box(solo.vat).lock
    asked = [lock.read(), lock.read(), lock.write(), lock.read(), lock.read(), lock.write()]

    def there() -> list[int]:
        solo.run()
        lock._line.check()
        return [i for i, promise in enumerate(asked) if promise.settled]

    assert there() == [0, 1], "who comes to read waits behind who came to write"
    outcome(asked[0]).release()
    assert there() == [0, 1]
    outcome(asked[1]).release()
    assert there() == [0, 1, 2]
    outcome(asked[2]).release()
    assert there() == [0, 1, 2, 3, 4]
    asked[3] = asked[4] = lock.read()
    solo.run()
    assert there() == [0, 1, 2, 5], "guards that are dropped are given back"


def test_readers_pass_a_writer_that_waits_no_more() -> None:
    solo = Solo()
    lock = Box(solo.vat).lock
    reader, writer, late = lock.read(), lock.write(), lock.read()
    solo.run()
    assert not late.settled

    del writer
    solo.run()

    assert (reader.settled, late.settled) == (True, True)


async def test_tasks_read_together_and_write_alone() -> None:
    seen: list[int] = []

    async def reads(box: Box) -> None:
        with await box.lock.read() as guard:
            assert guard.access(box.read) % 2 == 0
            seen.append(len(box.lock._line.held))
            await trio.sleep(0)

    async def writes(box: Box) -> None:
        with await box.lock.write() as guard:
            guard.access(box.add)
            assert len(box.lock._line.held) == 1
            await trio.sleep(0)
            guard.access(box.add)

    async with captp.open_vat() as vat:
        box = Box(vat)
        async with trio.open_nursery() as nursery:
            for i in range(12):
                nursery.start_soon(writes if i % 4 == 0 else reads, box)
        assert max(seen) > 1


def test_an_access_to_read_that_raises_freezes_the_capsule_for_good() -> None:
    solo = Solo()
    box = Box(solo.vat)
    guard, other = outcome(box.lock.read()), outcome(box.lock.read())
    writer, reader = box.lock.write(), box.lock.read()

    with pytest.raises(captp.Contended, match="only reads"):
        guard.access(box.add)
    solo.run()

    with pytest.raises(captp.Frozen, match="nobody writes"):
        outcome(writer)
    assert [g.access(box.read) for g in (guard, other, outcome(reader), outcome(box.lock.read()))] == [0] * 4
    with pytest.raises(captp.Frozen):
        outcome(box.lock.write())
    for held in (guard, other, outcome(reader)):
        held.release()
    key = box.lock.destroy()
    assert key.is_frozen
    assert key.access(box.read)[0] == 0


def test_a_turn_that_fails_does_not_undo_that_a_capsule_is_frozen() -> None:
    solo = Solo()
    box = Box(solo.vat)
    guard = outcome(box.lock.read())
    writer = box.lock.write()

    with pytest.raises(captp.Encapsulated):
        solo.turn(lambda: guard.access(box.fail))
    guard.release()
    solo.run()

    with pytest.raises(captp.Frozen):
        outcome(writer)


def test_what_a_writer_raises_poisons_readers_too() -> None:
    solo = Solo()
    box = Box(solo.vat)
    guard, reader = outcome(box.lock.write()), box.lock.read()
    with pytest.raises(captp.Encapsulated), guard:
        guard.access(box.fail)
    solo.run()

    for promise in (reader, box.lock.write()):
        with pytest.raises(captp.Poisoned):
            outcome(promise)
    with pytest.raises(captp.Poisoned):
        box.lock.freeze()
    box.lock.heal()
    with outcome(box.lock.read()) as guard:
        assert guard.access(box.read) == 0


def test_a_block_that_reads_and_raises_changes_nothing() -> None:
    solo = Solo()
    lock = Box(solo.vat).lock
    with pytest.raises(Odd), outcome(lock.read()):
        raise Odd

    outcome(lock.write()).release()


def test_freeze_leaves_readers_and_refuses_while_somebody_writes_or_waits() -> None:
    solo = Solo()
    box = Box(solo.vat)
    writer = outcome(box.lock.write())
    with pytest.raises(captp.Contended, match="1 hold this RwLock and 0 wait"):
        box.lock.freeze()
    writer.access(box.add)
    writer.release()
    reader = outcome(box.lock.read())
    waiting = box.lock.write()
    with pytest.raises(captp.Contended, match="0 hold this RwLock and 1 wait"):
        box.lock.freeze()
    del waiting

    key = box.lock.freeze()

    assert (key.access(box.read)[0], reader.access(box.read)) == (1, 1)
    with pytest.raises(captp.Frozen):
        outcome(box.lock.write())
    with pytest.raises(captp.Contended):
        box.lock.destroy()


def test_as_many_wait_as_it_says_and_no_more() -> None:
    solo = Solo()
    lock = Box(solo.vat, waiters=2).lock
    guard = outcome(lock.write())
    waiting = [lock.read(), lock.write()]

    for ask in (lock.read, lock.write):
        with pytest.raises(captp.Overloaded, match="2 wait"):
            outcome(ask())
    guard.release()
    solo.run()

    assert [promise.settled for promise in waiting] == [True, False]
