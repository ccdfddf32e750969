"""Every error the product raises: its place says whose fault it is, its text says what to do next."""

from __future__ import annotations

from typing import Literal

Kind = Literal["failed", "overloaded", "disconnected", "unimplemented"]


class Error(Exception):
    """Root of every error that captp raises."""


class UsageError(Error):
    """The caller of our API broke a rule: fix the program."""


class NotNear(UsageError):
    """A reference was called as if its object were in this turn's capsule."""


class NotInTurn(UsageError):
    """State of an object that a vat owns was written outside a turn."""


class NotNow(UsageError):
    """An immediate call was asked for where only an eventual send is possible."""


class NestedDelegation(NotNow):
    """A turn would have waited for another trustee."""


class ForeignAwait(UsageError):
    """An ``async def`` method awaited something that is not a promise."""


class Contended(UsageError):
    """What is in a capsule was touched from elsewhere, or a capsule was opened while others use it."""


class Frozen(UsageError):
    """What everybody may read was to be changed."""


class BrandMismatch(UsageError):
    """What belongs to one capsule was used with what belongs to another."""


class Unpassable(UsageError):
    """A value cannot cross a border; ``path`` says where it sits."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class BadClass(UsageError):
    """An Interface or Object class breaks a rule of its kind; raised when the class is defined."""


class BadLocator(UsageError):
    """A URI is not a peer locator or a sturdyref."""


class Closed(UsageError):
    """A vat or a reference was used after its end."""


class ProtocolError(Error):
    """Somebody broke the protocol; see the subclasses for who."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol: a bug here, please report it."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; its session ends with ``code`` in the abort reason."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class DecodeError(RemoteProtocolError):
    """The peer sent bytes that are no message."""


class LimitExceeded(RemoteProtocolError):
    """The peer passed a limit; ``code`` names it."""


class Broken(Error):
    """What awaiting a broken promise raises; ``reason`` is the passable value that broke it."""

    kind: Kind = "failed"

    def __init__(self, message: str = "", *, reason: object = None) -> None:
        super().__init__(message)
        self.reason = reason


class RemoteFault(Broken):
    """The far object raised: its class name and message, never its traceback."""

    def __init__(self, message: str = "", *, class_name: str = "", reason: object = None) -> None:
        super().__init__(message, reason=reason)
        self.class_name = class_name


class Encapsulated(RemoteFault):
    """An exception that stays in the capsule it was raised in, with all that it holds.

    ``brand`` names the capsule, ``id`` the exception there, ``class_name`` the nearest class of a closed
    list. ``Access.open`` gives the exception itself to code that runs within the capsule.
    """

    def __init__(
        self,
        message: str = "",
        *,
        brand: str = "",
        id: int = 0,  # noqa: A002 - it is the exception's
        class_name: str = "",
        reason: object = None,
    ) -> None:
        super().__init__(message, class_name=class_name, reason=reason)
        self.brand = brand
        self.id = id


class AliasedKey(RuntimeWarning):
    """The key of a capsule was used twice, so that the capsule is frozen for good."""


class Refused(Broken):
    """The object says no; raised by user code to roll a turn back and tell the caller why."""


class NotFound(Broken):
    """There is no such object, or not for you: strangers get one answer for both."""


class NoSuchMethod(Broken):
    """The object has no such method; one text for every wrong name."""

    kind = "unimplemented"


class NotDurable(Broken):
    """Something was to survive its vat that cannot: a vat without a store, a fiber, a borrowed reference."""


class BadArguments(Broken):
    """The arguments do not fit the method's signature; its body did not run."""


class Cancelled(Broken):
    """Nobody waits for this fiber any more, or it was asked to stop."""


class Reentrant(Error):
    """A turn asked its own trustee for a turn on the object that it runs on."""


class CaptureError(Error):
    """A function for a trustee captures a value that others may change."""


class LeakedObject(Error):
    """A turn tried to give out the object that a trustee owns."""


class StillShared(Error):
    """Something was to be entrusted or made unique while somebody else still holds it."""


class Poisoned(Error):
    """A turn on the object, or a holder of the lock, raised: nobody uses it until ``heal()``."""


class Deadlock(Broken):
    """The call would wait for one that waits for it: each holds what the other asks for."""


class BrokenTrustee(Broken):
    """The process or the thread of a trustee has ended; ``may_have_run`` tells whether the call may have."""

    def __init__(self, message: str = "", *, may_have_run: bool = True, reason: object = None) -> None:
        super().__init__(message, reason=reason)
        self.may_have_run = may_have_run


class Moved(UsageError):
    """A unique reference was used after it was passed on, or kept where only shared ones can be."""


class BorrowEscape(UsageError):
    """A borrowed reference was kept, passed on or used beyond the call it was lent for."""


class BorrowConflict(UsageError):
    """A bound value was borrowed while another borrow excludes it, or changed where it is only read."""


class MissingContext(UsageError):
    """A capability was asked for where nothing binds it, or not so that it may be changed."""


class UnsizeError(UsageError):
    """An object became a reference although one of its methods needs context that a caller cannot give."""


class Dropped(Error):
    """A handle was used after it was given back."""


class Timeout(Broken):
    """A promise did not settle within the time given to ``captp.within``."""


class Overloaded(Broken):
    """A limit is reached: try again later."""

    kind = "overloaded"


class Disconnected(Broken):
    """The session with ``peer`` is gone; live references of it never come back.

    ``may_have_run`` is True for the result of a call that had left: what came of that is not known.
    """

    kind = "disconnected"

    def __init__(
        self,
        message: str = "",
        *,
        peer: str = "",
        incarnation: int = 0,
        may_have_run: bool = False,
        reason: object = None,
    ) -> None:
        super().__init__(message, reason=reason)
        self.peer = peer
        self.incarnation = incarnation
        self.may_have_run = may_have_run


class Unreachable(Disconnected):
    """No session with the peer could be opened."""


class HandoffFailed(Broken):
    """An introduction by a third party failed; the promise for what was introduced breaks with it."""


class WrongPeer(Unreachable):
    """Somebody else answered: the proved key is not the one in the sturdyref."""


class StoreError(Error):
    """The store of a durable vat cannot be used as it is; see the subclasses for why."""


class StoreBusy(StoreError):
    """Another process has the store open."""


class StoreTooNew(StoreError):
    """The store was written by a later version."""


class StoreUnusable(StoreError):
    """The store's place cannot be written, belongs to somebody else, or can be read by others."""


class StoreDamaged(StoreError):
    """The store does not hold what was written to it."""


class StoreFull(StoreError):
    """There is no room for a commit; nothing of it was made."""


class StoreFailed(StoreError):
    """The disk failed in the middle of a commit, or while reading: what is on it is not known."""


class InvariantBroken(Error):
    """A bug in captp: a counted invariant does not hold. Please report the text."""
