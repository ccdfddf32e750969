"""The checker of stores lets a right one pass, and finds each kind of broken one."""

from __future__ import annotations

from pathlib import Path

import pytest

from captp.run.store import Store
from captp.testing import StoreCheckFailed, check_store
from tests.durability import broken_stores
from tests.durability.broken_stores import BROKEN
from tests.durability.right_store import Memory, RightStore


def test_a_store_that_keeps_every_promise_passes_and_is_left_empty(tmp_path: Path) -> None:
    memory = Memory(tmp_path)

    check_store(lambda: RightStore(memory))

    assert isinstance(RightStore(memory), Store)
    assert not any(memory.tables.values())
    assert memory.holder is None


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_store_is_found(broken: type[RightStore], tmp_path: Path) -> None:
    memory = Memory(tmp_path)

    with pytest.raises(StoreCheckFailed) as raised:
        check_store(lambda: broken(memory))

    promise, done, expected, came = str(raised.value).split("; ", 3)
    assert BROKEN[broken] in promise
    assert promise.startswith("a promise is broken: ")
    assert done.startswith("done: ")
    assert expected.startswith("expected: ")
    assert came.startswith("came: ")


def test_every_broken_store_here_is_tried() -> None:
    here = {cls for cls in RightStore.__subclasses__() if cls.__module__ == broken_stores.__name__}

    assert here == set(BROKEN)
