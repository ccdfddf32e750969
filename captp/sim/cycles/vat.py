"""One vat: objects that refer to each other, and every place that may hold a reference to one."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from attrs import define, field

from captp.sim.cycles.tables import Table
from captp.sim.cycles.values import Certificate, Far, Own, Ref, Side

if TYPE_CHECKING:
    from captp.peer.cycles.collector import Collector
    from captp.sim.cycles.ground import VatGround
    from captp.sim.cycles.liar import Liar
    from captp.sim.cycles.seals import Seals


@define(eq=False)
class Turn:
    """A message that has been decoded."""

    side: Side
    target: Ref
    args: list[Ref]
    #: Under which the result is kept.
    question: int | None = None
    #: The question to whose result it goes; that is the target then.
    on: int | None = None
    #: Exports that the message named by their positions.
    names: frozenset[int] = frozenset()
    #: Which arguments are still to be withdrawn, and with what.
    certificates: list[tuple[int, Certificate]] = field(factory=list)

    def refs(self) -> Iterator[Ref]:
        """Yield what it refers to."""
        yield self.target
        yield from self.args

    def replace(self, cut: Collection[int]) -> bool:
        """Break what refers to exports that are cut; say whether anything did."""
        was = list(self.refs())
        self.target, *self.args = (_unless(ref, cut) for ref in was)
        return was != list(self.refs())


@define(eq=False)
class Gift:
    """An export that is kept for somebody who will withdraw it."""

    name: tuple[int, int]
    side: Side
    receiver: int
    ref: Ref
    names: frozenset[int] = frozenset()

    def refs(self) -> Iterator[Ref]:
        """Yield what it refers to."""
        yield self.ref

    def replace(self, cut: Collection[int]) -> bool:
        """Break it if it refers to an export that is cut."""
        was, self.ref = self.ref, _unless(self.ref, cut)
        return was != self.ref


@define(eq=False)
class Answer:
    """What a question of a peer's came to, and what waits for it."""

    is_settled: bool = False
    value: Ref = None
    waiting: list[Turn] = field(factory=list)


def _unless(ref: Ref, cut: Collection[int]) -> Ref:
    return None if type(ref) is Own and ref.key in cut else ref


@define(eq=False)
class Vat:
    """The state of one vat; messages come and go in other files."""

    index: int
    boot: int = 0
    objects: dict[int, list[Ref]] = field(factory=dict)
    roots: list[Ref] = field(factory=list)
    turns: deque[Turn] = field(factory=deque)
    #: Turns that have begun and wait for something.
    running: list[Turn] = field(factory=list)
    #: Turns and gifts that may not go on while what they name is frozen, in order, by session.
    held: dict[Side, deque[Turn | Gift]] = field(factory=dict)
    tables: dict[Side, Table] = field(factory=dict)
    gifts: dict[tuple[int, int], Gift] = field(factory=dict)
    #: Who asks for gifts that have not been left here yet.
    callers: dict[tuple[int, int], tuple[Side, int]] = field(factory=dict)
    #: Turns that wait for what was left for them elsewhere.
    pending: dict[tuple[Side, int], Turn] = field(factory=dict)
    answers: dict[tuple[Side, int], Answer] = field(factory=dict)
    questions: list[tuple[Side, int]] = field(factory=list)
    #: The object that keeps what it is sent as a root, if there is one, and those of other vats.
    registry: int = 0
    registries: list[Far] = field(factory=list)
    #: When an export was last given to anybody.
    given: dict[int, int] = field(factory=dict)
    stamp: int = 0
    last_key: int = 0
    last_number: int = 0
    collector: Collector = field(init=False)
    ground: VatGround = field(init=False)
    seals: Seals = field(init=False)
    #: The digest for which it stood still last, by trace.
    agreed: dict[bytes, bytes] = field(factory=dict)
    liar: Liar | None = None
    #: Whether it knows nothing of the collector's words.
    is_stock: bool = False
    is_dead: bool = False

    def tick(self) -> int:
        """Return the next stamp."""
        self.stamp += 1
        return self.stamp

    def number(self) -> int:
        """Return a number that this vat has not used."""
        self.last_number += 1
        return self.last_number

    def new(self, *refs: Ref) -> Own:
        """Make an object."""
        self.last_key += 1
        self.objects[self.last_key] = list(refs)
        return Own(self.last_key)

    def side(self, peer: int) -> Side | None:
        """Return the newest session with a vat."""
        return max((side for side in self.tables if side.peer == peer), default=None)

    def exports(self) -> set[int]:
        """Return the keys of what peers hold."""
        return {key for table in self.tables.values() for key in table.index}

    def root_refs(self, but: Collection[int] = ()) -> Iterator[Ref]:
        """Yield what keeps things alive here.

        What has not begun and names one of ``but`` by its position is left out: by whoever asks so, these
        are proved to be garbage, and then only a liar can have named them.
        """
        yield from self.roots
        for turns in (self.turns, self.running):
            for turn in turns:
                yield from turn.refs()
        for gift in self.gifts.values():
            yield gift.ref
        for answer in self.answers.values():
            yield answer.value
            for turn in answer.waiting:
                yield from turn.refs()
        for kept in self.kept():
            if not kept.names.intersection(but):
                yield from kept.refs()

    def kept(self) -> Iterator[Turn | Gift]:
        """Yield what has come and may not go on yet."""
        for queue in self.held.values():
            yield from queue
        yield from self.pending.values()

    def reach(self, refs: Iterable[Ref]) -> tuple[set[int], set[Far]]:
        """Return the objects and the imports that some references lead to."""
        keys: set[int] = set()
        imports: set[Far] = set()
        waiting = list(refs)
        objects = self.objects
        while waiting:
            ref = waiting.pop()
            if type(ref) is Own:
                if ref.key not in keys and ref.key in objects:
                    keys.add(ref.key)
                    waiting += objects[ref.key]
            elif ref is not None:
                imports.add(ref)  # type: ignore[arg-type]
        return keys, imports

    def forget_side(self, gone: Side) -> None:
        """Break every reference over a session that is lost."""
        del self.tables[gone]

        def mend(refs: Iterable[Ref]) -> list[Ref]:
            return [None if type(ref) is Far and ref.side == gone else ref for ref in refs]

        for key, refs in self.objects.items():
            self.objects[key] = mend(refs)
        self.roots = mend(self.roots)
        for answer in self.answers.values():
            (answer.value,) = mend([answer.value])
        self.answers = {at: answer for at, answer in self.answers.items() if at[0] != gone}
        self.questions = [at for at in self.questions if at[0] != gone]
        waiting = [turn for answer in self.answers.values() for turn in answer.waiting]
        for kept in [*self.turns, *self.running, *self.kept(), *waiting]:
            if type(kept) is Turn:
                kept.target, *kept.args = mend(kept.refs())
