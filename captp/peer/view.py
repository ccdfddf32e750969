"""A read-only picture of a vat for tools: counts, states and ages; no value, no secret, no machine."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from captp.model.promise import PENDING
from captp.peer.load import LoopStats, Meter
from captp.peer.peer import Peer
from captp.peer.router import Link

if TYPE_CHECKING:
    from captp.peer.cycles.view import CyclesView


@frozen
class SessionView:
    """One session; ``peer`` is a designator, empty while or where it is not known. Times are in seconds."""

    conn: int
    peer: str
    transport: str
    #: Which run of its store the peer is in; 0 where it has none.
    incarnation: int
    state: str
    codec: str
    dialled: bool
    age: float
    silent_for: float
    exports: int
    imports: int
    #: How many questions stand in each state, and how many answers are open or settled.
    questions: Mapping[str, int]
    answers: Mapping[str, int]
    #: Whether only the bootstrap is left in its tables.
    is_empty: bool


@frozen
class VatView:
    """One vat. ``is_idle`` says that nothing runs, waits to run, or is owed to anybody."""

    designator: str
    objects: int
    fibers: int
    queued: int
    labels: tuple[str, ...]
    sessions: tuple[SessionView, ...]
    is_idle: bool
    #: The figures of its own loop, and those of each trustee that is open beside it, by name.
    load: LoopStats
    trustees: Mapping[str, Any]
    #: The figures of the collector of garbage that loops through several vats.
    cycles: CyclesView


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


def view_of(peer: Peer, meter: Meter | None = None, trustees: Mapping[str, Any] = _NONE) -> VatView:
    """Take the picture; without the driver's ``meter`` its load is what the vat itself counts."""
    vat = peer.vat
    sessions = tuple(_session(peer, link) for link in peer.router.links.values())
    owed = any(s.answers.get("open") for s in sessions)
    return VatView(
        designator=peer.designator,
        objects=sum(1 for _ in vat.heap.objects()),
        fibers=len(vat.turns.fibers),
        queued=sum(len(s.messages) for s in vat.queues.sources),
        labels=tuple(peer.registry.labels()),
        sessions=sessions,
        is_idle=not (vat.has_work or vat.turns.fibers or owed),
        load=(meter or Meter(peer, peer.now)).view(peer.now),
        trustees=trustees,
        cycles=peer.cycles.view(),
    )


def _name(link: Link) -> str:
    hello = link.session.hello
    # What nobody has proved is not to be read as a name.
    return "" if hello is None or link.is_anonymous else hello.location.designator


def _session(peer: Peer, link: Link) -> SessionView:
    session, tables = link.session, link.session.tables
    questions: dict[str, int] = {}
    for question in tables.questions.values():
        questions[question.state.value] = questions.get(question.state.value, 0) + 1
    answers: dict[str, int] = {}
    for answer in tables.answers.values():
        state = "open" if answer._state == PENDING else "settled"
        answers[state] = answers.get(state, 0) + 1
    return SessionView(
        conn=link.conn,
        peer=_name(link),
        transport=session.channel.transport,
        incarnation=0 if session.hello is None else session.hello.incarnation,
        state=session.state.value,
        codec=session.codec.name if session.codec is not None else "",
        dialled=link.dialled is not None,
        age=max(peer.now - link.opened_at, 0.0),
        silent_for=max(peer.now - link.heard_at, 0.0),
        exports=len(tables.exports) - 1,
        imports=len(tables.imports),
        questions=questions,
        answers=answers,
        is_empty=not (len(tables.exports) > 1 or tables.imports or questions or answers),
    )
