"""What one capsule is: the home of the objects in it, and who may touch them now.

idle --lend--> lent --give back--> idle          a password, or shared ones, are out
idle | lent --freeze--> frozen                   for good: everybody reads, nobody writes
idle --merge--> merged                           for good: another capsule stands for it
An access opens and closes while it is idle or lent; it is not a state of the capsule but an ``Opening``
on the strand that runs it, so that two strands never see one another's. ``writers`` are of one strand, as
there is one key and one password, but for the initial capsule, which every thread may enter.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from itertools import count
from typing import Any, Final

from captp.custody import strand
from captp.custody.faults import FaultLog
from captp.custody.guarded import contained, guard, guarded, unguard
from captp.custody.opening import Opening, turning_vat
from captp.errors import Contended, Frozen, InvariantBroken, NotInTurn
from captp.model.current import opening_here
from captp.model.object import UNOWNED, Object, edges

__all__ = [
    "INITIAL",
    "CapsuleHome",
    "HomeState",
    "current_home",
    "home_of",
    "in_capsule",
    "look_between_turns",
    "thread_home",
    "where_now",
]

#: Numbers capsules, so that two of one brand can be told apart in texts.
_NUMBERS: Final = count(1)


class HomeState(Enum):
    """See the module's text."""

    IDLE = 0
    LENT = 1
    FROZEN = 2
    MERGED = 3


class CapsuleHome:
    """The home of the Objects in one capsule; asked by each of them before it is touched."""

    __slots__ = (
        "__weakref__", "_idle", "_parent", "brand", "faults", "is_strict", "number", "readers", "state",
        "trustee", "writers",
    )  # fmt: skip

    #: No write is let pass unasked: an access may have ended since the last.
    token: Final = object()
    #: The twins of classes ask by themselves before they are read.
    in_turn: Final = True
    #: Objects in it stay Objects where an interface is said: only vats have references.
    reference: Final = None
    guard = staticmethod(guard)

    def __init__(
        self, brand: str, *, is_strict: bool = False, trustee: Any = None, keeps_live: bool = True
    ) -> None:
        self.brand = brand
        self.number = next(_NUMBERS)
        self.is_strict = is_strict
        self.state = HomeState.IDLE
        #: Empty unless it is idle: two threads may use one key at once, and one pop is one step to both.
        self._idle = [True]
        #: Those who read now, by way of shared passwords or as it is frozen.
        self.readers: list[Opening] = []
        #: The accesses that write, each within the one before.
        self.writers: list[Opening] = []
        #: Whose turns run in it, when it is the capsule of a vat.
        self.trustee = trustee
        self.faults = FaultLog(keeps_live=keeps_live)
        self._parent: CapsuleHome | None = None

    def __repr__(self) -> str:
        return f"{self.brand}#{self.number}"

    def root(self) -> CapsuleHome:
        """Return the capsule that stands for this one since it was merged; itself, if it was not."""
        one = self
        while (parent := one._parent) is not None:
            # Each step makes the way of the next look half as long.
            if parent._parent is not None:
                one._parent = parent._parent
            one = parent
        return one

    def keep(self, problem: BaseException) -> tuple[str, int]:
        """Keep an exception for accesses of this capsule; return its brand and the number."""
        root = self.root()
        return repr(root), root.faults.keep(repr(root), problem)

    def _leave_idle(self, state: HomeState) -> bool:
        """Change the state from idle, unless another thread does; return whether it was done here."""
        try:
            self._idle.pop()
        except IndexError:
            return False
        self.state = state
        return True

    def _be_idle(self) -> None:
        self.state = HomeState.IDLE
        self._idle.append(True)

    def lend(self) -> bool:
        """Note that a password is out; return whether one may be."""
        return self._leave_idle(HomeState.LENT) or self.state is HomeState.LENT

    def take_back(self) -> None:
        """Note that no password is out any more."""
        if self.state is HomeState.LENT:
            self._be_idle()

    def merge_into(self, other: CapsuleHome) -> None:
        """Have ``other`` stand for this capsule, for good; raises Frozen for a frozen one."""
        assert other._parent is None, "only what stands for itself takes in others"
        if not self._leave_idle(HomeState.MERGED):
            raise Frozen(f"capsule {self} is frozen, and everybody's: it cannot be merged into another")
        self._parent = other
        other.faults.take_in(self.faults)

    def freeze(self) -> None:
        """Let everybody read and nobody write, for good."""
        self._idle.clear()
        self.state = HomeState.FROZEN

    def freeze_unused(self) -> bool:
        """Freeze it unless it is lent, written or merged; return whether it is frozen."""
        # Before it is looked who writes: whoever begins to after that does not get to his first write.
        if self._leave_idle(HomeState.FROZEN) and self.writers:
            self._be_idle()
        return self.state is HomeState.FROZEN

    @property
    def is_written(self) -> bool:
        """Whether an access that writes is under way."""
        return bool(self.writers)

    def look(self, obj: Object) -> None:
        """Let ``obj`` be read, or raise Contended."""
        root = self.root()
        if root.state is HomeState.FROZEN:
            return
        if current_home() is root:
            if root.trustee is not None:
                root.trustee.adopt(obj)
            return
        raise self.contended(f"a {type(obj).__name__}")

    def first_write(self, obj: Object) -> None:
        """Let ``obj`` be written, or raise Contended or Frozen; a turn around it journals the state."""
        root = self.root()
        if root.state is HomeState.FROZEN:
            raise Frozen(
                f"a {type(obj).__name__} is in capsule {root}, whose key was used twice: everybody reads it"
                " and nobody changes it; make a changed copy"
            )
        if current_home() is not root:
            raise self.contended(f"a {type(obj).__name__}")
        if root.trustee is not None:
            root.trustee.adopt(obj)
            root.trustee.first_write(obj)
            return
        opening: Opening | None = opening_here()
        if opening is not None and opening.is_shared:
            raise Contended(
                f"a {type(obj).__name__} is in capsule {root}, which a shared password only reads;"
                " access it with the password itself"
            )
        vat = turning_vat()
        if vat is not None:
            vat.on_roll_back(obj._captp_undo, obj._captp_snap())  # type: ignore[attr-defined]

    def container_write(self, owner: Object, undo: Callable[..., Any], args: Any) -> None:
        """Let a container in the state of ``owner`` be written, as ``first_write``."""
        self.first_write(owner)
        home = owner._home
        if home is not self:
            home.container_write(owner, undo, args)
            return
        vat = turning_vat()
        if vat is not None:
            # As one step of its own: a durable vat looks for its own containers in the journal.
            vat.on_roll_back(_undo, undo, args)

    def adopt(self, obj: Object) -> None:
        """Have ``obj``, and every Object in its state, be in this capsule; on an error none of them is."""
        root, found, stack = self.root(), {id(obj): obj}, [obj]
        while stack:
            one = stack.pop()
            _check_free(one, root)
            for part in edges(one):
                if isinstance(part, Object) and id(part) not in found and part._home is not root:
                    found[id(part)] = part
                    stack.append(part)
        for one in found.values():
            if one._home is UNOWNED:
                one._home = self
                one.__class__ = guarded(type(one))
                for container in contained(one):
                    guard(container)

    def give_up(self, obj: Object, new: Any) -> None:
        """Let ``obj`` have a vat for its home, if the capsule was merged into that vat's, or raise."""
        if self.root().trustee is not new:
            raise self.contended(f"a {type(obj).__name__}")
        unguard(obj)

    def last_holder_went(self, obj: Object) -> None:
        """Let it go: it has no vat to be told in."""

    def check(self) -> None:
        """Raise InvariantBroken unless what is under way fits the state."""
        if (self._parent is None) == (self.state is HomeState.MERGED):
            raise InvariantBroken(f"capsule {self} is {self.state.name}, merged into {self._parent}")
        if self.state is HomeState.MERGED and (self.readers or self.writers):
            raise InvariantBroken(f"capsule {self} is merged, and an access to it is under way")
        if not all(one.is_open for one in (*self.readers, *self.writers)):
            raise InvariantBroken(f"capsule {self} counts an access that has ended")
        if self.writers and self.state is HomeState.FROZEN:
            raise InvariantBroken(f"capsule {self} is frozen, and counts a writer")
        if len({one.thread for one in self.writers}) > 1 and self is not INITIAL:
            raise InvariantBroken(f"two strands write in capsule {self}")

    def dump(self) -> str:
        """Return one line: the capsule, its state, what is under way and the exceptions it keeps."""
        now = f"{len(self.readers)} readers, {len(self.writers)} writers, {len(self.faults)} faults"
        return f"{self} {self.state.name.lower()}: {now}"

    def contended(self, what: str) -> Contended:
        """Make the error for a touch from elsewhere."""
        return Contended(
            f"{what} is in capsule {self.root()}, and {where_now()}: touch it in an access with the"
            " capsule's own password, or take out what is to be known"
        )


#: The capsule that the program began in.
INITIAL: Final = CapsuleHome("initial")


def _undo(undo: Callable[..., Any], args: tuple[Any, ...]) -> None:
    undo(*args)


def _check_free(obj: Object, root: CapsuleHome) -> None:
    """Raise unless an object is nobody's, or in the capsule already."""
    home = obj._home
    if home is UNOWNED:
        return
    name = type(obj).__name__
    if not isinstance(home, CapsuleHome):
        raise NotInTurn(f"{name} belongs to a vat; a capsule holds what is made for it")
    if home.root() is not root:
        raise home.contended(f"a {name}")


def in_capsule(obj: Object, root: CapsuleHome) -> bool:
    """Return whether an object is in a capsule."""
    home = obj._home
    if isinstance(home, CapsuleHome):
        return home.root() is root
    return root.trustee is not None and home is root.trustee


def current_home() -> CapsuleHome:
    """Return the capsule that runs now: an access's, that of the vat whose turn it is, or the thread's."""
    opening: Opening | None = opening_here()
    if opening is not None:
        root: CapsuleHome = opening.home.root()
        return root
    vat = turning_vat()
    return thread_home() if vat is None else home_of(vat.trustee)


def home_of(trustee: Any) -> CapsuleHome:
    """Return the capsule that the turns of a trustee run in."""
    found: CapsuleHome | None = trustee.capsule
    if found is None:
        found = trustee.capsule = CapsuleHome("turns", trustee=trustee, keeps_live=False)
    return found


def look_between_turns(trustee: Any, obj: Object) -> None:
    """Let an object of a vat be read by the code around the vat, on its thread, or raise Contended."""
    here = current_home()
    if here is not thread_home() or trustee.vat.thread not in (0, strand.get_ident()):
        raise Contended(
            f"a {type(obj).__name__} belongs to a vat, and this runs in {here}: send it a message, or read"
            " before what is to be known here"
        )


def thread_home() -> CapsuleHome:
    """Return the capsule that the running thread began with."""
    found: CapsuleHome | None = getattr(strand.local, "home", None)
    if found is None:
        found = strand.local.home = (
            INITIAL if strand.is_initial() else CapsuleHome("thread", keeps_live=False)
        )
    return found


def where_now() -> str:
    """Say where the running code is, for the text of an error."""
    return f"this runs in {current_home()}"
