"""A lock as a few lists, and a random walk that holds a real one against it after each step."""

from __future__ import annotations

import gc
import random
from contextlib import suppress
from copy import deepcopy
from typing import Any

import captp
from tests.support import Solo, outcome


class Planned(Exception):
    """What a step raises on purpose."""


class Model:
    """What a lock should be: who holds it, who waits for it and who for its condition, by number."""

    def __init__(self) -> None:
        self.held: dict[int, bool] = {}
        self.queue: list[tuple[int, bool]] = []
        self.parked: list[int] = []
        self.refused: set[int] = set()
        self.is_poisoned = False
        #: Those under whom something may have been written, and those who poisoned the lock.
        self.wrote: set[int] = set()
        self.poisoners: set[int] = set()
        #: Those whose blocks have ended.
        self.left: set[int] = set()

    def admits(self, is_shared: bool) -> bool:
        return not self.held or (is_shared and all(self.held.values()))

    def settle(self) -> None:
        while self.queue:
            number, is_shared = self.queue[0]
            if self.is_poisoned:
                self.refused.add(number)
            elif self.admits(is_shared):
                self.held[number] = is_shared
            else:
                return
            del self.queue[0]


class Walk:
    """One lock, its model, and the promises and guards of those who asked, by number."""

    def __init__(self, seed: int, *, is_rw: bool, has_condition: bool = False) -> None:
        self.draw = random.Random(seed)
        self.solo = Solo()
        self.is_rw = is_rw
        key = captp.Capsule.create()
        self.lock: Any = captp.RwLock(key, self.solo.vat) if is_rw else captp.Mutex(key, self.solo.vat)
        self.condition = captp.Condition(self.lock) if has_condition else None
        self.model = Model()
        self.promises: dict[int, Any] = {}
        self.last = 0

    # What a walk does; each tells the lock and the model the same.

    def ask(self) -> None:
        self.last += 1
        is_shared = self.is_rw and self.draw.random() < 0.6
        ask = self.lock.read if is_shared else self.lock.write if self.is_rw else self.lock.lock
        self.promises[self.last] = ask()
        self.model.queue.append((self.last, is_shared))

    def guard(self, *, writes: bool = False) -> tuple[int, Any]:
        """Return one of those who hold the lock, and know it."""
        numbers = [
            n for n, shared in self.model.held.items() if self.promises[n].settled and not (writes and shared)
        ]
        if not numbers:
            return 0, None
        number = self.draw.choice(numbers)
        return number, outcome(self.promises[number])

    def release(self) -> None:
        number, guard = self.guard()
        if number:
            guard.release()
            del self.model.held[number]

    def leave(self) -> None:
        number, guard = self.guard()
        if number:
            with guard:
                guard.access(lambda access: None)
            del self.model.held[number]
            self.model.left.add(number)

    def fail(self) -> None:
        number, guard = self.guard(writes=True)
        if number:
            try:
                guard.access(_raise)
            except captp.Encapsulated:
                if not self.model.is_poisoned:
                    self.model.poisoners.add(number)
                self.model.is_poisoned = True
                self.model.wrote.add(number)

    def heal(self) -> None:
        self.lock.heal()
        self.model.is_poisoned = False

    def park(self) -> None:
        number, guard = self.guard()
        if number and self.condition is not None:
            self.last += 1
            self.promises[self.last] = self.condition.wait(guard)
            del self.model.held[number]
            self.model.parked.append(self.last)

    def notify(self) -> None:
        if self.condition is not None:
            n = self.draw.choice([1, 2, None])
            self.condition.notify_all() if n is None else self.condition.notify(n)
            n = len(self.model.parked) if n is None else n
            self.model.queue += [(number, False) for number in self.model.parked[:n]]
            del self.model.parked[:n]

    def let_go(self) -> None:
        """Drop a promise, and with it the guard that it may hold."""
        number = self.draw.choice([*self.promises] or [0])
        if number:
            del self.promises[number]
            self.model.held.pop(number, None)
            self.model.queue = [entry for entry in self.model.queue if entry[0] != number]
            self.model.parked = [n for n in self.model.parked if n != number]
            self.model.refused.discard(number)

    def some(self) -> None:
        """Do some of it, each seen before the next."""
        for _ in range(self.draw.randint(1, 4)):
            acts = [
                self.ask,
                self.ask,
                self.release,
                self.leave,
                self.fail,
                self.heal,
                self.park,
                self.notify,
            ]
            self.draw.choice(acts)()
            self.model.settle()

    def step(self) -> None:
        how = self.draw.choice(["outside", "turn", "failed turn", "let go"])
        if how == "let go":
            self.let_go()
        elif how == "outside":
            self.some()
        elif how == "turn":
            self.solo.turn(self.some)
        else:
            self.model.poisoners.clear()
            model, promises = deepcopy(self.model), dict(self.promises)

            def fails() -> None:
                self.some()
                raise Planned

            with suppress(Planned):
                self.solo.turn(fails)
            # Blocks that ended in it stay ended.
            left = self.model.left & model.held.keys()
            # What earlier turns wrote stays half done.
            if self.model.poisoners & model.wrote:
                model.is_poisoned = True
            self.model, self.promises = model, promises
            for number in left:
                del self.model.held[number]
        # What a failed turn raised holds its frames, and the guards in them.
        self.solo.outputs.clear()
        gc.collect(0)
        self.solo.run()
        self.model.settle()
        self.compare()

    def compare(self) -> None:
        """Hold the lock against the model."""
        line = self.lock._line
        line.check()
        assert len(line.held) == len(self.model.held), (line.dump(), vars(self.model))
        for number, promise in self.promises.items():
            if number in self.model.held:
                assert "held" in repr(outcome(promise))
            elif number in self.model.refused:
                assert type(promise._value) is captp.Poisoned
            elif number in self.model.parked or any(number == n for n, _ in self.model.queue):
                assert not promise.settled, (number, line.dump(), vars(self.model))
            else:
                assert "over" in repr(outcome(promise))

    def end(self) -> None:
        """Let go of everything: nothing of it is left."""
        self.promises.clear()
        self.heal()
        gc.collect()
        self.solo.run()
        line = self.lock._line
        line.check()
        assert [*line.held, *line.waiting, *line._lost, *line._failed] == []
        key = self.lock.destroy()
        assert key.access(lambda access: 1)[0] == 1


def walk(seed: int, *, steps: int = 60, is_rw: bool = False, has_condition: bool = False) -> None:
    """Take a random walk."""
    one = Walk(seed, is_rw=is_rw, has_condition=has_condition)
    for _ in range(steps):
        one.step()
    one.end()


def _raise(_access: object) -> None:
    raise Planned("on purpose")
