"""A chat whose rooms and members hold each other, over three processes; when all have left, it is gone.

Run it with ``python -m captp.examples.rooms``: it starts two hosts for rooms and one for members, with TLS
between them, and counts their objects. It exits with 1 when some are left.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Any, Final
from weakref import WeakSet

import trio

import captp
from captp.net.tls import TlsNetlayer, TlsPort

HOSTS: Final = ("rooms 1", "rooms 2", "members")
ROOMS: Final = 5  # on each host that has some
MEMBERS: Final = 20
PATIENCE_S: Final = 20.0

#: Made for an example: what was left alone for half a second is asked about. By default it is half a minute.
QUICK: Final = captp.Cycles(age=0.5, tick=0.05)


class Room(captp.Object):
    """A room holds its members, wherever they live."""

    members: captp.List[Any]

    @captp.method
    def enter(self, member: Any) -> None:
        self.members.append(member)

    @captp.method
    async def say(self, line: str) -> int:
        for member in self.members:
            await captp.E(member).hear(line)
        return len(self.members)


class Member(captp.Object):
    """A member holds its rooms: these are circles, and counting references alone never ends them."""

    rooms: captp.List[Any]
    heard: captp.List[str]

    @captp.method
    async def join(self, room: Any) -> None:
        self.rooms.append(room)
        await captp.E(room).enter(self)

    @captp.method
    def hear(self, line: str) -> None:
        self.heard.append(line)


class Desk(captp.Object):
    """The one object that a host begins with: it makes rooms and members, and keeps neither."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: WeakSet[captp.Object] = WeakSet()

    @captp.method
    def room(self) -> Any:
        return self._noted(Room())

    @captp.method
    def member(self) -> Any:
        return self._noted(Member())

    @captp.method
    def objects(self) -> int:
        return len(self._made)

    def _noted(self, made: captp.Object) -> captp.Object:
        self._made.add(made)
        return made


async def host() -> None:
    """Serve one desk, say where it is, and end with whoever started this process."""
    key = captp.PrivateKey.from_seed(os.urandom(32))
    async with captp.open_vat(key=key, listen=[TlsNetlayer(key, TlsPort())], cycles=QUICK) as vat:
        print(vat.mint(Desk()).reveal(), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


async def evening(uris: list[str]) -> bool:
    """Chat, leave, and count the objects of all hosts; return whether they are as before."""
    async with captp.open_vat(cycles=QUICK) as vat:
        desks = [await vat.enliven(uri) for uri in uris]
        print(f"{'objects':12}{'all':>8}", *[f"{name:>10}" for name in HOSTS])
        before = await count("before", desks)
        said = await chat(*desks)
        await count("during", desks, f"   {said} lines were heard")
        # Nobody closes anything: the references that chat() had are gone, and that is all.
        left = trio.current_time()
        with trio.move_on_after(PATIENCE_S):
            while before != [await captp.E(desk).objects() for desk in desks]:  # noqa: ASYNC110 - no event
                await trio.sleep(0.1)
        seconds = trio.current_time() - left
        return before == await count("after", desks, f"   {seconds:.1f} s after the last had left")


async def chat(one: Any, other: Any, crowd: Any) -> int:
    """Have everybody join every room, and say something in each; return how often that was heard."""
    rooms = [await captp.E(desk).room() for desk in (one, other) for _ in range(ROOMS)]
    members = [await captp.E(crowd).member() for _ in range(MEMBERS)]
    for member in members:
        for room in rooms:
            await captp.E(member).join(room)
    return sum([await captp.E(room).say("good evening") for room in rooms])


async def count(when: str, desks: list[Any], more: str = "") -> list[int]:
    """Print how many objects there are on all hosts and on each, and return the latter."""
    objects = [await captp.E(desk).objects() for desk in desks]
    print(f"{when:12}{sum(objects):>8}", *[f"{number:>10}" for number in objects], more, flush=True)
    return objects


def main() -> bool:
    """Start the hosts, spend the evening there, and end them."""
    with ExitStack() as stack:
        hosts = [stack.enter_context(start()) for _ in HOSTS]
        return trio.run(evening, [host.stdout.readline().strip() for host in hosts if host.stdout])


def start() -> subprocess.Popen[str]:
    """Run a host as a process; it ends when its standard input does."""
    command = [sys.executable, "-m", "captp.examples.rooms", "host"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603


if __name__ == "__main__":
    if sys.argv[1:] == ["host"]:
        trio.run(host)
    else:
        sys.exit(0 if main() else 1)
