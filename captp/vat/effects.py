"""What leaves a turn besides messages; the peer and the driver act on them after the commit.

They are told apart by their types. A vat that starts has to make these classes, and named tuples take a
fifth of the time that others do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, final

from attrs import define

from captp.model.locator import SturdyRef
from captp.model.promise import Message, Promise
from captp.vat.lasting import Lasting


@final
class Want(NamedTuple):
    """Somebody waits for a promise whose peer was not asked for its result yet."""

    promise: Promise[Any]


@final
class CallOff(NamedTuple):
    """Whoever asked for a delegated call has gone: it need not run, if it has not begun."""

    promise: Promise[Any]


@final
class Shortened(NamedTuple):
    """A promise has settled while calls that went through it are unanswered."""

    promise: Promise[Any]


@final
class Outside(NamedTuple):
    """A function to run in the outside world, whose result settles ``promise``."""

    promise: Promise[Any]
    function: Callable[..., Any]
    args: tuple[Any, ...]


@final
class Timer(NamedTuple):
    """A promise to settle ``seconds`` from now, with None or as broken by ``Timeout``."""

    promise: Promise[Any]
    seconds: float
    breaks: bool = False


@final
class Over(NamedTuple):
    """The time for a promise is over, if somebody holds that still: its value is not kept until then."""

    promise: Callable[[], Promise[Any] | None]


@final
class Later(NamedTuple):
    """A message to send ``seconds`` from now."""

    message: Message
    seconds: float


@final
class Enliven(NamedTuple):
    """A promise to settle with what a sturdyref names; dials are repeated for ``retry_for`` seconds."""

    promise: Promise[Any]
    sturdyref: SturdyRef
    retry_for: float


@final
class Watch(NamedTuple):
    """A promise to fulfil with the reason when what ``target`` stands for is broken."""

    promise: Promise[Any]
    target: Any


@define(eq=False)
class Claim:
    """A promise for a unique reference to a far object, if ``view`` is the only one to it here."""

    promise: Promise[Any]
    anchor: Any
    #: Weakly, as whoever asked may have let go of it.
    view: Callable[[], Any]
    #: The way of calls that went before; see Ref.
    way: Any
    #: Whether what was sent before it has left, and holds nothing any more.
    is_due: bool = False


@final
class SendDurable(NamedTuple):
    """A call to make exactly once, whatever ends in between; its result settles ``promise``."""

    promise: Lasting
    sturdyref: SturdyRef
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any] | None
