"""Drives one vat by hand, without network, tasks or clocks, for tests that look at turns."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from captp.limits import Limits
from captp.model.current import CURRENT_VAT
from captp.model.interface import method
from captp.model.keys import PrivateKey
from captp.model.object import Object
from captp.model.promise import Promise, Resolver
from captp.model.send import E
from captp.peer.outputs import Call, Trace, Woken
from captp.peer.peer import Peer

_BODIES: dict[int, Callable[[], None]] = {}


class Step(Object):
    """Runs a test's function as a turn."""

    @method
    def run(self, key: int) -> None:
        _BODIES.pop(key)()


class Solo:
    """One peer that is connected to nobody; what it drained collects in ``outputs``."""

    def __init__(self, limits: Limits | None = None, seed: int = 0) -> None:
        key = PrivateKey.from_seed(bytes([seed]) * 32)
        self.peer = Peer(key=key, entropy=bytes, limits=limits)
        self.vat = self.peer.vat
        self.outputs: list[Any] = []
        self._step = self.vat.reference(Step())

    @contextmanager
    def inside(self) -> Any:
        """Make this vat the current one, as the driver's bracket does."""
        token = CURRENT_VAT.set(self.vat)
        try:
            yield
        finally:
            CURRENT_VAT.reset(token)

    def run(self, budget: int = 1_000_000) -> None:
        """Let the vat run; with the default budget, until nothing is left."""
        with self.inside():
            self.peer.run(budget)
        self.drain()

    def drain(self) -> None:
        """Collect what may leave."""
        self.outputs += self.peer.drain().outputs

    def tick(self, now: float) -> None:
        """Let time pass until ``now``, and run what was due."""
        self.peer.tick(now)
        self.run()

    def ref(self, obj: Object, interface: type | None = None) -> Any:
        """Return the reference to an object; the vat owns the object from now on."""
        return self.vat.reference(obj, interface)

    def promise(self) -> tuple[Promise[Any], Resolver]:
        """Return a new promise and its resolver."""
        return self.vat.promise()

    def value(self, promise: Any) -> Any:
        """Run, then return what a promise was fulfilled with; raise what broke it."""
        self.run()
        return outcome(promise)

    def turn(self, body: Callable[[], Any]) -> Any:
        """Run ``body`` as a turn; return or raise what it did, after commit or rollback."""
        values: list[Any] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                values.append(body())
            except BaseException as error:
                errors.append(error)
                raise

        key = max(_BODIES, default=0) + 1
        _BODIES[key] = run
        E(self._step).run.only(key)
        self.run()
        if errors:
            raise errors[0]
        return values[0]

    @property
    def failures(self) -> list[BaseException | None]:
        """The errors of user code that were traced, first one first."""
        return [o.error for o in self.outputs if type(o) is Trace and o.event == "turn failed"]

    @property
    def calls(self) -> list[Call]:
        """The outside calls that were asked for."""
        return [o for o in self.outputs if type(o) is Call]

    @property
    def woken(self) -> list[Any]:
        """The waiters of tasks that were woken."""
        return [w for o in self.outputs if type(o) is Woken for w in o.waiters]


def outcome(promise: Any) -> Any:
    """Return what a settled promise was fulfilled with, or raise what broke it."""
    assert promise.settled, f"{promise!r} was never settled"
    try:
        next(promise.__await__())
    except StopIteration as done:
        return done.value
    raise AssertionError("a settled promise suspended its awaiter")
