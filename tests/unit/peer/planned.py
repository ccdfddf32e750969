"""Two or three peers, an object that plans are sent to, and what was said of its faults."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define

import captp
from captp.errors import Broken
from captp.limits import Limits
from captp.model.plan import PLAN, RESULT
from captp.model.send import UntypedSend
from captp.model.values import Tagged
from captp.peer.outputs import Trace
from tests.unit.peer.pair import Host, Net, outcome

ROOT = Tagged(RESULT, 0)


class Till(captp.Object):
    """An object beside the one that plans are sent to."""

    total: int = 0

    @captp.method
    def take(self, amount: int) -> int:
        self.total += amount
        return self.total

    @captp.method
    async def count(self) -> int:
        await captp.sleep(1)
        return self.total


class Desk(captp.Object):
    """The object that plans are sent to."""

    till: Till
    held: captp.Map[str, int]
    kept: captp.List[Any]
    stranger: Any = None

    @captp.method
    def get(self, key: str) -> int:
        return self.held.get(key, 0)

    @captp.method
    def put(self, key: str, value: int) -> int:
        self.held[key] = value
        return value

    @captp.method
    def keep(self, what: Any) -> None:
        self.kept.append(what)

    @captp.method
    def echo(self, what: Any) -> Any:
        return what

    @captp.method
    def kind(self, what: Any) -> str:
        return type(what).__name__

    @captp.method
    def me(self) -> Any:
        return self

    @captp.method
    def beside(self) -> Till:
        return self.till

    @captp.method
    def tell(self, what: Any) -> None:
        captp.E(self.stranger).note.only(what)

    @captp.method
    def meet(self, stranger: Any) -> None:
        self.stranger = stranger

    @captp.method
    def promised(self) -> Any:
        return captp.sleep(1)

    @captp.method
    def refuse(self) -> None:
        raise captp.Refused("no")

    @captp.method
    def fail(self) -> None:
        raise ValueError("the shelf is empty")

    @captp.method
    async def slow(self) -> int:
        await captp.sleep(1)
        self.held["slow"] = 1
        return 1


class Notes(captp.Object):
    """What somebody else has, who is told things."""

    seen: captp.List[Any]

    @captp.method
    def note(self, what: Any) -> None:
        self.seen.append(what)


class Listening(Host):
    """A host that keeps what its vat says of faults in the code of objects, where others stop."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.faults: list[Trace] = []

    def act(self, output: Any) -> None:
        if type(output) is Trace and output.error is not None:
            self.faults.append(output)
        else:
            super().act(output)


class Wide(Net):
    def host(self, seed: int, limits: Limits | None = None, life: int = 0) -> Listening:
        made = Listening(self, seed, limits, life)
        made.peer.now = self.now
        self.hosts.append(made)
        return made


@define
class Office:
    """Host ``b`` has the desk; ``ref`` is a's reference to it."""

    net: Wide
    a: Listening
    b: Listening
    desk: Desk
    ref: Any
    sturdyref: Any

    def apply(self, function: Any) -> Any:
        """Return what a plan gives, or raise what broke it."""
        return self.settled(self.ref.apply(function))

    def raw(self, *args: Any, **kwargs: Any) -> Any:
        """Send whatever stands there as a plan."""
        return self.settled(UntypedSend(self.ref, PLAN)(*args, **kwargs))

    def settled(self, promise: Any) -> Any:
        self.a.want(promise)
        self.net.rest()
        return outcome(promise)

    def breaks(self, promise: Any) -> tuple[str, str]:
        """Return the class and the text of what a promise breaks with."""
        with pytest.raises(Broken) as caught:
            self.settled(promise)
        return class_of(caught.value), str(caught.value)

    def ended(self, promise: Any) -> str | None:
        """Return the class of what broke a settled promise, or None."""
        try:
            outcome(promise)
        except Broken as problem:
            return class_of(problem)
        return None

    @property
    def state(self) -> Any:
        desk = self.desk
        return dict(desk.held), list(desk.kept), desk.till.total

    @property
    def is_open(self) -> bool:
        return len(self.a.sessions) == len(self.b.sessions) == 1


def class_of(problem: Broken) -> str:
    """Return the class that an error had where it was raised."""
    return getattr(problem, "class_name", "") or type(problem).__name__


def office(theirs: Limits | None = None) -> Office:
    """Return two hosts in session."""
    net = Wide()
    a, b = net.host(1), net.host(2, theirs)
    desk = Desk(till=Till())
    sturdyref = b.mint(desk)
    made = Office(net, a, b, desk, None, sturdyref)
    made.ref = made.settled(a.enliven(sturdyref))
    return made
