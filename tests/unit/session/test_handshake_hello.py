"""Every check of a hello."""

from __future__ import annotations

from typing import Any

import pytest

from captp.errors import RemoteProtocolError
from captp.model.keys import PrivateKey, session_id, side_id
from captp.model.locator import PeerLocator
from captp.session.handshake import Channel, Hello, State, make_hello, verify_hello
from captp.wire.canonical import location_record
from captp.wire.native import PREAMBLE
from captp.wire.ops import ABORT, Op
from captp.wire.syrup import encode
from tests.unit.session.opening import (
    CHANNEL,
    HELLO,
    MINE,
    PLACE,
    THEIRS,
    greeting,
    listening,
    read,
    said,
    session,
    spelled,
)

OWN = PeerLocator.make("memory", MINE.public.designator)


def test_a_good_hello_gives_key_location_extensions_and_the_ids_of_both() -> None:
    found = verify_hello(HELLO, MINE, OWN, CHANNEL, native=True)

    mine, theirs = side_id(MINE.public.raw), side_id(THEIRS.public.raw)
    spelled = encode(location_record(PLACE.transport, PLACE.designator, dict(PLACE.hints)))
    assert found == Hello(THEIRS.public, PLACE, spelled, ("mp1",), theirs, session_id(mine, theirs))


def signed(
    *,
    key: PrivateKey = THEIRS,
    place: PeerLocator = PLACE,
    extensions: Any = ("mp1",),
    binding: bytes = b"binding",
) -> Op:
    """Return a hello whose signature is right for what it says."""
    return make_hello(key, place, extensions, Channel(binding=binding))


def replaced(index: int, value: Any) -> Op:
    """Return the good hello with another field, still with the signature of the old one."""
    return (*HELLO[:index], value, *HELLO[index + 1 :])


STRANGER = PrivateKey.from_seed(b"s" * 32)
SMALL_ORDER = bytes([1]) + bytes(31)

BAD: dict[str, tuple[Op, str]] = {
    "too few fields": (HELLO[:5], "bad-op"),
    "too many fields": ((*HELLO, None), "bad-op"),
    "no fields": (HELLO[:1], "version"),
    "another version": (replaced(1, "1.1"), "version"),
    "a version that is no text": (replaced(1, 1.0), "version"),
    "no version": (replaced(1, None), "version"),
    "a key that is text": (replaced(2, "x" * 32), "bad-key"),
    "a key that is too short": (replaced(2, THEIRS.public.raw[:31]), "bad-key"),
    "a key that is too long": (replaced(2, THEIRS.public.raw + b"\0"), "bad-key"),
    "a key of small order": (replaced(2, SMALL_ORDER), "bad-key"),
    "a key that is not canonical": (replaced(2, b"\xff" * 32), "bad-key"),
    "another key": (replaced(2, STRANGER.public.raw), "bad-signature"),
    "a place that is no list": (replaced(3, "memory"), "bad-op"),
    "a place without hints": (replaced(3, HELLO[3][:2]), "bad-op"),
    "a place with one field more": (replaced(3, (*HELLO[3], None)), "bad-op"),
    "a transport that is no text": (replaced(3, (b"memory", *HELLO[3][1:])), "bad-op"),
    "a transport that is none": (replaced(3, ("me mory", *HELLO[3][1:])), "bad-op"),
    "a designator that is none": (replaced(3, ("memory", "", {})), "bad-op"),
    "hints that are no struct": (replaced(3, (*HELLO[3][:2], ("exts", "mp1"))), "bad-op"),
    "a hint that is no text": (replaced(3, (*HELLO[3][:2], {"exts": 1})), "bad-op"),
    "other hints": (replaced(3, (*HELLO[3][:2], {"exts": "mp2"})), "bad-signature"),
    "another designator": (replaced(3, ("memory", "a" * 52, HELLO[3][2])), "bad-signature"),
    "no signature": (replaced(4, None), "bad-signature"),
    "a signature that is text": (replaced(4, "x" * 64), "bad-signature"),
    "a signature of the wrong length": (replaced(4, HELLO[4][:63]), "bad-signature"),
    "a flipped bit in the signature": (replaced(4, bytes([HELLO[4][0] ^ 1]) + HELLO[4][1:]), "bad-signature"),
    "a stranger's signature": (replaced(4, signed(key=STRANGER)[4]), "bad-signature"),
    "a signature for another channel": (signed(binding=b"other"), "bad-signature"),
    "a signature for no channel": (signed(binding=b""), "bad-signature"),
    "extensions that are no list": (replaced(5, "mp1"), "bad-op"),
    "an extension that is no text": (replaced(5, (b"mp1",)), "bad-op"),
    "an empty extension": (signed(extensions=("",)), "bad-op"),
    "an extension that is too long": (signed(extensions=("x" * 33,)), "bad-op"),
    "an extension with a comma": (signed(extensions=("mp1,mp2",)), "bad-op"),
    "an extension that is not ASCII": (signed(extensions=("mp\u00b9",)), "bad-op"),
    "extensions that were taken away": (replaced(5, ()), "bad-signature"),
    "extensions that were added": (replaced(5, ("mp1", "mp2")), "bad-signature"),
    "a location of another key": (
        signed(place=PeerLocator.make("memory", STRANGER.public.designator, {})), "identity"),
    "a location on another transport": (
        signed(place=PeerLocator.make("unix", THEIRS.public.designator, {})), "identity"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_hello_that_is_wrong_ends_the_session_with_its_code(name: str) -> None:
    op, code = BAD[name]
    it = listening()

    effects = it.receive(spelled(op))

    assert [(e.code, e.remote) for e in effects] == [(code, False)]
    assert it.state is State.ENDED
    assert it.hello is None
    ((opcode, reason),) = read(it.take_output())
    assert (opcode, reason.partition(":")[0]) == (ABORT, code)


def test_the_dialler_checks_the_hello_it_gets_too() -> None:
    it = greeting()

    (end,) = it.receive(spelled(signed(binding=b"other")))

    assert end.code == "bad-signature"
    assert said(it) == ("bad-signature",)


def test_no_extensions_and_unknown_ones_are_let_in() -> None:
    for extensions in ((), ("x" * 32,), ("mp1", "future-9")):
        it = listening()
        it.receive(spelled(signed(extensions=extensions)))
        assert it.state is State.VERIFIED
        assert it.extensions == tuple(e for e in extensions if e == "mp1")


def test_where_no_key_is_proved_the_name_is_taken_as_said() -> None:
    place = PeerLocator.make("memory", STRANGER.public.designator, {})

    found = verify_hello(signed(place=place), MINE, OWN, Channel(None, b"binding", "memory"), native=True)

    assert found.location == place


@pytest.mark.parametrize(
    "place",
    [
        PeerLocator.make("elsewhere", STRANGER.public.designator, {}),
        PeerLocator.make("memory", MINE.public.designator, {}),
    ],
    ids=["another netlayer", "our own name"],
)
def test_where_no_key_is_proved_some_locations_are_refused_all_the_same(place: PeerLocator) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^identity"):
        verify_hello(signed(place=place), MINE, OWN, Channel(None, b"binding", "memory"), native=True)


def test_the_own_hello_that_comes_back_is_refused() -> None:
    it = session()
    it.start()
    echo = it.take_output().removeprefix(PREAMBLE)
    own = Channel(MINE.public.raw, b"binding", "memory")

    (end,) = it.receive(echo)
    assert end.code == "identity"

    # Also where the proved key would fit, and where none is proved.
    for channel in (own, Channel(None, b"binding", "memory")):
        with pytest.raises(RemoteProtocolError, match="connected to itself"):
            verify_hello(read(echo)[0], MINE, OWN, channel, native=True)
