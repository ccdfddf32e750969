"""What a process asks of the system, by strace: the calls in their order, with all their bytes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import define

#: Sockets may be written to by any of the last six.
CALLS = "fdatasync,fsync,pwrite64,pwritev,write,writev,sendto,sendmsg,sendmmsg"
LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\((?:\d+)<((?:[^>]|->)*)>)(.*)")
BYTE = re.compile(r"\\x([0-9a-f]{2})")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@define
class Call:
    """One system call; ``begun`` and ``ended`` are lines of the trace."""

    name: str
    on: str
    data: bytes
    begun: int
    ended: int = -1
    result: str = ""


def why_not() -> str:
    """Return why strace cannot look at a process here, empty if it can."""
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        command = ["strace", "-o", os.devnull, "-p", str(sleeper.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            tracer.kill()
    except FileNotFoundError:
        return "strace is not installed here; CI has it"
    finally:
        sleeper.kill()
        sleeper.communicate()
    return "" if "attached" in said else f"ptrace is forbidden here: {said.strip()}"


@asynccontextmanager
async def traced(pid: int, into: Path, *more: str) -> AsyncIterator[None]:
    """Trace a process and all its threads until it ends, which it must in the block."""
    options = ["-f", "-yy", "-xx", "-s", "200000", "-e", f"trace={CALLS}", *more]
    tracer = await trio.lowlevel.open_process(
        ["strace", *options, "-o", str(into), "-p", str(pid)], stderr=subprocess.PIPE
    )
    assert tracer.stderr is not None
    try:
        with trio.fail_after(20):
            said = await tracer.stderr.receive_some()
        assert b"attached" in said, said
        yield
        with trio.fail_after(20):
            await tracer.wait()
    finally:
        if tracer.poll() is None:
            tracer.kill()
        with trio.CancelScope(shield=True):
            await tracer.wait()
            await tracer.stderr.aclose()


def calls_in(lines: Iterable[str]) -> Iterator[Call]:
    """Give each call that names a descriptor, in the order in which they began."""
    open_calls: dict[str, Call] = {}
    for number, line in enumerate(lines):
        found = LINE.match(line)
        if found is None:
            continue
        thread, resumed, name, on, rest = found.groups()
        if resumed is not None:
            call = open_calls.pop(thread, None)
            if call is None:
                # It had begun when the tracer came.
                continue
        else:
            data = b"".join(bytes.fromhex(part.replace("\\x", "")) for part in STRING.findall(rest))
            call = Call(name, BYTE.sub(lambda m: chr(int(m[1], 16)), on), data, number)
            if rest.endswith("<unfinished ...>"):
                open_calls[thread] = call
                yield call
                continue
        call.ended, call.result = number, rest.rpartition(" = ")[2]
        if resumed is None:
            yield call
