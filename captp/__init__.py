"""Live Python objects shared between hosts that do not trust each other; see the README.

Everything a program needs is imported from here, lazily: naming a thing loads its room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captp.version import __version__ as __version__

if TYPE_CHECKING:
    from captp.errors import (
        BadArguments as BadArguments,
        Broken as Broken,
        Cancelled as Cancelled,
        Disconnected as Disconnected,
        Error as Error,
        ForeignAwait as ForeignAwait,
        NoSuchMethod as NoSuchMethod,
        NotFound as NotFound,
        NotInTurn as NotInTurn,
        NotNear as NotNear,
        NotNow as NotNow,
        Overloaded as Overloaded,
        Refused as Refused,
        RemoteFault as RemoteFault,
        Timeout as Timeout,
        Unpassable as Unpassable,
        Unreachable as Unreachable,
        UsageError as UsageError,
        WrongPeer as WrongPeer,
    )
    from captp.limits import Limits as Limits
    from captp.model.containers import List as List, Map as Map, Set as Set
    from captp.model.faults import portable_error as portable_error
    from captp.model.interface import Interface as Interface, Method as Method, Send as Send, method as method
    from captp.model.keys import PrivateKey as PrivateKey
    from captp.model.locator import PeerLocator as PeerLocator, SturdyRef as SturdyRef
    from captp.model.object import Object as Object
    from captp.model.promise import Promise as Promise, Reference as Reference, Resolver as Resolver, untag as untag
    from captp.model.ref import same as same
    from captp.model.send import E as E
    from captp.model.values import NULL as NULL, Fault as Fault, FrozenMap as FrozenMap, Symbol as Symbol, Tagged as Tagged
    from captp.run.live import LiveVat as LiveVat, connect as connect, open_vat as open_vat
    from captp.vat.powers import near as near, outside as outside, sleep as sleep, within as within

_HOMES = {
    "captp.errors": "BadArguments Broken Cancelled Disconnected Error ForeignAwait NoSuchMethod NotFound"
    " NotInTurn NotNear NotNow Overloaded Refused RemoteFault Timeout Unpassable Unreachable UsageError"
    " WrongPeer",
    "captp.limits": "Limits",
    "captp.model.containers": "List Map Set",
    "captp.model.faults": "portable_error",
    "captp.model.interface": "Interface Method Send method",
    "captp.model.keys": "PrivateKey",
    "captp.model.locator": "PeerLocator SturdyRef",
    "captp.model.object": "Object",
    "captp.model.promise": "Promise Reference Resolver untag",
    "captp.model.ref": "same",
    "captp.model.send": "E",
    "captp.model.values": "NULL Fault FrozenMap Symbol Tagged",
    "captp.run.live": "LiveVat connect open_vat",
    "captp.vat.powers": "near outside sleep within",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [*sorted(_HOME_OF), "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'captp' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
