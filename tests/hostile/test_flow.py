"""Floods and silences: more than is read or released or asked for, and nothing at all."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from captp.limits import MIB, Limits
from captp.model.values import Fault
from tests.hostile.node import PATIENCE_S, Hostile, resident
from tests.hostile.rows import MEMORY, Row, cases, check, does
from tests.hostile.spell import Speaker, Sym, answer, promise

NATIVE, SYRUP, TCP = ("native",), ("syrup",), ("tcp-testing-only",)
STALL = Limits(write_stall_s=0.25)
TIGHT = Limits(write_stall_s=0.25, send_buffer=256 * 1024)
FEW = Limits(answers=2000)
LITTLE = Limits(held_bytes=4 * MIB)
HASTY = Limits(ping_interval_s=0.2, ping_dead_s=0.8)

#: What may be under way, what reading it takes (in Syrup as much again), and what any row may take.
BOTH = 3 * Limits().in_flight_bytes + MEMORY


async def pour(hostile: Hostile, messages: Iterator[bytes]) -> None:
    """Send without end, in pieces, until the node has had enough."""
    hostile.patience = PATIENCE_S

    async def send() -> None:
        for message in messages:
            if not await hostile.wire.send(message):
                return

    with trio.move_on_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await given_up(hostile)
            nursery.cancel_scope.cancel()


async def given_up(hostile: Hostile) -> None:
    """Wait until the node has ended the session, whenever that shows here."""
    while len(hostile.node.vat.peer.router.links) > len(hostile.node.callers):
        await trio.sleep(0.002)


def calls(says_: Speaker, count: int = 10**6, size: int = 2000) -> Iterator[bytes]:
    """Ask for much with little, each at a position of its own, never to be released."""
    for start in range(0, count, 100):
        yield b"".join(says_.call(1, "bulk", size, at=i) for i in range(start, start + 100))


@does(
    "M60-calls-without-reading",
    "L",
    limits=STALL,
    weighs=True,
    # What is sent and not read is held as far as the send buffer goes.
    most=MEMORY + STALL.send_buffer,
    log="peer-too-slow",
)
async def never_reads(hostile: Hostile) -> None:
    await pour(hostile, calls(hostile.says))


@does("M60-large-results-without-reading", "L", limits=TIGHT, weighs=True, log="peer-too-slow")
async def large_results(hostile: Hostile) -> None:
    await pour(hostile, calls(hostile.says, size=1_000_000))


@does("M61-answers-never-released", "A:too-many", limits=FEW, weighs=True)
async def never_releases(hostile: Hostile) -> None:
    for start in range(0, FEW.answers + 100, 100):
        await hostile.send(*(hostile.says.call(1, "number", 1, at=i) for i in range(start, start + 100)))
        while start + 100 < FEW.answers and ("result", start + 99, 1) not in hostile.heard:
            await hostile.listen_more()


@does("M61-as-many-as-may-be", "W", limits=FEW)
async def as_many_as_may_be(hostile: Hostile) -> None:
    """The last position that may be used is."""
    count = FEW.answers - 1
    await hostile.send(*(hostile.says.call(1, "number", i, at=1000 + i) for i in range(count)))
    assert await hostile.result(1000 + count - 1) == count - 1


@does(
    "M61-large-results-never-released",
    "W",
    netlayers=TCP,
    limits=LITTLE,
    weighs=True,
    most=MEMORY + LITTLE.held_bytes,
)
async def hoards_results(hostile: Hostile) -> None:
    for number in range(64):
        await hostile.send(hostile.says.call(1, "bulk", 10**6, at=1000 + number))
        await hostile.result(1000 + number)
        hostile.heard.clear()


async def large(hostile: Hostile, to: object) -> None:
    """Call with a megabyte each, of which the node reads all before the last is answered."""
    spelled = hostile.says.call(to, "echo", bytes(10**6))
    for _ in range(64):
        await hostile.send(spelled)
    del spelled
    assert await hostile.lives()
    hostile.node.peak = max(hostile.node.peak, resident())
    hostile.heard.clear()
    await hostile.send(hostile.says.gc_answers([900]))


@does(
    "M62-large-calls-on-a-promise",
    "W",
    netlayers=TCP,
    weighs=True,
    most=BOTH,
)
async def hoards_calls(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "wait", promise(1), at=1, wanted=False))
    await hostile.hears("listen", 1)
    await large(hostile, answer(1))


@does(
    "M62-large-calls-on-a-busy-object",
    "W",
    netlayers=TCP,
    weighs=True,
    most=BOTH,
)
async def hoards_calls_to_an_object(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "make", at=1))
    place = (await hostile.result(1)).position
    await hostile.send(hostile.says.call(place, "hold", promise(1), at=2, wanted=False))
    await hostile.hears("listen", 1)
    await large(hostile, place)


@does("M62-20000-calls-on-a-promise", "W", limits=Limits(answers=30_000), netlayers=TCP)
async def pipelined(hostile: Hostile) -> None:
    """The first 1,024 wait, all later ones break at once, and the session lives on."""
    await hostile.send(hostile.says.call(1, "wait", promise(1), at=1, wanted=False))
    question = await hostile.hears("listen", 1)
    spelled = [hostile.says.call(answer(1), "number", i, at=2000 + i) for i in range(20_000)]
    broken: set[int] = set()
    for start in range(0, 20_000, 500):
        await hostile.send(*spelled[start : start + 500])
        if start >= 1500:
            problem = await hostile.hears("broken", 2000 + start + 499)
            assert isinstance(problem, Fault)
            assert problem.message.startswith("1024 calls already wait")
        broken |= {at for what, at, _ in hostile.heard if what == "broken"}
        hostile.heard.clear()
    assert broken == set(range(3024, 22_000))
    await hostile.send(hostile.says.settle(question, "data"))
    for number in (0, 1023):
        problem = await hostile.hears("broken", 2000 + number)
        assert problem.message.startswith("not-callable")


@does("M69-one-byte-now-and-then", "L", limits=TIGHT, weighs=True, log="peer-too-slow")
async def drinks_slowly(hostile: Hostile) -> None:
    async def sip() -> None:
        # What is in the kernel's buffers would last for hours.
        while await hostile.wire.sock.recv(1):
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sip)
        await pour(hostile, calls(hostile.says))
        nursery.cancel_scope.cancel()


@does("M69-but-steadily", "W", limits=TIGHT, weighs=True)
async def drinks_steadily(hostile: Hostile) -> None:
    """A reader that is slow gets everything."""
    count = 2000
    await hostile.send(*(hostile.says.call(1, "bulk", 1000, at=1000 + i) for i in range(count)))
    seen: set[int] = set()
    while len(seen) < count:
        assert await hostile.listen_more(most=8192)
        seen |= {at for what, at, _ in hostile.heard if what == "result"}
        hostile.heard.clear()
        await trio.sleep(0.001)


@does("M70-fin-in-a-message", "C", log="disconnected")
async def fin(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "number", 1, at=1)[:-3])
    hostile.wire.half_close()


@does("M70-fin-in-the-open", "C", log="disconnected")
async def fin_between(hostile: Hostile) -> None:
    hostile.wire.half_close()


@does("M70-fin-while-a-call-waits", "C", log="disconnected")
async def fin_while_waiting(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "wait", promise(1), at=1, wanted=False))
    await hostile.hears("listen", 1)
    hostile.heard.clear()
    hostile.wire.half_close()


@does("M70-reset-in-a-message", "C", log="disconnected", alone=True)
async def reset(hostile: Hostile) -> None:
    await hostile.send(hostile.says.call(1, "number", 1, at=1)[:-3])
    hostile.wire.reset()


@does("M70-reset-under-load", "C", log="disconnected", alone=True)
async def reset_under_load(hostile: Hostile) -> None:
    await hostile.send(*calls(hostile.says, 3000))
    hostile.wire.reset()


@does("M70-silence", "A:peer-lost", limits=HASTY, codecs=NATIVE)
async def falls_silent(hostile: Hostile) -> None:
    """OCapN has no heartbeat: there a connection that the kernel believes in is one."""
    await hostile.send(hostile.says.call(1, "wait", promise(1), at=1, wanted=False))


@does("M53-a-storm-on-an-object", "L", limits=TIGHT, weighs=True, log="peer-too-slow", codecs=SYRUP,
      netlayers=TCP)  # fmt: skip
async def listen_storm(hostile: Hostile) -> None:
    await pour(hostile, (b"".join(hostile.says.listen(1, 1) for _ in range(500)) for _ in range(2000)))


@does("M53-a-storm-on-promises", "A:too-many-listeners", netlayers=TCP, weighs=True)
async def listen_to_many(hostile: Hostile) -> None:
    """Many promises, and each with as many listeners as may be, and then one with one more."""
    says_ = hostile.says
    for number in range(40):
        await hostile.send(says_.call(1, "wait", promise(100 + number), at=number, wanted=False))
        await hostile.hears("listen", 100 + number)
        first = 10_000 + number * 64
        await hostile.send(*(says_.listen(answer(number), first + i) for i in range(63)))
    await hostile.send(says_.call(1, "number", 1, at=900))
    await hostile.result(900)
    hostile.heard.clear()
    await hostile.send(says_.listen(answer(0), 9000))
    await hostile.send(says_.call(1, "number", 1, at=901))
    await hostile.result(901)
    await hostile.send(says_.listen(answer(0), 9001))


@does("a-storm-of-releases", "W", weighs=True)
async def gc_storm(hostile: Hostile) -> None:
    """References given and taken back in one breath leave nothing."""
    says_ = hostile.says
    for _ in range(20):
        await hostile.send(*(says_.call(1, "make", at=1000 + i) for i in range(100)))
        places = [(await hostile.result(1000 + i)).position for i in range(100)]
        hostile.heard.clear()
        await hostile.send(says_.gc_answers(list(range(1000, 1100))), says_.gc_exports(places, [1] * 100))
    assert await hostile.lives()
    (session,) = [s for s in hostile.node.vat.view().sessions if s.peer == hostile.key.public.designator]
    assert session.exports == 1
    hostile.heard.clear()
    await hostile.send(says_.gc_answers([900]))


@does("aborts-without-end", "C", log="aborted")
async def aborts(hostile: Hostile) -> None:
    await hostile.send(*(hostile.says.abort() for _ in range(1000)))


@does("pings-without-end", "W", weighs=True)
async def pings(hostile: Hostile) -> None:
    for _ in range(20):
        await hostile.send(*(hostile.says.deliver(0, [Sym("captp:ping")]) for _ in range(500)))


ROWS = [
    never_reads, large_results, never_releases, hoards_results, hoards_calls,
    hoards_calls_to_an_object, as_many_as_may_be, pipelined, drinks_slowly, drinks_steadily,
    fin, fin_between, fin_while_waiting, reset, reset_under_load, falls_silent, listen_storm, listen_to_many,
    gc_storm, aborts, pings,
]  # fmt: skip


#: How a flood is stopped is one thing whatever carries it: one way shows it by default.
MOST = frozenset({("tls", "native"), ("tls", "syrup"), ("tcp-testing-only", "syrup")})


@cases(ROWS, slow=MOST)
def test_a_flood_or_a_silence_costs_its_own_session_alone(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)
