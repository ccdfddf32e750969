"""One instrument serves all vats of a loop, and is gone with the last of them."""

from __future__ import annotations

from trio.testing import wait_all_tasks_blocked

import captp
from captp.run.steps import _IN_PLACE


async def test_the_instrument_is_shared_and_goes_with_the_last_vat() -> None:
    assert _IN_PLACE.get() is None
    async with captp.open_vat(), captp.open_vat():
        await wait_all_tasks_blocked()
        steps = _IN_PLACE.get()
        assert steps is not None
        assert steps.pumps == 2
    assert _IN_PLACE.get() is None
