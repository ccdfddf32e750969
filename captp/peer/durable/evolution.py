"""Evolution: stored objects of earlier versions become what their classes are now, in one commit.

Nothing runs meanwhile, and no object is made but those that migrations make: what they are given is read off
the rows, with references that lead to empty objects of a vat of its own, which is thrown away.
A kind keeps its number, since references elsewhere name that.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from attrs import evolve

from captp.errors import Error
from captp.limits import Limits
from captp.model.migration import Fields
from captp.model.object import KINDS
from captp.peer.durable.kept import object_key
from captp.peer.durable.kinds import Kind, Kinds, Unfit, misfit
from captp.peer.durable.loading import Loader, Rows
from captp.peer.durable.portrait import kind_of
from captp.peer.durable.saving import Saver
from captp.peer.durable.stored import Image
from captp.peer.rows import Change, Verb
from captp.vat.vat import Vat

__all__ = ["Evolution"]

_Step = Callable[[Fields], Fields]


class Evolution:
    """The changes that make a store fit its classes: new --plan--> planned --migrate, each--> complete."""

    def __init__(self, image: Image) -> None:
        self._image = image
        #: As they are stored, and as they are to be.
        self._old, self._new = Kinds(image.kinds), Kinds(image.kinds)
        self._unfit = {n: text for n, kind in self._old.by_number.items() if (text := misfit(kind))}
        self._steps: dict[int, list[tuple[int, _Step]]] = {}
        self._vat = Vat(Limits(), is_durable=True)
        self._vat.heap.last = image.last_oid
        self._loader = Loader(self._vat, self._new, image.incarnation)
        self._saver = Saver(self._loader.codec, self._new)
        self.changes: list[Change] = []

    @property
    def is_needed(self) -> bool:
        """Whether any kind is not what its class is."""
        return bool(self._unfit)

    @property
    def last_oid(self) -> int:
        """The highest id that an object has had, those included that migrations made."""
        return self._vat.heap.last

    def plan(self, used: Container[int]) -> None:
        """Find the way of each kind to its class; a kind that no object has any more needs none.

        ``used`` are the numbers of those that have some. Raises Unfit where there is no way.
        """
        for number, problem in self._unfit.items():
            kind = self._old.by_number[number]
            cls = KINDS.get(kind.name)
            if number in used:
                self._steps[number] = _steps(kind, problem)
            if cls is None:
                del self._new.by_number[number]
                self.changes.append(kind.change(Verb.DELETE))
            else:
                fields = tuple(cls._captp_fields)
                now = self._new.by_number[number] = evolve(kind, version=cls._captp_version, fields=fields)
                self.changes.append(now.change(Verb.REPLACE))

    @property
    def has_objects(self) -> bool:
        """Whether there are objects to migrate."""
        return bool(self._steps)

    def is_old(self, body: bytes) -> bool:
        """Return whether the object of a row has to be migrated."""
        return kind_of(body) in self._steps

    def migrate(self, rows: Rows) -> None:
        """Add the changes that make one object what its class is now. Raises Unfit, StoreDamaged."""
        number = kind_of(rows.body)
        state, _ = self._loader.read(rows, self._old)
        kind = self._old.by_number[number]
        for version, step in self._steps[number]:
            state = self._step(rows.oid, kind, version, step, state)
        obj = self._loader.find(rows.oid, number)
        where = f"{kind.name}: what its migrations made of object o{rows.oid}"
        for name, field in type(obj)._captp_fields.items():
            if name not in state and not field.has_default:
                raise Unfit(f"{where} lacks {name}, which has no default; {_UNCHANGED}")
            try:
                setattr(
                    obj, f"_f_{name}", field.convert(obj, state.pop(name) if name in state else field.fresh())
                )
            except Error as problem:
                raise Unfit(f"{where} does not fit the class: {problem}; {_UNCHANGED}") from None
        if state:
            raise Unfit(f"{where} has {next(iter(state))!r}, which is no field; {_UNCHANGED}")
        for settlement in self._vat.outbox:
            # A promise that has to have an interface follows the one that was there; nothing else is here.
            self._vat.settle_now(settlement.promise, settlement.state, settlement.value)
        self._vat.outbox.clear()
        key = object_key(rows.oid)
        self.changes += [Change(Verb.DELETE, "object", key)]
        self.changes += [Change(Verb.DELETE, "entry", where) for where, _ in rows.entries]
        self.changes += [Change(Verb.DELETE, "edge", where) for where in rows.edges]
        obj._entry.kept = None
        self._saver.keep(obj)
        self.changes += self._saver.take()
        del obj
        self._vat.heap.sweep()

    def _step(self, oid: int, kind: Kind, version: int, step: _Step, state: Fields) -> Fields:
        where = f"{kind.name}: the migration of object o{oid} from version {version}"
        try:
            made: Any = step(state)
        except Exception as problem:
            said = " ".join(f"{type(problem).__name__}: {problem}".split())
            raise Unfit(f"{where} raised {said}; {_UNCHANGED}") from problem
        if self._vat.outbox:
            raise Unfit(f"{where} sends a message; it can only compute the new state; {_UNCHANGED}")
        if type(made) is not dict:
            raise Unfit(f"{where} returned a {type(made).__name__}, and no dict; {_UNCHANGED}")
        return made


_UNCHANGED = "correct it: the store is as it was"


def _steps(kind: Kind, problem: str) -> list[tuple[int, _Step]]:
    """Return the migrations from a kind to its class, each with the version it starts from."""
    cls = KINDS.get(kind.name)
    if cls is None or cls._captp_version == kind.version:
        raise Unfit(problem)
    if cls._captp_version < kind.version:
        raise Unfit(f"{problem}: use the program that wrote it, or a later one, or go back to a copy")
    steps = []
    for version in range(kind.version, cls._captp_version):
        step = cls._captp_migrations.get(version)
        if step is None:
            raise Unfit(
                f"{problem}: there is no step from version {version} to {version + 1}: add a function with"
                f" @captp.migrate(from_version={version}) to {cls.__name__}"
            )
        steps.append((version, step))
    return steps
