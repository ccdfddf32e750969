"""Accesses: proof that the code that has one runs within a capsule, now; and the border of each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, NoReturn, TypeVar, final

from captp.custody import strand
from captp.custody.faults import FaultReport
from captp.custody.freezing import frozen
from captp.custody.home import INITIAL, CapsuleHome, current_home, where_now
from captp.custody.opening import Opening
from captp.errors import BrandMismatch, Contended, Encapsulated, UsageError
from captp.model.faults import left

__all__ = ["Access", "Brand", "inside", "run_inside"]


class Brand:
    """A name for capsules: derive one class for each kind, and type checkers tell their keys apart."""


K_co = TypeVar("K_co", bound=Brand, covariant=True)
R = TypeVar("R")


@final
class Access(Generic[K_co]):
    """Shows that its holder runs within one capsule; it is good where and while that is so.

    An access that was given to a function is dead when the function has ended. ``Access.current()`` is
    good whenever the capsule is the one that runs.
    """

    __slots__ = ("_home", "_opening")

    def __init__(self, home: CapsuleHome, opening: Opening | None) -> None:
        self._home = home
        self._opening = opening

    @staticmethod
    def current() -> Access[Any]:
        """Return an access for the capsule that runs: an access's, a vat's turn's, or the thread's own."""
        return Access(current_home(), None)

    @staticmethod
    def initial() -> Access[Any]:
        """Return an access for the capsule that the program began in; it is good on the first thread."""
        return Access(INITIAL, None)

    @staticmethod
    def access_initial(function: Callable[[Access[Any] | None], R]) -> R:
        """Call a function with an access for the initial capsule on the initial thread, else with None.

        Its result is portable.
        """
        is_here = strand.is_initial() and not strand.is_child() and current_home() is INITIAL
        return frozen(function(Access.initial() if is_here else None))  # type: ignore[no-any-return]

    @staticmethod
    def access_initial_domain(function: Callable[[Access[Any] | None], R]) -> R:
        """Call a function as ``access_initial`` does, on any thread of the process that was started.

        In the process of a process trustee it is called with None. Python runs one thread at a time, but
        may change between any two steps: what is to change together belongs to an explicit capsule.
        """
        if strand.is_child():
            return frozen(function(None))  # type: ignore[no-any-return]
        return run_inside(INITIAL, function, (), {}, frozen, is_shared=False)  # type: ignore[no-any-return]

    @property
    def is_shared(self) -> bool:
        """Whether it only reads."""
        return self._opening is not None and self._opening.is_shared

    def same_as(self, other: Access[Any]) -> bool:
        """Whether both are for one capsule."""
        if type(other) is not Access:
            raise UsageError(f"same_as() takes an Access, not a {type(other).__name__}")
        return self._home.root() is other._home.root()

    def open(self, problem: Encapsulated) -> BaseException | FaultReport:
        """Return the exception that an ``Encapsulated`` stands for, as it was raised in this capsule.

        Of turns in a vat or a thread it is a report, which holds nothing alive.

        One of a capsule that was merged into this one is opened, too. The newest 64 are kept. Raises
        BrandMismatch for one of another capsule, and UsageError for one that is not kept any more.
        """
        home = inside(self)
        if not isinstance(problem, Encapsulated):
            raise UsageError(f"open() takes an Encapsulated, not a {type(problem).__name__}")
        found = home.faults.find(problem.brand, problem.id)
        if found is None:
            if problem.brand != repr(home):
                raise BrandMismatch(
                    f"this exception is of capsule {problem.brand}, and this access of {home}"
                )
            raise UsageError(f"exception {problem.id} of capsule {home} is not kept any more")
        return found

    def __repr__(self) -> str:
        return f"<Access to {self._home.root()}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an access cannot be copied or serialised: it is good where it was given")


def inside(access: Access[Any]) -> CapsuleHome:
    """Return the capsule of an access; raises Contended when its holder does not run within it."""
    if type(access) is not Access:
        raise UsageError(f"this takes the Access that a function is given, not a {type(access).__name__}")
    home = access._home.root()
    opening = access._opening
    if opening is not None and not opening.is_open:
        raise Contended(
            f"this access to capsule {home} is dead: an access is good inside the function that it was given"
            " to; Access.current() gives one for the capsule that runs"
        )
    if current_home() is not home:
        raise Contended(f"this access is for capsule {home}, and {where_now()}: use that capsule's own")
    return home


def run_inside(
    home: CapsuleHome,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    leave: Callable[[Any], Any],
    *,
    is_shared: bool,
) -> Any:
    """Run a function within a capsule, and return what ``leave`` makes of its result, still within it.

    What it raises leaves as data: see ``left``.
    """
    with Opening(home, is_shared=is_shared) as opening:
        try:
            return leave(_finished(function(Access(home, opening), *args, **kwargs)))
        except BaseException as problem:  # user code's: none of it may leave with what it holds
            error = left(problem, home)
    # Here, as what is raised while another is handled brings that along; and this frame is in its traceback,
    # where whoever catches it looks.
    del home, opening
    try:
        raise error
    finally:
        del error


def _finished(result: Any) -> Any:
    if isinstance(result, Coroutine):
        result.close()
        raise UsageError(
            "this is an async def function, and an access ends with its function: await before or after it"
        )
    return result
