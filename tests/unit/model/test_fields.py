"""State fields: what each annotation takes, what it refuses, and what assigning converts."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NewType, Optional, Union

import pytest

import captp
from captp.errors import BadClass, NotInTurn, Unpassable
from tests.support import Solo

Cents = NewType("Cents", int)


class Account(captp.Interface):
    @captp.method
    def balance(self) -> int: ...


class Purse(captp.Object, Account):
    total: int = 0

    @captp.method
    def balance(self) -> int:
        return self.total


class Fields(captp.Object):
    whole: int = 0
    text: str = ""
    raw: bytes = b""
    truth: bool = False
    real: float = 0.0
    nothing: None = None
    symbol: captp.Symbol = captp.Symbol("s")
    null: type(captp.NULL) = captp.NULL  # type: ignore[valid-type]
    tagged: captp.Tagged = captp.Tagged("t", 1)
    fault: captp.Fault = captp.Fault("f")
    struct: captp.FrozenMap = captp.FrozenMap(a=1)
    either: int | str = 0
    spelled: Union[int, str] = 0  # noqa: UP007
    maybe: Optional[int] = None  # noqa: UP045
    choice: Literal["a", "b"] = "a"
    number: Literal[1, 2] = 1
    perhaps: Literal["a", "b"] | None = None
    mixed: Literal["a"] | int = "a"
    cents: Cents = Cents(0)
    some_cents: Cents | None = None
    anything: Any = None
    whatever: object = None
    pair: tuple[int, str] = (0, "")
    several: tuple[int, ...] = ()
    purse: Purse | None = None
    account: Account | None = None
    promise: captp.Promise[int] | None = None
    reference: captp.Reference | None = None
    sturdy: captp.SturdyRef | None = None
    real_or_none: float | None = None
    later: Later | None = None
    children: captp.List[Fields]
    constant: ClassVar[object] = object()


class Later(captp.Object):
    depth: int = 0


STURDY = captp.SturdyRef(captp.PeerLocator.make("memory", "a" * 52, {}), b"s" * 32)

TAKEN: list[tuple[str, Any]] = [
    ("whole", 7),
    ("whole", 10**5_000),
    ("text", "x"),
    ("raw", b"x"),
    ("truth", True),
    ("real", 1.5),
    ("nothing", None),
    ("symbol", captp.Symbol("x")),
    ("null", captp.NULL),
    ("tagged", captp.Tagged("x", 1)),
    ("fault", captp.Fault("x")),
    ("struct", captp.FrozenMap(x=1)),
    ("either", 1),
    ("either", "x"),
    ("spelled", "x"),
    ("maybe", 3),
    ("maybe", None),
    ("choice", "b"),
    ("number", 2),
    ("perhaps", "a"),
    ("perhaps", None),
    ("mixed", "a"),
    ("mixed", 4),
    ("cents", Cents(3)),
    ("some_cents", Cents(3)),
    ("some_cents", None),
    ("anything", 1.5),
    ("anything", (1, ("x", None))),
    ("whatever", "x"),
    ("pair", (1, "x")),
    ("several", (1, 2, 3)),
    ("purse", None),
    ("sturdy", STURDY),
    ("real_or_none", None),
    ("real_or_none", 0.5),
]


@pytest.mark.parametrize(("field", "value"), TAKEN, ids=[f for f, _ in TAKEN])
def test_a_field_takes_a_value_of_its_type(field: str, value: Any) -> None:
    by_constructor = Fields(**{field: value})
    by_assignment = Fields()
    setattr(by_assignment, field, value)

    for made in (by_constructor, by_assignment):
        assert getattr(made, field) == value
        assert type(getattr(made, field)) is type(value)


REFUSED: list[tuple[str, Any]] = [
    ("whole", True),
    ("whole", 1.0),
    ("whole", "1"),
    ("whole", None),
    ("whole", object()),
    ("text", b"x"),
    ("text", captp.Symbol("x")),
    ("raw", "x"),
    ("raw", bytearray(b"x")),
    ("truth", 1),
    ("real", True),
    ("real", "1.0"),
    ("real", 10**400),
    ("nothing", 0),
    ("nothing", captp.NULL),
    ("symbol", "s"),
    ("null", None),
    ("either", 1.5),
    ("either", True),
    ("either", None),
    ("spelled", None),
    ("maybe", True),
    ("choice", "c"),
    ("choice", 1),
    ("choice", []),
    ("choice", {"a": 1}),
    ("perhaps", ["a"]),
    ("number", True),
    ("number", 1.0),
    ("number", 3),
    ("perhaps", "c"),
    ("mixed", "b"),
    ("cents", "3"),
    ("anything", object()),
    ("anything", lambda: None),
    ("anything", ("x", (object(),))),
    ("anything", int),
    ("whatever", {1, 2}.__iter__()),
    ("pair", [1, "x"]),
    ("purse", 3),
    ("purse", Later()),
    ("account", 3),
    ("account", Later()),
    ("promise", 3),
    ("reference", Purse()),
    ("children", [3]),
    ("children", [Later()]),
    ("children", {"a": 1}),
]


@pytest.mark.parametrize(("field", "value"), REFUSED, ids=[f for f, _ in REFUSED])
def test_a_field_refuses_any_other_value_naming_itself(field: str, value: Any) -> None:
    made = Fields()
    before = getattr(made, field)

    with pytest.raises(Unpassable, match=rf"^Fields\.{field} ") as refused:
        setattr(made, field, value)
    with pytest.raises(Unpassable):
        Fields(**{field: value})

    assert refused.value.path.startswith(f"Fields.{field}")
    assert getattr(made, field) is before


def test_an_int_assigned_to_a_float_field_becomes_a_float() -> None:
    made = Fields(real=3, real_or_none=4)

    assert (type(made.real), type(made.real_or_none)) == (float, float)


def test_plain_containers_become_tracked_ones_and_later_changes_of_the_original_do_not_show() -> None:
    class Holder(captp.Object):
        row: list[int]
        table: dict[str, int]
        tags: set[int]
        bare: captp.List  # type: ignore[type-arg]

    row = [1]

    made = Holder(row=row, table={"a": 1}, tags={1}, bare=["x", 1])
    row.append(2)

    kinds = (type(made.row), type(made.table), type(made.tags), type(made.bare))
    assert kinds == (captp.List, captp.Map, captp.Set, captp.List)
    assert (made.row, made.table, made.tags, made.bare) == ([1], {"a": 1}, {1}, ["x", 1])


def test_a_container_of_another_object_is_copied_not_shared() -> None:
    class Holder(captp.Object):
        row: captp.List[int]
        other: captp.List[int]

    one = Holder(row=[1])

    two = Holder(row=one.row)
    two.row.append(2)
    one.other = one.row
    one.other.append(3)

    assert (one.row, two.row) == ([1], [1, 2])


def test_a_container_of_the_same_object_is_checked_against_the_field_it_is_assigned_to() -> None:
    class Holder(captp.Object):
        numbers: captp.List[int]
        words: captp.List[str]

    made = Holder(words=["x"])

    with pytest.raises(Unpassable, match=r"Holder\.numbers"):
        made.numbers = made.words  # type: ignore[assignment]


def test_each_object_gets_a_container_of_its_own_when_none_is_given() -> None:
    class Holder(captp.Object):
        row: captp.List[int]
        start: captp.List[int] = captp.List([1])

    one, two = Holder(), Holder()

    one.row.append(1)
    one.start.append(2)

    assert (two.row, two.start) == ([], [1])


def test_a_missing_required_field_is_refused_naming_it_and_the_ways_out() -> None:
    class Holder(captp.Object):
        size: int
        maybe: captp.List[int] | None

    with pytest.raises(TypeError, match=r"Holder\.size needs a value: pass size=\.\.\. .* default"):
        Holder(maybe=None)
    with pytest.raises(TypeError, match=r"Holder\.maybe"):
        Holder(size=1)


def test_an_unknown_or_positional_field_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        Purse(colour=1)
    with pytest.raises(TypeError, match="positional"):
        Purse(3)  # type: ignore[call-arg, misc]


def test_a_default_of_a_wrong_type_is_refused_naming_the_field() -> None:
    class Holder(captp.Object):
        size: int = "x"  # type: ignore[assignment]

    with pytest.raises(Unpassable, match=r"Holder\.size"):
        Holder()


@pytest.mark.parametrize(
    "annotation",
    [
        frozenset,
        complex,
        bytearray,
        type,
        Callable[[], int],
        Sequence[int],
        typing.Mapping[str, int],
        object().__class__.__class__,
        Solo,
        captp.List[frozenset[int]],
        captp.Map[str, complex],
        int | frozenset[int],
    ],
    ids=str,
)
def test_an_annotation_that_can_never_be_state_is_refused_when_the_class_is_defined(annotation: Any) -> None:
    with pytest.raises(BadClass, match=r"Holder\.bad: .*cannot be state; use plain data"):
        type(captp.Object)("Holder", (captp.Object,), {"__annotations__": {"bad": annotation}})


def test_a_private_field_is_refused_when_the_class_is_defined() -> None:
    with pytest.raises(BadClass, match=r"Holder\._secret: state fields cannot start with _"):

        class Holder(captp.Object):
            _secret: int = 0


def test_an_annotation_that_nothing_defines_is_refused_naming_the_field_and_the_fix() -> None:
    class Holder(captp.Object):
        strange: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(BadClass, match=r"Holder\.strange: cannot resolve 'Nowhere'.*module level"):
        Holder(strange=1)


def test_a_forward_reference_is_resolved_once_the_class_is_there() -> None:
    later = Later(depth=1)
    child = Fields()

    made = Fields(later=later, children=[child])

    assert made.later is later
    assert made.children == [child]
    with pytest.raises(Unpassable, match=r"Fields\.later"):
        made.later = Purse()  # type: ignore[assignment]


def test_a_class_variable_is_no_state() -> None:
    assert Fields.constant is Fields().constant
    with pytest.raises(TypeError, match="constant"):
        Fields(constant=1)


@pytest.mark.parametrize(
    "names",
    [
        ("name", "field_name"),
        ("name", "convert_name", "type_name", "types_name"),
        ("self", "value", "snap"),
        ("home", "turn", "entry", "views", "latch"),
        ("MISSING", "UNOWNED", "UNOWNED_TOKEN"),
        ("get_x", "set_x", "x"),
        ("print", "property", "type", "list", "class_"),
        ("obj", "args", "kwargs", "token", "reference"),
    ],
    ids=" ".join,
)
def test_no_field_name_clashes_with_the_generated_code(names: tuple[str, ...]) -> None:
    annotations = dict.fromkeys(names, int)
    holder: Any = type(captp.Object)("Holder", (captp.Object,), {"__annotations__": annotations})
    solo = Solo()

    made = holder(**{n: i for i, n in enumerate(names)})
    solo.ref(made)
    solo.turn(lambda: [setattr(made, n, getattr(made, n) + 100) for n in names])

    assert [getattr(made, n) for n in names] == [100 + i for i, _ in enumerate(names)]


def test_an_owned_field_is_written_only_in_a_turn() -> None:
    solo, purse = Solo(), Purse(total=1)
    solo.ref(purse)

    with pytest.raises(NotInTurn, match=r"Purse belongs to a vat.*send it a message"):
        purse.total = 2
    solo.turn(lambda: setattr(purse, "total", 3))

    assert purse.total == 3
