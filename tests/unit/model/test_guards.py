"""Guards: arguments that do not fit are refused with a path, and the body does not run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NewType, Optional, TypeVar, Union

import pytest

import captp
from captp.errors import BadArguments, BadClass
from captp.model.promise import Promise
from tests.support import Solo

Cents = NewType("Cents", int)
T = TypeVar("T")
RAN: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    RAN.clear()


class Account(captp.Interface):
    @captp.method
    def balance(self) -> int: ...


class Purse(captp.Object, Account):
    total: int = 3

    @captp.method
    def balance(self) -> int:
        return self.total


class Other(captp.Object):
    pass


STURDY = captp.SturdyRef(captp.PeerLocator.make("memory", "a" * 52, {}), b"s" * 32)


def make(annotation: Any) -> type:
    """Make an Object class whose method takes one argument with this annotation."""

    def take(self: Any, value: Any) -> Any:
        RAN.append(value)
        return value

    take.__annotations__ = {"value": annotation}
    return type(captp.Object)("Taker", (captp.Object,), {"take": captp.method(take)})


def give(solo: Solo, annotation: Any, value: Any) -> Any:
    """Send one argument to a method with this annotation; return what the body got."""
    solo.value(captp.E(solo.ref(make(annotation)())).take(value))
    return RAN[-1]


TAKEN: list[tuple[Any, Any]] = [
    (int, 3),
    (int, -(10**400)),
    (str, "x"),
    (bytes, b"x"),
    (bytes, bytearray(b"x")),
    (bool, True),
    (float, 1.5),
    (float, 3),
    (None, None),
    (type(None), None),
    (captp.Symbol, captp.Symbol("x")),
    (type(captp.NULL), captp.NULL),
    (captp.Tagged, captp.Tagged("t", (1,))),
    (captp.Fault, captp.Fault("f")),
    (captp.FrozenMap, {"a": 1}),
    (captp.SturdyRef, STURDY),
    (int | str, "x"),
    (Union[int, str], 3),  # noqa: UP007
    (Optional[int], None),  # noqa: UP045
    (int | None, 4),
    (float | None, 4),
    (list[int] | None, None),
    (list[int] | str, [1]),
    (Literal["a", 1], "a"),
    (Literal["a", 1], 1),
    (Literal["a"] | None, None),
    (Literal["a"] | int, 5),
    (Cents, 3),
    (Cents | None, None),
    (list, [1, "x"]),
    (list[int], [1, 2]),
    (list[list[str]], [["a"], []]),
    (tuple, (1, "x")),
    (tuple[int, ...], (1, 2)),
    (tuple[int, str], (1, "x")),
    (tuple[()], ()),
    (dict, {"a": 1}),
    (dict[str, int], {"a": 1}),
    (dict[str, list[int]], {"a": [1]}),
    (Sequence[int], [1]),
    (Mapping[str, int], {"a": 1}),
    (Any, [1]),
    (object, 1.5),
    (T, {"a": None}),
    (captp.Promise[int] | None, None),
]


@pytest.mark.parametrize(("annotation", "value"), TAKEN, ids=[str(a) for a, _ in TAKEN])
def test_a_fitting_argument_arrives(annotation: Any, value: Any) -> None:
    arrived = give(Solo(), annotation, value)

    if isinstance(value, list) and not any(isinstance(v, list) for v in value):
        assert arrived == tuple(value)
    elif not isinstance(value, list):
        assert arrived == value or type(arrived) is captp.FrozenMap
    if annotation is float:
        assert type(arrived) is float


REFUSED: list[tuple[Any, Any, str]] = [
    (int, True, "value: expected int, got bool"),
    (int, 1.0, "value: expected int, got float"),
    (int, "1", "value: expected int, got str"),
    (int, None, "value: expected int, got NoneType"),
    (int, (1,), "value: expected int, got tuple"),
    (str, b"x", "value: expected str, got bytes"),
    (str, captp.Symbol("x"), "value: expected str, got Symbol"),
    (bytes, "x", "value: expected bytes, got str"),
    (bool, 1, "value: expected bool, got int"),
    (float, True, "value: expected float, got bool"),
    (float, "1.0", "value: expected float, got str"),
    (float, 10**400, "value: expected float, got int"),
    (None, 0, "value: "),
    (None, captp.NULL, "value: "),
    (captp.Symbol, "x", "value: "),
    (type(captp.NULL), None, "value: "),
    (captp.SturdyRef, "ocapn://x", "value: "),
    (int | str, 1.5, "value: "),
    (int | str, True, "value: "),
    (int | None, "x", "value: "),
    (float | None, True, "value: "),
    (list[int] | str, ["x"], "value"),
    (Literal["a", 1], "b", "value: "),
    (Literal["a", 1], True, "value: "),
    (Literal["a"] | None, "b", "value: "),
    (Cents, "3", "value: "),
    (list, "abc", "value: expected list, got str"),
    (list, {"a": 1}, "value: "),
    (list[int], [1, 2, "x"], "value[2]: expected int, got str"),
    (list[list[str]], [["a"], ["b", 1]], "value[1][1]: expected str, got int"),
    (tuple[int, ...], (1, "x"), "value[1]: "),
    (tuple[int, str], (1, 2), "value[1]: expected str, got int"),
    (tuple[int, str], (1,), "value: expected 2 items, got 1"),
    (tuple[()], (1,), "value: expected 0 items, got 1"),
    (dict, [1], "value: "),
    (dict[str, int], {"a": 1, "b": "x"}, "value['b']: expected int, got str"),
    (dict[str, list[int]], {"k": [1, None]}, "value['k'][1]: expected int, got NoneType"),
    (Sequence[int], 5, "value: "),
    (Sequence[int], [1, "x"], "value[1]: "),
    (Mapping[str, int], {"k": "x"}, "value['k']: "),
    (captp.Promise[int], 3, "value: "),
    (captp.Reference, "x", "value: "),
    (Account, 3, "value: expected Account, got int"),
    (Account, None, "value: expected Account, got NoneType"),
    (Account | None, 3, "value: "),
    (list[Account], [None], "value[0]: expected Account, got NoneType"),
    (Purse, "x", "value: expected Purse, got str"),
]


@pytest.mark.parametrize(
    ("annotation", "value", "text"), REFUSED, ids=[f"{a} {v}"[:60] for a, v, _ in REFUSED]
)
def test_an_argument_that_does_not_fit_is_refused_with_its_path_and_the_body_does_not_run(
    annotation: Any, value: Any, text: str
) -> None:
    solo = Solo()

    with pytest.raises(BadArguments) as refused:
        give(solo, annotation, value)

    assert str(refused.value).startswith(text)
    assert RAN == []
    assert solo.failures == []


@pytest.mark.parametrize(
    "annotation", [Callable[[], int], set[int], frozenset, Iterable[int], complex], ids=str
)
def test_an_annotation_that_nothing_passable_can_fit_never_lets_an_argument_through(annotation: Any) -> None:
    solo = Solo()

    with pytest.raises((captp.Broken, BadClass)):
        give(solo, annotation, 5)

    assert RAN == []


class Many(captp.Object):
    @captp.method
    def shape(self, a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **named: int) -> list[Any]:
        RAN.append(a)
        return [a, b, rest, c, d, named]

    @captp.method
    def simple(self, a: int, b: str) -> list[Any]:
        RAN.append(a)
        return [a, b]

    @captp.method
    def nothing(self) -> int:
        RAN.append(0)
        return 0

    @captp.method
    def named(self, **named: Any) -> Any:
        RAN.append(0)
        return named

    @captp.method
    async def slow(self, a: int) -> int:
        RAN.append(a)
        return a


WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any] | None, str]] = [
    ("shape", (), {"c": 1}, "shape"),
    ("shape", (1,), None, "shape"),
    ("shape", (1,), {"a": 2, "c": "x"}, "c: expected int, got str"),
    ("shape", (1, "x"), {"c": 1}, "b: expected int, got str"),
    ("shape", (1, 2, 3, "x"), {"c": 1}, "rest[1]: expected int, got str"),
    ("shape", (1,), {"c": 1, "d": "x"}, "d: expected int, got str"),
    ("shape", (1,), {"c": 1, "e": 1, "f": "x"}, "named['f']: expected int, got str"),
    ("shape", (1, 2), {"b": 2, "c": 1}, "shape"),
    ("simple", (), None, "simple() takes 2 arguments, 0 were given"),
    ("simple", (1, "x", 3), None, "simple() takes 2 arguments, 3 were given"),
    ("simple", (1,), {"z": "x"}, "simple"),
    ("simple", (1,), {"a": 1, "b": "x"}, "simple"),
    ("simple", (), {"b": "x", "a": "y"}, "a: expected int, got str"),
    ("nothing", (1,), None, "nothing() takes 0 arguments, 1 were given"),
    ("nothing", (), {"x": 1}, "nothing"),
    ("simple", (1,), {"self": 1}, "simple"),
    ("named", (1,), {"x": 1}, "named"),
    ("named", (), {"self": 1}, "named"),
    ("slow", ("x",), None, "a: expected int, got str"),
    ("slow", (), None, "slow"),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "text"), WRONG)
def test_arguments_in_wrong_places_are_refused_and_the_body_does_not_run(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any] | None, text: str
) -> None:
    solo = Solo()
    ref = solo.ref(Many())

    # Past the stub's own check, as a peer may.
    with pytest.raises(BadArguments) as refused:
        solo.value(solo.vat.send(ref, name, args, kwargs, Promise))

    assert str(refused.value).startswith(text)
    assert RAN == []
    assert solo.failures == []


def test_keyword_arguments_are_bound_by_name() -> None:
    solo = Solo()
    ref = solo.ref(Many())

    assert solo.value(solo.vat.send(ref, "simple", (), {"b": "x", "a": 1}, Promise)) == (1, "x")
    assert solo.value(solo.vat.send(ref, "simple", (1,), {"b": "x"}, Promise)) == (1, "x")


def test_a_reference_arrives_typed_even_when_its_object_is_near() -> None:
    solo, purse = Solo(), Purse()

    for given in (purse, solo.ref(purse), captp.E(solo.ref(Other())).x):
        if isinstance(given, captp.Reference | Purse):
            assert give(solo, Account, given) is solo.ref(purse, Account)
    assert list(give(solo, list[Account], [purse])) == [solo.ref(purse, Account)]
    assert give(solo, Account | None, purse) is solo.ref(purse, Account)


def test_a_reference_of_another_type_arrives_under_the_interface_asked_for() -> None:
    solo = Solo()

    arrived = give(solo, Account, solo.ref(Other()))

    assert isinstance(arrived, Account)
    with pytest.raises(captp.NoSuchMethod):
        solo.value(arrived.balance())


def test_an_untyped_promise_arrives_with_the_methods_of_the_interface() -> None:
    solo, purse = Solo(), Purse()
    promise, resolver = solo.promise()
    captp.E(solo.ref(make(Account)())).take.only(promise)
    solo.run()

    (arrived,) = RAN
    answer = arrived.balance()
    resolver.fulfill(solo.ref(purse))

    assert isinstance(arrived, Account)
    assert solo.value(answer) == 3


def test_an_argument_annotated_with_an_object_class_arrives_as_the_near_object() -> None:
    solo, purse = Solo(), Purse()

    assert give(solo, Purse, purse) is purse
    assert give(solo, Purse, solo.ref(purse)) is purse
    assert give(solo, Purse | None, None) is None


def test_a_reference_to_another_class_is_refused_where_an_object_class_is_asked_for() -> None:
    solo = Solo()

    with pytest.raises(captp.Broken):
        give(solo, Purse, solo.ref(Other()))
    assert RAN == []


def test_what_annotations_name_is_looked_up_at_the_first_call_so_that_it_may_come_later() -> None:
    class Early(captp.Object):
        @captp.method
        def take(self, value: DefinedLater) -> int:
            RAN.append(value)
            return 1

    solo = Solo()

    assert solo.value(solo.ref(Early()).take(DefinedLater())) == 1


class DefinedLater(captp.Object):
    pass


def test_an_annotation_that_nothing_defines_breaks_the_call_saying_where_to_look() -> None:
    class Lost(captp.Object):
        @captp.method
        def take(self, value: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821
            RAN.append(value)
            return 1

    solo = Solo()

    with pytest.raises(captp.Broken):
        solo.value(captp.E(solo.ref(Lost())).take(1))
    (failure,) = solo.failures
    assert isinstance(failure, BadClass)
    assert "Lost.take: cannot resolve 'Nowhere'" in str(failure)
    assert RAN == []
