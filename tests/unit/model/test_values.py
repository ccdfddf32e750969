"""The values that Python lacks: distinct, hashable, and as frozen as what they are sent with."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import captp
from captp.model.values import Null


def test_a_symbol_equals_symbols_of_its_name_and_no_string() -> None:
    assert captp.Symbol("a") == captp.Symbol("a")
    assert captp.Symbol("a") != captp.Symbol("b")
    assert captp.Symbol("a") != "a"
    assert {captp.Symbol("a"): 1, "a": 2} == {"a": 2, captp.Symbol("a"): 1}
    assert hash(captp.Symbol("a")) == hash(captp.Symbol("a"))
    assert repr(captp.Symbol("a")) == "Symbol('a')"


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (captp.Symbol("a"), "name"),
        (captp.Tagged("t", 1), "tag"),
        (captp.Tagged("t", 1), "value"),
        (captp.Fault("m"), "message"),
        (captp.NULL, "anything"),
    ],
)
def test_a_value_cannot_be_changed(value: Any, attribute: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, attribute, "changed")
    with pytest.raises(AttributeError):
        delattr(value, attribute)


def test_null_is_one_value_falsy_and_not_none() -> None:
    assert Null() == captp.NULL
    assert hash(Null()) == hash(captp.NULL)
    assert not captp.NULL
    assert captp.NULL is not None
    assert captp.NULL != None  # noqa: E711
    assert captp.NULL != False  # noqa: E712
    assert repr(captp.NULL) == "NULL"


def test_tagged_and_fault_compare_by_content() -> None:
    assert captp.Tagged("t", (1,)) == captp.Tagged("t", (1,))
    assert captp.Tagged("t", 1) != captp.Tagged("u", 1)
    assert captp.Fault("m", None, b"x") != captp.Fault("m")
    assert len({captp.Tagged("t", 1), captp.Tagged("t", 1)}) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.__setitem__("a", 2),
        lambda m: m.__delitem__("a"),
        lambda m: m.__ior__({"b": 1}),
        lambda m: m.clear(),
        lambda m: m.pop("a"),
        lambda m: m.pop("zz", None),
        lambda m: m.popitem(),
        lambda m: m.setdefault("a", 1),
        lambda m: m.setdefault("b", 1),
        lambda m: m.update(a=2),
        lambda m: m.update({}),
    ],
)
def test_a_frozen_map_refuses_every_change_with_the_fix(change: Any) -> None:
    frozen = captp.FrozenMap({"a": 1})

    with pytest.raises(TypeError, match=r"frozen; make your own with dict\(value\)"):
        change(frozen)

    assert frozen == {"a": 1}


def test_no_changing_method_of_dict_is_left_open() -> None:
    left = {n for n in vars(dict) if n not in vars(captp.FrozenMap)}

    assert not left & {
        "__setitem__",
        "__delitem__",
        "__ior__",
        "clear",
        "pop",
        "popitem",
        "setdefault",
        "update",
    }


def test_a_frozen_map_reads_like_a_dict_and_hashes_by_content() -> None:
    one, two = captp.FrozenMap(a=1, b=2), captp.FrozenMap({"a": 1, "b": 2})

    assert one == two == {"a": 1, "b": 2}
    assert hash(one) == hash(two)
    assert (one["a"], one.get("c"), "b" in one, len(one), list(one)) == (1, None, True, 2, ["a", "b"])
    assert {one: "found"}[two] == "found"
    assert isinstance(one, dict)


def test_equal_frozen_maps_hash_alike_whatever_order_they_were_made_in() -> None:
    one, two = captp.FrozenMap({"a": 1, "b": 2}), captp.FrozenMap({"b": 2, "a": 1})

    assert one == two
    assert hash(one) == hash(two)


def test_what_is_made_from_a_frozen_map_is_ones_own_and_may_change() -> None:
    frozen = captp.FrozenMap(a=1)

    for mine in (dict(frozen), frozen.copy(), frozen | {"b": 2}):
        mine["c"] = 3
        assert type(mine) is dict

    assert frozen == {"a": 1}


@pytest.mark.parametrize(
    "value",
    [captp.Symbol("a"), captp.NULL, captp.Tagged("t", (1,)), captp.FrozenMap(a=(1,)), captp.Fault("m")],
    ids=repr,
)
def test_a_copy_of_a_value_is_an_equal_value(value: Any) -> None:
    assert copy.copy(value) == value
    assert copy.deepcopy(value) == value
    assert type(copy.deepcopy(value)) is type(value)
