"""What comes at once and is taken in parts: nothing is lost, moved or taken twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.model.weight import LARGE
from captp.net.base import RECEIVE_BYTES
from captp.session.handshake import Channel, make_hello
from captp.session.session import ALL
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import ABORT, CALL, GC_ANSWERS, RESOLVE, Op
from tests.names import Names
from tests.unit.session.raw import CODEC, Host, Raw, object_


def notes(*numbers: int) -> list[Op]:
    return [(CALL, 1, "note", (n,)) for n in numbers]


def frame(*ops: Op) -> bytes:
    return CODEC.frame([CODEC.encode(op) for op in ops])


def noted(host: Host) -> list[int]:
    host.run()
    return list(host.door.notes)


def take(raw: Raw, data: bytes, most: int) -> list[int]:
    """Give bytes to the host, and let it go on until it says that there is no more; return the notes then."""
    seen = []
    more = raw.host.peer.received(raw.conn, data, 0.0, most)
    while True:
        seen.append(len(noted(raw.host)))
        if not more:
            return seen
        more = raw.host.peer.received(raw.conn, b"", 0.0, most)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7])
def test_so_many_operations_at_once_and_the_rest_when_asked_again(host: Host, count: int) -> None:
    raw = Raw(host, "one")
    raw.reaches_the_door()

    seen = take(raw, frame(*notes(*range(count))), 3)

    assert seen == [min(n, count) for n in range(3, count + 3, 3)]
    assert noted(host) == list(range(count))


def test_all_at_once_where_nobody_says_how_many(host: Host) -> None:
    raw = Raw(host, "one")
    raw.reaches_the_door()

    assert not host.peer.received(raw.conn, frame(*notes(*range(100))), 0.0)
    assert noted(host) == list(range(100))


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 60), min_size=1),
    most=st.integers(1, 7),
)
def test_parts_do_not_depend_on_frames_and_on_how_the_bytes_were_cut(
    sizes: list[int], cuts: list[int], most: int
) -> None:
    host = Host()
    raw = Raw(host, "one")
    raw.reaches_the_door()
    count, data, turn = 0, b"", 0
    for size in sizes:
        data += frame(*notes(*range(count, count + size)))
        count += size

    while data:
        cut = cuts[turn % len(cuts)]
        take(raw, data[:cut], most)
        data, turn = data[cut:], turn + 1

    assert noted(host) == list(range(count))


@pytest.mark.parametrize("most", [1, ALL])
def test_bytes_that_come_too_early_wait_behind_the_rest(host: Host, most: int) -> None:
    raw = Raw(host, "one")
    raw.reaches_the_door()

    assert host.peer.received(raw.conn, frame(*notes(1, 2, 3)), 0.0, 1)
    take(raw, frame(*notes(4, 5)), most)

    assert noted(host) == [1, 2, 3, 4, 5]


def test_what_is_behind_a_hello_is_taken_in_parts_too() -> None:
    host = Host()
    conn = host.peer.router.new_conn()
    key, channel = PrivateKey.from_seed(b"early".ljust(32)), Channel(transport="memory")
    place = PeerLocator.make("memory", key.public.designator, {"exts": "mp1"})
    host.peer.connected(conn, channel, 0.0)
    pings = [(CALL, 0, "captp:ping", (), at, True) for at in range(5)]

    more = host.peer.received(
        conn, PREAMBLE + frame(make_hello(key, place, ("mp1",), channel), *pings), 0.0, 2
    )
    answers = []
    while True:
        host.run()
        answers.append(host.wrote.pop(conn, b""))
        if not more:
            break
        more = host.peer.received(conn, b"", 0.0, 2)

    # The first has the hello of the host; the last, that there was no more.
    told = [op for data in answers[1:] for op in NativeCodec(Names(), Limits()).feed(data)]
    assert told == [(RESOLVE, at, None) for at in range(5)]
    assert len(answers) == 4


def test_the_rest_of_a_session_that_ended_is_nobody_s(host: Host) -> None:
    raw = Raw(host, "one")
    raw.reaches_the_door()

    assert host.peer.received(raw.conn, frame((ABORT, "closed: bye"), *notes(1, 2)), 0.0, 1) is False
    assert host.peer.received(raw.conn, b"", 0.0, 1) is False
    assert noted(host) == []
    assert host.ended == ["aborted"]


def test_what_is_wrong_in_the_rest_comes_after_what_was_right(host: Host) -> None:
    raw = Raw(host, "one")
    raw.reaches_the_door()

    seen = take(raw, frame(*notes(1, 2), (99,), *notes(3)), 2)

    assert noted(host) == [1, 2]
    assert seen[0] == 2
    assert host.ended == ["unknown-op"]


def test_many_small_messages_at_once_may_be_more_than_the_limit_on_one() -> None:
    host = Host(Limits(message_bytes=1_000))
    raw = Raw(host, "one")
    raw.reaches_the_door()
    many = frame(*notes(*range(100)))

    assert len(many) > 1_000
    take(raw, many, 32)

    assert noted(host) == list(range(100))
    assert host.ended == []


def test_as_many_operations_as_fit_into_one_read(host: Host) -> None:
    raw = Raw(host, "one")
    raw.reaches_the_door()
    said = CODEC.encode((GC_ANSWERS, ()))
    data = CODEC.frame([said] * (RECEIVE_BYTES // len(said)))

    seen = take(raw, data + frame(*notes(1)), 32)

    # As each part stood around the one before it, the last of them were too deep.
    assert host.ended == []
    assert len(seen) > 1000
    assert noted(host) == [1]


def test_what_is_not_taken_yet_is_not_read_yet(host: Host) -> None:
    """What it names may be another thing, or nothing, by the time those in front of it have run."""
    raw = Raw(host, "one")
    raw.reaches_the_door()

    assert host.peer.received(raw.conn, frame(*notes(1), (CALL, 1, "note", (object_(1),))), 0.0, 1)

    assert raw.tables["imports"] == []
    assert host.peer.received(raw.conn, b"", 0.0, 1) is False
    assert len(raw.tables["imports"]) == 1


def test_the_rest_of_a_session_that_was_given_up_is_kept_by_nobody(host: Host) -> None:
    raw = Raw(host, "one")
    raw.reaches_the_door()
    session = host.peer.router.links[raw.conn].session
    assert host.peer.received(raw.conn, frame(*notes(1, 2)), 0.0, 1)

    host.peer.given_up(raw.conn, "peer-too-slow", 0.0)

    assert session.rest is None


@pytest.mark.parametrize("in_one_frame", [True, False])
@pytest.mark.parametrize("most", [1, 2, 3, 32, ALL])
def test_large_calls_weigh_also_behind_many_small_ones(in_one_frame: bool, most: int) -> None:
    host = Host(Limits(in_flight_bytes=100_000))
    raw = Raw(host, "one")
    raw.reaches_the_door()
    large = [(CALL, 1, "note", (bytes(20_000),))] * 3
    ops = [*notes(*range(40)), *large]
    data = frame(*ops) if in_one_frame else b"".join(map(frame, ops))

    more = host.peer.received(raw.conn, data, 0.0, most)
    while more:
        more = host.peer.received(raw.conn, b"", 0.0, most)

    assert host.peer.router.links[raw.conn].burden.weight >= (60_000 if most != ALL else 0)


def test_small_calls_that_come_in_parts_are_not_weighed(host: Host) -> None:
    raw = Raw(host, "one")
    raw.reaches_the_door()
    session, burden = host.peer.router.links[raw.conn].session, host.peer.router.links[raw.conn].burden
    data, taken = frame(*notes(*range(3000))), []

    more = host.peer.received(raw.conn, data, 0.0, 32)
    while more:
        taken.append(session.took)
        more = host.peer.received(raw.conn, b"", 0.0, 32)

    assert burden.weight == 0
    assert max(taken) < 32 * LARGE
    assert sum(taken) + session.took == len(data)
