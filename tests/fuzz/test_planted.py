"""Faults planted in the product, each found by its target within some thousand random inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from captp.errors import DecodeError
from captp.peer.peer import Peer
from captp.session import inbound
from captp.session.session import Session
from captp.wire import native, syrup_reader
from captp.wire.ops import INDEX
from captp.wire.syrup import Deframer
from tests.fuzz import hostile
from tests.fuzz.make_corpus import made
from tests.fuzz.targets import TARGETS


def inputs(target: str) -> Iterator[bytes]:
    """Yield pieces of the corpus in a row, and random bytes."""
    random, corpus = Random(target), sorted(made()[target].values())
    for _ in range(1_500):
        pieces = [random.choice(corpus)[: random.randint(1, 99)] for _ in range(random.randint(0, 3))]
        yield b"".join([*pieces, random.randbytes(random.randint(0, 9))])


def forget_a_byte_between_pieces(patch: pytest.MonkeyPatch) -> None:
    feed = Deframer.feed

    def faulty(self: Deframer, data: bytes) -> Iterator[bytes]:
        return feed(self, data.removesuffix(b"\x00"))

    patch.setattr(Deframer, "feed", faulty)


def let_an_error_of_another_kind_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(syrup_reader, "from_record", lambda _label, fields: fields[0])


def let_a_marker_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(native, "build", lambda op: op)


def trip_over_an_operation(patch: pytest.MonkeyPatch) -> None:
    def faulty(_session: Session, op: Any) -> None:
        raise DecodeError("bad-op") if op[2] else KeyError(op[2])

    patch.setitem(inbound.HANDLERS, INDEX, faulty)


def end_all_sessions_with_one(patch: pytest.MonkeyPatch) -> None:
    end = Peer.end

    def faulty(self: Peer, _link: Any, why: str, **more: Any) -> None:
        for link in list(self.router.links.values()):
            end(self, link, why, **more)

    patch.setattr(Peer, "end", faulty)


@pytest.mark.parametrize(
    ("target", "plant"),
    [
        ("framing", forget_a_byte_between_pieces),
        ("syrup", let_an_error_of_another_kind_out),
        ("native", let_a_marker_out),
        ("ops", trip_over_an_operation),
        ("ops", end_all_sessions_with_one),
    ],
)
def test_a_planted_fault_is_found(
    target: str, plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    monkeypatch.setattr(hostile, "_worlds", [])

    with pytest.raises(Exception):  # noqa: B017,PT011 - whatever it is, it is none that a decoder may raise
        attacked(target)


@pytest.mark.parametrize("target", ["framing", "syrup", "native", "ops"])
def test_the_same_inputs_find_nothing_where_nothing_is_planted(target: str) -> None:
    attacked(target)


def attacked(target: str) -> None:
    for data in inputs(target):
        TARGETS[target](data)
