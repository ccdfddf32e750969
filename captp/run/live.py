"""Live vats: what a program opens, exports with, and enlivens sturdyrefs through."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

import trio

from captp.cycles import Cycles
from captp.errors import StillShared, UsageError
from captp.limits import MIB, Limits
from captp.model.holding import hold
from captp.model.interface import Interface
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator, SturdyRef, announcing
from captp.model.object import Object
from captp.model.promise import Promise, Resolver
from captp.model.ref import Ref
from captp.model.trust import Trust
from captp.net.base import Conduit, Netlayer
from captp.peer.load import LoopStats, Meter
from captp.peer.peer import Peer
from captp.run.arguments import check_instance, check_interface, netlayers_of
from captp.run.pump import Pump
from captp.run.serving import serve
from captp.run.sources import Source, read_sturdyref
from captp.run.unwrapped import unwrapped
from captp.vat.delegation import entrust
from captp.vat.effects import Watch
from captp.vat.powers import durable_send

if TYPE_CHECKING:
    from captp.custody.access import Brand
    from captp.custody.adopted import CapsuleTrust
    from captp.custody.key import Key
    from captp.peer.view import VatView
    from captp.run.process import ProcessTrustee
    from captp.run.store import Store
    from captp.run.threads import ThreadTrustee

I = TypeVar("I", bound=Interface)  # noqa: E741
K = TypeVar("K", bound="Brand")
T = TypeVar("T")


class LiveVat:
    """An open vat: objects live in it, references belong to it, and it ends with its block."""

    def __init__(
        self, peer: Peer, netlayers: dict[str, Netlayer], meter: Meter, pump: Pump, *, keeps_key: bool
    ) -> None:
        self._peer = peer
        self._keeps_key = keeps_key
        self._pump = pump
        self._roots: dict[str, Ref] = {}
        self._netlayers = netlayers
        self._meter = meter
        #: Those that are open, by name, and how many have been.
        self._trustees: dict[str, ThreadTrustee | ProcessTrustee] = {}
        self._opened = 0

    @property
    def designator(self) -> str:
        """The vat's identity: its public key in base32, 52 characters."""
        return self._peer.designator

    @property
    def peer(self) -> Peer:
        """The engine underneath, for tools that look; programs need it for nothing."""
        return self._peer

    @property
    def locators(self) -> list[PeerLocator]:
        """Where this vat can be reached, one locator per listener."""
        return list(self._peer.locations.values())

    def export(self, obj: Object) -> Any:
        """Return a reference to ``obj``, typed as its interface; the vat owns the object from now on."""
        return self._peer.vat.reference(obj)

    def root(self, name: str, make: Callable[[], Object]) -> Any:
        """Return a reference to the object that has a name in this vat, typed as its interface.

        ``make()`` makes it the first time; in a durable vat that is once in the life of its store, and it
        is there again, with all that it leads to, whenever the vat is opened.
        """
        stored = self._peer.stored
        if stored is not None:
            return stored.root(name, make)
        if name not in self._roots:
            self._roots[name] = self.export(make())
        return self._roots[name]

    def entrust(
        self, obj: T, *, alone: bool = False, on_error: Literal["keep", "poison"] = "keep"
    ) -> Trust[T]:
        """Give an object to this vat's loop and return a handle: it is used through that from now on.

        An Object's turns are undone when they raise; those of any other Python object are not, and with
        ``on_error="poison"`` the next calls raise Poisoned until ``heal()``. ``alone`` raises StillShared
        when somebody else holds the object, as a variable does: ``vat.entrust(Table(), alone=True)``.
        """
        if alone and sys.getrefcount(obj) > _ALONE:
            raise StillShared(
                f"this {type(obj).__name__} is held elsewhere, by a variable or by another object: make it"
                " in the call itself, or let go of it first"
            )
        return entrust(self._peer.vat, obj, poisons=on_error == "poison")

    def adopt(self, key: Key[K]) -> CapsuleTrust[K]:
        """Spend the key of a capsule; return a handle whose functions run within it, as turns of this vat.

        They get an ``Access``; ``await handle.give_back()`` returns a fresh key.
        """
        from captp.custody.adopted import adopted  # noqa: PLC0415 - a program without capsules loads none

        vat = self._peer.vat
        if vat.is_closed:
            raise vat.closed()
        return adopted(self.entrust, key)

    @overload
    def trustee(
        self, kind: Literal["thread"], *, quota: int = 64, window: int = 256, max_inflight: int = 4096
    ) -> AbstractAsyncContextManager[ThreadTrustee]: ...
    @overload
    def trustee(
        self,
        kind: Literal["process"],
        classes: Sequence[type[Object]],
        *,
        memory_bytes: int = 512 * MIB,
        turn_s: float = 5.0,
        store: Store | None = None,
    ) -> AbstractAsyncContextManager[ProcessTrustee]: ...
    def trustee(self, kind: Literal["thread", "process"], *args: Any, **options: Any) -> Any:
        """Open a trustee beside this vat's own loop, for the length of an ``async with`` block.

        "thread" is an OS thread that owns plain Python objects, for what blocks in C or the OS: calls of
        one client are at most ``quota`` at a time while others wait, of which ``window`` are unanswered,
        and ``max_inflight`` of all clients'.
        "process" is a child process for Objects of ``classes``, which it imports: it may take
        ``memory_bytes`` more than it starts with, and ``turn_s`` seconds for a turn. When it ends its
        objects are lost, and another one is started. With a ``store``, in a vat with a ``key`` that lasts,
        what ``trustee.root()`` named is there again. ``view()`` has the figures of those that are open.
        """
        if kind == "thread":
            from captp.run.threads import open_thread_trustee  # noqa: PLC0415 - most vats need none

            return self._listed(kind, open_thread_trustee(*args, **options))
        if kind == "process":
            from captp.run.process import open_process_trustee  # noqa: PLC0415

            if options.get("store") is not None and not self._keeps_key:
                raise UsageError(_NO_KEY)
            opening = open_process_trustee(self._peer, self._netlayers, *args, **options)
            return self._listed(kind, opening)
        raise UsageError(f"a trustee is 'thread' or 'process', not {kind!r}; vat.entrust() is this loop")

    @asynccontextmanager
    async def _listed(self, kind: str, opening: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
        async with opening as trustee:
            self._opened += 1
            name = f"{kind}-{self._opened}"
            self._trustees[name] = trustee
            try:
                yield trustee
            finally:
                del self._trustees[name]

    def mint(
        self,
        target: Object | Any,
        *,
        label: str = "",
        expires: float | None = None,
        uses: int | None = None,
        swiss: bytes | None = None,
        transport: str | None = None,
    ) -> SturdyRef:
        """Return a sturdyref to an object; whoever learns it can reach the object.

        ``expires`` is in seconds from now; ``uses`` counts fetches. ``swiss`` reuses a number that a
        keeper stored, so that the sturdyref has the same bytes after a restart. The vat keeps the
        object alive while the sturdyref is valid.
        """
        if transport is None:
            known = self._peer.locations
            if not known:
                raise UsageError("this vat does not listen: open_vat(listen=[...]) first")
            transport = next(iter(known))
        until = None if expires is None else trio.current_time() + expires
        made = self._peer.mint(target, transport, label=label, expires=until, uses=uses, swiss=swiss)
        self._pump.sync()
        return made

    @overload
    def enliven(self, source: Source, interface: type[I], *, retry_for: float = 0.0) -> I: ...
    @overload
    def enliven(self, source: Source, interface: None = None, *, retry_for: float = 0.0) -> Promise[Any]: ...
    def enliven(self, source: Source, interface: type[I] | None = None, *, retry_for: float = 0.0) -> Any:
        """Return a reference to what a sturdyref names, at once: a promise that can be called.

        Takes a SturdyRef, a URI, or the path of a ``.cap`` file. It breaks with NotFound when the
        peer knows no such object, with Unreachable or WrongPeer when no session can be had. It dials
        again while less than ``retry_for`` seconds have passed, resting longer each time. Methods of
        objects use ``captp.enliven``.
        """
        check_interface(interface)
        self._peer.now = trio.current_time()
        return self._peer.enliven(read_sturdyref(source), interface, retry_for=retry_for)

    def send_durable(self, sturdyref: SturdyRef, method: str, /, *args: Any, **kwargs: Any) -> Promise[Any]:
        """Call a method of what a sturdyref names exactly once, as ``captp.send_durable`` does in methods."""
        return durable_send(self._peer.vat, sturdyref, method, args, kwargs)

    def hold(self, reference: T) -> AbstractContextManager[T]:
        """Give a reference of one's own to what ``reference`` reaches, for the length of a ``with`` block.

        It is released when the block ends, and works until then whatever others do with theirs. Raises
        UsageError for a promise that is pending, and for a unique or borrowed reference.
        """
        return hold(self._peer.vat, reference)

    def view(self) -> VatView:
        """Return a picture of the vat and its sessions as they are now: counts and names, no values."""
        from captp.peer.view import view_of  # noqa: PLC0415 - most vats are never looked at

        self._peer.now = trio.current_time()
        stats = {name: trustee.stats() for name, trustee in self._trustees.items()}
        return view_of(self._peer, self._meter, stats)

    async def trustee_loads(self, within: float = 1.0) -> dict[str, LoopStats]:
        """Ask the open process trustees how busy their own loops are; return what they say, by name.

        Those that do not say within so many seconds are left out.
        """
        from captp.run.process import ProcessTrustee  # noqa: PLC0415
        from captp.run.process_figures import ask_all  # noqa: PLC0415

        asked = {name: t.figures for name, t in self._trustees.items() if isinstance(t, ProcessTrustee)}
        return await ask_all(asked, within)

    async def copy_store(self, path: Path) -> None:
        """Write a whole copy of what a durable vat has stored to a new file that only the owner can read.

        All that was acknowledged before is in it; calls wait while it is made. Raises a StoreError.
        """
        if self._pump.storage is None:
            raise UsageError("copy_store(): this vat stores nothing; give open_vat a store")
        await self._pump.storage.with_store(lambda store: store.copy(path))

    async def compact_store(self) -> None:
        """Give back to the system what deleted rows took in the store, if any; calls wait meanwhile."""
        if self._pump.storage is not None:
            await self._pump.storage.with_store(lambda store: store.compact())

    def promise(self) -> tuple[Promise[Any], Resolver]:
        """Return a new promise and the resolver that settles it."""
        return self._peer.vat.promise()

    def when_broken(self, reference: Any) -> Promise[Any]:
        """Return a promise that is fulfilled, once, with the reason when ``reference`` breaks."""
        vat = self._peer.vat
        promise: Promise[Any] = Promise(vat)
        vat.emit(Watch(promise, reference))
        return promise


_NO_KEY: Final = "what is durable needs a key that is kept: make one, keep it secret, pass open_vat(key=...)"


class _Probe:
    def entrust(self, obj: object, *, alone: bool) -> int:  # noqa: ARG002 - as LiveVat.entrust has it
        return sys.getrefcount(obj)


#: The references that an argument of LiveVat.entrust has when nobody else holds it, in this Python.
_ALONE: Final = _Probe().entrust(object(), alone=True)


@asynccontextmanager
async def open_vat(
    *,
    key: PrivateKey | None = None,
    listen: Iterable[Netlayer] = (),
    netlayers: Iterable[Netlayer] = (),
    limits: Limits | None = None,
    cycles: Cycles | None = None,
    store: Store | None = None,
    watchdog: bool = False,
) -> AsyncIterator[LiveVat]:
    """Open a vat for the length of the block; its connections and fibers end with it.

    ``key`` is its identity, a fresh one by default. ``listen`` names netlayers that serve, and
    ``netlayers`` such that only dial; tls, unix, loopback tcp-testing-only and, with its extra, websocket
    can always be dialled. ``cycles`` says how garbage is found that loops through several vats.
    ``store`` makes the vat durable: what its roots and sturdyrefs lead to outlives it, and is there when the
    store is opened again with the same ``key``. Raises a StoreError where the store cannot be used, and from
    the block where it fails later. ``watchdog`` has a thread look 20 times a second, and log each turn that
    takes 50 to 100 ms or longer with the line where it stands.
    """
    check_instance("key", key, PrivateKey, "captp.PrivateKey.from_seed(secrets.token_bytes(32))")
    check_instance("limits", limits, Limits, "captp.Limits(field=value)")
    check_instance("cycles", cycles, Cycles, "captp.Cycles(field=value)")
    served, dialled = netlayers_of("listen", listen), netlayers_of("netlayers", netlayers)
    if store is not None and key is None:
        raise UsageError(_NO_KEY)
    keeps_key = key is not None
    key = key or PrivateKey.from_seed(os.urandom(32))
    make = partial(Peer, key=key, entropy=os.urandom, limits=limits, cycles=cycles)
    sealed = None
    if store is None:
        peer = make()
    else:
        from captp.run.sealed import open_sealed  # noqa: PLC0415 - most vats need none of it

        peer, sealed = await open_sealed(store, key, make)
    layers: dict[str, Netlayer] = {n.transport: n for n in (*dialled, *served)}
    meter = Meter(peer, trio.current_time())

    async def dial(locator: PeerLocator) -> Conduit:
        layer = layers.get(locator.transport)
        if layer is None:
            from captp.run.netlayers import default_netlayer  # noqa: PLC0415 - most vats bring theirs

            layer = layers[locator.transport] = default_netlayer(locator.transport, key, peer.limits)
        return await layer.dial(locator)

    with unwrapped(), _watching(peer) if watchdog else nullcontext():
        async with trio.open_nursery() as nursery:
            pump = Pump(peer, nursery, dial, meter, sealed)
            try:
                nursery.start_soon(pump.run)
                nursery.start_soon(pump.beat)
                for layer in served:
                    await nursery.start(_serve, pump, layer)
                    peer.locations[layer.transport] = PeerLocator.make(
                        layer.transport, key.public.designator, announcing("mp1", layer.hints())
                    )
                if peer.stored is not None:
                    peer.stored.begin(trio.current_time())
                    pump.ring()
                yield LiveVat(peer, layers, meter, pump, keeps_key=keeps_key)
            finally:
                await pump.close()
                nursery.cancel_scope.cancel()


def _watching(peer: Peer) -> AbstractContextManager[None]:
    from captp.run.watchdog import watch_turns  # noqa: PLC0415 - most vats need none of it

    return watch_turns({peer.designator[:12]: peer.vat})


async def _serve(
    pump: Pump, layer: Netlayer, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    async def accept(conduit: Conduit) -> None:
        await serve(pump, conduit, layer.transport)

    await layer.serve(accept, task_status=task_status)


@overload
def connect(
    source: Source, interface: type[I], *, netlayers: Iterable[Netlayer] = (), retry_for: float = 0.0
) -> AbstractAsyncContextManager[I]: ...
@overload
def connect(
    source: Source, interface: None = None, *, netlayers: Iterable[Netlayer] = (), retry_for: float = 0.0
) -> AbstractAsyncContextManager[Promise[Any]]: ...
def connect(
    source: Source,
    interface: type[Any] | None = None,
    *,
    netlayers: Iterable[Netlayer] = (),
    retry_for: float = 0.0,
) -> AbstractAsyncContextManager[Any]:
    """Open a client vat of one's own and enliven one sturdyref in it; see ``LiveVat.enliven``."""
    return _connected(read_sturdyref(source), interface, netlayers, retry_for)


@asynccontextmanager
async def _connected(
    sturdyref: SturdyRef, interface: type[Any] | None, netlayers: Iterable[Netlayer], retry_for: float
) -> AsyncIterator[Any]:
    async with open_vat(netlayers=netlayers) as vat:
        yield vat.enliven(sturdyref, interface, retry_for=retry_for)
