"""Keys: which encodings get in, what signatures hold, what names and derived keys look like."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import RemoteProtocolError, UsageError
from captp.model.keys import PrivateKey, PublicKey, derive, parse_designator, session_id, side_id

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - t, -1, P)
    return x % P, y % P


def times(n: int, point: Point) -> Point:
    out = IDENTITY
    while n:
        if n & 1:
            out = add(out, point)
        point = add(point, point)
        n >>= 1
    return out


def point_with(y: int) -> Point | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return None if (x * x - square) % P else (x, y)


def encode(point: Point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def torsion_points() -> list[Point]:
    """The eight points whose order divides 8: all multiples of one whose order is 8."""
    for y in range(2, 100):
        point = point_with(y)
        if point is None:
            continue
        generator = times(L, point)
        multiples = [times(n, generator) for n in range(8)]
        if len(set(multiples)) == 8:
            return multiples
    raise AssertionError("no point of order 8 found")


TORSION = torsion_points()


def refusal(raw: object) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        PublicKey.parse(raw)
    assert caught.value.code == "bad-key"
    return caught.value.detail


@pytest.mark.parametrize("point", TORSION, ids=lambda p: encode(p).hex()[:8])
def test_each_point_of_small_order_is_refused(point: Point) -> None:
    assert times(8, point) == IDENTITY
    assert "small order" in refusal(encode(point))


@pytest.mark.parametrize("y", [1, P - 1])
def test_the_two_points_with_x_zero_are_refused_with_the_sign_bit_too(y: int) -> None:
    assert "small order" in refusal((y | 1 << 255).to_bytes(32, "little"))


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", range(P, 2**255))
def test_each_encoding_with_y_of_p_or_more_is_refused(y: int, sign: int) -> None:
    assert "not canonical" in refusal((y | sign << 255).to_bytes(32, "little"))


def test_the_largest_canonical_y_of_a_point_of_full_order_is_taken() -> None:
    y = next(y for y in range(P - 2, 0, -1) if (p := point_with(y)) and times(8, p) != IDENTITY)
    point = point_with(y)
    assert point is not None

    assert PublicKey.parse(encode(point)).raw == encode(point)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused_and_its_length_told(length: int) -> None:
    assert refusal(b"\x09" * length).endswith(f"expected 32 bytes, got {length}")


@pytest.mark.parametrize("value", [None, 32, "x" * 32, [9] * 32, bytearray(b"\x09" * 32)])
def test_what_is_no_bytes_is_refused_as_a_key(value: object) -> None:
    assert type(value).__name__ in refusal(value)


def test_the_constructor_refuses_what_parse_refuses() -> None:
    with pytest.raises(RemoteProtocolError):
        PublicKey(encode(IDENTITY))


def test_a_key_cannot_be_changed() -> None:
    key = PrivateKey.from_seed(bytes(32)).public

    with pytest.raises(AttributeError):
        key.raw = encode(IDENTITY)  # type: ignore[misc]


def test_a_signature_holds_for_its_key_and_its_data_only() -> None:
    key, other = PrivateKey.from_seed(b"\x01" * 32), PrivateKey.from_seed(b"\x02" * 32)
    signature = key.sign(b"data")

    assert len(signature) == 64
    assert key.public.verify(signature, b"data")
    assert not key.public.verify(signature, b"date")
    assert not other.public.verify(signature, b"data")


def test_every_flipped_byte_of_a_signature_makes_it_false() -> None:
    key = PrivateKey.from_seed(b"\x01" * 32)
    signature = key.sign(b"data")

    for i in range(64):
        bad = signature[:i] + bytes([signature[i] ^ 1]) + signature[i + 1 :]
        assert not key.public.verify(bad, b"data")


def test_a_signature_with_the_group_order_added_to_s_is_false() -> None:
    key = PrivateKey.from_seed(b"\x01" * 32)
    signature = key.sign(b"data")
    s = int.from_bytes(signature[32:], "little") + L

    assert not key.public.verify(signature[:32] + s.to_bytes(32, "little"), b"data")


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_a_signature_of_another_length_is_false(length: int) -> None:
    key = PrivateKey.from_seed(b"\x01" * 32)

    assert not key.public.verify((key.sign(b"data") * 2)[:length], b"data")


def test_bytes_that_are_no_point_verify_nothing() -> None:
    y = next(y for y in range(2, 100) if point_with(y) is None)
    key = PublicKey.parse(y.to_bytes(32, "little"))

    assert not key.verify(bytes(64), b"data")
    assert not key.verify(PrivateKey.from_seed(bytes(32)).sign(b"data"), b"data")


@pytest.mark.parametrize("length", [31, 33])
def test_a_seed_of_another_length_is_the_callers_mistake(length: int) -> None:
    with pytest.raises(UsageError, match=f"{length} bytes; expected exactly 32"):
        PrivateKey.from_seed(bytes(length))
    with pytest.raises(UsageError, match=f"{length} bytes; expected exactly 32"):
        derive(bytes(length), b"index")


@pytest.mark.parametrize("length", [31, 33])
def test_ids_are_made_of_exactly_32_bytes(length: int) -> None:
    with pytest.raises(UsageError, match="raw_public"):
        side_id(bytes(length))
    with pytest.raises(UsageError, match="a has"):
        session_id(bytes(length), bytes(32))
    with pytest.raises(UsageError, match="b has"):
        session_id(bytes(32), bytes(length))


@settings(max_examples=50)
@given(st.binary(min_size=32, max_size=32))
def test_seed_key_and_designator_round_trip(seed: bytes) -> None:
    key = PrivateKey.from_seed(seed)

    assert key.seed() == seed
    assert PublicKey.parse(key.public.raw) == key.public
    assert hash(PublicKey.parse(key.public.raw)) == hash(key.public)
    assert len(key.public.designator) == 52
    assert parse_designator(key.public.designator) == key.public


def test_printing_a_private_key_shows_nothing_of_the_seed() -> None:
    seed = bytes(range(0x41, 0x61))
    key = PrivateKey.from_seed(seed)

    for shown in (repr(key), str(key), f"{key}", "%r %s" % (key, key), repr([key])):  # noqa: UP031
        assert "PrivateKey(of PublicKey(" in shown
        assert seed.hex()[:8] not in shown
        assert seed.decode("ascii")[:4] not in shown


def test_a_private_key_equals_only_itself() -> None:
    a, b = PrivateKey.from_seed(bytes(32)), PrivateKey.from_seed(bytes(32))

    assert a != b
    assert len({a, b, a}) == 2
    assert a.public == b.public


NAME = PrivateKey.from_seed(bytes(range(32))).public.designator


def test_a_designator_is_unpadded_lowercase_base32() -> None:
    raw = PrivateKey.from_seed(bytes(range(32))).public.raw
    bits = "".join(f"{byte:08b}" for byte in raw) + "0000"
    fives = [int(bits[i : i + 5], 2) for i in range(0, 260, 5)]

    assert NAME == "aoqqpp7tzyil4hlq3umoos6atft6jvrqtosq2xy53sdgiesvgg4a"
    assert "".join("abcdefghijklmnopqrstuvwxyz234567"[five] for five in fives) == NAME


@pytest.mark.parametrize(
    "text",
    [
        "",
        NAME[:-1],
        NAME + "a",
        NAME + "====",
        NAME + "\n",
        NAME.upper(),
        " " + NAME[1:],
        "1" + NAME[1:],
        "0" + NAME[1:],
        "\u017f" + NAME[1:],
        "a" * 52,
    ],
)
def test_any_other_spelling_of_a_designator_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_designator(text)
    assert caught.value.code == "bad-key"


def test_of_the_32_last_characters_only_those_without_stray_bits_are_taken() -> None:
    taken = []
    for last in "abcdefghijklmnopqrstuvwxyz234567":
        try:
            parse_designator(NAME[:-1] + last)
        except RemoteProtocolError:
            continue
        taken.append(last)

    assert taken == ["a", "q"]


@settings(max_examples=200)
@given(st.text(alphabet="abcz27A=.\n", max_size=60) | st.text(max_size=60))
def test_only_bad_key_escapes_from_designators(text: str) -> None:
    try:
        read = parse_designator(text).designator
    except RemoteProtocolError as error:
        read = error.code

    assert read in {text, "bad-key"}


def test_derived_keys_follow_rfc_5869_and_differ_by_seed_and_label() -> None:
    seed = bytes(range(32))
    extracted = hmac.digest(bytes(32), seed, hashlib.sha256)
    expected = hmac.digest(extracted, b"index" + b"\x01", hashlib.sha256)

    assert derive(seed, b"index") == expected
    assert len({derive(seed, b"index"), derive(seed, b"seal"), derive(bytes(32), b"index")}) == 3


def test_a_derived_key_needs_a_label() -> None:
    with pytest.raises(UsageError, match="label is empty"):
        derive(bytes(32), b"")


def test_importing_keys_locators_and_swiss_numbers_loads_neither_cryptography_nor_trio() -> None:
    code = (
        "import sys, captp.model.keys, captp.model.locator, captp.model.swiss; "
        "print([m for m in ('cryptography', 'trio') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
