"""Exceptions at borders: what leaves, what arrives, and what never does."""

from __future__ import annotations

import builtins
import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp import errors
from captp.errors import BadClass, Broken
from captp.model.faults import TEXT_LIMIT, from_wire, portable, portable_error, to_wire
from captp.model.fresh import fresh
from captp.model.ref import HOLDS, Ref
from tests.support import Solo

SECRET = "ocapn://" + "a" * 52 + ".tls/s/" + "S" * 43


@portable_error
class OverDrawn(Broken):
    missing: int
    currency: str

    def __init__(self, message: str = "", *, missing: int = 0, currency: str = "") -> None:
        super().__init__(message)
        self.missing = missing
        self.currency = currency


class Unregistered(Broken):
    pass


class Private(Exception):
    pass


class PrivateValue(ValueError):
    pass


class Bank(captp.Object):
    @captp.method
    def fail(self, which: str) -> None:
        try:
            raise KeyError("the inner secret")
        except KeyError as cause:
            raise make(which) from cause


def make(which: str) -> BaseException:
    return {
        "refused": captp.Refused("no"),
        "overdrawn": OverDrawn("too little", missing=3, currency="EUR"),
        "unregistered": Unregistered("text"),
        "value": ValueError("bad value"),
        "key": KeyError("bad key"),
        "zero": ZeroDivisionError("division"),
        "private": Private("a secret of the owner"),
        "private value": PrivateValue("a secret of the owner"),
        "uri": ValueError(f"cannot reach {SECRET}"),
        "long": ValueError("x" * 5_000),
        "memory": MemoryError(),
        "stop": StopIteration(3),
        "notnear": captp.NotNear("use a send"),
    }[which]


def broken_by(which: str) -> tuple[Broken, Solo]:
    solo = Solo()
    with pytest.raises(Broken) as caught:
        solo.value(captp.E(solo.ref(Bank())).fail(which))
    return caught.value, solo


@pytest.mark.parametrize(
    ("which", "class_name", "text"),
    [
        ("value", "ValueError", "bad value"),
        ("key", "KeyError", "'bad key'"),
        ("zero", "ZeroDivisionError", "division"),
        ("memory", "MemoryError", ""),
        ("notnear", "NotNear", "use a send"),
    ],
)
def test_a_listed_exception_arrives_as_a_remote_fault_with_class_name_and_text(
    which: str, class_name: str, text: str
) -> None:
    error, _solo = broken_by(which)

    assert isinstance(error, captp.RemoteFault)
    assert (error.class_name, str(error)) == (class_name, text)


@pytest.mark.parametrize(("which", "class_name"), [("private", "Exception"), ("private value", "ValueError")])
def test_an_exception_class_of_the_program_crosses_without_its_name_or_text(
    which: str, class_name: str
) -> None:
    error, _solo = broken_by(which)

    assert isinstance(error, captp.Encapsulated)
    assert error.class_name == class_name
    assert "secret" not in str(error)
    assert "Private" not in str(error)


def test_a_portable_error_keeps_its_class_and_fields() -> None:
    refused, _ = broken_by("refused")
    overdrawn, _ = broken_by("overdrawn")

    assert type(refused) is captp.Refused
    assert isinstance(overdrawn, OverDrawn)
    assert (overdrawn.missing, overdrawn.currency, str(overdrawn)) == (3, "EUR", "too little")


@pytest.mark.parametrize("which", ["refused", "overdrawn", "value", "private"])
def test_no_frame_cause_or_context_leaves_with_an_error(which: str) -> None:
    solo = Solo()
    promise = captp.E(solo.ref(Bank())).fail(which)
    solo.run()

    with pytest.raises(Broken) as caught:
        solo.value(promise)

    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    frames = [f.name for f in caught.traceback]
    assert "fail" not in frames


def test_a_swiss_number_in_the_text_of_an_error_is_masked() -> None:
    error, _solo = broken_by("uri")

    assert "S" * 43 not in str(error)
    assert "SSSS" not in repr(to_wire(error))


def test_the_text_of_an_error_is_cut() -> None:
    error, _solo = broken_by("long")

    assert len(str(error)) == TEXT_LIMIT
    assert len(to_wire(captp.Refused("x" * 5_000)).message) == TEXT_LIMIT


@pytest.mark.parametrize(
    ("which", "traced"), [("refused", 0), ("overdrawn", 0), ("value", 1), ("private", 1)]
)
def test_the_owner_sees_unforeseen_failures_and_not_refusals(which: str, traced: int) -> None:
    _error, solo = broken_by(which)

    assert len(solo.failures) == traced
    if traced:
        assert type(solo.failures[0]) is type(make(which))


PORTABLE: list[Broken] = [
    captp.Refused("r"),
    captp.NotFound("n"),
    captp.NoSuchMethod("m"),
    captp.BadArguments("b"),
    captp.Cancelled("c"),
    captp.Timeout("t"),
    captp.Overloaded("o"),
    OverDrawn("d", missing=7, currency="X"),
]


@pytest.mark.parametrize("error", PORTABLE, ids=lambda e: type(e).__name__)
def test_an_error_that_is_portable_comes_out_of_the_wire_form_as_it_went_in(error: Broken) -> None:
    arrived = from_wire(to_wire(error))

    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert arrived.kind == error.kind
    if isinstance(error, OverDrawn):
        assert isinstance(arrived, OverDrawn)
        assert (arrived.missing, arrived.currency) == (7, "X")


def test_an_unknown_class_arrives_as_a_remote_fault() -> None:
    arrived = from_wire(to_wire(Unregistered("text")))

    assert isinstance(arrived, captp.RemoteFault)
    assert str(arrived) == "text"


def test_a_remote_fault_goes_on_under_the_class_name_it_came_with() -> None:
    arrived = from_wire(to_wire(captp.RemoteFault("bad", class_name="ValueError")))

    assert isinstance(arrived, captp.RemoteFault)
    assert (arrived.class_name, str(arrived)) == ("ValueError", "bad")


@pytest.mark.parametrize("reason", [captp.Symbol("because"), "text", (1, 2), None, captp.Tagged("t", 1), 5])
def test_a_reason_that_is_no_fault_is_kept_and_goes_on_verbatim(reason: Any) -> None:
    arrived = from_wire(reason)

    assert type(arrived) is Broken
    assert arrived.reason == reason
    if reason is not None:
        assert to_wire(arrived) == reason


FAULTS = st.builds(
    captp.Fault,
    st.text(max_size=20),
    st.none()
    | st.dictionaries(
        st.sampled_from(
            ["class", "missing", "currency", "reason", "message", "args", "with_traceback", "kind"]
        ),
        st.one_of(
            st.sampled_from([c.__name__ for c in map(type, PORTABLE)]),
            st.sampled_from(["Exception", "KeyboardInterrupt", "SystemExit", "os.system", "Disconnected"]),
            st.sampled_from([f"{__name__}.OverDrawn", "InvariantBroken", "UsageError", "Private"]),
            st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2).map(tuple),
        ),
    ),
    st.none() | st.binary(max_size=4),
)


@settings(max_examples=300)
@given(FAULTS)
def test_whatever_fault_a_peer_sends_becomes_a_broken_of_a_known_class(fault: captp.Fault) -> None:
    arrived = from_wire(fault)

    assert isinstance(arrived, Broken)
    assert type(arrived).__module__ in ("captp.errors", __name__)
    assert len(str(arrived)) <= TEXT_LIMIT
    if isinstance(arrived, captp.RemoteFault):
        assert not arrived.class_name or any(hasattr(m, arrived.class_name) for m in (builtins, errors))


def test_a_peer_cannot_make_a_wrong_field_type_of_a_portable_error_raise_anything_else() -> None:
    name = f"{__name__}.OverDrawn"

    arrived = from_wire(captp.Fault("m", captp.FrozenMap({"class": name, "missing": "x", "currency": 3})))

    assert isinstance(arrived, Broken)


@pytest.mark.parametrize(
    ("data", "brand", "number", "class_name"),
    [
        ({"brand": "turns#1", "id": 3, "class_name": "KeyError"}, "turns#1", 3, "KeyError"),
        ({"brand": "b" * 500, "id": -1, "class_name": "os.system"}, "b" * 200, 0, ""),
        ({"brand": ("x",), "id": True, "class_name": 5}, "", 0, ""),
        ({"brand": captp.Symbol("x"), "id": 1 << 80, "class_name": ("KeyError",)}, "", 0, ""),
        ({}, "", 0, ""),
    ],
)
def test_of_an_encapsulated_exception_a_peer_can_say_only_what_fits(
    data: dict[str, Any], brand: str, number: int, class_name: str
) -> None:
    arrived = from_wire(captp.Fault("m" * 5_000, captp.FrozenMap({"class": "Encapsulated", **data})))

    assert type(arrived) is captp.Encapsulated
    assert (arrived.brand, arrived.id, arrived.class_name) == (brand, number, class_name)
    assert len(str(arrived)) == TEXT_LIMIT


def test_an_encapsulated_exception_crosses_with_where_it_is() -> None:
    error = captp.Encapsulated("m", brand="turns#1", id=3, class_name="KeyError")

    arrived = from_wire(to_wire(error))

    assert type(arrived) is captp.Encapsulated
    assert (arrived.brand, arrived.id, arrived.class_name, str(arrived)) == ("turns#1", 3, "KeyError", "m")


def test_an_unregistered_subclass_arrives_as_the_class_of_ours_that_it_derives_from() -> None:
    class Later(captp.Overloaded):
        pass

    made = portable(Later("come back"))

    assert type(made) is captp.Overloaded
    assert str(made) == "come back"


@portable_error
class Slotted(Broken):
    __slots__ = ("depth",)
    depth: int

    def __init__(self, message: str = "", *, depth: int = 0) -> None:
        super().__init__(message)
        self.depth = depth


def test_a_field_in_a_slot_leaves_with_each_copy() -> None:
    made = portable(Slotted("s", depth=3))
    again = fresh(made)

    assert made is not again
    assert isinstance(made, Slotted)
    assert isinstance(again, Slotted)
    assert (made.depth, again.depth, str(again)) == (3, 3, "s")


def test_a_reference_that_was_lent_or_is_unique_does_not_leave_with_an_exception() -> None:
    solo = Solo()
    shared: Any = solo.ref(Bank())
    assert portable(Broken("b", reason=(shared,))).reason == (shared,)

    for hold in HOLDS:
        assert portable(Broken("b", reason=(Ref(hold.__new__(hold), None),))).reason is None


def test_only_subclasses_of_broken_can_be_portable() -> None:
    with pytest.raises(BadClass, match=r"Bad: a portable error derives from captp\.Broken"):

        @portable_error
        class Bad(Exception):  # type: ignore[type-var]
            pass


def test_an_exception_whose_own_text_fails_breaks_only_its_call() -> None:
    class Sly(captp.Object):
        @captp.method
        def fail(self) -> None:
            raise type("ValueError", (Exception,), {"__str__": lambda self: 1 / 0})

        @captp.method
        def sly(self) -> None:
            raise type("Odd", (captp.Refused,), {"__str__": lambda self: 1 / 0})

        @captp.method
        def fine(self) -> int:
            return 1

    solo = Solo()
    ref = solo.ref(Sly())

    for call in (ref.fail(), ref.sly()):
        solo.run()
        assert call.settled
    assert solo.value(ref.fine()) == 1


def test_portable_keeps_no_frames_alive() -> None:
    class Big:
        pass

    def fail() -> None:
        local = Big()
        raise captp.Refused(f"no {len([local])}")

    try:
        fail()
    except captp.Refused as caught:
        kept = portable(caught)
    gc.collect()

    assert kept.__traceback__ is None
    assert not any(type(o) is Big for o in gc.get_objects())
