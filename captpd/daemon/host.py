"""The daemon's vats and named objects; it answers the control plane and knows no socket or signal."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, final

import trio
from attrs import asdict, define, field, frozen

import captp
from captp.errors import StoreError
from captp.model.interface import shown_as
from captp.peer.cycles.ground import Key
from captp.peer.cycles.view import key_of
from captp.peer.load import LoopStats
from captp.peer.view import SessionView, VatView
from captp.version import __version__
from captpd.config.problems import ConfigError
from captpd.config.schema import Config
from captpd.daemon.book import BY_CONFIG, BY_NEW, Book, Record, new_swiss
from captpd.daemon.classes import HostingError, load_class, make_object
from captpd.daemon.copies import copy_stores
from captpd.daemon.reasons import collector_row, reasons

__all__ = ["Hosting", "Listening", "OpenVat", "store_of"]

#: Where the state of a vat's objects is.
IN_MEMORY: Final = "in memory"
STORED: Final = "stored"
IN_PART: Final = "stored in part"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_NAME_FORM: Final = "letters, digits, - and _, 63 at most"

log: Final = logging.getLogger("captpd")


@final
@frozen(kw_only=True)
class Listening:
    """One address that a vat is reached at, for status lines."""

    transport: str
    address: str
    is_secure: bool

    def __str__(self) -> str:
        warning = "" if self.is_secure else " (insecure)"
        return f"{self.transport}{warning} {self.address}"


@final
@frozen(kw_only=True, eq=False)
class OpenVat:
    """A vat of the configuration while the daemon runs."""

    name: str
    live: captp.LiveVat
    listening: tuple[Listening, ...]
    is_durable: bool = False

    @property
    def state(self) -> str:
        """Where the state of its objects is."""
        return STORED if self.is_durable else IN_MEMORY

    @property
    def is_busy(self) -> bool:
        """Whether a turn, a fiber or a call of somebody's is unfinished."""
        return not self.live.view().is_idle


@final
@frozen(kw_only=True)
class Hosted:
    """A named object; ``problem`` says why it could not be made, and then nothing reaches it."""

    record: Record
    interface: str = ""
    state: str = IN_MEMORY
    sturdyref: captp.SturdyRef | None = None
    problem: str = ""


@final
@define(kw_only=True, eq=False)
class Hosting:
    """The host that the control plane talks to."""

    config: Config
    vats: Mapping[str, OpenVat]
    book_path: Path
    book: Book
    stopping: trio.Event
    #: Once there is one, the vat of the control plane; nothing but that lives in it.
    control: OpenVat | None = None
    _objects: dict[str, Hosted] = field(factory=dict)
    _changing: trio.Lock = field(factory=trio.Lock)
    _started_at: float = field(factory=trio.current_time)

    async def restore(self) -> None:
        """Make the objects of the configuration and those remembered, at their old swiss numbers.

        Raises ConfigError when one of the configuration cannot be made. A remembered one that cannot
        is kept as a problem: what one object lacks must not keep all others away.
        """
        for name, wanted in self.config.objects.items():
            assert wanted.vat is not None
            known = self.book.records.get(name)
            record = Record(
                class_path=wanted.class_,
                vat=wanted.vat,
                by=BY_CONFIG,
                swiss=known.swiss if known is not None else new_swiss(),
            )
            try:
                ref = await self._make(name, record)
            except HostingError as problem:
                raise ConfigError(f"[objects.{name}] class: {problem}") from problem
            self.book = self.book.having(name, record)
            self._enter(name, record, ref)
        for name, record in self.book.records.items():
            if record.by == BY_NEW and name not in self._objects:
                await self._restore(name, record)
        await trio.to_thread.run_sync(self.book.write, self.book_path)

    async def _restore(self, name: str, record: Record) -> None:
        try:
            if record.vat not in self.vats:
                raise HostingError(f"its vat {record.vat} is gone; add [vat.{record.vat}] again")
            ref = await self._make(name, record)
        except HostingError as problem:
            log.error("an object could not be made again", extra=_fields(object=name, why=str(problem)))
            self._objects[name] = Hosted(record=record, problem=str(problem))
        else:
            self._enter(name, record, ref)

    async def _make(self, name: str, record: Record) -> Any:
        """Return a reference to a named object, which is made unless it is stored."""
        # An import may take long and does not belong on the loop; the object does.
        cls = await trio.to_thread.run_sync(load_class, record.class_path, self.config.daemon.allow)
        ref = self.vats[record.vat].live.root(name, partial(make_object, cls, record.class_path))
        if type(ref._anchor) is not cls:
            raise HostingError(
                f"class {record.class_path}: what is stored as {name} is a {type(ref._anchor).__name__}; name"
                " that class, or choose another name for the new object"
            )
        return ref

    def _enter(self, name: str, record: Record, ref: Any) -> None:
        live = self.vats[record.vat].live
        # A vat that listens nowhere still has the object, for what else is in the vat.
        sturdyref = live.mint(ref, label=name, swiss=record.swiss) if live.locators else None
        cls = type(ref._anchor)
        # One that has more than state is made anew each time, also in a durable vat.
        state = self.vats[record.vat].state if cls._captp_is_durable else IN_MEMORY
        interface = shown_as(cls).__name__
        self._objects[name] = Hosted(record=record, interface=interface, state=state, sturdyref=sturdyref)
        log.info("object made", extra=_fields(object=name, cls=record.class_path, vat=record.vat))

    # The control plane.

    def status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": round(trio.current_time() - self._started_at, 3),
            "store": store_of(self.vats),
            "state": self._state(),
            "draining": self.stopping.is_set(),
            "vats": [self._vat_status(v) for v in self.vats.values()],
            "sessions": [
                _session_status(v.name, s) for v in self.vats.values() for s in v.live.view().sessions
            ],
        }

    def _state(self) -> str:
        states = {vat.state for vat in self.vats.values()}
        return states.pop() if len(states) == 1 else IN_PART

    def _vat_status(self, vat: OpenVat) -> dict[str, Any]:
        return {
            "name": vat.name,
            "designator": vat.live.designator,
            "state": vat.state,
            "listeners": [
                {"transport": at.transport, "address": at.address, "secure": at.is_secure}
                for at in vat.listening
            ],
            "objects": sum(1 for h in self._objects.values() if h.record.vat == vat.name),
            "sessions": len(vat.live.view().sessions),
        }

    async def new(self, class_path: str, name: str) -> dict[str, Any]:
        if not _NAME.fullmatch(name):
            raise captp.Refused(f"{name[:64]!r} is no name; use {_NAME_FORM}")
        async with self._changing:
            if self.stopping.is_set():
                raise captp.Refused("the daemon is stopping: make objects when it runs again")
            if name in self._objects:
                raise captp.Refused(f"there is an object {name} already; choose another name")
            record = Record(class_path=class_path, vat=self.config.default_vat, by=BY_NEW, swiss=new_swiss())
            try:
                ref = await self._make(name, record)
            except HostingError as problem:
                raise captp.Refused(str(problem)) from None
            book = self.book.having(name, record)
            # Whoever asked may go away meanwhile; file and memory must agree all the same.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(book.write, self.book_path)
            self.book = book
            self._enter(name, record, ref)
        return self._describe(name)

    def objects(self) -> list[dict[str, Any]]:
        return [self._describe(name) for name in sorted(self._objects)]

    def sturdyref(self, name: str) -> captp.SturdyRef:
        hosted = self._objects.get(name)
        if hosted is None:
            names = ", ".join(sorted(self._objects)) or "none yet"
            raise captp.Refused(f"there is no object {name[:64]!r}; there are: {names}")
        if hosted.sturdyref is None:
            vat = hosted.record.vat
            why = hosted.problem or f"vat {vat} listens nowhere; set [listen] tls"
            raise captp.Refused(f"object {name} cannot be shared: {why}")
        return hosted.sturdyref

    def tables(self) -> dict[str, Any]:
        return {v.name: [_session_tables(s) for s in v.live.view().sessions] for v in self.all_vats}

    async def trustees(self) -> list[dict[str, Any]]:
        rows = []
        for vat in self.all_vats:
            loads = await vat.live.trustee_loads()
            rows += _trustee_rows(vat.name, vat.live.view(), loads)
        return rows

    def gc(self) -> list[dict[str, Any]]:
        return [collector_row(v.name, v.live) for v in self.all_vats]

    def why(self, what: Any) -> dict[str, Any]:
        vat, key = self._place(what)
        told = reasons(vat, key, {v.name: v.live for v in self.all_vats})
        if told is None:
            raise captp.Refused(
                f"nothing is known of {what}: there is no such object, and none was collected lately"
            )
        return told

    def _place(self, what: Any) -> tuple[str, Key]:
        """Return where something is; raises Refused."""
        if isinstance(what, captp.SturdyRef):
            vats = [v for v in self.all_vats if v.live.designator == what.peer.designator]
            if not vats:
                raise captp.Refused("this sturdyref is of no vat of this daemon")
            return vats[0].name, _registered(vats[0], what.swiss)
        if not isinstance(what, str):
            raise captp.Refused("an object is given by its name, its sturdyref, or its id, as main:o12")
        name, _, number = what.partition(":")
        key = key_of(number)
        if key is not None and any(v.name == name for v in self.all_vats):
            return name, key
        self.sturdyref(what)  # refuses what there is not
        record = self._objects[what].record
        return record.vat, _registered(self.vats[record.vat], record.swiss)

    @property
    def is_busy(self) -> bool:
        """Whether any call in any vat is unfinished."""
        return any(v.is_busy for v in self.all_vats)

    @property
    def all_vats(self) -> list[OpenVat]:
        """Those of the configuration, and that of the control plane."""
        return [*self.vats.values(), *([self.control] if self.control is not None else [])]

    async def copy_stores(self) -> str:
        try:
            return str(await copy_stores(self.durable, self.book_path, self._changing))
        except (StoreError, OSError) as problem:
            raise captp.Refused(f"cannot copy what is stored: {problem}") from None

    async def compact_stores(self) -> None:
        try:
            for live in self.durable.values():
                await live.compact_store()
        except StoreError as problem:
            raise captp.Refused(f"cannot compact what is stored: {problem}") from None

    @property
    def durable(self) -> dict[str, captp.LiveVat]:
        """The vats that store their objects."""
        return {name: vat.live for name, vat in self.vats.items() if vat.is_durable}

    async def stop(self) -> None:
        await trio.lowlevel.checkpoint()
        self.stopping.set()

    def _describe(self, name: str) -> dict[str, Any]:
        hosted = self._objects[name]
        return {
            "name": name,
            "class": hosted.record.class_path,
            "interface": hosted.interface,
            "vat": hosted.record.vat,
            "made_by": hosted.record.by,
            "state": hosted.state,
            "problem": hosted.problem,
        }


def store_of(vats: Mapping[str, OpenVat]) -> str:
    """Return what keeps the state of durable vats; ``memory`` where there are none."""
    return "sqlite" if any(vat.is_durable for vat in vats.values()) else "memory"


def _registered(vat: OpenVat, swiss: bytes) -> Key:
    ref = vat.live.peer.registry.find(swiss)
    if ref is None:
        raise captp.Refused("there is no such object, or its sturdyref has expired")
    return vat.live.peer.cycles.key(ref._anchor)


def _session_status(vat: str, session: SessionView) -> dict[str, Any]:
    return {
        "vat": vat,
        "peer": session.peer,
        "transport": session.transport,
        "state": session.state,
        "age_s": round(session.age, 3),
    }


def _session_tables(session: SessionView) -> dict[str, Any]:
    return {
        "peer": session.peer,
        "state": session.state,
        # The bootstrap, position 0, is in the table too.
        "exports": session.exports + 1,
        "imports": session.imports,
        "questions": dict(session.questions),
        "answers": dict(session.answers),
    }


def _trustee_rows(vat: str, view: VatView, loads: Mapping[str, LoopStats]) -> list[dict[str, Any]]:
    rows = []
    for name, stats in {"loop": view.load, **view.trustees}.items():
        # What a process says of its loop, and what is known of it from outside.
        told = {**(asdict(loads[name]) if name in loads else {}), **asdict(stats)}
        figures = {k: round(v, 6) if isinstance(v, float) else v for k, v in told.items()}
        rows.append({"vat": vat, "trustee": name, **figures})
    return rows


def _fields(**fields: Any) -> dict[str, Any]:
    return {"captp": fields}
