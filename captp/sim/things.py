"""The population of a simulated world: objects whose every method reports to the shadow oracle."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any, Protocol

from captp.errors import Refused
from captp.model.containers import List
from captp.model.interface import Interface, method
from captp.model.object import Object
from captp.model.promise import Promise
from captp.model.values import Tagged
from captp.vat.powers import sleep


class Witness(Protocol):
    """Who is told of each arrival, and who gives objects what the world alone has."""

    def arrived(self, target: str, mid: int) -> None:
        """Note that message ``mid`` has arrived at an object."""
        ...

    def promise_for(self, mid: int) -> Promise[Any]:
        """Return a promise of the object's vat that the world settles later."""
        ...


class Thing(Interface):
    """What the actors of a world call; ``mid`` is the number of the message, never used twice."""

    @method
    def ping(self, mid: int) -> int: ...

    @method
    def me(self, mid: int) -> Thing: ...

    @method
    def make(self, mid: int) -> Thing: ...

    @method
    def give_back(self, mid: int, what: Any) -> Any: ...

    @method
    def keep(self, mid: int, what: Any) -> None: ...

    @method
    def forget(self, mid: int) -> None: ...

    @method
    def call(self, mid: int, other: Thing, inner: int) -> Promise[int]: ...

    @method
    def fail(self, mid: int) -> int: ...

    @method
    def data(self, mid: int) -> dict[str, Any]: ...

    @method
    def tagged(self, mid: int) -> Tagged: ...

    @method
    def named(self, mid: int, *, extra: int = 0) -> int: ...

    @method
    async def wait(self, mid: int, promise: Any) -> int: ...

    @method
    async def nap(self, mid: int) -> int: ...

    @method
    def later(self, mid: int) -> Any: ...


class Actor(Object, Thing):
    """A Thing that lives in one vat of the world."""

    __slots__ = ("_witness",)

    name: str
    kept: List[Any]
    turns: int = 0

    def __init__(self, name: str, witness: Witness) -> None:
        self.name = name
        self._witness = witness

    @method
    def ping(self, mid: int) -> int:
        self._witness.arrived(self.name, mid)
        self.turns += 1
        return mid

    @method
    def me(self, mid: int) -> Thing:
        self._witness.arrived(self.name, mid)
        return self

    @method
    def make(self, mid: int) -> Thing:
        self._witness.arrived(self.name, mid)
        return Actor(f"made{mid}", self._witness)

    @method
    def give_back(self, mid: int, what: Any) -> Any:
        self._witness.arrived(self.name, mid)
        return what

    @method
    def keep(self, mid: int, what: Any) -> None:
        self._witness.arrived(self.name, mid)
        self.kept.append(what)

    @method
    def forget(self, mid: int) -> None:
        if mid:
            self._witness.arrived(self.name, mid)
        self.kept.clear()

    @method
    def call(self, mid: int, other: Thing, inner: int) -> Promise[int]:
        self._witness.arrived(self.name, mid)
        return other.ping(inner)

    @method
    def fail(self, mid: int) -> int:
        self._witness.arrived(self.name, mid)
        before = self.turns
        self.turns += 1_000_000
        self.kept.append(before)
        raise Refused(f"refused {mid}")

    @method
    def data(self, mid: int) -> dict[str, Any]:
        self._witness.arrived(self.name, mid)
        return {"a": mid, "list": [mid, self], "none": None}

    @method
    def tagged(self, mid: int) -> Tagged:
        self._witness.arrived(self.name, mid)
        return Tagged("t", mid)

    @method
    def named(self, mid: int, *, extra: int = 0) -> int:
        self._witness.arrived(self.name, mid)
        return mid + extra

    @method
    async def wait(self, mid: int, promise: Any) -> int:
        self._witness.arrived(self.name, mid)
        if isinstance(promise, Promise):
            await promise
        self.turns += 1
        return mid

    @method
    async def nap(self, mid: int) -> int:
        self._witness.arrived(self.name, mid)
        await sleep(0.5)
        return mid

    @method
    def later(self, mid: int) -> Any:
        self._witness.arrived(self.name, mid)
        return self._witness.promise_for(mid)
