"""One of three vats, in a process of its own, one of which is going to be killed: who makes things, who is
introduced to them, and who introduces.

The exporter and the receiver print the URI of what they share; the gifter is told both, and introduces until
it is told to stop or something breaks. Whatever happens is a line on stdout, and begins with a number.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

import captp
from captp.net.tls import TlsNetlayer, TlsPort
from tests.durability.kill.client import short_rests
from tests.durability.kill.wrong_gifts import PLANTS

__all__ = ["CALLS", "KEYS"]

#: Each has its name as long as the run, wherever it listens.
KEYS = {n: captp.PrivateKey.from_seed(n[:1].encode() * 32) for n in ("exporter", "receiver", "gifter")}
#: Calls that the receiver makes at once of what it is given.
CALLS = 3
#: Introductions that are under way at a time.
WORKERS = 6


def say(*words: object) -> None:
    print(*words, flush=True)


class Thing(captp.Object):
    """Knows its number, and how often it was called."""

    number: int
    calls: int = 0

    @captp.method
    def call(self) -> tuple[int, int]:
        self.calls += 1
        return self.number, self.calls


class Maker(captp.Object):
    @captp.method
    def make(self, number: int) -> Thing:
        return Thing(number=number)


class User(captp.Object):
    @captp.method(latch=False)
    async def use(self, number: int, thing: Any) -> None:
        """Call a thing, whoever has introduced it and whatever has become of that one."""
        calls = [captp.E(thing).call() for _ in range(CALLS)]
        try:
            say(number, "answered", [await call for call in calls])
        except captp.Broken as problem:
            say(number, "broken", type(problem).__name__, problem)


class Desk(captp.Object):
    user: Any

    @captp.method
    def meet(self, number: int, thing: Any) -> None:
        say(number, "met")
        captp.E(self.user).use.only(number, thing)


@asynccontextmanager
async def opened(name: str) -> AsyncIterator[captp.LiveVat]:
    key = KEYS[name]
    listen = [] if name == "gifter" else [TlsNetlayer(key, TlsPort())]
    with short_rests():
        async with captp.open_vat(key=key, listen=listen) as vat:
            yield vat


async def line() -> str:
    return await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)


async def serve(name: str) -> None:
    async with opened(name) as vat:
        say(vat.mint(Maker() if name == "exporter" else Desk(user=vat.export(User()))).reveal())
        await line()


class Gifter:
    """Introduces one thing after the other, under numbers of its own."""

    def __init__(self, first: int, last: int) -> None:
        self._next, self._last = first, last

    async def go(self, maker: Any, desk: Any) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(WORKERS):
                nursery.start_soon(self._work, maker, desk)
        say(self._next, "rested")

    async def _work(self, maker: Any, desk: Any) -> None:
        while self._next < self._last:
            number = self._next
            self._next += 1
            say(number, "begun")
            try:
                thing = captp.E(maker).make(number)
                # Each other one is introduced when it is nothing but a promise.
                await captp.E(desk).meet(number, thing if number % 2 else await thing)
            except captp.Broken as problem:
                say(number, "failed", type(problem).__name__, problem)
                return
            say(number, "given")


async def introduce() -> None:
    """Each line on stdin tells of an exporter, a receiver, and the numbers from and up to which to go."""
    async with opened("gifter") as vat:
        say("ready")
        while words := (await line()).split():
            maker, desk = vat.enliven(words[0]), vat.enliven(words[1])
            await Gifter(int(words[2]), int(words[3])).go(maker, desk)


if __name__ == "__main__":
    if plant := os.environ.get("KILL_PLANT"):
        PLANTS[plant]()
    role = sys.argv[1]
    if role == "gifter":
        trio.run(introduce)
    else:
        trio.run(serve, role)
