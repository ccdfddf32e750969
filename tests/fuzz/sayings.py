"""What a hostile peer says: operations of every kind whose fields bytes decide, in either encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from captp.limits import Limits
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.passable import KWARGS_TAG
from captp.model.values import NULL, Fault, Symbol, Tagged
from captp.session.handshake import Channel, make_hello
from captp.wire.canonical import (
    handoff_give,
    handoff_receive,
    location_record,
    public_key_list,
    sig_envelope,
    signature_list,
)
from captp.wire.native import PREAMBLE, NativeCodec
from captp.wire.ops import (
    ABORT,
    BREAK,
    CALL,
    DELIVER,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    INDEX,
    LISTEN,
    OP_NAMES,
    RESOLVE,
    START,
    UNTAG,
    Desc,
    Kind,
    Op,
)
from captp.wire.syrup import Encoded, Record, encode
from tests.fuzz.choices import Choices

SWISS: Final = b"s" * 32

_KEY: Final = PrivateKey.from_seed(b"x" * 32)
_PLACE: Final = PeerLocator.make("memory", _KEY.public.designator, {"exts": "mp1"})
_DEPTH: Final = 3

_INTS: Final = (0, 1, 2, 3, 4, 5, 24, 25, -1, -2, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, -(2**70), 10**40)
_FLOATS: Final = (0.0, -0.0, 1.0, 1e308, float("inf"), float("nan"))
_TEXTS: Final = ("", "list", "door", "t", "x" * 300, "ö\0", "closed: bye")
_METHODS: Final = (
    *("echo", "keep", "greet", "wait", "make", "data", "fail", "forget", "ping", "fetch", "fulfill"),
    *("break", "captp:ping", "captp:probe", "deposit-gift", "withdraw-gift", "__class__", "m" * 257),
    "captp:call-off",
)
_BYTES: Final = (SWISS, b"", b"x" * 32, b"\xff\0")
_FORMS: Final = {
    Kind.IMPORT_OBJECT: b"<18'desc:import-object%d+>",
    Kind.IMPORT_PROMISE: b"<19'desc:import-promise%d+>",
    Kind.EXPORT: b"<11'desc:export%d+>",
    Kind.ANSWER: b"<11'desc:answer%d+>",
}


class _Refs:
    def describe(self, value: object) -> Desc:
        raise AssertionError(f"{value!r} is not to be said")

    def resolve(self, kind: Kind, position: Any) -> object:
        raise AssertionError("a speaker does not listen")


@cache
def _hello(*, native: bool) -> Op:
    return make_hello(_KEY, _PLACE, ("mp1",) if native else None, Channel(transport="memory"))


class Speaker:
    """Writes operations as one peer does: natively or not, framed or not."""

    def __init__(self, choices: Choices) -> None:
        """Decide how to write."""
        how = choices.below(4)
        self.native = how < 2
        self.framed = how == 2
        #: The export that the fetched object becomes; a vat's first word to an OCapN peer exports a sink.
        self.door = 1 if self.native else 2
        #: Answer positions that are in use, and which is the next that never was.
        self.asked = [0]
        self.free = 1
        #: How many calls the vat may have made to what was brought along.
        self.calls = 1
        self._codec = NativeCodec(_Refs(), Limits())

    def opening(self) -> tuple[bytes, bytes]:
        """Return a hello, and a fetch of the vat's door, which makes that an export."""
        export, resolver = Desc(Kind.EXPORT, 0), True if self.native else Desc(Kind.IMPORT_OBJECT, 8)
        fetch = (DELIVER, export, (Symbol("fetch"), SWISS), 0, resolver)
        prefix = PREAMBLE if self.native else b""
        return prefix + self.written([_hello(native=self.native)]), self.written([fetch])

    def written(self, ops: list[Op]) -> bytes:
        """Return operations as bytes, in one frame if that can be."""
        if self.native:
            return self._codec.frame([self._codec.encode(op) for op in ops])
        messages = [_syrup(op) for op in ops]
        return b"".join(b"%d:%b" % (len(m), m) if self.framed else m for m in messages)


def _syrup(op: Op) -> bytes:
    code, *fields = op
    if op is _hello(native=False):
        version, key, place, signature = fields
        fields = [version, public_key_list(key), location_record(*place), signature_list(signature)]
    label = OP_NAMES.get(code, f"op:{code}")
    return encode(Record(label, tuple(fields)), default=_spell)


def _spell(value: Any) -> Encoded:
    if type(value) is SturdyRef:
        peer = value.peer
        place = location_record(peer.transport, peer.designator, dict(peer.hints))
        return Encoded(encode(Record("ocapn-sturdyref", (place, value.swiss))))
    if value.kind is Kind.CERTIFICATE:
        return Encoded(value.position)
    return Encoded(_FORMS[value.kind] % value.position)


def say(speaker: Speaker, choices: Choices) -> Iterator[bytes]:
    """Yield what arrives next: some operations, now and then damaged or in two pieces."""
    how = choices.below(16)
    data = speaker.written([_op(speaker, choices) for _ in range(1 + how % 4)])
    if how == 15:
        at = choices.byte() % len(data)
        data = data[:at] + bytes([choices.byte()]) + data[at + 1 :]
    if how == 14:
        at = choices.byte() % len(data)
        yield data[:at]
        data = data[at:]
    yield data


def _op(speaker: Speaker, choices: Choices) -> Op:
    code = choices.one_of(_NATIVE if speaker.native else _BOTH)
    fields = [make(speaker, choices) for make in _FIELDS[code]]
    if code in (CALL, DELIVER) and fields[-2] is False and speaker.native and choices.below(16):
        fields[-1] = False
    odd = choices.below(32)
    if odd == 31:
        fields.append(_value(speaker, choices))
    elif odd == 30 and fields:
        del fields[choices.below(len(fields))]
    elif odd >= 26 and fields:
        fields[choices.below(len(fields))] = _value(speaker, choices)
    return (99 if odd == 25 else code, *fields)


# Fields. They fit what was said before, but for one in sixteen.


def _small(_speaker: Speaker, choices: Choices) -> int:
    return choices.below(8)


def _export(speaker: Speaker, choices: Choices) -> int:
    how = choices.below(16)
    return speaker.door if how < 12 else 0 if how == 12 else choices.below(8)


def _answer(speaker: Speaker, choices: Choices) -> int:
    return choices.one_of(speaker.asked) if speaker.asked and choices.below(16) else choices.below(8)


def _where(speaker: Speaker, choices: Choices) -> int:
    """Give what op:call goes to: an export, or below zero an answer."""
    return _export(speaker, choices) if choices.below(2) else -1 - _answer(speaker, choices)


def _target(speaker: Speaker, choices: Choices) -> Desc:
    if choices.below(2):
        return Desc(Kind.EXPORT, _export(speaker, choices))
    return Desc(Kind.ANSWER, _answer(speaker, choices))


@cache
def _passed_on() -> tuple[Any, ...]:
    """Give what names an object of somebody else: certificates, one of them in order, and a sturdyref."""
    exporter = ("memory", "nobody", {"exts": "mp1"})
    give = handoff_give(_KEY.public.raw, exporter, bytes(32), bytes(32), b"gift")
    envelope = sig_envelope(give, _KEY.sign(give))
    receive = handoff_receive(bytes(32), bytes(32), 0, envelope)
    certificates = (envelope, sig_envelope(receive, _KEY.sign(receive)), b"<17'desc:sig-envelope1+2+>")
    return (
        *(Desc(Kind.CERTIFICATE, certificate) for certificate in certificates),
        SturdyRef(PeerLocator.make("memory", "nobody"), SWISS),
    )


def _reference(speaker: Speaker, choices: Choices) -> Any:
    if choices.below(8) == 7:
        return choices.one_of(_passed_on())
    if choices.below(2):
        return _target(speaker, choices)
    return Desc(choices.one_of((Kind.IMPORT_OBJECT, Kind.IMPORT_PROMISE)), choices.below(8))


def _text(_speaker: Speaker, choices: Choices) -> str:
    return choices.one_of(_TEXTS)


def _method(speaker: Speaker, choices: Choices) -> str:
    method = choices.one_of(_METHODS)
    if method in ("greet", "wait"):
        speaker.calls += 3
    return method


def _position(speaker: Speaker, choices: Choices) -> int:
    how = choices.below(16)
    if how == 15:
        return choices.below(8)
    speaker.asked.append(speaker.free)
    speaker.free += 1
    return speaker.free - 1


def _maybe(speaker: Speaker, choices: Choices) -> int | bool:
    """Give an answer position, or False and then no wish for a result either."""
    return _position(speaker, choices) if choices.below(4) else False


def _wanted(speaker: Speaker, choices: Choices) -> bool:
    return choices.below(4) > 0


def _resolver(speaker: Speaker, choices: Choices) -> bool | Desc:
    if speaker.native or choices.below(4) == 0:
        return speaker.native and choices.below(4) > 0
    # Others than what is brought along as values, so that both can be what they are said to be.
    return Desc(Kind.IMPORT_OBJECT if choices.below(32) else Kind.IMPORT_PROMISE, 8 + choices.below(4))


def _listener(speaker: Speaker, choices: Choices) -> Any:
    if speaker.native:
        return _position(speaker, choices) if choices.below(2) else True
    return _resolver(speaker, choices)


def _args(speaker: Speaker, choices: Choices) -> tuple[Any, ...]:
    values = tuple(_value(speaker, choices) for _ in range((1, 1, 0, 2)[choices.below(4)]))
    if choices.below(16) == 15:
        values += (Tagged(KWARGS_TAG, {"what": _value(speaker, choices)}),)
    return values


def _called(speaker: Speaker, choices: Choices) -> tuple[Any, ...]:
    return (Symbol(_method(speaker, choices)), *_args(speaker, choices))


def _exports(speaker: Speaker, choices: Choices) -> tuple[int, ...]:
    return tuple(_export(speaker, choices) for _ in range(1 + choices.below(2)))


def _counts(_speaker: Speaker, choices: Choices) -> tuple[int, ...]:
    return tuple(1 + choices.below(16) // 15 for _ in range(1 + choices.below(2)))


def _answers(speaker: Speaker, choices: Choices) -> tuple[int, ...]:
    released = []
    for _ in range(1 + choices.below(3)):
        released.append(_answer(speaker, choices))
        if released[-1] in speaker.asked:
            speaker.asked.remove(released[-1])
    return tuple(released)


def _question(speaker: Speaker, choices: Choices) -> int:
    return choices.below(speaker.calls)


def _value(speaker: Speaker, choices: Choices, depth: int = 0) -> Any:
    kind = choices.below(20 if depth < _DEPTH else 16)
    match kind:
        case 0:
            return None
        case 1:
            return choices.below(2) == 1
        case 2:
            return choices.one_of(_INTS)
        case 3:
            return choices.one_of(_FLOATS)
        case 4:
            return choices.one_of(_TEXTS)
        case 5:
            return choices.one_of(_BYTES)
        case 6:
            return Symbol(choices.one_of(_METHODS))
        case 7:
            return NULL
        case 8:
            return Fault(choices.one_of(_TEXTS), None, None)
        case 9:
            return choices.below(4)
        case _ if kind < 16:
            return _reference(speaker, choices)
        case 16:
            keys = [choices.one_of(_TEXTS) for _ in range(choices.below(3))]
            return {key: _value(speaker, choices, depth + 1) for key in keys}
        case 17:
            return Tagged(choices.one_of(_TEXTS), _value(speaker, choices, depth + 1))
        case _:
            return tuple(_value(speaker, choices, depth + 1) for _ in range(choices.below(3)))


_FIELDS: Final[dict[int, tuple[Callable[[Speaker, Choices], Any], ...]]] = {
    CALL: (_where, _method, _args, _maybe, _wanted),
    DELIVER: (_target, _called, _maybe, _resolver),
    LISTEN: (_target, _listener, _wanted),
    GET: (_target, _text, _position),
    INDEX: (_target, _small, _position),
    UNTAG: (_target, _text, _position),
    GC_EXPORTS: (_exports, _counts),
    GC_ANSWERS: (_answers,),
    RESOLVE: (_question, _value),
    BREAK: (_question, _value),
    START: (_text, _value, _value, _value),
    ABORT: (_text,),
}

#: What ends or refuses a session whatever its fields are is said less often.
_BOTH: Final = (
    *(DELIVER,) * 8,
    *(LISTEN,) * 3,
    *(GET, INDEX, UNTAG) * 3,
    *(GC_EXPORTS, *(GC_ANSWERS,) * 3),
    *(RESOLVE, BREAK, CALL),
    *(START, ABORT),
)
_NATIVE: Final = (*_BOTH, *(CALL,) * 10, *(RESOLVE,) * 5, *(BREAK,) * 2)
