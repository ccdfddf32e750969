"""What the tests of traces share."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def settled_heap() -> Iterator[None]:
    """Let Python's collector look at what the tests make and at nothing else: they call it often."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
