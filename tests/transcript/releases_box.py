"""The object that the transcripts of releases talk to, and what its fibers went through."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any

import captp

#: What fibers went through; their state goes back with a step that fails.
LOG: list[str] = []


class Thing(captp.Interface):
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
    def promised(self) -> Any: ...

    @captp.method
    async def wait(self, what: Any) -> str: ...


class Box(captp.Object, Thing):
    kept: captp.List[Any]
    made: Any = None

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
        self.made = None

    @captp.method
    def make(self) -> Thing:
        if self.made is None:
            self.made = Box()
        return self.made  # type: ignore[no-any-return]

    @captp.method
    def promised(self) -> Any:
        return self.kept[0]

    @captp.method
    async def wait(self, what: Any) -> str:
        LOG.append("waits")
        try:
            await what
        except captp.Cancelled:
            LOG.append("cancelled")
            raise
        LOG.append("done")
        return "done"
