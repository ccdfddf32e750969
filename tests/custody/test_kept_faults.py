"""What a capsule keeps of an exception: all that it holds, and no frame of whoever called."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import captp
from captp import Capsule


class Odd(Exception):
    """None of the classes that cross as themselves."""


class OddGroup(ExceptionGroup[Exception]):
    """The same of a group."""


class Thing:
    """Can be looked at weakly."""


def test_an_exception_that_a_capsule_keeps_holds_no_variable_of_whoever_called() -> None:
    key = Capsule.create()
    seen: list[Any] = []

    def fails(_access: Any) -> None:
        try:
            raise Odd("before")
        except Odd as problem:
            raise OddGroup("both", [problem, Odd("two")]) from problem

    def caller() -> None:
        thing = Thing()
        seen.append(weakref.ref(thing))
        with pytest.raises(captp.Encapsulated) as raised:
            key.access(fails)
        seen.append(raised.value.with_traceback(None))

    caller()
    gc.collect()

    ref, problem = seen
    assert ref() is None
    kept, _ = key.access(lambda access: access.open(problem).__notes__)
    assert any(line.endswith("in fails") and "test_kept_faults.py:" in line for line in kept)
