"""What the words of ``captp call`` mean, and how results are written."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.cli.problems import USAGE, Failure
from captp.cli.words import Step, parse_steps, to_json
from captp.model.locator import PeerLocator, SturdyRef
from captp.model.values import NULL, Fault, FrozenMap, Symbol, Tagged

SETTINGS = settings(max_examples=200, deadline=None)


def test_words_become_the_arguments_of_the_step_before_them() -> None:
    steps = parse_steps("open", ("owner=ada", "./deposit", "amount:=100", "./history"))

    assert steps == [
        Step("open", [], {"owner": "ada"}),
        Step("deposit", [], {"amount": 100}),
        Step("history"),
    ]


@pytest.mark.parametrize(
    ("word", "args", "kwargs"),
    [
        ("ada", ["ada"], {}),
        ("5", ["5"], {}),
        ("", [""], {}),
        (":=5", [5], {}),
        (":=null", [None], {}),
        (':="./x"', ["./x"], {}),
        ("a=", [], {"a": ""}),
        ("a==b", [], {"a": "=b"}),
        ("a=b:=c", [], {"a": "b:=c"}),
        ("a:=[1,{}]", [], {"a": [1, {}]}),
        ("a:= 1", [], {"a": 1}),
        ("a=two\nlines", [], {"a": "two\nlines"}),
        ("=x", ["=x"], {}),
        ("https://example.org/?a=b", ["https://example.org/?a=b"], {}),
        ("a:b=c", ["a:b=c"], {}),
    ],
)
def test_a_word_is_text_or_json_with_a_name_or_without(
    word: str, args: list[Any], kwargs: dict[str, Any]
) -> None:
    assert parse_steps("m", (word,)) == [Step("m", args, kwargs)]


@pytest.mark.parametrize(
    ("method", "words", "says"),
    [
        ("m", ("a:=x",), "a:=x is not JSON"),
        ("m", (":=NaN",), "NaN is no JSON number"),
        ("m", (f":={'[' * 100_000}",), "is not JSON"),
        ("m", ("a=1", "a:=2"), "a is given twice"),
        ("m", ("./",), "'./' is no method name"),
        ("m", ("./__init__",), "'./__init__' is no method name"),
        ("./m", (), "'./m' is no method name"),
        ("a=b", (), "'a=b' is no method name"),
        ("m", ("\udcff",), "is not UTF-8"),
    ],
)
def test_a_word_that_means_nothing_is_named(method: str, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(Failure, match=re.escape(says)) as caught:
        parse_steps(method, words)

    assert caught.value.code == USAGE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@SETTINGS
@given(JSON)
def test_json_given_is_the_value_passed(value: Any) -> None:
    (step,) = parse_steps("m", (f":={json.dumps(value)}",))

    assert step.args == [value]


def frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(frozen, value))
    if isinstance(value, dict):
        return FrozenMap((k, frozen(v)) for k, v in value.items())
    return value


@SETTINGS
@given(JSON)
def test_a_result_is_one_printable_line_of_json_with_the_same_value(value: Any) -> None:
    line = to_json(frozen(value))

    assert json.loads(line) == value
    assert line.isprintable()


SECRET = SturdyRef(PeerLocator.make("tls", "abcd", {}), b"0123456789abcdef")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"\xff", {"$bytes": "/w=="}),
        (NULL, {"$null": True}),
        (Symbol("s"), {"$symbol": "s"}),
        (Tagged("t", (1,)), {"$tagged": ["t", [1]]}),
        (Fault("broke"), {"$fault": "broke"}),
        (math.nan, {"$float": "nan"}),
        (-math.inf, {"$float": "-inf"}),
        (SECRET, {"$sturdyref": "ocapn://abcd.tls/s/****"}),
    ],
)
def test_what_json_lacks_is_an_object_with_one_dollar_key(value: Any, shown: Any) -> None:
    assert json.loads(to_json((value,))) == [shown]
