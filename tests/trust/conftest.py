"""Every test that asks for a place runs in each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from tests.trust import away
from tests.trust.places import WAYS, Place, opened


@pytest.fixture(scope="session")
def shop() -> Iterator[str]:
    """The URI of a shop in another process."""
    with away.host() as uri:
        yield uri


@pytest.fixture(params=[w if w != "away" else pytest.param(w, marks=pytest.mark.slow) for w in WAYS])
def name(request: pytest.FixtureRequest) -> str:
    """The name of a place."""
    return str(request.param)


@pytest.fixture
def open_place(name: str, shop: str) -> Callable[..., AbstractAsyncContextManager[Place]]:
    """Opens the place on terms of one's own."""
    return partial(opened, name, shop)


@pytest.fixture
async def place(name: str, shop: str) -> AsyncIterator[Place]:
    """The place, open."""
    async with opened(name, shop) as found:
        yield found
