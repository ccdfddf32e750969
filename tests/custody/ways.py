"""Ways to bring a live object out by raising: each gets the secret and raises; one is as good as another."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NoReturn

import captp
from captp.errors import BrokenTrustee, RemoteProtocolError
from captp.model.ref import Ref

__all__ = ["SECRETS", "WAYS", "Secret", "Taker", "smuggle"]


class Secret:
    """A live object, and others that it holds: whoever has any of them is inside."""

    def __init__(self) -> None:
        self.marks: list[Any] = []
        self.table: dict[str, Any] = {}
        self.raw = bytearray(b"live")

    @property
    def parts(self) -> tuple[Any, ...]:
        return (self, self.marks, self.table, self.raw, self.__dict__)


#: The one that is inside now.
SECRETS: Final[list[Secret]] = []

WAYS: Final[dict[str, Callable[[Secret], NoReturn]]] = {}


def smuggle(_inside: Any, way: str) -> NoReturn:
    """Bring the secret out, as a turn or an access on whatever is inside."""
    WAYS[way](SECRETS[0])


def way(function: Callable[[Secret], Any]) -> Callable[[Secret], Any]:
    """Add a way that raises by itself."""
    WAYS[function.__name__] = function
    return function


def made(function: Callable[[Secret], BaseException]) -> Callable[[Secret], BaseException]:
    """Add a way that makes what is raised."""

    def raises(secret: Secret) -> NoReturn:
        raise function(secret)

    WAYS[function.__name__] = raises
    return function


def given(name: str, wrap: Callable[[Secret], Any]) -> None:
    """Add a way whose exception has what ``wrap`` makes for its argument."""
    made(_named(name, lambda secret: ValueError(wrap(secret))))


def with_attribute(name: str, make: Callable[[Secret], BaseException], attribute: str) -> None:
    """Add a way that sets one attribute of an exception."""

    def function(secret: Secret) -> BaseException:
        problem = make(secret)
        setattr(problem, attribute, secret)
        return problem

    made(_named(name, function))


def _named(name: str, function: Any) -> Any:
    function.__name__ = name
    return function


class Text(str):  # noqa: SLOT000
    """A text with room for more."""

    loot: Any

    @classmethod
    def of(cls, secret: Any) -> Text:
        text = cls("text")
        text.loot = secret
        return text


class Number(int):
    loot: Any


class Row(tuple[int]):  # noqa: SLOT001
    loot: Any


class Table(dict[str, Any]):
    loot: Any


class Known(Ref):
    """A reference with room for more."""

    loot: Any


class Slotted(Ref):
    __slots__ = ("loot",)

    loot: Any


class Liar(type):
    """Says that its classes are ``str``, or whatever they are compared with."""

    def __hash__(cls) -> int:
        return hash(str)

    def __eq__(cls, other: object) -> bool:
        return True


class Odd:
    """Holds the secret, and gives it with its text."""

    def __init__(self, secret: Secret) -> None:
        self.loot = secret

    def __repr__(self) -> str:
        return Text.of(self.loot)

    __str__ = __repr__


class Own(ValueError):
    """A class of the program's own."""


class Unregistered(captp.Refused):
    """A Broken that no border knows."""


@captp.portable_error
class Fee(captp.Broken):
    """One that all borders know."""

    amount: Any

    def __init__(self, message: str = "", *, amount: Any = 0) -> None:
        super().__init__(message)
        self.amount = amount


@captp.portable_error
class Taker(captp.Broken):
    """One whose constructor gives each what all share."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.shared = SECRETS[0].marks


def odd_class(*bases: type, **names: Any) -> Any:
    return type("Local", bases, names)


def suspended(secret: Secret) -> Iterator[Any]:
    yield secret


given("an_argument", lambda s: s)
given("a_list_of_the_inside", lambda s: [s])
given("a_deep_argument", lambda s: ((1, {"x": [s]}),))
given("a_set", lambda s: {s})
given("a_bytearray", lambda s: memoryview(s.raw))
given("a_read_only_view", lambda s: MappingProxyType(s.table))
given("an_iterator", lambda s: iter(s.marks))
given("a_weak_reference", weakref.ref)
given("a_bound_method", lambda s: s.marks.append)
given("a_closure", lambda s: lambda: s)
given("a_partial", lambda s: partial(len, s.marks))
given("a_class", lambda s: odd_class(loot=s))
given("a_suspended_generator", lambda s: started(suspended(s)))
given("another_exception", KeyError)
given("a_text_of_another_class", Text.of)
given("a_number_of_another_class", lambda s: filled(Number(3), s))
given("a_tuple_of_another_class", lambda s: filled(Row((1,)), s))
given("a_dict_of_another_class", lambda s: filled(Table(), s))
given("a_reference_of_another_class", lambda s: filled(Known(None, None), s))
given("a_reference_with_another_slot", lambda s: filled(Slotted(None, None), s))
given("a_symbol_with_such_a_text", lambda s: captp.Symbol(Text.of(s)))
given("a_tag_with_such_a_text", lambda s: captp.Tagged(Text.of(s), 1))
given("a_fault_with_a_live_table", lambda s: captp.Fault("m", {"x": s}))
given("a_frozen_map_that_was_changed", lambda s: captp.FrozenMap({"x": s}))
given("an_argument_that_says_it_is_text", Liar("Lies", (Odd,), {}))
given("an_argument_whose_repr_is_a_text_of_another_class", Odd)

with_attribute("an_attribute", lambda _: ValueError("x"), "loot")
with_attribute("an_attribute_of_ours", lambda _: captp.Refused("no"), "loot")
with_attribute("an_attribute_of_a_registered_one", lambda _: Fee("f"), "loot")
with_attribute("a_field_of_a_registered_one", lambda _: Fee("f"), "amount")
with_attribute("the_value_of_a_stop", lambda _: StopIteration(1), "value")
with_attribute("the_code_of_our_protocol_error", lambda _: RemoteProtocolError("c"), "code")
with_attribute("whether_it_may_have_run", lambda _: BrokenTrustee("b"), "may_have_run")
with_attribute("the_path_of_what_cannot_pass", lambda _: captp.Unpassable("u"), "path")
with_attribute("the_class_name_of_a_fault", lambda _: captp.RemoteFault("u"), "class_name")
with_attribute("the_brand_of_an_encapsulated", lambda _: captp.Encapsulated("u"), "brand")
with_attribute("the_object_of_a_decode_error", lambda _: UnicodeDecodeError("u", b"x", 0, 1, "r"), "object")
with_attribute("the_path_of_an_import", lambda _: ImportError("x"), "path")
with_attribute("the_file_of_a_system_error", lambda _: OSError(2, "x"), "filename")
with_attribute("the_name_of_a_missing_name", lambda _: NameError("x"), "name")
with_attribute("an_attribute_of_ones_own", lambda _: Own("x"), "loot")
with_attribute("an_attribute_of_an_unregistered_one", lambda _: Unregistered("x"), "loot")


def started(generator: Iterator[Any]) -> Any:
    next(generator)
    return generator


def filled(value: Any, secret: Secret) -> Any:
    value.loot = secret
    return value


@way
def a_frame(secret: Secret) -> None:
    held = [secret]
    raise ValueError(f"{len(held)}")


@way
def a_cause(secret: Secret) -> None:
    raise KeyError("x") from Own(secret)


@way
def a_context(secret: Secret) -> None:
    try:
        raise Own(secret)
    except Own:
        raise captp.Refused("no")  # noqa: B904 - that is the way


@way
def a_suppressed_context(secret: Secret) -> None:
    try:
        raise Own(secret)
    except Own:
        raise KeyError("x") from None


@way
def the_object_that_lacks_an_attribute(secret: Secret) -> None:
    raise AttributeError("x", name="y", obj=secret)


@way
def a_traceback_in_an_argument(secret: Secret) -> None:
    try:
        a_frame(secret)
    except ValueError as problem:
        raise KeyError(problem.__traceback__) from None


@made
def a_note(secret: Secret) -> BaseException:
    problem = ValueError("x")
    problem.add_note(Text.of(secret))
    return problem


@made
def the_list_of_notes(secret: Secret) -> BaseException:
    problem = captp.Refused("no")
    problem.__notes__ = secret.marks
    return problem


@made
def a_member_of_a_group(secret: Secret) -> BaseException:
    return ExceptionGroup("g", [KeyError(secret)])


@made
def a_value_of_a_stop(secret: Secret) -> BaseException:
    return StopIteration(secret)


@made
def a_file_name(secret: Secret) -> BaseException:
    return FileNotFoundError(2, "x", secret)


@made
def a_reason(secret: Secret) -> BaseException:
    return captp.Broken("b", reason=secret.marks)


@made
def a_reason_of_text(secret: Secret) -> BaseException:
    return captp.Refused("b", reason=Text.of(secret))


@made
def a_message_of_another_class(secret: Secret) -> BaseException:
    return captp.Refused(Text.of(secret))


@made
def a_message_that_is_no_text(secret: Secret) -> BaseException:
    return captp.Refused(Odd(secret))  # type: ignore[arg-type]


@made
def a_live_field(secret: Secret) -> BaseException:
    return Fee("f", amount=secret.table)


@made
def what_a_constructor_shares(secret: Secret) -> BaseException:
    return Taker("t")


@made
def a_class_made_for_it(secret: Secret) -> BaseException:
    return odd_class(ValueError, loot=secret)("x")


@made
def a_class_with_the_name_of_another(secret: Secret) -> BaseException:
    return type("ValueError", (Exception,), {"loot": secret})("x")


@made
def a_class_that_says_it_is_another(secret: Secret) -> BaseException:
    return odd_class(Own, __class__=property(lambda _: captp.Refused), loot=secret)("x")


@made
def a_metaclass_that_says_so(secret: Secret) -> BaseException:
    return Liar("Lies", (ValueError,), {"loot": secret})("x")


@made
def a_text_of_its_own_class(secret: Secret) -> BaseException:
    return odd_class(captp.Refused, __str__=lambda _: Text.of(secret))("x")


@made
def a_way_to_copy_it(secret: Secret) -> BaseException:
    return odd_class(Own, __reduce__=lambda _: (list, (secret,)))("x")


@made
def arguments_of_another_class(secret: Secret) -> BaseException:
    return odd_class(captp.Overloaded, args=property(lambda _: secret.marks))("x")
