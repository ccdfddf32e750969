"""How many bytes of what was fed are still to be asked for: sessions weigh parts of it by that."""

from __future__ import annotations

from typing import Any

import pytest

from captp.limits import Limits
from captp.wire.dialect import SyrupCodec
from captp.wire.native import NativeCodec
from captp.wire.ops import ABORT
from tests.names import Names


def codec(name: str) -> Any:
    limits = Limits()
    return NativeCodec(Names(), limits) if name == "native" else SyrupCodec(Names(), limits, name == "framed")


@pytest.mark.parametrize("name", ["native", "framed", "bare"])
@pytest.mark.parametrize("size", [1, 2_000, 100_000])
def test_each_operation_leaves_as_many_bytes_as_are_behind_it(name: str, size: int) -> None:
    ours, theirs = codec(name), codec(name)
    frames = [ours.frame([ours.encode((ABORT, "x" * size))]) for _ in range(3)]
    begun = frames[0][:-1]
    behind = [len(frames[0]) * left + len(begun) for left in (2, 1, 0)]

    seen = [theirs.unread for _ in theirs.feed(b"".join(frames) + begun)]

    assert seen == behind
    assert theirs.unread == 0
    assert theirs.is_mid_message
