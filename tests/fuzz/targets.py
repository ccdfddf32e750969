"""What is attacked: each target takes any bytes and raises only what is a bug.

Beside a target stands its decoder alone, which reads once, checks nothing and refuses with one of REFUSALS:
for weighing it, and for inputs by the hundred thousand.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from captp.errors import BadLocator, HandoffFailed, RemoteProtocolError
from captp.limits import Limits
from captp.model.locator import (
    MASK,
    PeerLocator,
    SturdyRef,
    parse_peer,
    parse_sturdyref,
    read_cap_file,
    write_cap_file,
)
from captp.model.values import Symbol
from captp.peer.handoff.certificates import Give, Receive, parse_give, parse_receive
from captp.wire import canonical
from captp.wire.codec import Codec
from captp.wire.dialect import SyrupCodec
from captp.wire.native import NativeCodec
from captp.wire.ops import Desc, Kind, Op
from captp.wire.syrup import Reader, decode_one, encode
from captpd.config.load import Loaded, load
from captpd.config.problems import ConfigError
from tests.fuzz.bar import timed
from tests.fuzz.choices import cut
from tests.fuzz.hostile import attack

LIMITS: Final = Limits()

#: What a decoder may say to bytes that it does not like.
REFUSALS: Final = (RemoteProtocolError, HandoffFailed, BadLocator, ConfigError)

#: So many characters of a swiss number in an error's text are no accident.
_LEAK: Final = 16


class Names:
    """Refs by which every descriptor is the reference that it names."""

    def describe(self, value: object) -> Desc:
        raise AssertionError(f"{value!r} came out of a decoder and is no value of the model")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Symbol("unknown") if kind is Kind.UNKNOWN else Desc(Kind(kind), position)


def _fed(stream: Reader | Codec, pieces: Iterable[bytes]) -> Iterator[Any]:
    for piece in pieces:
        yield from stream.feed(piece)


def _read(values: Iterator[Any]) -> tuple[list[Any], str]:
    """Return what comes out, and the code if the rest is refused."""
    found: list[Any] = []
    try:
        for value in values:
            found.append(value)  # noqa: PERF402 - what came before an error counts
    except RemoteProtocolError as problem:
        return found, problem.code
    return found, ""


def _agreed(make: Callable[[], Reader | Codec], data: bytes, write: Callable[[Any], bytes]) -> list[bytes]:
    """Read bytes whole and in pieces, and return what came out as it is written."""
    whole, code = _read(_fed(make(), [data]))
    pieces, code_of_pieces = _read(_fed(make(), cut(data)))
    written = [write(value) for value in whole]
    assert (written, code) == ([write(value) for value in pieces], code_of_pieces)
    return written


# Syrup.


def _reader() -> Reader:
    return Reader(LIMITS, LIMITS.message_bytes)


def read_syrup(data: bytes) -> object:
    return decode_one(data, LIMITS)


def syrup(data: bytes) -> None:
    """Values in a stream and one alone; what is read can be written, in bytes that are canonical."""
    for written in _agreed(_reader, data, encode):
        assert encode(decode_one(written, LIMITS, strict=True)) == written
    try:
        value = decode_one(data, LIMITS)
    except RemoteProtocolError:
        return
    assert _is_strict(data) == (encode(value) == data)


def _is_strict(data: bytes) -> bool:
    try:
        decode_one(data, LIMITS, strict=True)
    except RemoteProtocolError:
        return False
    return True


# Native.


def _native() -> NativeCodec:
    return NativeCodec(Names(), LIMITS)


def read_native(data: bytes) -> object:
    return list(_native().feed(data))


def native(data: bytes) -> None:
    """Frames as they are, and the bytes as the content of one frame; what is read can be written."""
    writer = _native()
    for stream in (data, len(data).to_bytes(4, "big") + data):
        for written in _agreed(_native, stream, writer.encode):
            (again,) = _native().feed(writer.frame([written]))
            assert writer.encode(again) == written


# OCapN messages, with a length in front and without.


def _ocapn() -> SyrupCodec:
    return SyrupCodec(Names(), LIMITS, framed=None)


def _spelled(op: Op) -> bytes:
    writer = _ocapn()
    writer.vocabulary = "d2"
    return writer.encode(op)


def read_framing(data: bytes) -> object:
    return list(_ocapn().feed(data))


def framing(data: bytes) -> None:
    """The bytes as they are, which sets the framing, and as the payload of one frame."""
    for stream in (data, b"%d:%b" % (len(data), data)):
        for written in _agreed(_ocapn, stream, _spelled):
            (again,) = _ocapn().feed(written)
            assert _spelled(again) == written


# Locators.


def read_locator(data: bytes) -> object:
    text = data.decode("utf-8", "surrogateescape")
    peer = _parsed(parse_peer, text)
    return read_cap_file(text) if isinstance(peer, BadLocator) else peer


def locator(data: bytes) -> None:
    """Text as a peer's URI, as a sturdyref and as a file; nothing repeats the secret in it."""
    text = data.decode("utf-8", "surrogateescape")
    for parse in (parse_peer, parse_sturdyref, read_cap_file):
        match _parsed(parse, text):
            case PeerLocator() as peer:
                assert parse_peer(peer.uri()) == peer
            case SturdyRef() as ref:
                assert parse_sturdyref(ref.reveal()) == ref
                assert read_cap_file(write_cap_file(ref)) == ref
                assert f"/s/{MASK}" in str(ref)
            case BadLocator() as problem:
                secret = text.partition("/s/")[2][:_LEAK]
                assert len(secret) < _LEAK or secret not in str(problem), "an error repeats a secret"


def _parsed(
    parse: Callable[[str], PeerLocator | SturdyRef], text: str
) -> PeerLocator | SturdyRef | BadLocator:
    try:
        return parse(text)
    except BadLocator as problem:
        return problem


# Certificates, which are signed and therefore canonical.


def _key(data: bytes) -> object:
    return canonical.read_public_key(decode_one(data, LIMITS, strict=True))


def _signature(data: bytes) -> object:
    return canonical.read_signature(decode_one(data, LIMITS, strict=True))


def _location(data: bytes) -> object:
    return canonical.read_location(decode_one(data, LIMITS, strict=True), "bad-value")


#: Every parser of signed material: bytes to a value, or one of the errors below.
CERTIFICATES: Final[tuple[Callable[[bytes], object], ...]] = (
    *(_key, _signature, _location),
    *(parse_give, parse_receive),
)
_NOT_SIGNED_SO: Final = (RemoteProtocolError, HandoffFailed)


def read_certificate(data: bytes) -> object:
    """Read what any parser reads."""
    for parse in CERTIFICATES:
        try:
            return parse(data)
        except _NOT_SIGNED_SO:
            pass
    raise HandoffFailed("no parser reads it")


def certificate(data: bytes) -> None:
    """Each parser reads or refuses; an envelope is its own bytes and nothing else."""
    for parse in CERTIFICATES:
        try:
            found = parse(data)
        except _NOT_SIGNED_SO:
            continue
        match found:
            case Give():
                assert found.envelope == canonical.sig_envelope(found.signed, found.signature) == data
            case Receive():
                assert canonical.sig_envelope(found.signed, found.signature) == data


# The daemon's configuration.


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="captp-fuzz-")


def read_config(data: bytes) -> Loaded:
    file = Path(_folder().name) / "config.toml"
    file.write_bytes(data)
    return load(file, environ={"HOME": _folder().name})


def config(data: bytes) -> None:
    """A file of these bytes loads, or is refused with words that begin with its name."""
    said = _folder().name
    try:
        assert read_config(data).config.vats
    except ConfigError as problem:
        said = str(problem)
    assert said.startswith(_folder().name), f"no place in it: {said}"


# A live session.


def ops(data: bytes) -> None:
    """The bytes decide what a peer says in a session."""
    attack(data)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "syrup": syrup,
    "native": native,
    "framing": framing,
    "locator": locator,
    "certificate": certificate,
    "config": config,
    "ops": ops,
}

#: The decoder of each target that has one apart.
DECODERS: Final[dict[str, Callable[[bytes], object]]] = {
    "syrup": read_syrup,
    "native": read_native,
    "framing": read_framing,
    "locator": read_locator,
    "certificate": read_certificate,
    "config": read_config,
}


def tried(name: str) -> Callable[[bytes], None]:
    """Give what the bars are for: a decoder that may refuse, or the target where there is none apart."""
    if name not in DECODERS:
        return TARGETS[name]
    decode = DECODERS[name]

    def run(data: bytes) -> None:
        with suppress(*REFUSALS):
            decode(data)

    return run


def checked(name: str, data: bytes) -> float:
    """Run a target, and return the seconds that its decoder takes, which are within the bar."""
    if name in DECODERS:
        TARGETS[name](data)
    return timed(tried(name), data)
