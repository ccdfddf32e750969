"""Which classes may say what they do when nobody holds an object any more."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import pytest

import captp
from captp.errors import BadClass


def _async() -> Any:
    async def __dropped__(self: Any) -> None: ...

    return __dropped__


def _generator() -> Any:
    def __dropped__(self: Any) -> Iterator[None]:
        yield

    return __dropped__


def _argument() -> Any:
    def __dropped__(self: Any, why: str) -> None: ...

    return __dropped__


def _default() -> Any:
    def __dropped__(self: Any, why: str = "") -> None: ...

    return __dropped__


def _plain() -> Any:
    def __dropped__(self: Any) -> None: ...

    return __dropped__


def make(bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
    """Make a class, as a class statement does."""
    return types.new_class("Thing", bases, exec_body=lambda body: body.update(namespace))


WRONG = {
    "async": (_async(), "cannot wait"),
    "a generator": (_generator(), "cannot wait"),
    "an argument": (_argument(), "takes nothing but self"),
    "a default": (_default(), "takes nothing but self"),
    "a static method": (staticmethod(_plain()), "is a staticmethod"),
    "a property": (property(_plain()), "is a property"),
    "marked": (captp.method(_plain()), "can never be reached"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_plain_method_without_arguments_is_refused(name: str) -> None:
    value, reason = WRONG[name]

    with pytest.raises(BadClass, match=rf"Thing\.__dropped__.*{reason}"):
        make((captp.Object,), {"__dropped__": value})


def test_a_mixin_is_looked_at_too() -> None:
    class Mixin:
        __slots__ = ()
        __dropped__ = _argument()

    with pytest.raises(BadClass, match="takes nothing but self"):
        make((Mixin, captp.Object), {})


@pytest.mark.parametrize("where", ["class", "base"])
def test_a_finalizer_of_ones_own_beside_it_is_refused(where: str) -> None:
    def finalizer(_self: Any) -> None: ...

    namespace: dict[str, Any] = {"__dropped__": _plain()}
    base: type = captp.Object
    if where == "base":
        base = make((captp.Object,), {"__del__": finalizer})
    else:
        namespace["__del__"] = finalizer

    with pytest.raises(BadClass, match=r"has __dropped__ and __del__"):
        make((base,), namespace)


def test_only_classes_that_have_it_get_a_finalizer() -> None:
    class Quiet(captp.Object):
        count: int = 0

    class Loud(Quiet):
        def __dropped__(self) -> None: ...

    class Louder(Loud):
        pass

    assert [hasattr(c, "__del__") for c in (captp.Object, Quiet, Loud, Louder)] == [False, False, True, True]


def test_an_object_that_no_vat_owned_or_that_was_never_finished_goes_without_a_word() -> None:
    told: list[str] = []

    class Thing(captp.Object):
        count: int

        def __init__(self, *, fails: bool) -> None:
            if fails:
                raise ValueError("no")
            self.count = 1

        def __dropped__(self) -> None:
            told.append("dropped")

    Thing(fails=False)
    with pytest.raises(ValueError, match="no"):
        Thing(fails=True)

    assert told == []
