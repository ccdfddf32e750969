"""The population of a simulated world: objects whose every method reports to the shadow oracle."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Any, Protocol

from captp.custody.access import Brand
from captp.custody.capsule import Capsule
from captp.custody.data import Data
from captp.errors import Refused
from captp.model.containers import List
from captp.model.interface import Interface, method
from captp.model.object import Object
from captp.model.promise import Promise, Resolver
from captp.model.send import E
from captp.model.values import Tagged
from captp.vat.powers import sleep


def rows(mid: int) -> tuple[int, ...]:
    """Return what the table of a message has; many have the same."""
    return tuple(range(mid % 5))


def table(mid: int) -> Data[tuple[int, ...], Brand]:
    """Return data that everybody may read, which peers that know it name by its hash."""
    key = Capsule.create()
    made = Data.inject(rows(mid), key)
    key.freeze()
    return made


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

    @method
    async def chase(self, mid: int, other: Any, first: int) -> int: ...

    @method
    async def befriend(self, mid: int, other: Any, first: int) -> int: ...

    @method
    def get(self, mid: int) -> Any: ...

    @method
    async def get_slowly(self, mid: int) -> int: ...

    @method
    def put(self, mid: int) -> int: ...


class Actor(Object, Thing):
    """A Thing that lives in one vat of the world."""

    __slots__ = ("_gets", "_witness")

    name: str
    kept: List[Any]
    friend: Thing | None = None
    turns: int = 0

    def __init__(self, name: str, witness: Witness) -> None:
        self.name = name
        self._witness = witness
        #: Who waits for a put, oldest first.
        self._gets: list[Resolver] = []

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
        return {"a": mid, "list": [mid, self], "none": None, "table": table(mid)}

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

    @method(latch=False)
    async def chase(self, mid: int, other: Any, first: int) -> int:
        """Send on a promise, await it, send on it and on what it gave: five messages from ``first`` on."""
        self._witness.arrived(self.name, mid)
        E(other).ping.only(first)
        E(other).ping(first + 1)
        found = await other
        E(found).ping.only(first + 2)
        E(other).ping.only(first + 3)
        await E(found).ping(first + 4)
        return mid

    @method(latch=False)
    async def befriend(self, mid: int, other: Any, first: int) -> int:
        """Do the same, with what the promise gave in a field that says which interface it is."""
        self._witness.arrived(self.name, mid)
        E(other).ping.only(first)
        E(other).ping(first + 1)
        self.friend = await other
        assert self.friend is not None
        self.friend.ping.only(first + 2)
        E(other).ping.only(first + 3)
        await self.friend.ping(first + 4)
        self.friend = None
        return mid

    @method
    def get(self, mid: int) -> Any:
        """Return a promise for the number of the put that comes for it."""
        self._witness.arrived(self.name, mid)
        return self._next()

    @method(latch=False)
    async def get_slowly(self, mid: int) -> int:
        """Wait for the put that comes for this get, and let it pass."""
        self._witness.arrived(self.name, mid)
        return await self._next()

    def _next(self) -> Promise[int]:
        promise: Promise[int] = Promise(self._home.vat)
        self._gets.append(Resolver(promise))
        return promise

    @method
    def put(self, mid: int) -> int:
        """Give the number of this message to the oldest get; there must be one."""
        self._witness.arrived(self.name, mid)
        self._gets.pop(0).fulfill(mid)
        return mid
