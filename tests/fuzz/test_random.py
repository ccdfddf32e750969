"""Random bytes, changed messages and nearly right grammar: every target reads or refuses them, and soon."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.hostile import attack_afresh
from tests.fuzz.make_corpus import made
from tests.fuzz.targets import TARGETS, checked
from tests.fuzz.values import MESSAGEPACK, SYRUP

CORPUS = {target: sorted(files.values()) for target, files in made().items()}


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "ops"])
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=120))
def test_any_bytes(target: str, data: bytes) -> None:
    checked(target, data)


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "ops"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_piece_of_one_input_inside_another(target: str, data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(CORPUS[target])) for _ in "12")
    start, stop = sorted(data.draw(st.integers(0, len(one))) for _ in "12")
    at = data.draw(st.integers(0, len(other)))
    skipped = data.draw(st.integers(0, 4))

    checked(target, other[:at] + one[start:stop] + other[at + skipped :])


@pytest.mark.parametrize("target", ["syrup", "framing", "certificate"])
@settings(max_examples=250, deadline=None)
@given(data=SYRUP)
def test_syrup_that_is_nearly_right(target: str, data: bytes) -> None:
    checked(target, data)


@settings(max_examples=300, deadline=None)
@given(data=MESSAGEPACK)
def test_messagepack_that_is_nearly_right(data: bytes) -> None:
    checked("native", data)


@settings(max_examples=250, deadline=None)
@given(data=st.binary(max_size=150))
def test_whatever_a_peer_says_ends_no_other_session(data: bytes) -> None:
    checked("ops", data)


@settings(max_examples=15, deadline=None)
@given(data=st.binary(max_size=100))
def test_whatever_a_peer_says_nothing_of_it_is_left(data: bytes) -> None:
    attack_afresh(data)
