"""The object that the tests of limits talk to, and how a limit of the other side's shows."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Disconnected
from tests.transcript.conversation import Conversation, value


class Box(captp.Object):
    kept: captp.List[Any]

    @captp.method
    def keep(self, what: Any) -> int:
        self.kept.append(what)
        return len(self.kept)

    @captp.method
    def give(self, index: int) -> Any:
        return self.kept[index]

    @captp.method
    def give_new(self, count: int) -> list[Any]:
        return [Box() for _ in range(count)]

    @captp.method
    def forget(self) -> None:
        self.kept.clear()

    @captp.method
    async def wait(self, what: Any) -> Any:
        return await what


def refused(talk: Conversation, call: Any, reason: str) -> None:
    """Assert that a call broke because the other side ended the session for that reason."""
    talk.settle()
    assert [line for line in talk.new_lines() if "op:abort" in line] == [f"B>A op:abort {reason!r}"]
    with pytest.raises(Disconnected, match=reason.partition(":")[0]):
        value(call)
