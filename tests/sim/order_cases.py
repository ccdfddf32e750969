"""Programs whose messages must keep their order while promises shorten, and networks drawn by a seed.

A program is a generator that takes steps of the simulator; between its steps the network does what the
seed says, at speeds that the seed says. A program that yields a condition goes on once it is true.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from random import Random
from typing import Any

from attrs import define, field, frozen

from captp.model.promise import BROKEN, PENDING, Promise
from captp.sim.acts import CHASERS, CHASING
from captp.sim.chooser import Step
from captp.sim.finish import finish
from captp.sim.script import STEPS
from captp.sim.shadow import Violation
from captp.sim.world import World

Condition = Callable[[], bool]
Program = Generator[Condition | None, None, None]
Found = Generator[Condition | None, None, int]

#: Ticks without news after which programs hang that wait.
PATIENCE = 200

#: How fast a node runs, or one direction of a link carries, compared with others.
SPEEDS = (1.0, 0.3, 0.1, 0.03, 0.01)

Speeds = Callable[[str, int, int], float]


@define(eq=False)
class Play:
    """One world under one schedule, and all that was done in it."""

    world: World
    random: Random
    #: A case's own idea of who is slow; None leaves it to the seed.
    slow: Speeds | None = None
    only: float = 0.3
    drops: float = 0.0
    chases: str = "chase"
    steps: list[Step] = field(factory=list)
    #: Whether a message must arrive, or must not, by its number.
    must_arrive: dict[int, bool] = field(factory=dict)
    _numbers: int = 0
    _conditions: dict[Program, Condition | None] = field(factory=dict)
    _speeds: dict[tuple[str, int, int], float] = field(factory=dict)

    # What programs do.

    def do(self, *step: Any) -> bool:
        """Take one step."""
        self.steps.append(step)
        return STEPS[step[0]](self.world, *step[1:])

    def number(self) -> int:
        """Return the number of a new handle; messages inside it have those that follow."""
        self._numbers += 10
        return self._numbers

    def send(self, node: int, hid: int, method: str, other: int = 0, *, lost: bool = False) -> int:
        """Send a message that must arrive, or must be ``lost``; return its number."""
        mid = self.number()
        assert self.do("send", node, mid, hid, method, other)
        mids = range(mid, mid + 1 + CHASERS) if method in CHASING else (mid,)
        self.must_arrive.update(dict.fromkeys(mids, not lost))
        return mid

    def is_settled(self, node: int, hid: int) -> bool:
        """Whether a handle stands for something that is there."""
        ref = self.world.nodes[node].handles[hid].ref
        return not isinstance(ref, Promise) or ref._state != PENDING

    def until(self, node: int, hid: int) -> Program:
        """Wait for a handle as a task would."""
        self.do("park", node, hid)
        yield lambda: self.is_settled(node, hid)

    def chance(self, probability: float) -> bool:
        """Draw a lot."""
        return self.random.random() < probability

    # What happens between their steps.

    def spawn(self, *programs: Program) -> None:
        """Let programs run beside those that run already."""
        self._conditions.update(dict.fromkeys(programs))

    def live(self) -> None:
        """Let all programs run, at the mercy of the network, until the last has ended."""
        eagerness, idle, conditions = self.random.choice((0.1, 0.3, 0.6, 0.8)), 0, self._conditions
        while conditions:
            ready = [p for p, condition in conditions.items() if condition is None or condition()]
            if ready and self.chance(eagerness):
                program = self.random.choice(ready)
                try:
                    conditions[program] = next(program)
                except StopIteration:
                    del conditions[program]
                idle = 0
            elif not self._network() and not ready:
                # Heartbeats go on for ever; they are no news.
                idle += 1
                if idle > PATIENCE:
                    raise Violation("a program waits for what never comes")

    def _network(self) -> bool:
        world = self.world
        choices: dict[Step, float] = {
            ("run", n.index, 0): self._speed("run", n.index, n.index) for n in world.nodes if n.has_work
        }
        for link in world.links:
            for side, end in enumerate(link.ends):
                if end.has_news:
                    pair = (link.other(end).node, end.node)
                    choices["move", link.number, side, 0] = self._speed("move", *pair)
        for node in world.nodes:
            for conn, locator in node.dials.items():
                other = next(n.index for n in world.nodes if n.peer.designator == locator.designator)
                choices["connect", node.index, conn] = self._speed("connect", node.index, other)
        if not choices or self.chance(0.01):
            self.do("tick", self.random.choice((10, 100, 500)))
            return bool(choices)
        (step,) = self.random.choices(list(choices), list(choices.values()))
        if step[0] == "run":
            step = (*step[:2], self.random.choice((1, 2, 50)))
        elif step[0] == "move":
            step = (*step[:3], self.random.choice((40, 300, 1000, 100_000, 100_000)))
        self.do(*step)
        return True

    def _speed(self, kind: str, one: int, other: int) -> float:
        key = (kind, one, other)
        if key not in self._speeds:
            slow = 1.0 if self.slow is None else self.slow(*key)
            self._speeds[key] = slow * self.random.choice(SPEEDS)
        return self._speeds[key]


# What programs are made of.


def meet(play: Play) -> Program:
    """Have all nodes know each other, each pair by a dial of one of them."""
    indices = range(len(play.world.nodes))
    pairs = [(i, j) if play.chance(0.5) else (j, i) for i in indices for j in indices if i < j]
    for one, other in pairs:
        hid = play.number()
        play.do("fetch", one, other, hid)
        yield from play.until(one, hid)
        play.do("drop", one, hid)


def root_of(play: Play, node: int, other: int) -> Found:
    """Fetch a node's root; the promise will do, mostly."""
    hid = play.number()
    play.do("fetch", node, other, hid)
    if play.chance(0.5):
        yield from play.until(node, hid)
        play.do("take", node, hid)
    return hid


def something_of(play: Play, node: int, where: int, others: tuple[int, ...] = ()) -> Found:
    """Come by a reference to an object of ``where``: its root, what it makes, or by way of others."""
    hid = yield from root_of(play, node, where)
    how = play.random.choice(("root", "me", "make"))
    if how != "root":
        hid = play.send(node, hid, how)
    if others and play.chance(0.5):
        other = yield from root_of(play, node, play.random.choice(others))
        hid = play.send(node, other, "give_back", hid)
    return hid


def talk(play: Play, node: int, hid: int, *, taken: bool = False) -> Program:
    """Send on a promise before and while it settles; then on it, and on what awaiting it gave.

    With ``taken`` what awaiting it gave takes the promise's place.
    """
    yield from _say(play, node, [hid], play.random.randint(1, 4))
    if play.chance(0.3):
        # The same in an async method of an object, which goes on in the turn after the promise settles.
        near = yield from root_of(play, node, node)
        play.send(node, near, play.chases, hid)
    play.do("park", node, hid)
    left = play.random.randint(0, 8)
    while left and not play.is_settled(node, hid):
        if play.chance(0.3):
            left -= 1
            yield from _say(play, node, [hid], 1)
        yield None
    yield from play.until(node, hid)
    hids = [hid]
    if taken:
        play.do("take", node, hid)
    else:
        given = play.number()
        if play.do("hold", node, given, hid):
            hids.append(given)
    yield from _say(play, node, hids, play.random.randint(2, 8))


def _say(play: Play, node: int, hids: list[int], count: int) -> Program:
    said: list[int] = []
    for _ in range(count):
        hid = play.random.choice(hids)
        if play.chance(play.only):
            play.send(node, hid, "only")
        else:
            said.append(play.send(node, hid, "ping"))
            if said and play.chance(play.drops):
                play.do("drop", node, said.pop(play.random.randrange(len(said))))
            if said and play.chance(0.05):
                yield from play.until(node, said[-1])
        if play.chance(0.7):
            yield None


def resolve(play: Play, node: int, promise: int, how: str, other: int = 0) -> Program:
    """Settle, sooner or later, a promise that a message to this node asked for."""
    yield lambda: promise in play.world.nodes[node].resolvers
    for _ in range(play.random.choice((0, 3, 10))):
        yield None
    assert play.do("settle", node, promise, how, other)


def owner(play: Play, node: int, promise: int, where: int, others: tuple[int, ...] = ()) -> Program:
    """Settle a promise with something of a node's; perhaps send on that, too."""
    hid = yield from something_of(play, node, where, others)
    yield from resolve(play, node, promise, "follow", hid)
    if play.chance(0.5):
        yield from talk(play, node, hid)


def link(
    play: Play, node: int, promise: int, following: int, then: Callable[[int], Program], *, talks: bool = True
) -> Program:
    """Settle a promise with another one, of the node ``following``, whose program is ``then``."""
    root = yield from root_of(play, node, following)
    hid = play.send(node, root, "later")
    play.spawn(then(hid))
    if talks and play.chance(0.5):
        play.spawn(talk(play, node, hid))
    yield from resolve(play, node, promise, "follow", hid)


def promise_at(play: Play, node: int, other: int) -> Found:
    """Ask a node for a promise that its program settles."""
    root = yield from root_of(play, node, other)
    return play.send(node, root, "later")


# A schedule from its first step to its last check.


@frozen
class Case:
    """What a schedule is drawn for: how many nodes, what their programs do, who is slow."""

    nodes: int
    program: Callable[[Play], Program]
    only: float = 0.3
    drops: float = 0.0
    slow: Speeds | None = None
    #: What objects do that are told to send on a promise, await it and send on what it gave.
    chases: str = "chase"


@frozen
class Failure:
    """A schedule that broke a rule, and all its steps."""

    seed: int
    kinds: str
    steps: list[Step]
    problem: Exception
    losses: int


def play_one(case: Case, mix: str, seed: int) -> Failure | None:
    """Play one schedule; return what was wrong with it."""
    random = Random(f"{mix}/{seed}")
    kinds = "".join(random.choices("nsc" if mix == "mixed" else mix, k=case.nodes))
    play = Play(World(seed, kinds), random, case.slow, case.only, case.drops, case.chases)
    try:
        if play.chance(0.6):
            play.spawn(meet(play))
            play.live()
        play.spawn(case.program(play))
        play.live()
        _expect_all(play)
        finish(play.world)
        for mid, must in play.must_arrive.items():
            if play.world.shadow.has_arrived(mid) is not must:
                raise Violation(f"message {mid} was lost" if must else f"message {mid} has arrived somewhere")
    except Exception as problem:
        return Failure(seed, kinds, play.steps, problem, play.world.losses)
    return None


def _expect_all(play: Play) -> None:
    """Let nothing be broken but what was broken on purpose."""
    for node in play.world.nodes:
        for hid, handle in node.handles.items():
            handle.is_sure = not what_broke(play, node.index, hid)


def what_broke(play: Play, node: int, hid: int) -> str:
    """Return which of the reasons that there are here has broken a handle, none where it is whole."""
    ref = play.world.nodes[node].handles[hid].ref
    if not isinstance(ref, Promise) or ref._state != BROKEN:
        return ""
    return next((why for why in ("on purpose", "not-callable") if why in str(ref._value)), "")
