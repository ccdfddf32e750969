"""What crosses a border, the frozen form it takes, paths to culprits, and equality."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp.errors import Unpassable
from captp.model.passable import MAX_DEPTH, equal, freeze, freeze_args, freeze_kwargs
from tests.support import Solo


class Thing(captp.Object):
    pass


class Point(NamedTuple):
    x: int


class Colour(enum.IntEnum):
    RED = 1


class Word(str):
    __slots__ = ()


ATOMS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3)),
    st.builds(captp.Symbol, st.text(max_size=3)),
    st.just(captp.NULL),
)  # fmt: skip
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(captp.Tagged, st.text(max_size=3), inner),
    ),
    max_leaves=8,
)
SOLO = Solo()


@settings(max_examples=200)
@given(VALUES)
def test_freezing_keeps_the_value_and_a_frozen_value_freezes_to_itself(value: Any) -> None:
    once = freeze(value, SOLO.vat)
    twice = freeze(once, SOLO.vat)

    assert equal(value, once)
    assert repr(once) == repr(twice)


@settings(max_examples=200)
@given(VALUES, VALUES)
def test_equality_is_reflexive_and_symmetric_and_blind_to_freezing(one: Any, other: Any) -> None:
    assert equal(one, one)
    assert equal(one, other) == equal(other, one)
    assert equal(one, other) == equal(freeze(one, SOLO.vat), other)


def frozen_types(value: Any) -> set[type]:
    parts = {type(value)}
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, captp.Tagged):
        value = (value.value,)
    return parts.union(*(frozen_types(v) for v in value)) if isinstance(value, tuple) else parts


@settings(max_examples=100)
@given(VALUES)
def test_nothing_frozen_can_be_changed(value: Any) -> None:
    kinds = frozen_types(freeze(value, SOLO.vat))

    assert not kinds & {list, dict, set, bytearray}


def test_keys_of_a_struct_are_sorted() -> None:
    assert list(freeze({"b": 1, "a": 2, "": 3}, SOLO.vat)) == ["", "a", "b"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (OrderedDict(a=1), captp.FrozenMap),
        (defaultdict(int, a=1), captp.FrozenMap),
        (captp.Map({"a": 1}), captp.FrozenMap),
        (captp.List([1]), tuple),
        ([1], tuple),
        (bytearray(b"x"), bytes),
        (memoryview(b"x"), bytes),
    ],
)
def test_lookalikes_become_the_one_frozen_form(value: Any, kind: type) -> None:
    assert type(freeze(value, SOLO.vat)) is kind


UNPASSABLE: list[Any] = [
    *(object(), {1}, frozenset(), 1j, range(3), len, int, lambda: 0, ValueError("x"), iter([]), ...),
    *(Point(1), Colour.RED, Word("x"), captp.Set([1]), captp.E, SOLO, SOLO.vat, math),
]  # fmt: skip


@pytest.mark.parametrize("value", UNPASSABLE, ids=lambda v: type(v).__name__)
def test_everything_else_is_refused_naming_its_type_and_the_ways_out(value: Any) -> None:
    with pytest.raises(Unpassable, match=r"cannot cross a border; .*captp\.Object.*send the parts"):
        freeze(value, SOLO.vat)


PATHS: list[tuple[tuple[Any, ...], str]] = [
    ((object(),), "args[0]"),
    ((1, {"owner": object()}), "args[1].owner"),
    (([1, (2, object())],), "args[0][1][1]"),
    ((1, 2, {"a": [{"b": object()}]}), "args[2].a[0].b"),
    ((captp.Tagged("t", [object()]),), "args[0].value[0]"),
    ((captp.Fault("m", {"k": object()}),), "args[0].data.k"),
    ((captp.FrozenMap({"k": object()}),), "args[0].k"),
    ((captp.FrozenMap({"k": captp.FrozenMap({"l": [object()]})}),), "args[0].k.l[0]"),
]


@pytest.mark.parametrize(("args", "path"), PATHS, ids=[p for _, p in PATHS])
def test_the_path_leads_to_the_culprit(args: tuple[Any, ...], path: str) -> None:
    with pytest.raises(Unpassable) as refused:
        freeze_args(args, SOLO.vat)

    assert refused.value.path == path
    assert str(refused.value).startswith(f"{path}: a object cannot cross a border")


def test_the_path_of_a_keyword_argument_starts_with_its_name() -> None:
    with pytest.raises(Unpassable) as refused:
        freeze_kwargs({"a": 1, "owner": {"lock": object()}}, SOLO.vat)

    assert refused.value.path == "owner.lock"


@pytest.mark.parametrize("keys", [{1: 2}, {b"x": 1}, {"a": 1, captp.Symbol("b"): 1}, {None: 1}])
def test_struct_keys_are_strings(keys: dict[Any, Any]) -> None:
    for made in (keys, captp.FrozenMap(keys)):
        with pytest.raises(Unpassable, match="dict keys must be str"):
            freeze(made, SOLO.vat)


def test_a_frozen_map_made_by_hand_holds_references_not_objects_and_nothing_that_changes() -> None:
    solo, thing, inner = Solo(), Thing(), [1]

    frozen = freeze(captp.FrozenMap({"b": thing, "a": inner}), solo.vat)
    inner.append(2)

    assert frozen == {"a": (1,), "b": solo.ref(thing)}


def test_an_object_crosses_as_its_reference() -> None:
    solo, thing = Solo(), Thing()

    frozen = freeze({"a": [thing]}, solo.vat)

    assert frozen["a"][0] is solo.ref(thing)


@pytest.mark.parametrize("wrap", [lambda r: r, lambda r: [r], lambda r: captp.FrozenMap({"a": r})])
def test_a_reference_or_promise_of_another_vat_is_refused(wrap: Any) -> None:
    here, there = Solo(), Solo(seed=1)
    promise, _resolver = there.promise()

    for foreign in (there.ref(Thing()), promise):
        with pytest.raises(Unpassable, match="a reference of another vat"):
            freeze(wrap(foreign), here.vat)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_limited_and_a_cycle_is_told_as_such() -> None:
    ring: list[Any] = []
    ring.append(ring)

    assert freeze(nested(MAX_DEPTH), SOLO.vat) is not None
    for deep in (nested(MAX_DEPTH + 1), ring, {"a": nested(MAX_DEPTH)}, nested(100_000)):
        with pytest.raises(Unpassable, match=f"nested deeper than {MAX_DEPTH} levels, or a cycle"):
            freeze(deep, SOLO.vat)


def test_the_tag_of_keyword_arguments_is_no_last_argument_and_passes_elsewhere() -> None:
    tagged = captp.Tagged("captp:kwargs", {})

    with pytest.raises(Unpassable, match=r"^args\[1\]: the tag 'captp:kwargs' stands for keyword arguments"):
        freeze_args((1, tagged), SOLO.vat)
    assert freeze_args((tagged, 1), SOLO.vat)[0].tag == "captp:kwargs"
    assert freeze([tagged], SOLO.vat)[0].tag == "captp:kwargs"


DIFFERENT: list[tuple[Any, Any]] = [
    (1, True),
    (0, False),
    (1, 1.0),
    (True, 1.0),
    (0.0, -0.0),
    (captp.Symbol("a"), "a"),
    (b"a", "a"),
    (None, captp.NULL),
    (None, False),
    (captp.NULL, False),
    ("", None),
    ([1], [True]),
    ([0.0], [-0.0]),
    ([1], [1, 1]),
    ({"a": 1}, {"a": 1.0}),
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, {"a": 1, "b": 1}),
    ({}, []),
    (captp.Tagged("a", 1), captp.Tagged("b", 1)),
    (captp.Tagged("a", 1), captp.Tagged("a", True)),
    (captp.Fault("a"), captp.Fault("b")),
    (captp.Fault("a", {"k": 1}), captp.Fault("a", {"k": True})),
    (captp.Fault("a", {"k": 1}), captp.Fault("a")),
    (captp.Fault("a", None, b"x"), captp.Fault("a", None, b"y")),
    (captp.Fault("a", {"k": 0.0}), captp.Fault("a", {"k": -0.0})),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_values_that_the_model_tells_apart_differ(one: Any, other: Any) -> None:
    assert not equal(one, other)
    assert not equal(other, one)


SAME: list[tuple[Any, Any]] = [
    (math.nan, -math.nan),
    ([math.nan], (float("nan"),)),
    (0.0, 0.0),
    ([1, [2]], (1, (2,))),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (captp.NULL, type(captp.NULL)()),
    (captp.Symbol("a"), captp.Symbol("a")),
    (captp.Tagged("a", [1]), captp.Tagged("a", (1,))),
    (captp.Fault("a", {"k": [math.nan]}), captp.Fault("a", {"k": (math.nan,)})),
    (10**400, 10**400),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=str)
def test_values_that_the_model_does_not_tell_apart_are_equal(one: Any, other: Any) -> None:
    assert equal(one, other)
    assert equal(other, one)


def test_references_are_equal_when_they_reach_one_object_and_promises_never_are() -> None:
    solo, thing = Solo(), Thing()
    promise, resolver = solo.promise()

    assert equal(solo.ref(thing), solo.ref(thing, captp.Interface))
    assert not equal(solo.ref(thing), solo.ref(Thing()))
    assert not equal(promise, promise)
    resolver.fulfill(1)
    solo.run()
    assert not equal(promise, promise)
    assert not equal(promise, 1)


def test_all_nans_cross_as_one() -> None:
    odd = float.fromhex("-0x1p0") * math.nan

    assert freeze(odd, SOLO.vat) is freeze(math.nan, SOLO.vat)
