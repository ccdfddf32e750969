"""Two peers in session, objects that one has given the other, and what a trace finds, by label."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import captp
from captp.model.object import Object
from captp.model.promise import Reference
from captp.model.ref import Ref
from captp.vat.reach import Found, reach
from tests.unit.peer.pair import Counter, Host, Net, Shop, outcome

NOTHING: dict[str, set[str]] = {}


class Named(captp.Interface):
    """The face of a node."""

    @captp.method
    def name(self) -> str: ...  # type: ignore[empty-body]


class Node(captp.Object, Named):
    """Holds whatever state can hold."""

    label: str = ""
    any: Any = None
    next: Node | None = None
    face: Named | None = None
    items: captp.List[Any]
    named: captp.Map[str, Any]
    some: captp.Set[Any]

    @captp.method
    def name(self) -> str:
        return self.label

    @captp.method
    def take(self, what: Any) -> None:
        self.any = what

    @captp.method
    def give(self) -> Any:
        given, self.any = self.any, None
        return given

    @captp.method
    async def wait(self, when: Any) -> None:
        await when

    @captp.method
    async def wait_with(self, what: Any, when: Any) -> None:
        await when

    @captp.method(latch=False)
    async def wait_open(self, when: Any) -> None:
        await when


class Scene:
    """``here`` has given objects to ``there``, of whose objects it holds some; ``here`` is traced."""

    def __init__(self) -> None:
        self.net = Net()
        self.here, self.there = self.net.host(1), self.net.host(2)
        self.vat = self.here.vat
        self.imports: dict[tuple[Any, int], str] = {}

    def far(self, label: str, host: Host | None = None) -> Any:
        """Return a reference to a new object elsewhere."""
        ref = self._reach(host or self.there, Counter())
        far = ref._anchor
        self.imports[far.session, far.entry.position] = label
        return ref

    def _reach(self, host: Host, obj: Any) -> Any:
        return self.here.get(self.here.enliven(host.mint(obj), Shop))

    def give(self, *nodes: Any, host: Host | None = None) -> None:
        """Have the other peer hold objects of ours, or references."""
        ref = self._reach(host or self.there, Counter())
        for node in nodes:
            ref.keep(node)
        del ref
        self.net.rest()
        self.here.vat.heap.sweep()

    def waiting(self, method: Any, *args: Any) -> Callable[[], None]:
        """Have a fiber wait in a method, whose last argument is what to wait for; return what ends it."""
        promise, resolver = self.vat.promise()
        result = method(*args, promise)
        self.net.rest()

        def end() -> None:
            resolver.fulfill(None)
            self.net.rest()
            outcome(result)

        return end

    def exports(self) -> list[Any]:
        """Return what the export tables hold."""
        links = self.here.peer.router.links.values()
        tables = [link.session.tables for link in links]
        return [e.target for t in tables for e in t.by_anchor.values() if isinstance(e.target, Reference)]

    def held(self, anchor: Any) -> list[Reference]:
        """Return what each export table holds to an object."""
        entries = (
            link.session.tables.by_anchor.get(id(anchor)) for link in self.here.peer.router.links.values()
        )
        return [entry.target for entry in entries if entry is not None]

    def oid(self, label: str) -> int:
        """Return the id of the object with a label."""
        (oid,) = [o._entry.oid for o in self.vat.heap.objects() if getattr(o, "label", None) == label]
        return oid

    def trace(
        self,
        seeds: Iterable[Any] | None = None,
        limit: int = 1_000_000,
        held: Callable[[Any], Sequence[Reference]] | None = None,
    ) -> Found:
        """Trace from some objects, or from all that are exported."""
        if seeds is None:
            gc.collect()
            seeds = [
                ref._anchor
                for ref in self.exports()
                if isinstance(ref, Ref) and isinstance(ref._anchor, Object)
            ]
        return reach(seeds, held or self.held, limit)

    def look(self) -> tuple[set[str], dict[str, set[str]]]:
        """Return the labels of unrooted exports, and of what leads to each unrooted import."""
        found = self.trace()
        assert found.is_whole
        assert found.fault == ""
        return self.shown(found)

    def shown(self, found: Found) -> tuple[set[str], dict[str, set[str]]]:
        """Return what was found, by label."""
        return self.labels(found.unrooted), {
            self.imports[key]: self.labels(oids) for key, oids in found.reached.items()
        }

    def labels(self, oids: Iterable[int]) -> set[str]:
        return {getattr(self.vat.heap.find(oid), "label", "") for oid in oids}  # type: ignore[arg-type]
