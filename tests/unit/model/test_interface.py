"""What may be called: only marked names, ever; and which class definitions are refused."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

import captp
from captp.errors import BadClass, NoSuchMethod
from captp.model.interface import interface_of, ref_class, rows_of
from captp.model.promise import Promise
from tests.support import Solo


class Account(captp.Interface):
    @captp.method
    def deposit(self, amount: int) -> int:
        """Put money in."""

    @captp.method
    def balance(self) -> int: ...


class Audited(captp.Interface):
    @captp.method
    def audit(self) -> str: ...


class Purse(captp.Object, Account):
    total: int = 7

    @captp.method
    def deposit(self, amount: int) -> int:
        self.total += amount
        return self.total

    @captp.method
    def balance(self) -> int:
        return self.total

    def secret(self) -> str:
        return "unmarked"

    @property
    def shiny(self) -> str:
        return "property"

    @staticmethod
    def static() -> str:
        return "static"

    @classmethod
    def of_class(cls) -> str:
        return "class"

    async def unmarked_fiber(self) -> str:
        return "unmarked"


class Echo(captp.Object):
    """Takes bare arguments, and what is sent to a name that it does not have."""

    @captp.method
    def __call__(self, *args: Any) -> Any:
        return args


async def coroutine() -> None: ...


def attack_names() -> list[str]:
    """Every name that something in reach of an object answers to, and some that nothing does."""
    running = coroutine()
    running.close()
    pools: list[object] = [
        *(object, type, types.FunctionType, types.MethodType, types.CodeType, types.FrameType),
        *(running, Purse, Purse(), Account, property(), captp.List(), captp.E, captp.Promise),
    ]
    names = {n for pool in pools for n in dir(pool)}
    names |= {
        "",
        " ",
        ".",
        "deposit ",
        "deposit.__func__",
        "Deposit",
        "depos\u0131t",
        "self",
        "total",
        "_total",
    }
    names |= {"__call__", "only", "now", "None", "x" * 10_000, "\0", "\ud800", "deposit()", "lambda: 0"}
    return sorted(names - {"deposit", "balance"})


def test_no_name_but_the_marked_ones_is_reachable() -> None:
    solo, purse = Solo(), Purse()
    ref = solo.ref(purse)

    answers = {name: solo.vat.send(ref, name, (), None, Promise) for name in attack_names()}
    solo.run()

    texts = set()
    for name, promise in answers.items():
        with pytest.raises(NoSuchMethod) as refused:
            solo.value(promise)
        texts.add(str(refused.value))
        assert refused.value.kind == "unimplemented", name
    assert texts == {"there is no such method"}
    assert solo.failures == []
    assert len(answers) > 150


def test_bare_arguments_reach_only_an_object_that_takes_them() -> None:
    solo = Solo()

    with pytest.raises(NoSuchMethod):
        solo.value(captp.E(solo.ref(Purse()))(1, 2))

    assert solo.value(captp.E(solo.ref(Echo()))(1, 2)) == (1, 2)


def test_a_typed_reference_to_an_object_that_takes_bare_arguments_is_called_like_a_function() -> None:
    solo = Solo()

    assert solo.value(solo.ref(Echo())(1, "x")) == (1, "x")


def test_an_object_that_takes_bare_arguments_gets_an_unknown_name_as_a_symbol() -> None:
    solo = Solo()

    assert solo.value(captp.E(solo.ref(Echo())).hello(1)) == (captp.Symbol("hello"), 1)


@pytest.mark.parametrize("name", ["_private", "__class__", "__init__", "_captp_rows"])
def test_e_refuses_underscore_names_before_anything_is_sent(name: str) -> None:
    solo = Solo()

    with pytest.raises(AttributeError, match="cannot be sent"):
        getattr(captp.E(solo.ref(Purse())), name + "x" if name == "__class__" else name + "_")


def test_the_method_table_of_a_class_is_its_own_and_holds_what_it_inherits() -> None:
    class Audit(Purse, Audited):
        @captp.method
        def audit(self) -> str:
            return "fine"

    assert set(rows_of(Purse)) == {"deposit", "balance"}
    assert set(rows_of(Audit)) == {"deposit", "balance", "audit"}
    assert rows_of(Audit)["audit"].owner is Audit
    assert rows_of(Audit)["deposit"].owner is Purse


def test_overriding_a_marked_method_without_marking_it_is_refused() -> None:
    with pytest.raises(
        BadClass, match=r"Bad\.deposit overrides a method of Account: mark it.*@captp\.method"
    ):

        class Bad(captp.Object, Account):
            def deposit(self, amount: int) -> int:
                return amount

    with pytest.raises(BadClass, match=r"Worse\.balance overrides a method of Purse"):

        class Worse(Purse):
            async def balance(self) -> int:  # type: ignore[override]
                return 0


@pytest.mark.parametrize(
    "value", [property(lambda self: 3), staticmethod(lambda: 3), 5, "x"], ids=lambda v: type(v).__name__
)
def test_overriding_a_marked_method_by_something_that_is_no_method_is_refused(value: Any) -> None:
    with pytest.raises(BadClass, match=r"Bad\.balance overrides a method of Purse"):
        type(captp.Object)("Bad", (Purse,), {"balance": value})


def test_an_unmarked_method_of_a_mixin_cannot_hide_a_marked_one() -> None:
    class Mixin:
        __slots__ = ()

        def balance(self) -> int:
            return -1

    with pytest.raises(BadClass, match=r"balance"):
        type(captp.Object)("Bad", (Mixin, Purse), {})


def test_an_interface_method_that_nothing_implements_is_refused_when_the_object_is_made() -> None:
    class Half(captp.Object, Account, Audited):
        @captp.method
        def balance(self) -> int:
            return 0

    for _ in range(2):
        with pytest.raises(
            BadClass, match=r"Half does not implement (?=.*Account\.deposit)(?=.*Audited\.audit)"
        ):
            Half()


def test_a_subclass_may_implement_what_its_base_left_out() -> None:
    class Half(captp.Object, Account):
        @captp.method
        def balance(self) -> int:
            return 1

    with pytest.raises(BadClass):
        Half()

    class Whole(Half):
        @captp.method
        def deposit(self, amount: int) -> int:
            return amount

    assert Whole().balance() == 1
    with pytest.raises(BadClass):
        Half()


def test_an_interface_itself_cannot_stand_for_an_object() -> None:
    with pytest.raises(captp.UsageError):
        captp.E(Purse)


@pytest.mark.parametrize("name", ["_hidden", "__len__", "__init__", "__getattr__"])
def test_a_marked_name_that_starts_with_an_underscore_is_refused(name: str) -> None:
    def body(self: Any) -> int:
        return 0

    for base in (captp.Object, captp.Interface):
        with pytest.raises(BadClass, match=rf"Bad\.{name}: a name that starts with _"):
            type(base)("Bad", (base,), {name: captp.method(body)})


def test_streams_are_refused_when_the_class_is_defined() -> None:
    with pytest.raises(BadClass, match=r"Feed\.items: streams are not there yet"):

        class Feed(captp.Interface):
            @captp.method
            def items(self) -> AsyncIterator[str]: ...

    with pytest.raises(BadClass, match=r"Source\.items: streams are not there yet"):

        class Source(captp.Object):
            @captp.method
            async def items(self):
                yield 1

    def real(self: Any) -> Any: ...

    real.__annotations__["return"] = AsyncIterator[str]
    with pytest.raises(BadClass):
        type(captp.Interface)("Real", (captp.Interface,), {"items": captp.method(real)})


def test_a_reference_shows_the_only_interface_of_its_object_or_else_its_class() -> None:
    class Extra(Purse):
        @captp.method
        def more(self) -> int:
            return 1

    solo = Solo()

    assert interface_of(type(solo.ref(Purse()))) is Account
    assert interface_of(type(solo.ref(Extra()))) is Extra


def test_a_reference_has_the_methods_of_its_interface_and_nothing_of_the_object() -> None:
    solo = Solo()
    ref = solo.ref(Purse(), Account)

    for name in ("secret", "total", "_total", "shiny", "static", "of_class", "unmarked_fiber"):
        with pytest.raises(AttributeError):
            getattr(ref, name)


def test_isinstance_holds_for_the_object_its_references_and_promises_for_them() -> None:
    solo, purse = Solo(), Purse()
    promise = solo.ref(Bank()).open()

    for value in (purse, solo.ref(purse), solo.ref(purse, Account), promise):
        assert isinstance(value, Account)
        assert isinstance(value, captp.Interface)
        assert not isinstance(value, Audited)
    assert not isinstance(solo.ref(purse), Purse)
    assert not isinstance(purse, captp.Reference)
    assert isinstance(promise, captp.Reference)
    solo.run()


class Bank(captp.Object):
    @captp.method
    def open(self) -> Account:
        return Purse(total=3)


def test_a_result_of_interface_type_is_a_promise_with_the_interface_s_methods() -> None:
    solo = Solo()

    balance = solo.ref(Bank()).open().balance()

    assert solo.value(balance) == 3


def test_a_plain_call_of_a_method_with_an_interface_result_gives_a_reference_when_owned() -> None:
    solo, bank = Solo(), Bank()
    assert type(bank.open()) is Purse

    solo.ref(bank)
    account: Any = solo.turn(bank.open)

    assert type(account) is ref_class(Account)


def test_docstrings_and_signatures_show_on_references() -> None:
    solo = Solo()
    ref = solo.ref(Purse(), Account)

    assert type(ref).deposit.__doc__ == "Put money in."
    assert "deposit(amount: 'int') -> " in repr(ref.deposit) or "deposit(amount" in repr(ref.deposit)


def test_defining_an_interface_leaves_no_shared_table_between_classes() -> None:
    assert rows_of(Account) is not rows_of(Audited)
    assert rows_of(captp.Interface) == {}
    assert rows_of(captp.Object) == {}


def test_that_it_must_be_used_is_said_of_an_interface_alone() -> None:
    class Ticket(captp.Interface, must_use=True):
        @captp.method
        def redeem(self) -> int: ...

    assert list(rows_of(Ticket)) == ["redeem"]
    with pytest.raises(TypeError, match="keyword"):
        type(captp.Object)("Stub", (captp.Object,), {}, must_use=True)


def test_a_method_is_idempotent_where_its_mark_says_so() -> None:
    class Shelf(captp.Object):
        @captp.method(idempotent=True)
        def put(self) -> None: ...

        @captp.method(idempotent=True, latch=False)
        async def fetch(self) -> None: ...

        @captp.method
        def take(self) -> None: ...

    assert [(name, row.idempotent) for name, row in rows_of(Shelf).items()] == [
        ("put", True),
        ("fetch", True),
        ("take", False),
    ]
    assert not rows_of(Shelf)["fetch"].latch


def test_what_is_no_function_and_what_takes_arguments_for_good_cannot_be_idempotent() -> None:
    with pytest.raises(BadClass, match=r"Bad\.put: idempotent=True is for a def or an async def"):

        class Bad(captp.Object):
            put = captp.method(idempotent=True)(partial(print))

    with pytest.raises(BadClass, match=r"Worse\.put: an idempotent method may be called again"):

        class Worse(captp.Object):
            @captp.method(idempotent=True)
            def put(self, other: captp.Unique[Account]) -> None: ...

    with pytest.raises(BadClass, match=r"Lent\.put: an idempotent method may be called again"):

        class Lent(captp.Object):
            @captp.method(idempotent=True)
            def put(self, other: captp.Borrowed[Account]) -> None: ...

    class Right(captp.Object):
        @captp.method(idempotent=True)
        def make(self) -> captp.Unique[Account]: ...  # type: ignore[empty-body]

    assert rows_of(Right)["make"].idempotent
