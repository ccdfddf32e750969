"""Spells operations by hand, right or wrong, in either encoding; it uses no codec of the product."""

from __future__ import annotations

import struct
from typing import Any

import msgpack
from attrs import field, frozen

from captp.model.keys import PrivateKey

PREAMBLE = b"\xc1captp\x01\x00"
#: Where an OCapN caller of these tests exports the resolver for the answer at position 0.
RESOLVERS = 1000

EXTS = {"desc:import-object": 16, "desc:import-promise": 17, "desc:export": 18, "desc:answer": 19}
OPCODES = {
    "op:start-session": 1, "op:abort": 2, "op:deliver": 3, "op:listen": 4, "op:get": 5, "op:index": 6,
    "op:untag": 7, "op:gc-exports": 8, "op:gc-answers": 9, "op:resolve": 15, "op:break": 16, "op:call": 17,
}  # fmt: skip


class Sym(str):
    """A symbol."""

    __slots__ = ()


class Raw(bytes):
    """Bytes that go out as they are, in the place of a value."""

    __slots__ = ()


class Ext:
    """A MessagePack extension value with any code and payload."""

    def __init__(self, code: int, payload: bytes) -> None:
        self.code = code
        self.payload = payload


class Rec:
    """A record: descriptors and operations have the same form in both encodings, others only in Syrup."""

    def __init__(self, label: Any, *fields: Any) -> None:
        self.label = label
        self.fields = fields


def export(position: Any) -> Rec:
    return Rec("desc:export", position)


def answer(position: Any) -> Rec:
    return Rec("desc:answer", position)


def object_(position: Any) -> Rec:
    return Rec("desc:import-object", position)


def promise(position: Any) -> Rec:
    return Rec("desc:import-promise", position)


def syrup(value: Any) -> bytes:
    """Write a value as Syrup; nothing is checked."""
    match value:
        case Raw():
            return bytes(value)
        case bool():
            return b"t" if value else b"f"
        case None:
            return b"<4'void>"
        case int():
            return b"%d%c" % (abs(value), 45 if value < 0 else 43)
        case float():
            return b"D" + struct.pack(">d", value)
        case str():
            raw = value.encode()
            return b"%d%c%b" % (len(raw), 39 if isinstance(value, Sym) else 34, raw)
        case bytes():
            return b"%d:%b" % (len(value), value)
        case list() | tuple():
            return b"[%b]" % b"".join(map(syrup, value))
        case dict():
            pairs = sorted((syrup(k), syrup(v)) for k, v in value.items())
            return b"{%b}" % b"".join(k + v for k, v in pairs)
        case Rec():
            label = Sym(value.label) if type(value.label) is str else value.label
            return b"<%b%b>" % (syrup(label), b"".join(map(syrup, value.fields)))
    raise AssertionError(f"{value!r} has no form in Syrup")


def pack(value: Any) -> bytes:
    """Write a value as native MessagePack; nothing is checked."""
    match value:
        case Raw():
            return bytes(value)
        case Sym():
            return pack(Ext(2, value.encode()))
        case Ext():
            return b"\xc9%b%b" % (struct.pack(">Ib", len(value.payload), value.code), value.payload)
        case int() if not -(2**63) <= value < 2**64:
            raw = abs(value).to_bytes((abs(value).bit_length() + 7) // 8, "big")
            return pack(Ext(1, (b"-" if value < 0 else b"+") + raw))
        case list() | tuple():
            return b"\xdd%b%b" % (struct.pack(">I", len(value)), b"".join(map(pack, value)))
        case dict():
            body = b"".join(pack(k) + pack(v) for k, v in value.items())
            return b"\xdf%b%b" % (struct.pack(">I", len(value)), body)
        case Rec() if value.label in EXTS:
            (position,) = value.fields
            if type(position) is int and position >= 0:
                position = position.to_bytes((position.bit_length() + 7) // 8 or 1, "big")
            return pack(Ext(EXTS[value.label], position if type(position) is bytes else pack(position)))
        case Rec() if value.label == "desc:tagged":
            return pack([Ext(3, b""), *value.fields])
    return bytes(msgpack.packb(value) or b"")


def key_lists(raw: Any, *, curve: str = "Ed25519", flags: str = "eddsa") -> Any:
    """Give the nested lists of an OCapN public key."""
    ecc = [Sym("ecc"), [Sym("curve"), Sym(curve)], [Sym("flags"), Sym(flags)], [Sym("q"), raw]]
    return [Sym("public-key"), ecc]


def signature_lists(raw: bytes) -> Any:
    """Give the nested lists of an OCapN signature."""
    return [Sym("sig-val"), [Sym("eddsa"), [Sym("r"), raw[:32]], [Sym("s"), raw[32:]]]]


def location(transport: str, designator: str, hints: dict[str, str] | None = None) -> Rec:
    """Give an OCapN location."""
    return Rec("ocapn-peer", Sym(transport), designator, hints or False)


@frozen(kw_only=True)
class Claim:
    """What a hello says; the fields beside the keys are there to be wrong."""

    session_key: PrivateKey
    transport: str
    designator: str
    binding: bytes = b""
    version: Any = "1.0"
    hints: dict[str, str] = field(factory=dict)
    exts: Any = ("mp1",)
    public: Any = None
    signature: bytes | None = None
    signed: Any = None
    #: How many fields of the operation are left out, from the first.
    without: int = 0


class Speaker:
    """One encoding: values to messages, messages to what goes on the wire."""

    name: str
    preface: bytes

    def message(self, label: str, *fields: Any) -> bytes:
        """Spell one operation of any fields, framed."""
        raise NotImplementedError

    def raw(self, payload: bytes) -> bytes:
        """Frame bytes in the place of a message."""
        raise NotImplementedError

    def hello(self, claim: Claim) -> bytes:
        raise NotImplementedError

    def value(self, value: Any) -> bytes:
        """Spell a value."""
        raise NotImplementedError

    def to(self, target: Any) -> Any:
        """A number is an export."""
        return export(target) if type(target) is int else target

    def deliver(self, to: Any, args: Any, at: Any = False, wanted: Any = None) -> bytes:
        """Spell op:deliver; with an answer position its result is asked for, unless ``wanted`` says no."""
        if wanted is None:
            wanted = at is not False
        if wanted is True and self.name == "syrup":
            wanted = object_(RESOLVERS + at)
        return self.message("op:deliver", self.to(to), args, at, wanted)

    def call(self, to: Any, method: str, *args: Any, at: Any = False, wanted: Any = None) -> bytes:
        """Spell a call of a named method, in the form that is usual in this encoding."""
        return self.deliver(to, [Sym(method), *args], at, wanted)

    def listen(self, to: Any, at: int) -> bytes:
        """Spell op:listen whose news come as the result ``at``."""
        listener = at if self.name == "native" else object_(RESOLVERS + at)
        extra = () if self.name == "native" else (False,)
        return self.message("op:listen", self.to(to), listener, *extra)

    def select(self, op: str, to: Any, key: Any, at: Any) -> bytes:
        """Spell one step into data whose result is told at ``at``."""
        if self.name == "native":
            return self.message(f"op:{op}", self.to(to), key, at, True)
        return self.message(f"op:{op}", self.to(to), key, at) + self.listen(answer(at), at)

    def gc_exports(self, positions: Any, counts: Any) -> bytes:
        return self.message("op:gc-exports", positions, counts)

    def gc_answers(self, positions: Any) -> bytes:
        return self.message("op:gc-answers", positions)

    def abort(self, reason: Any = "closed: bye") -> bytes:
        return self.message("op:abort", reason)

    def settle(self, question: Any, value: Any, *, breaks: bool = False) -> bytes:
        """Spell the result of a call of the node's; ``question`` is what its call or listen named."""
        if self.name == "native":
            return self.message("op:break" if breaks else "op:resolve", question, value)
        return self.deliver(export(question), [Sym("break" if breaks else "fulfill"), value])


class Syrup(Speaker):
    """OCapN, messages end to end."""

    name = "syrup"
    preface = b""

    def message(self, label: str, *fields: Any) -> bytes:
        return syrup(Rec(label, *fields))

    def raw(self, payload: bytes) -> bytes:
        return payload

    def value(self, value: Any) -> bytes:
        return syrup(value)

    def hello(self, claim: Claim) -> bytes:
        place = location(claim.transport, claim.designator, claim.hints)
        signed = claim.signed if claim.signed is not None else Rec("my-location", place)
        signature = claim.signature or claim.session_key.sign(syrup(signed))
        public = key_lists(claim.session_key.public.raw) if claim.public is None else claim.public
        fields = (claim.version, public, place, signature_lists(signature))
        return self.message("op:start-session", *fields[claim.without :])


class Native(Speaker):
    """MessagePack in frames, one message in each."""

    name = "native"
    preface = PREAMBLE

    def message(self, label: str, *fields: Any) -> bytes:
        return self.raw(pack([OPCODES.get(label, label), *fields]))

    def raw(self, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + payload

    def value(self, value: Any) -> bytes:
        return pack(value)

    def call(self, to: Any, method: str, *args: Any, at: Any = False, wanted: Any = None) -> bytes:
        if isinstance(to, Rec):
            (position,) = to.fields
            to = position if to.label == "desc:export" else -1 - position
        return self.message("op:call", to, method, args, at, at is not False if wanted is None else wanted)

    def hello(self, claim: Claim) -> bytes:
        place = location(claim.transport, claim.designator, claim.hints)
        signed = claim.signed
        if signed is None:
            names = ",".join(claim.exts) if isinstance(claim.exts, tuple) else ""
            signed = Rec("captp:hello", place, names, claim.binding)
        signature = claim.signature or claim.session_key.sign(syrup(signed))
        public = claim.session_key.public.raw if claim.public is None else claim.public
        placed = [claim.transport, claim.designator, claim.hints]
        fields = (claim.version, public, placed, signature, claim.exts)
        return self.message("op:start-session", *fields[claim.without :])


SPEAKERS: dict[str, Speaker] = {"native": Native(), "syrup": Syrup()}
