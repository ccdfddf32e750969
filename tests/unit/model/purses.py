"""A purse, for tests of objects: an interface, a field, a container and a plain method."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

import captp


class Account(captp.Interface):
    @captp.method
    def balance(self) -> int: ...


class Purse(captp.Object, Account):
    total: int = 0
    log: captp.List[str]

    @captp.method
    def balance(self) -> int:
        return self.total

    def describe(self) -> str:
        return f"holds {self.total}"
