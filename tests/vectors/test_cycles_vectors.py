"""The words of collectors and what they sign, to the byte, in both encodings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from captp.limits import Limits
from captp.peer.cycles import statements
from captp.peer.cycles.signing import Signing
from captp.peer.cycles.statements import Ledger
from captp.peer.cycles.words import (
    NAMES,
    Commit,
    Confirm,
    Confirmed,
    End,
    Hello,
    Query,
    Reply,
    Withdraw,
    Word,
    read,
    runs,
    token,
)
from captp.wire.native import NativeCodec
from captp.wire.ops import DELIVER, Kind
from captp.wire.syrup import decode_one, encode
from tests.names import Names

TRACE = "000102030405060708090a0b0c0d0e0f"
SEED = "101112131415161718191a1b1c1d1e1f"
ONE = "6465666768696a6b6c6d6e6f"
TWO = "707172737475767778797a7b"
KEY = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
DIGEST = "772c27a8260bf1fa899fe6302e7d5a486ccef250e31102ee75237ba4fae978b6"
CLAIM = (
    "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5cd089427fbb6b0673e2cf95d55810d8ab"
    "a11eb200d4ab8f2dac733167ccf42b86b6c2857fa84e9b73931860044678431be58e3b4142059c05f83e10a2a7de7b0d"
    "5b31382263617074702d6467632d636c61696d2d763131363a000102030405060708090a0b0c0d0e0f5b33323a813977"
    "0ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b3945d5b5b302b31323a707172737475767778797a"
    "7b5d5d5b5b31323a6465666768696a6b6c6d6e6f5b302b5d5d5b31323a707172737475767778797a7b5b5d5d5d5d"
)
STANDING = (
    "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5cac9a20d0b44b465787f50016fdc441ca"
    "2f27f1a21c91355c1206de11958fb042f86cbec5fec40eec2a30af0e0794816decb7fdad0a1b157cabb635d3dab60b08"
    "5b32302263617074702d6467632d636f6e6669726d2d763131363a000102030405060708090a0b0c0d0e0f33323a772c"
    "27a8260bf1fa899fe6302e7d5a486ccef250e31102ee75237ba4fae978b65b31323a6465666768696a6b6c6d6e6f5d5d"
)
OVER = (
    "5696e4ecf108962475cd441efa2e8d948de5a41d6717d8659e3d3ced240999ce2ded76b2e0970aab62310f6d1b6c75c7"
    "55056d995819da2a3073606fc0080d0a"
)
#: `[3, ext 18 of 0, [ext 2 of captp:cycles, ...]]`: a call of the bootstrap that nobody answers.
CALLS = "9303d41200"
SPEAKS = "c70c0263617074703a6379636c6573"
#: By name: the word natively, as a whole message, and in Syrup, as a list.
VECTORS = {
    "hello": (
        f"{CALLS}94{SPEAKS}0001c420{KEY}",
        f"5b302b312b33323a{KEY}5d",
    ),
    "query": (
        f"{CALLS}99{SPEAKS}01c410{TRACE}0110cd12c0cd0800c410{SEED}940303cd012601",
        f"5b312b31363a{TRACE}312b31362b343830302b323034382b31363a{SEED}5b332b332b3239342b312b5d5d",
    ),
    "reply": (
        f"{CALLS}97{SPEAKS}02c410{TRACE}0191c4ee{CLAIM}91c40c{TWO}a0",
        f"5b322b31363a{TRACE}312b5b3233383a{CLAIM}5d5b31323a{TWO}5d30225d",
    ),
    "reply-with-a-reason": (
        f"{CALLS}97{SPEAKS}02c410{TRACE}019090a571756f7461",
        f"5b322b31363a{TRACE}312b5b5d5b5d352271756f74615d",
    ),
    "confirm": (
        f"{CALLS}94{SPEAKS}03c410{TRACE}c420{DIGEST}",
        f"5b332b31363a{TRACE}33323a{DIGEST}5d",
    ),
    "confirmed": (
        f"{CALLS}95{SPEAKS}04c410{TRACE}c420{DIGEST}91c4c0{STANDING}",
        f"5b342b31363a{TRACE}33323a{DIGEST}5b3139323a{STANDING}5d5d",
    ),
    "commit": (
        f"{CALLS}95{SPEAKS}05c410{TRACE}91c4082ffb5ed535ad082991c4c0{STANDING}",
        f"5b352b31363a{TRACE}5b383a2ffb5ed535ad08295d5b3139323a{STANDING}5d5d",
    ),
    "end": (
        f"{CALLS}95{SPEAKS}06c410{TRACE}c420{KEY}c440{OVER}",
        f"5b362b31363a{TRACE}33323a{KEY}36343a{OVER}5d",
    ),
    "withdraw": (
        f"{CALLS}93{SPEAKS}07c410{TRACE}",
        f"5b372b31363a{TRACE}5d",
    ),
}


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def keys() -> tuple[Signing, bytes, bytes]:
    """Return what signs with keys whose seeds are 01 and 02, 32 times, and their public halves."""
    draws: Iterator[int] = iter(range(1, 9))
    signing = Signing(lambda size: bytes([next(draws)]) * size)
    return signing, signing.make(), signing.make()


def words() -> dict[str, Word]:
    """Return a word of each kind, made by the product."""
    signing, key, other = keys()
    trace, one, two = raw(TRACE), raw(ONE), raw(TWO)
    claim = statements.claim(signing, key, trace, {one: ((other, two),), two: ()})
    agreed = statements.digest([claim])
    standing = statements.standing(signing, key, trace, agreed, [one])
    return {
        "hello": Hello(key),
        "query": Query(trace, 1, 16, 4800, 2048, raw(SEED), runs([3, 4, 5, 300])),
        "reply": Reply(trace, 1, (claim,), (two,), ""),
        "reply-with-a-reason": Reply(trace, 1, (), (), "quota"),
        "confirm": Confirm(trace, agreed),
        "confirmed": Confirmed(trace, agreed, (standing,)),
        "commit": Commit(trace, (statements.short(claim),), (standing,)),
        "end": End(trace, key, signing.sign(key, statements.over(trace))),
        "withdraw": Withdraw(trace),
    }


@pytest.mark.parametrize("name", VECTORS)
def test_a_word_has_these_bytes(name: str) -> None:
    native, syrup = VECTORS[name]
    word = words()[name]

    codec = NativeCodec(Names(), Limits())
    args = (codec.symbol("captp:cycles"), *word.wire())
    assert codec.encode((DELIVER, codec.target(Kind.EXPORT, 0), args)).hex() == native
    assert encode(word.wire()).hex() == syrup


@pytest.mark.parametrize("name", VECTORS)
def test_these_bytes_are_that_word_in_both_encodings(name: str) -> None:
    native, syrup = map(raw, VECTORS[name])
    codec = NativeCodec(Names(), Limits())

    ((_, to, (method, *args)),) = list(codec.feed(codec.frame([native])))

    assert (to.position, method.name) == (0, "captp:cycles")
    assert read(tuple(args)) == read(decode_one(syrup, Limits())) == words()[name]


def test_an_edge_of_a_question_is_known_by_this_token() -> None:
    assert token(raw(SEED), 3).hex() == "8e56a783c084fce279e46b64"
    assert words()["query"].edges == [(at, token(raw(SEED), at)) for at in (3, 4, 5, 300)]  # type: ignore[union-attr]


def test_every_word_has_a_vector() -> None:
    assert {name.partition("-")[0] for name in VECTORS} == set(NAMES)


@pytest.mark.parametrize("statement", [CLAIM, STANDING], ids=["claim", "standing"])
def test_what_is_signed_is_the_same_bytes_whatever_carries_it(statement: str) -> None:
    carriers = [pair for pair in VECTORS.values() if statement in pair[0]]

    assert carriers
    assert all(statement in syrup for _, syrup in carriers)


def test_a_statement_says_what_it_said() -> None:
    signing, key, other = keys()
    ledger = Ledger(raw(TRACE), signing, Limits())

    claim: Any = ledger.read(raw(CLAIM))
    standing: Any = ledger.read(raw(STANDING))

    assert (claim.signer, claim.leading) == (key, {raw(ONE): ((other, raw(TWO)),), raw(TWO): ()})
    assert (standing.signer, standing.digest, standing.changed) == (key, raw(DIGEST), {raw(ONE)})


@pytest.mark.parametrize("statement", [CLAIM, STANDING], ids=["claim", "standing"])
def test_a_statement_with_any_byte_changed_says_nothing(statement: str) -> None:
    signing, _, _ = keys()
    said = raw(statement)
    ledger = Ledger(raw(TRACE), signing, Limits())

    changed = [said[:at] + bytes([said[at] ^ 1]) + said[at + 1 :] for at in range(len(said))]

    assert [ledger.read(blob) for blob in changed] == [None] * len(said)
    assert [ledger.read(said[:size]) for size in range(len(said))] == [None] * len(said)


def test_a_statement_of_one_trace_says_nothing_in_another() -> None:
    signing, _, _ = keys()
    ledger = Ledger(bytes(16), signing, Limits())

    assert ledger.read(raw(CLAIM)) is None
    assert ledger.read(raw(STANDING)) is None


def test_an_end_is_signed_over_the_name_of_its_trace() -> None:
    signing, key, _ = keys()

    assert statements.over(raw(TRACE)) == b'[16"captp-dgc-end-v116:' + raw(TRACE) + b"]"
    assert signing.sign(key, statements.over(raw(TRACE))).hex() == OVER
