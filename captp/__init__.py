"""Live Python objects shared between hosts that do not trust each other; see the README.

Everything a program needs is imported from here, lazily: naming a thing loads its room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from captp.version import __version__ as __version__

if TYPE_CHECKING:
    from captp import cow as cow
    from captp.custody.access import Access as Access
    from captp.custody.access import Brand as Brand
    from captp.custody.adopted import CapsuleTrust as CapsuleTrust
    from captp.custody.capsule import Capsule as Capsule
    from captp.custody.condition import Condition as Condition
    from captp.custody.context.arena import Arena as Arena
    from captp.custody.context.arena import Index as Index
    from captp.custody.context.bind import bind as bind
    from captp.custody.context.cap import Borrow as Borrow
    from captp.custody.context.cap import Cap as Cap
    from captp.custody.context.needs import needs as needs
    from captp.custody.context.needs import tie as tie
    from captp.custody.data import Data as Data
    from captp.custody.ivar import Ivar as Ivar
    from captp.custody.key import Key as Key
    from captp.custody.mutex import Mutex as Mutex
    from captp.custody.password import Password as Password
    from captp.custody.rwlock import RwLock as RwLock
    from captp.cycles import Cycles as Cycles
    from captp.errors import AliasedKey as AliasedKey
    from captp.errors import (
        BadArguments as BadArguments,
    )
    from captp.errors import (
        BadClass as BadClass,
    )
    from captp.errors import (
        BadLocator as BadLocator,
    )
    from captp.errors import (
        BorrowConflict as BorrowConflict,
    )
    from captp.errors import (
        BorrowEscape as BorrowEscape,
    )
    from captp.errors import (
        BrandMismatch as BrandMismatch,
    )
    from captp.errors import (
        Broken as Broken,
    )
    from captp.errors import (
        BrokenTrustee as BrokenTrustee,
    )
    from captp.errors import (
        Cancelled as Cancelled,
    )
    from captp.errors import (
        CaptureError as CaptureError,
    )
    from captp.errors import (
        Closed as Closed,
    )
    from captp.errors import (
        Contended as Contended,
    )
    from captp.errors import (
        Deadlock as Deadlock,
    )
    from captp.errors import (
        Disconnected as Disconnected,
    )
    from captp.errors import (
        Dropped as Dropped,
    )
    from captp.errors import (
        Encapsulated as Encapsulated,
    )
    from captp.errors import (
        Error as Error,
    )
    from captp.errors import (
        ForeignAwait as ForeignAwait,
    )
    from captp.errors import (
        Frozen as Frozen,
    )
    from captp.errors import (
        HandoffFailed as HandoffFailed,
    )
    from captp.errors import (
        LeakedObject as LeakedObject,
    )
    from captp.errors import (
        MissingContext as MissingContext,
    )
    from captp.errors import (
        Moved as Moved,
    )
    from captp.errors import (
        NestedDelegation as NestedDelegation,
    )
    from captp.errors import (
        NoSuchMethod as NoSuchMethod,
    )
    from captp.errors import (
        NotDurable as NotDurable,
    )
    from captp.errors import (
        NotFound as NotFound,
    )
    from captp.errors import (
        NotInTurn as NotInTurn,
    )
    from captp.errors import (
        NotNear as NotNear,
    )
    from captp.errors import (
        NotNow as NotNow,
    )
    from captp.errors import (
        Overloaded as Overloaded,
    )
    from captp.errors import (
        Poisoned as Poisoned,
    )
    from captp.errors import (
        Reentrant as Reentrant,
    )
    from captp.errors import (
        Refused as Refused,
    )
    from captp.errors import (
        RemoteFault as RemoteFault,
    )
    from captp.errors import (
        StillShared as StillShared,
    )
    from captp.errors import (
        StoreBusy as StoreBusy,
    )
    from captp.errors import (
        StoreDamaged as StoreDamaged,
    )
    from captp.errors import (
        StoreError as StoreError,
    )
    from captp.errors import (
        StoreFailed as StoreFailed,
    )
    from captp.errors import (
        StoreFull as StoreFull,
    )
    from captp.errors import (
        StoreTooNew as StoreTooNew,
    )
    from captp.errors import (
        StoreUnusable as StoreUnusable,
    )
    from captp.errors import (
        Timeout as Timeout,
    )
    from captp.errors import (
        Unpassable as Unpassable,
    )
    from captp.errors import (
        Unreachable as Unreachable,
    )
    from captp.errors import (
        UnsizeError as UnsizeError,
    )
    from captp.errors import (
        UsageError as UsageError,
    )
    from captp.errors import (
        WrongPeer as WrongPeer,
    )
    from captp.limits import Limits as Limits
    from captp.model.containers import List as List
    from captp.model.containers import Map as Map
    from captp.model.containers import Set as Set
    from captp.model.faults import portable_error as portable_error
    from captp.model.interface import Interface as Interface
    from captp.model.interface import Method as Method
    from captp.model.interface import Send as Send
    from captp.model.interface import method as method
    from captp.model.keys import PrivateKey as PrivateKey
    from captp.model.locator import PeerLocator as PeerLocator
    from captp.model.locator import SturdyRef as SturdyRef
    from captp.model.migration import migrate as migrate
    from captp.model.object import Object as Object
    from captp.model.own import Borrowed as Borrowed
    from captp.model.own import Exclusive as Exclusive
    from captp.model.own import Unique as Unique
    from captp.model.own import lend as lend
    from captp.model.own import share as share
    from captp.model.plan import Recorder as Recorder
    from captp.model.plan import select as select
    from captp.model.promise import Promise as Promise
    from captp.model.promise import Reference as Reference
    from captp.model.promise import Resolver as Resolver
    from captp.model.promise import untag as untag
    from captp.model.ref import same as same
    from captp.model.send import E as E
    from captp.model.trust import Call as Call
    from captp.model.trust import Outcome as Outcome
    from captp.model.trust import Trust as Trust
    from captp.model.values import NULL as NULL
    from captp.model.values import Fault as Fault
    from captp.model.values import FrozenMap as FrozenMap
    from captp.model.values import Symbol as Symbol
    from captp.model.values import Tagged as Tagged
    from captp.run.live import LiveVat as LiveVat
    from captp.run.live import connect as connect
    from captp.run.live import open_vat as open_vat
    from captp.vat.owning import make_unique as make_unique
    from captp.vat.powers import enliven as enliven
    from captp.vat.powers import later as later
    from captp.vat.powers import near as near
    from captp.vat.powers import outside as outside
    from captp.vat.powers import send_durable as send_durable
    from captp.vat.powers import sleep as sleep
    from captp.vat.powers import within as within
    from captp.vat.remote import trust as trust

_HOMES = {
    "captp": "cow",
    "captp.custody.access": "Access Brand",
    "captp.custody.adopted": "CapsuleTrust",
    "captp.custody.capsule": "Capsule",
    "captp.custody.condition": "Condition",
    "captp.custody.context.arena": "Arena Index",
    "captp.custody.context.bind": "bind",
    "captp.custody.context.cap": "Borrow Cap",
    "captp.custody.context.needs": "needs tie",
    "captp.custody.data": "Data",
    "captp.custody.ivar": "Ivar",
    "captp.custody.key": "Key",
    "captp.custody.mutex": "Mutex",
    "captp.custody.password": "Password",
    "captp.custody.rwlock": "RwLock",
    "captp.cycles": "Cycles",
    "captp.errors": "AliasedKey BadArguments BadClass BadLocator BorrowConflict BorrowEscape BrandMismatch"
    " Broken BrokenTrustee Cancelled CaptureError Closed Contended Deadlock Disconnected Dropped"
    " Encapsulated Error ForeignAwait Frozen HandoffFailed LeakedObject MissingContext Moved"
    " NestedDelegation NoSuchMethod NotDurable NotFound NotInTurn NotNear NotNow Overloaded Poisoned"
    " Reentrant Refused"
    " RemoteFault StillShared StoreBusy StoreDamaged StoreError StoreFailed StoreFull"
    " StoreTooNew StoreUnusable Timeout Unpassable Unreachable UnsizeError UsageError WrongPeer",
    "captp.limits": "Limits",
    "captp.model.containers": "List Map Set",
    "captp.model.faults": "portable_error",
    "captp.model.interface": "Interface Method Send method",
    "captp.model.keys": "PrivateKey",
    "captp.model.locator": "PeerLocator SturdyRef",
    "captp.model.migration": "migrate",
    "captp.model.object": "Object",
    "captp.model.own": "Borrowed Exclusive Unique lend share",
    "captp.model.plan": "Recorder select",
    "captp.model.promise": "Promise Reference Resolver untag",
    "captp.model.ref": "same",
    "captp.model.send": "E",
    "captp.model.trust": "Call Outcome Trust",
    "captp.model.values": "NULL Fault FrozenMap Symbol Tagged",
    "captp.run.live": "LiveVat connect open_vat",
    "captp.vat.owning": "make_unique",
    "captp.vat.powers": "enliven later near outside send_durable sleep within",
    "captp.vat.remote": "trust",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [*sorted(_HOME_OF), "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'captp' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    value = import_module(f"{home}.{name}") if home == __name__ else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
