"""Classes for process trustees: one that works, and what goes wrong in a process of its own."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

import captp


class Counted(captp.Interface):
    """What counts."""

    @captp.method
    def add(self, amount: int) -> int: ...


class Tally(captp.Object):
    """Counts, and keeps what it is given."""

    count: int = 0

    @captp.method
    def add(self, amount: int) -> int:
        self.count += amount
        return self.count

    @captp.method
    def echo(self, value: Any) -> Any:
        return value

    @captp.method
    def me(self) -> Counted:
        return self

    @captp.method
    def blob(self, size: int) -> bytes:
        return bytes(size)

    @captp.method
    def refuse(self) -> None:
        self.count = -1
        raise captp.Refused("not today")

    @captp.method
    def fail(self) -> None:
        raise ValueError("a mistake")

    @captp.method
    def work(self, seconds: float) -> int:
        """Keep the processor busy."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass
        return os.getpid()

    @captp.method
    async def ask(self, other: Any) -> int:
        """Call back an object elsewhere, and sleep a little."""
        first: int = await captp.E(other).add(1)
        await captp.sleep(0.01)
        second: int = await captp.E(other).add(1)
        return first + second

    @captp.method
    async def outside(self) -> int:
        number: int = await captp.outside(os.getpid)
        return number

    @captp.method
    async def reach(self, uri: str) -> Any:
        from captp.model.locator import parse_sturdyref

        return await captp.enliven(parse_sturdyref(uri))


class Liar(captp.Object):
    """Has its process say something else than its figures."""

    @captp.method
    def say(self, what: Any) -> None:
        child = sys.modules["__main__"]
        child.asdict = lambda _: what  # type: ignore[attr-defined]

    @captp.method
    def say_nothing(self) -> None:
        del sys.modules["__main__"].asdict  # type: ignore[attr-defined]

    @captp.method
    def say_itself(self) -> None:
        self.say(self)


class Trouble(captp.Object):
    """Each method ends its process, or tries to."""

    @captp.method
    def loop(self) -> None:
        while True:
            pass

    @captp.method
    def loop_in_c(self) -> int:
        return len(str(7 ** (10**8)))

    @captp.method
    def wait(self) -> None:
        time.sleep(3600)

    @captp.method
    def ignore_the_timer(self) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(3600)

    @captp.method
    def eat(self, mib: int) -> int:
        return len(bytearray(mib * 1024 * 1024))

    @captp.method
    def eat_in_threads(self, threads: int, mib: int) -> int:
        """Take ``mib`` MiB while ``threads`` threads each hold a little of their own."""
        held = threading.Barrier(threads + 1)

        def hold() -> None:
            piece = bytearray(4096)
            held.wait()
            held.wait()
            piece.clear()

        for _ in range(threads):
            threading.Thread(target=hold).start()
        held.wait()
        try:
            return self.eat(mib)
        finally:
            held.wait()

    @captp.method
    def eat_all(self) -> None:
        pieces = []
        size = 1 << 20
        while size:
            try:
                pieces.append(bytearray(size))
            except MemoryError:
                size //= 2
        os._exit(7)

    @captp.method
    def leave(self, status: int) -> None:
        os._exit(status)

    @captp.method
    def fork_and_leave(self) -> None:
        """Leave a process behind that holds the socket open for a while."""
        if os.fork() == 0:
            time.sleep(6)
            os._exit(0)
        os._exit(4)

    @captp.method
    def exit(self) -> None:
        sys.exit(5)

    @captp.method
    def die(self, number: int) -> None:
        os.kill(os.getpid(), number)

    @captp.method
    def crash(self) -> None:
        ctypes.string_at(0)

    @captp.method
    def babble(self) -> None:
        """Write what is no message to the process's own socket, and go on."""
        os.write(_socket(), b"\xc1" * 100)
        time.sleep(3600)

    @captp.method
    def shout(self) -> None:
        print("last words", file=sys.stderr)
        os._exit(3)

    @captp.method
    def hang_up(self) -> None:
        """Close the socket, and stay."""
        os.close(_socket())
        time.sleep(3600)


class Spy(captp.Object):
    """Tells what its process has."""

    @captp.method
    def files(self) -> dict[str, str]:
        found = {}
        for link in Path("/proc/self/fd").iterdir():
            try:
                found[link.name] = os.readlink(link)
            except OSError:
                continue  # that of this very listing
        return found

    @captp.method
    def environment(self) -> list[str]:
        text = Path("/proc/self/environ").read_bytes().decode()
        return sorted({*os.environ, *(line.partition("=")[0] for line in text.split("\0") if line)})

    @captp.method
    def place(self) -> list[Any]:
        return [os.getcwd(), os.getppid(), list(sys.argv[1:]), "trio" in sys.modules]

    @captp.method
    def write(self, path: str) -> None:
        Path(path).write_text("x")

    @captp.method
    def limits(self) -> dict[str, list[int]]:
        names = ("RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NOFILE")
        return {name: list(resource.getrlimit(getattr(resource, name))) for name in names}

    @captp.method
    def size(self) -> int:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()

    @captp.method
    def pid(self) -> int:
        return os.getpid()


class Nested:
    """Holds a class that has a path of two names."""

    class Inner(captp.Object):
        @captp.method
        def name(self) -> str:
            return type(self).__qualname__


def _socket() -> int:
    return next(fd for fd in range(3, 64) if _is_socket(fd))


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


class Keeper(captp.Object):
    """Keeps what it is given."""

    kept: captp.List[Any]

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept.append(what)
