"""Chooses the next step of a world with a seeded generator, among what could happen now."""

from __future__ import annotations

from random import Random
from typing import Any

from captp.model.promise import FULFILLED, PENDING, Promise
from captp.model.ref import Far, Ref, settled
from captp.sim.acts import PASSING, is_settled
from captp.sim.world import Node, World

Step = tuple[Any, ...]

METHODS = (
    "ping", "ping", "ping", "only", "me", "make", "give_back", "keep", "forget", "call", "fail", "data",
    "tagged", "named", "wait", "nap", "later",
)  # fmt: skip

MOST_HANDLES = 12

#: The oldest handles, which get half of all messages: order shows on long conversations.
FAVOURITES = 3

#: Calls whose results are called again and again while they settle: order shows when a way shortens.
LEADING = ("give_back", "give_back", "give_back", "me", "later")


def _leads_to(ref: Any) -> Any:
    """Return the session over which a reference is sent to, None for one that is near or nowhere yet."""
    target = settled(ref)
    if isinstance(target, Promise):
        return target._route.session if target._state == PENDING and target._route is not None else None
    return target._anchor.session if isinstance(target, Ref) and type(target._anchor) is Far else None


class Chooser:
    """Draws steps; everything random in a run comes from here."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._mids = 0
        #: By node: the handle that its program is busy with.
        self._focus: dict[int, int] = {}
        self.kinds = "".join(self._random.choices("nnnssc", k=self._random.choice((2, 3, 3, 3, 4, 4))))
        #: Steps before the world is brought to rest.
        self.length = self._random.choice((100, 400, 400, 2000))
        #: How often something goes wrong; a third of all worlds are without faults.
        self._trouble = self._random.choice((0.0, 0.002, 0.01))
        #: How often a rogue has its go; half of all worlds have none.
        self._rogues = self._random.choice((0.0, 0.0, 0.01, 0.05))

    def step(self, world: World) -> Step:
        """Return something that could happen now."""
        if self._random.random() < self._rogues:
            return self._mischief(world)
        draw = self._random.random()
        if draw < self._trouble:
            return self._fault(world)
        if draw < 0.40:
            step = self._network(world)
            if step is not None:
                return step
        if draw < 0.55:
            busy = [n.index for n in world.nodes if n.has_work]
            if busy:
                return ("run", self._random.choice(busy), self._random.choice((1, 2, 5, 50)))
        if draw > 0.97:
            return ("tick", self._random.choice((10, 100, 300, 1000)))
        if draw > 0.968:
            return ("collect",)
        return self._act(world, self._random.choice(world.nodes))

    def _number(self) -> int:
        self._mids += 2  # a call carries a second message inside
        return self._mids

    def _network(self, world: World) -> Step | None:
        choices: list[Step] = []
        for link in world.links:
            for side, end in enumerate(link.ends):
                if end.has_news and not link.is_stalled:
                    choices.append(("move", link.number, side, self._slice(lame=link.is_lame)))
        for node in world.nodes:
            choices += [("connect", node.index, conn) for conn in node.dials]
        return self._random.choice(choices) if choices else None

    def _slice(self, *, lame: bool) -> int:
        return self._random.choice((1, 3, 7) if lame else (5, 40, 1000, 1000, 100_000))

    def _fault(self, world: World) -> Step:
        dials: list[Step] = [("refuse", n.index, conn) for n in world.nodes for conn in n.dials]
        if dials and self._random.random() < 0.3:
            return self._random.choice(dials)
        choices: list[Step] = [("heal", link.number) for link in world.links if link.is_stalled]
        up = [link.number for link in world.links if link.is_up]
        if up:
            number = self._random.choice(up)
            choices += [(kind, number) for kind in ("cut", "stall", "limp", "silence")]
        if not up or self._random.random() < 0.2:
            choices.append(("crash", self._random.randrange(len(world.nodes))))
        return self._random.choice(choices)

    def _mischief(self, world: World) -> Step:
        random = self._random
        rogue, node, seed = random.randrange(3), random.randrange(len(world.nodes)), random.getrandbits(40)
        wire = world.rogues[rogue].wires.get(node)
        if wire is None or not wire.is_open:
            if random.random() < 0.2:
                return ("swindle", random.randrange(100), seed)
            return ("intrude", rogue, node, random.randrange(100), seed)
        kind = random.choice(("babble", "babble", "babble", "babble", "noise", "leave"))
        return (kind, rogue, node) if kind == "leave" else (kind, rogue, node, seed)

    def _act(self, world: World, node: Node) -> Step:
        random, index = self._random, node.index
        if not node.handles or random.random() < 0.05:
            return ("fetch", index, random.randrange(len(world.nodes)), self._number())
        names = list(node.handles)
        if len(names) > MOST_HANDLES:
            return ("drop", index, random.choice(names[FAVOURITES:]))
        if node.resolvers and random.random() < 0.10:
            return self._settle(node, names)
        if random.random() < 0.15 and (step := self._introduce(node, names)) is not None:
            return step
        focus = self._focus.get(index)
        if focus in node.handles and random.random() < 0.7:
            return self._insist(node, focus)
        if random.random() < 0.3:
            self._focus[index] = number = self._number()
            return ("send", index, number, random.choice(names), random.choice(LEADING), random.choice(names))
        hid = random.choice(names[:FAVOURITES] if random.random() < 0.5 else names)
        ref = node.handles[hid].ref
        draw = random.random()
        if draw < 0.04:
            return ("promise", index, self._number())
        if draw < 0.07:
            return ("drop", index, hid)
        if isinstance(ref, Promise):
            if draw < 0.30:
                return ("take" if ref._state == FULFILLED else "want", index, hid)
            if draw < 0.60 and not hasattr(ref, "ping"):
                return ("select", index, self._number(), hid, random.choice(("get", "index", "untag")))
        elif draw < 0.18:
            return ("watch", index, hid)
        method = random.choice(METHODS)
        if method not in PASSING:
            return ("send", index, self._number(), hid, method)
        if method == "wait":
            # An object that waits is latched: what it waits for must not have to pass it first.
            names = [h for h in names if h in node.resolvers or is_settled(node, h)]
        if not names:
            return ("want", index, hid)
        return ("send", index, self._number(), hid, method, random.choice(names))

    def _introduce(self, node: Node, names: list[int]) -> Step | None:
        """Call somebody with a reference to somebody else."""
        ways = {h: way for h in names if (way := _leads_to(node.handles[h].ref)) is not None}
        hid = self._random.choice(names)
        others = [h for h, way in ways.items() if way is not ways.get(hid)]
        if hid not in ways or not others:
            return None
        method = self._random.choice(("give_back", "call", "call", "keep"))
        return ("send", node.index, self._number(), hid, method, self._random.choice(others))

    def _insist(self, node: Node, hid: int) -> Step:
        ref = node.handles[hid].ref
        if isinstance(ref, Promise) and self._random.random() < 0.3:
            return ("take" if ref._state == FULFILLED else "want", node.index, hid)
        return ("send", node.index, self._number(), hid, self._random.choice(("ping", "only", "only")))

    def _settle(self, node: Node, names: list[int]) -> Step:
        hid = self._random.choice(list(node.resolvers))
        ready = [h for h in names if is_settled(node, h)]
        how = self._random.choice(("break", "root", "handle", "handle"))
        if how == "handle" and ready:
            return ("settle", node.index, hid, how, self._random.choice(ready))
        return ("settle", node.index, hid, "root" if how == "handle" else how)
