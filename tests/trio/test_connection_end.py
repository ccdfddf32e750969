"""What a vat has written when it closes still arrives, however much of it the kernel has not taken yet."""

from __future__ import annotations

import pytest
import trio

import captp
from captp.limits import MIB
from captp.net.tcp import TcpNetlayer

SIZE = 3 * MIB


class Spring(captp.Object):
    """Gives a lot, and lets the test know that it did."""

    __slots__ = ("given",)

    def __init__(self, given: trio.Event) -> None:
        self.given = given

    @captp.method
    def draw(self, size: int) -> bytes:
        self.given.set()
        return bytes(size)

    @captp.method
    def number(self) -> int:
        return 7


@pytest.mark.parametrize("others", [0, 1])
async def test_a_result_that_was_given_arrives_whole_though_its_vat_closes_at_once(others: int) -> None:
    given = trio.Event()
    async with captp.open_vat() as caller, captp.open_vat() as other:
        async with captp.open_vat(listen=[TcpNetlayer()]) as host:
            sturdyref = host.mint(Spring(given))
            spring = captp.E(caller.enliven(sturdyref))
            assert await spring.number() == 7
            if others:
                # With others to serve, a vat gives its connections what it has to write in parts.
                assert await captp.E(other.enliven(sturdyref)).number() == 7
            drawn = spring.draw(SIZE)
            with trio.fail_after(10):
                await given.wait()

        with trio.fail_after(10):
            assert len(await drawn) == SIZE
