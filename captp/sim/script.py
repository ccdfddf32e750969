"""Runs a seed, plays a list of steps again, cuts a failing list down, and prints it as a test."""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from attrs import frozen

from captp.sim import acts, faults, mischief
from captp.sim.chooser import Chooser, Step
from captp.sim.finish import finish
from captp.sim.swindle import swindle
from captp.sim.world import World

#: Runs that cutting down one failing list may take.
TRIES = 300


def _collect(_world: World) -> bool:
    gc.collect()
    return True


STEPS: dict[str, Callable[..., bool]] = {
    **{f.__name__: f for f in (
        acts.fetch, acts.send, acts.select, acts.promise, acts.settle, acts.want, acts.watch, acts.take,
        acts.park, acts.hold, acts.find, acts.drop, faults.refuse, faults.cut, faults.stall, faults.heal,
        faults.limp, faults.silence, faults.crash, mischief.intrude, mischief.babble, mischief.noise,
        mischief.leave, swindle, World.run, World.move, World.connect, World.tick,
    )},
    "collect": _collect,
}  # fmt: skip


@frozen
class Outcome:
    """What one run did; ``failure`` is None when nothing was wrong."""

    kinds: str
    steps: list[Step]
    ops: Counter[str]
    faults: Counter[str]
    trace: str
    failure: Exception | None


@contextmanager
def own_garbage() -> Iterator[None]:
    """Collect garbage inside the block only when a step says so, and none that is older, then or later."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def run(seed: int) -> Outcome:
    """Let one world live and come to rest."""
    chooser = Chooser(seed)
    world = World(seed, chooser.kinds)
    steps: list[Step] = []

    def choose() -> Iterator[Step]:
        for _ in range(chooser.length):
            steps.append(chooser.step(world))
            yield steps[-1]

    return _play(world, choose(), steps)


def replay(seed: int, kinds: str, steps: Sequence[Step]) -> None:
    """Play steps in the world of a seed; raises what went wrong."""
    failure = _play(World(seed, kinds), iter(steps), list(steps)).failure
    if failure is not None:
        raise failure


def _play(world: World, chosen: Iterator[Step], steps: list[Step]) -> Outcome:
    failure: Exception | None = None
    with own_garbage():
        try:
            for name, *arguments in chosen:
                STEPS[name](world, *arguments)
            finish(world)
        except Exception as problem:
            failure = problem
    return Outcome(world.kinds, steps, world.ops, world.faults, world.trace.hexdigest(), failure)


def shrink(seed: int, outcome: Outcome) -> list[Step]:
    """Return a short list of steps that fails in the same kind of way."""
    kind, steps, tries = _kind(outcome.failure), outcome.steps, TRIES
    size = len(steps) // 2
    while size and tries:
        start = 0
        while start < len(steps) and tries:
            shorter = steps[:start] + steps[start + size :]
            tries -= 1
            if _fails(seed, outcome.kinds, shorter, kind):
                steps = shorter
            else:
                start += size
        size //= 2
    return steps


def _kind(failure: Exception | None) -> str:
    return re.sub(r"[0-9]+", "", f"{type(failure).__name__} {failure}")[:80]


def _fails(seed: int, kinds: str, steps: Sequence[Step], kind: str) -> bool:
    try:
        replay(seed, kinds, steps)
    except Exception as problem:
        return _kind(problem) == kind
    return False


def as_test(seed: int, kinds: str, steps: Sequence[Step], failure: Exception) -> str:
    """Return steps as a test to paste into tests/sim."""
    lines = [
        f"def test_seed_{seed}() -> None:",
        f"    # {type(failure).__name__}: {' '.join(str(failure).split())[:90]}",
        f"    replay({seed}, {kinds!r}, [",
        *(f"        {step!r}," for step in steps),
        "    ])",
    ]
    return "\n".join(lines)
