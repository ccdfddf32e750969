"""The daemon from configuration to orderly end: opens everything, says that it is ready, drains."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import trio

import captp
from captp.errors import StoreError, UsageError
from captp.model.locator import write_cap_file
from captp.net.base import Netlayer
from captp.net.tcp import TcpNetlayer
from captp.net.tls import TlsPort
from captp.net.unix import UnixNetlayer
from captp.peer.durable.kinds import Unfit
from captp.run.watchdog import watch_turns
from captpd.admin.admin import Admin
from captpd.config.kinds import Address
from captpd.config.places import StateFolder, write_file
from captpd.config.problems import ListeningError
from captpd.config.schema import Config
from captpd.daemon.book import Book, read_book
from captpd.daemon.classes import HostingError, load_class
from captpd.daemon.doors import Door, PlainSide, TlsHub, TlsSide
from captpd.daemon.host import Hosting, Listening, OpenVat, store_of
from captpd.daemon.identity import control_key, read_identity, vat_key
from captpd.daemon.memory import watch_memory
from captpd.daemon.notify import notify
from captpd.store.sqlite import SqliteStore

__all__ = ["serve"]

SHORT: Final = 8
# How often the drain looks whether all is done.
DRAIN_LOOK_S: Final = 0.02

#: Seconds after which a thread that waits for the interpreter gets it from one that runs on. A store's thread
#: lets go of it at each row, and with Python's 5 ms every one of them could cost a vat as long.
SWITCH_S: Final = 0.0005

log: Final = logging.getLogger("captpd")


async def serve(config: Config, state: StateFolder, announce: Callable[[str], None]) -> None:
    """Run a daemon until a signal or its control plane stops it; ``announce`` gets the ready line.

    The caller holds the state folder's lock. Raises UsageError, of which ConfigError and
    ListeningError, and StoreError when it cannot start; StoreError too when a disk fails later.
    """
    sys.setswitchinterval(SWITCH_S)
    try:
        await _serve(config, state, announce)
    except BaseExceptionGroup as group:
        found = _usage_error(group) or _store_error(group)
        if found is None:
            raise
        raise found from None


async def _serve(config: Config, state: StateFolder, announce: Callable[[str], None]) -> None:
    seed = read_identity(state.identity)
    book = read_book(state.sturdyrefs)
    door = Door()
    stopping, hurry = trio.Event(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        await nursery.start(_watch_signals, stopping, hurry)
        hub = TlsHub(_ports(config), door, config.listen.advertise)
        if hub.ports:
            with _blaming("[listen] tls"):
                await nursery.start(hub.serve)
        async with AsyncExitStack() as stack:
            vats: dict[str, OpenVat] = {}
            await _load_classes(config, book)
            for name in config.vats:
                vats[name] = await stack.enter_async_context(
                    _vat(config, name, seed, hub, door, store=state.store(name))
                )
            hosting = Hosting(
                config=config, vats=vats, book_path=state.sturdyrefs, book=book, stopping=stopping
            )
            await hosting.restore()
            await stack.enter_async_context(_control(config, state, seed, hosting))
            lives = [vat.live for vat in vats.values()]
            nursery.start_soon(watch_memory, config.process, door, lives)
            stack.enter_context(watch_turns({v.name: v.live.peer.vat for v in hosting.all_vats}))
            # Not before: who came earlier would hear that objects do not exist which are still made.
            door.is_open = True
            # What is there now stays: the collector need not go through it each time, while peers wait.
            gc.freeze()
            announce(_ready_line(vats, state))
            notify("READY=1")
            log.info("ready", extra=_fields(state=str(state.path), vats=len(vats)))
            await stopping.wait()
            notify("STOPPING=1")
            await _drain(hosting, door, config.daemon.drain_s, hurry)
        nursery.cancel_scope.cancel()


async def _load_classes(config: Config, book: Book) -> None:
    """Import what is in durable vats: a store is opened only if all that it has has a class."""
    wanted: list[tuple[str, str | None]] = [(hosted.class_, hosted.vat) for hosted in config.objects.values()]
    wanted += [(record.class_path, record.vat) for record in book.records.values()]
    for class_path, vat in wanted:
        if vat is not None and vat in config.vats and config.vats[vat].durable:
            # What is wrong with it is said where its object is made.
            with suppress(HostingError):
                await trio.to_thread.run_sync(load_class, class_path, config.daemon.allow)


def _ports(config: Config) -> tuple[TlsPort, ...]:
    return tuple(TlsPort(a.host, a.port, limits=config.limits) for a in config.listen.tls)


@asynccontextmanager
async def _vat(
    config: Config, name: str, seed: bytes, hub: TlsHub, door: Door, *, store: Path
) -> AsyncIterator[OpenVat]:
    """Open one vat with all its listeners; if it is durable, its rows lie at ``store``."""
    key = vat_key(seed, name)
    layers: list[Netlayer] = []
    if hub.ports:
        layers.append(TlsSide(key, hub, config.limits))
    address = config.vats[name].tcp_testing_only
    plain: TcpNetlayer | None = None
    if address is not None:
        plain = TcpNetlayer(
            address.host, address.port, designator=key.public.designator, limits=config.limits
        )
        layers.append(PlainSide(plain, door))
    is_durable = config.vats[name].durable
    if is_durable:
        store.parent.mkdir(mode=0o700, exist_ok=True)
    opening = captp.open_vat(
        key=key,
        listen=layers,
        limits=config.limits,
        cycles=config.cycles,
        store=SqliteStore(store) if is_durable else None,
    )
    async with AsyncExitStack() as stack:
        with _blaming(f"[vat.{name}] tcp_testing_only"):
            live = await stack.enter_async_context(opening)
        listening = [_listening_at("tls", a) for a in hub.addresses()]
        if plain is not None:
            bound = Address(plain.host, int(plain.hints()["port"]))
            listening.append(_listening_at("tcp-testing-only", bound))
        yield OpenVat(name=name, live=live, listening=tuple(listening), is_durable=is_durable)


def _listening_at(transport: str, address: Address) -> Listening:
    return Listening(transport=transport, address=str(address), is_secure=transport == "tls")


@asynccontextmanager
async def _control(config: Config, state: StateFolder, seed: bytes, hosting: Hosting) -> AsyncIterator[None]:
    """Open the control plane: a vat of its own, so that no other listener leads to it.

    It does not use the door: whoever operates the daemon can look at it while it drains.
    """
    layer = UnixNetlayer(str(state.control_socket))
    opening = captp.open_vat(
        key=control_key(seed), listen=[layer], limits=config.limits, cycles=config.cycles
    )
    async with opening as live:
        hosting.control = OpenVat(name="control", live=live, listening=())
        sturdyref = live.mint(Admin(hosting), label="control", swiss=hosting.book.control)
        await trio.to_thread.run_sync(write_file, state.control_cap, write_cap_file(sturdyref))
        yield


@contextmanager
def _blaming(key: str) -> Iterator[None]:
    """Name the setting when a listener cannot listen."""
    try:
        yield
    except (UsageError, BaseExceptionGroup) as error:
        found = _usage_error(error)
        if found is None or isinstance(found, Unfit):
            raise
        raise ListeningError(f"{found} (set in {key})") from None


def _usage_error(error: BaseException) -> UsageError | None:
    """Find the one thing that went wrong: nurseries wrap it, once for each."""
    return next((leaf for leaf in _leaves(error) if isinstance(leaf, UsageError)), None)


def _store_error(error: BaseException) -> StoreError | None:
    return next((leaf for leaf in _leaves(error) if isinstance(leaf, StoreError)), None)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _ready_line(vats: dict[str, OpenVat], state: StateFolder) -> str:
    parts = []
    for vat in vats.values():
        places = ", ".join(map(str, vat.listening)) or "no listener"
        parts.append(f"{vat.name} {vat.live.designator[:SHORT]}… on {places}")
    return f"captpd ready: {'; '.join(parts)}; store: {store_of(vats)}; control: {state.control_socket}"


async def _watch_signals(
    stopping: trio.Event,
    hurry: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Stop at the first SIGTERM or SIGINT, and at the second at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("signal", extra=_fields(signal=signal.Signals(number).name))
            if stopping.is_set():
                hurry.cancel()
            stopping.set()


async def _drain(hosting: Hosting, door: Door, seconds: float, hurry: trio.CancelScope) -> None:
    """Let nobody in, and let what runs finish; for at most ``seconds``, or until ``hurry``."""
    door.is_open = False
    log.info("draining", extra=_fields(at_most_s=seconds))
    hurry.deadline = trio.current_time() + seconds
    with hurry:
        while hosting.is_busy or door.pending:  # noqa: ASYNC110 - the engine tells no event for it
            await trio.sleep(DRAIN_LOOK_S)
    if hurry.cancelled_caught:
        log.warning("some calls were cut off: they did not finish in time")


def _fields(**fields: Any) -> dict[str, Any]:
    return {"captp": fields}
