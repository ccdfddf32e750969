"""The object that the transcripts of promises talk to, and the order its notes came in."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import captp

#: The numbers that notes brought, in the order of their turns, of both vats.
NOTED: list[int] = []


class Thing(captp.Interface):
    @captp.method
    def note(self, number: int) -> int: ...

    @captp.method
    def echo(self, what: Any) -> Any: ...

    @captp.method
    def keep(self, what: Any) -> None: ...

    @captp.method
    def kept_one(self, index: int) -> Any: ...

    @captp.method
    def forget(self) -> None: ...

    @captp.method
    def make(self) -> Thing: ...

    @captp.method
    async def wait(self, what: Any) -> Any: ...


class Box(captp.Object, Thing):
    kept: captp.List[Any]

    @captp.method
    def note(self, number: int) -> int:
        NOTED.append(number)
        return number

    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept.append(what)

    @captp.method
    def kept_one(self, index: int) -> Any:
        return self.kept[index]

    @captp.method
    def forget(self) -> None:
        self.kept.clear()

    @captp.method
    def make(self) -> Thing:
        return Box()

    @captp.method
    async def wait(self, what: Any) -> Any:
        try:
            return await what
        except captp.Broken as problem:
            return f"{type(problem).__name__}: {problem}"
