"""The committed corpus: ``python -m tests.fuzz.make_corpus`` writes all of it but the crashers.

``valid-`` inputs are read by their target's decoder, ``malformed-`` ones are refused, ``crash-`` ones were
found by fuzzing and stay as they are.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from captp.limits import Limits
from captp.model.locator import PeerLocator, SturdyRef, write_cap_file
from captp.model.values import NULL, Fault, FrozenMap, Symbol, Tagged
from captp.wire import canonical
from captp.wire.dialect import SyrupCodec, Vocabulary
from captp.wire.native import NativeCodec
from captp.wire.ops import (
    ABORT,
    BREAK,
    GC_ANSWERS,
    GC_EXPORTS,
    GET,
    INDEX,
    RESOLVE,
    START,
    UNTAG,
    Call,
    Deliver,
    Desc,
    Kind,
    Listen,
    Op,
)
from captp.wire.syrup import Record, encode

CORPUS: Final = Path(__file__).parent / "corpus"

_A, _B, _C = (Ed25519PrivateKey.from_private_bytes(bytes(range(n, n + 32))) for n in (0x00, 0x20, 0x40))
_KEY: Final = _A.public_key().public_bytes_raw()
_PLACE: Final = ("tcp-testing-only", "alice", {"host": "127.0.0.1", "port": "22045"})
_SESSION: Final = bytes.fromhex("f6621a0e8f7d543c617c4958cc5a13ebef8d7638b714bd527e8f94ec0beddef0")
_ID_B: Final = bytes.fromhex("dc5fef641d6ff495c0ea46a09000ef91475441baadf2611598ec6cb66ffb524a")
_ID_C: Final = bytes.fromhex("d525481faa33a4a394f5f489fabcbe0860f851bf3d7ddc17b284a441320857d1")

Files = dict[str, bytes]


class _NoRefs:
    def describe(self, value: object) -> Desc:
        raise AssertionError(value)

    def resolve(self, kind: Kind, position: object) -> object:
        raise AssertionError(kind, position)


# Values and operations that both encodings have.

_EXPORT: Final = Desc(Kind.EXPORT, 3)
_ANSWER: Final = Desc(Kind.ANSWER, 256)
_OBJECT: Final = Desc(Kind.IMPORT_OBJECT, 0)

VALUES: Final[dict[str, Any]] = {
    "void": None,
    "null": NULL,
    "booleans": (True, False),
    "integers": (0, 23, 128, -1, -33, 2**31, 2**53, -(2**63), 2**64 - 1),
    "big-integers": (2**64, -(10**40)),
    "floats": (1.5, -0.0, float("inf"), float("nan")),
    "text": "bj\N{LATIN SMALL LETTER O WITH DIAERESIS}rn",
    "long-text": "x" * 40,
    "bytes": b"\0\xff",
    "symbol": Symbol("fetch"),
    "list": (1, (2, ()), "a"),
    "struct": FrozenMap(a=1, bb=FrozenMap(), ccc=(FrozenMap(),)),
    "tagged": Tagged("t", (1,)),
    "error": Fault("no"),
}

OPERATIONS: Final[dict[str, Op]] = {
    "abort": (ABORT, "closed: bye"),
    "deliver": Deliver(_EXPORT, (Symbol("fetch"), b"s" * 32), 0, _OBJECT),
    "deliver-quietly": Deliver(_ANSWER, (1, "a"), False, False),
    "listen": Listen(_ANSWER, Desc(Kind.IMPORT_PROMISE, 5), wants_partial=True),
    "get": (GET, _ANSWER, "key", 6),
    "index": (INDEX, _ANSWER, 2, 6),
    "untag": (UNTAG, _ANSWER, "tag", 6),
    "gc-exports": (GC_EXPORTS, (1, 300), (2, 1)),
    "gc-answers": (GC_ANSWERS, (7, 8)),
}


def syrup() -> Files:
    files = {f"valid-{name}": encode(value) for name, value in VALUES.items()}
    files |= {
        "valid-record": encode(Record("op:x", (1, Record("y", ())))),
        "valid-void-in-tag": b"<8'desc:tag1\"a<4'void>>",
        "valid-error-of-three": b'<10\'desc:error1"a2:id{1"ct}>',
        "valid-mystery": b"<16'exn:fail:mystery>",
        "valid-symbol-keys": b"{1'at1\"bf}",
        "valid-leading-zeros": b"[007+0-]",
    }
    bad = {
        "length-ahead": b"999999999:",
        "length-of-many-digits": b"1" * 40 + b":a",
        "length-with-zero": b"01:a",
        "length-with-sign": b"+1:a",
        "integer-of-4097-digits": b"9" * 4097 + b"+",
        "integer-unfinished": b"12",
        "nan-with-payload": b"D\x7f\xf8\0\0\0\0\0\1",
        "float-of-32-bits": b"F\0\0\0\0",
        "nested-65": b"[" * 65 + b"]" * 65,
        "nested-open": b"[" * 4000,
        "closer-of-another": b"[1+}",
        "unclosed": b"<4'void",
        "key-twice": b'{1"at1"af}',
        "key-without-value": b'{1"a}',
        "key-integer": b"{1+t}",
        "set": b"#1+2+$",
        "utf8-wrong": b'1"\xff',
        "utf8-overlong": b'2"\xc0\xaf',
        "utf8-surrogate": b'3"\xed\xa0\x80',
        "utf8-cut": b'1"\xc3',
        "symbol-not-utf8": b"1'\xff",
        "symbol-of-1025": b"1025'" + b"x" * 1025,
        "label-string": b'<1"a>',
        "label-record": b"<<1'a>>",
        "void-with-field": b"<4'void1+>",
        "tagged-with-integer": b"<11'desc:tagged1+1+>",
        "trailing": b"tt",
        "space": b"[1+ 2+]",
    }
    return files | {f"malformed-{name}": data for name, data in bad.items()}


def native() -> Files:
    codec = NativeCodec(_NoRefs(), Limits())
    hello = (START, "1.0", b"\7" * 32, ("tls", "ab", FrozenMap(host="h")), b"\x08" * 64, ("mp1",))
    ops: dict[str, Op] = {
        **OPERATIONS,
        "start": hello,
        "deliver": Deliver(_EXPORT, (Symbol("go"), _OBJECT), 4, resolve=True),
        "listen": Listen(_ANSWER, 5),
        "listen-to-answer": Listen(_ANSWER, listener=True),
        "call": Call(2, "echo", (7, Tagged("captp:kwargs", FrozenMap(a=1))), 4, wanted=True),
        "call-answer": Call(-1, "echo", ()),
        "break": (BREAK, 4, Fault("no", FrozenMap(code=5), b"\1")),
        "certificate": (RESOLVE, 1, Desc(Kind.CERTIFICATE, b"<1'x>")),
        "sturdyref": (RESOLVE, 1, SturdyRef(PeerLocator.make("tls", "ab", {"host": "h"}), b"swiss")),
    }
    others = ("void", "text", "bytes", "symbol", "list", "booleans")
    ops |= {f"resolve-{name}": (RESOLVE, 1, value) for name, value in VALUES.items() if name not in others}
    files = {f"valid-{name}": codec.frame([codec.encode(op)]) for name, op in ops.items()}
    several = [codec.encode(ops[name]) for name in ("call", "call-answer", "gc-answers")]
    files["valid-batch"] = codec.frame(several) + codec.frame(several[:1])

    def framed(body: str | bytes) -> bytes:
        raw = bytes.fromhex(body) if isinstance(body, str) else body
        return len(raw).to_bytes(4, "big") + raw

    bad = {
        "array-of-4-billion": framed("930f01 ddffffffff"),
        "map-of-100-million": framed("930f01 df05f5e100"),
        "text-longer-than-frame": framed("930f01 dbffffffff 61"),
        "bytes-longer-than-frame": framed("930f01 c6000000ff 61"),
        "nested-65": framed(b"\x93\x0f\1" + b"\x91" * 65 + b"\1"),
        "nested-1025": framed(b"\x93\x0f\1" + b"\x91" * 1025 + b"\1"),
        "nested-claims": framed(b"\x93\x0f\1" + b"\xdc\xc3\x50" * 40),
        "ext-unknown": framed("930f01 d44d00"),
        "ext-timestamp": framed("930f01 d6ff00000001"),
        "ext-position-of-8-bytes": framed("930f01 d7120000000000000001"),
        "ext-position-of-0-bytes": framed("930f01 c70012"),
        "ext-integer-empty": framed("930f01 c70001"),
        "ext-integer-minus-zero": framed("930f01 d5012d00"),
        "ext-symbol-not-utf8": framed("930f01 d402ff"),
        "ext-sturdyref-of-nothing": framed("930f01 c70015"),
        "marker-in-list": framed("930f01 9201c70003"),
        "marker-alone": framed("930f01 c70004"),
        "tagged-of-two": framed("930f01 92c70003a174"),
        "c1": framed("930f01 c1"),
        "cut": framed("930f"),
        "no-operation": framed("a161"),
        "empty-list": framed("90"),
        "key-twice": framed("930f01 82a16101a16102"),
        "key-integer": framed("930f01 810101"),
        "utf8-wrong": framed("930f01 a1ff"),
        "utf8-surrogate": framed("930f01 a3eda080"),
        "frame-of-4-gigabytes": b"\xff\xff\xff\xff\0",
    }
    return files | {f"malformed-{name}": data for name, data in bad.items()}


def _ocapn(op: Op, vocabulary: Vocabulary = "d2") -> bytes:
    codec = SyrupCodec(_NoRefs(), Limits(), framed=False)
    codec.vocabulary = vocabulary
    return codec.encode(op)


def framing() -> Files:
    messages = {name: _ocapn(op) for name, op in OPERATIONS.items()}
    messages |= {f"{name}-d0": _ocapn(OPERATIONS[name], "d0") for name in ("gc-exports", "gc-answers")}
    messages |= {f"{name}-d1": _ocapn(OPERATIONS[name], "d1") for name in ("gc-exports", "deliver-quietly")}
    place = encode(canonical.location_record("tls", "a", {"host": "h"}))
    sturdyref = b"<15'ocapn-sturdyref%b5:swiss>" % place
    to = b"<11'desc:export0+>"
    messages |= {
        "start": _ocapn((START, "1.0", _KEY, _PLACE, _A.sign(canonical.my_location(_PLACE)))),
        "sturdyref": b"<15'op:deliver-only%b[%b]>" % (to, sturdyref),
        "envelope": b"<15'op:deliver-only%b[<17'desc:sig-envelope1+2+>]>" % to,
        "goblins": b"<15'op:deliver-only%b[<10'ocapn-node3'tcp1\"af>]>" % to,
    }
    files = {f"valid-{name}": data for name, data in messages.items()}
    one, other = messages["abort"], messages["gc-answers"]
    files |= {
        "valid-framed": b"%d:%b%d:%b" % (len(one), one, len(other), other),
        "valid-netstrings": b"%d:%b,%d:%b," % (len(other), other, len(one), one),
        "valid-raw": one + other,
    }
    bad = {
        "length-ahead": b"999999999:",
        "length-of-10000-digits": b"1" * 4000,
        "length-with-zero": b"012:<8'op:abort",
        "length-zero": b"0:",
        "length-negative": b"-1:",
        "length-with-space": b"1 :t",
        "frame-too-short": b"4:<8'op:abort1\"x>",
        "frame-too-long": b"16:<8'op:abort1\"x>t",
        "no-record": b"1:t",
        "http": b"GET / HTTP/1.1\r\n\r\n",
        "unknown-operation": b"<4'op:x>",
        "label-no-symbol": b'<4"op:x>',
        "abort-of-nothing": b"<8'op:abort>",
        "abort-of-two": b'<8\'op:abort1"a1"b>',
        "deliver-of-two": b"<10'op:deliver%b[]>" % to,
        "deliver-to-integer": b"<10'op:deliver0+[]ff>",
        "deliver-to-import": b"<10'op:deliver<18'desc:import-object0+>[]ff>",
        "position-negative": b"<15'op:deliver-only<11'desc:export1->[]>",
        "position-of-64-bits": b"<15'op:deliver-only<11'desc:export18446744073709551616+>[]>",
        "position-a-float": b"<15'op:deliver-only<11'desc:exportD\0\0\0\0\0\0\0\0>[]>",
        "answer-negative": b"<10'op:deliver%b[]1-f>" % to,
        "gc-unequal": b"<13'op:gc-exports[1+][]>",
        "gc-count-zero": b"<13'op:gc-exports[1+][0+]>",
        "gc-negative": b"<13'op:gc-answers[1-]>",
        "sturdyref-of-one": b"<15'op:deliver-only%b[<15'ocapn-sturdyref%b>]>" % (to, place),
        "start-without-version": b"<16'op:start-session>",
        "start-with-short-key": _ocapn((START, "1.0", b"k" * 31, _PLACE, b"s" * 64)),
    }
    return files | {f"malformed-{name}": data for name, data in bad.items()}


def certificate() -> Files:
    receiver = _C.public_key().public_bytes_raw()
    give = canonical.handoff_give(receiver, _PLACE, _SESSION, _ID_B, bytes(range(32)))
    envelope = canonical.sig_envelope(give, _B.sign(give))
    receive = canonical.handoff_receive(_SESSION, _ID_C, 0, envelope)
    key = encode(canonical.public_key_list(_KEY))
    signature = encode(canonical.signature_list(_A.sign(canonical.my_location(_PLACE))))
    return {
        "valid-key": key,
        "valid-signature": signature,
        "valid-location": encode(canonical.location_record(*_PLACE)),
        "valid-location-without-hints": encode(canonical.location_record("tls", "bob", {})),
        "malformed-my-location": canonical.my_location(_PLACE),
        "malformed-give-without-envelope": give,
        "valid-give": envelope,
        "malformed-receive-without-envelope": receive,
        "valid-receive": canonical.sig_envelope(receive, _C.sign(receive)),
        "malformed-key-of-31-bytes": encode(canonical.public_key_list(_KEY[:31])),
        "malformed-key-of-33-bytes": encode(canonical.public_key_list(_KEY + b"k")),
        "malformed-key-of-another-curve": key.replace(b"7'Ed25519", b"7'Ed25518"),
        "malformed-signature-halves": signature.replace(b"1'r", b"1's"),
        "malformed-location-hints": b"<10'ocapn-peer3'tls1\"a{1\"bt}>",
        "malformed-location-unsorted": b'<10\'ocapn-peer3\'tls1"a{2"bb0"1"a0"}>',
    }


def locator() -> Files:
    peer = PeerLocator.make("tls", "a" * 52, {"host": "10.0.0.1", "port": "7711", "exts": "mp1"})
    odd = PeerLocator.make("tcp-testing-only", "a.b~c", {"key": "a b/\N{GREEK SMALL LETTER PI}%&="})
    ref = SturdyRef(peer, bytes(range(32)))
    files = {
        "valid-peer": peer.uri().encode(),
        "valid-odd-hints": odd.uri().encode(),
        "valid-sturdyref": ref.reveal().encode(),
        "valid-padded": SturdyRef(odd, b"swiss").reveal().replace("?", "%3D?").encode(),
        "valid-file": write_cap_file(ref).encode(),
    }
    bad = {
        "scheme": "http://a.tls",
        "userinfo": "ocapn://u@a.tls",
        "port": "ocapn://a.tls:80",
        "no-dot": "ocapn://atls",
        "fragment": "ocapn://a.tls#x",
        "percent": "ocapn://a.tls?h=%zz",
        "percent-in-authority": "ocapn://a%2e.tls",
        "plus": "ocapn://a.tls?h=1+1",
        "hint-twice": "ocapn://a.tls?h=1&h=2",
        "hint-cut": "ocapn://a.tls?h",
        "not-utf8": "ocapn://a.tls?h=%ff",
        "masked": "ocapn://a.tls/s/****",
        "swiss-cut": "ocapn://a.tls/s/c3dpc3MA1",
        "swiss-bits-over": "ocapn://a.tls/s/c3dpc3N",
        "control-character": "ocapn://a.tls/s/c3dp\0",
        "other-path": "ocapn://a.tls/x/c3dpc3M",
        "two-in-a-file": f"{ref.reveal()}\n{ref.reveal()}\n",
        "empty": "",
    }
    return files | {f"malformed-{name}": text.encode() for name, text in bad.items()}


def config() -> Files:
    good = {
        "empty": "",
        "daemon": "[daemon]\nallow = ['captp.examples.*']\nlog = 'text'\ndrain_s = 1.5\n",
        "listen": "[listen]\ntls = ['127.0.0.1:7711', '[::1]:0']\nadvertise = 'example.org:7711'\n",
        "vats": "[vat.main]\n[vat.other]\ntcp_testing_only = '127.0.0.1:22045'\n",
        "objects": "[daemon]\nallow = ['a.*']\n[objects.bank]\nclass = 'a.b:C'\nvat = 'main'\n",
        "limits": "[limits]\nmessage_bytes = 65_536\ndepth = 0x20\n",
    }
    bad = {
        "no-toml": "[daemon\n",
        "unknown-section": "[deamon]\n",
        "unknown-key": "[daemon]\nlgo = 1\n",
        "key-in-another": "[listen]\nlog = 'text'\n",
        "section-a-value": "daemon = 1\n",
        "array-of-tables": "[[daemon]]\nlog = 'text'\n",
        "wrong-type": "[daemon]\nlog = 1979-05-27\n",
        "wrong-choice": "[daemon]\nlog = 'xml'\n",
        "nan": "[daemon]\ndrain_s = nan\n",
        "port": "[listen]\ntls = ['127.0.0.1:70000']\n",
        "vat-name": "[vat.'a/b']\n",
        "vat-missing": "[daemon]\nallow = ['a.*']\n[objects.bank]\nclass = 'a.b:C'\nvat = 'mian'\n",
        "not-allowed": "[objects.bank]\nclass = 'os:system'\n",
    }
    files = {f"valid-{name}": text.encode() for name, text in good.items()}
    files |= {f"malformed-{name}": text.encode() for name, text in bad.items()}
    return files | {"malformed-utf8": b"# \xff\n"}


def ops() -> Files:
    """Decisions, which are neither right nor wrong."""
    random = Random("ops")
    return {f"decisions-{i:02}": bytes([i % 4]) + random.randbytes(12 * (1 + i)) for i in range(8)}


def made() -> dict[str, Files]:
    """Return every file that is made here, by target and name."""
    makers = (syrup, native, framing, locator, certificate, config, ops)
    return {make.__name__: make() for make in makers}


def main() -> None:
    """Write the corpus; what was found by fuzzing stays."""
    for target, files in made().items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if not old.name.startswith("crash-"):
                old.unlink()
        for name, data in files.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
