"""The object that the transcripts of calls talk to."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import captp


class Thing(captp.Interface):
    @captp.method
    def echo(self, what: Any) -> Any: ...

    @captp.method
    def make(self) -> Thing: ...

    @captp.method
    def data(self) -> dict[str, Any]: ...

    @captp.method
    def tagged(self) -> captp.Tagged: ...

    @captp.method
    def add(self, one: int, *, to: int = 0) -> int: ...

    @captp.method
    def refuse(self) -> int: ...

    @captp.method
    def fail(self) -> int: ...


class Box(captp.Object, Thing):
    count: int = 0

    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    def make(self) -> Thing:
        return Box()

    @captp.method
    def data(self) -> dict[str, Any]:
        return {"list": ["zero", self], "number": 7}

    @captp.method
    def tagged(self) -> captp.Tagged:
        return captp.Tagged("unit", 5)

    @captp.method
    def add(self, one: int, *, to: int = 0) -> int:
        return one + to

    @captp.method
    def refuse(self) -> int:
        self.count += 1
        raise captp.Refused(f"not {self.count} times")

    @captp.method
    def fail(self) -> int:
        self.count += 1
        raise ZeroDivisionError("of no use")

    @captp.method
    def large(self, size: int) -> bytes:
        return bytes(size)
