"""What came over a link while it named something frozen: it waits, in order, for the verdict.

quiet --names a frozen export--> waiting, with all that comes behind it --none is frozen--> quiet, and done.
A link that ends leaves the calls that it sent: they run all the same, as any do that wait for their turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from captp.errors import Broken
from captp.model.promise import BROKEN, Message, Promise, Settlement
from captp.model.ref import Ref
from captp.peer.bootstrap import CYCLES
from captp.peer.care import PING
from captp.peer.cycles.parts import has_key, references, without
from captp.session.inbound import ControlCall, Ended, Introduced
from captp.session.session import Established

if TYPE_CHECKING:
    from captp.peer.router import Link

#: Effects that never wait: a session's own beginning and end.
_AT_ONCE: Final = (Established, Ended)

#: Calls of the bootstrap that do not: what settles the matter, and the sign of life.
_NOT_HELD: Final = (CYCLES, PING)


@define(eq=False)
class Held:
    """What waits of one link, in order, and how many bytes it was."""

    effects: list[Any] = field(factory=list)
    size: int = 0
    is_over: bool = False


class Waiting:
    """All that waits for a verdict, by link."""

    def __init__(self, limit: int) -> None:
        """``limit`` is how many bytes links may leave together that end while they wait."""
        self.held: dict[Link, Held] = {}
        self._limit = limit

    def take(self, link: Link, effects: list[Any], size: int, anchors: Iterable[Any]) -> list[Any]:
        """Keep what has to wait, where ``anchors`` are frozen; return what is to be done now.

        The tables have moved already; only what follows from it waits.
        """
        held = self.held.get(link)
        if held is None:
            if not _names_any(link, anchors):
                return effects
            held = self.held[link] = Held()
        now: list[Any] = []
        for effect in effects:
            (now if _is_at_once(effect) else held.effects).append(effect)
        held.size += size
        return now

    def ended(self, link: Link, reason: Broken) -> list[Settlement]:
        """Keep the calls of a link that is gone, and what stands among them, within the limit.

        Returns how the promises break that it had settled by what waits: no table has them any more.
        """
        held = self.held.get(link)
        if held is None:
            return []
        effects = held.effects
        held.effects = [effect for effect in effects if isinstance(effect, Message)]
        held.is_over = True
        if not held.effects or sum(one.size for one in self.held.values() if one.is_over) > self._limit:
            del self.held[link]
        return [
            Settlement(effect.promise, BROKEN, reason)
            for effect in effects
            if type(effect) in (Settlement, Introduced)
        ]

    def naming(self, anchor: Any) -> list[Ref]:
        """Return the references to something in what waits, each as often as it is there."""
        return [
            ref
            for held in self.held.values()
            for effect in held.effects
            for ref in references(effect)
            if ref._anchor is anchor
        ]

    def cut(self, anchor: Any, gone: Promise[Any]) -> None:
        """Put ``gone`` in the place of each reference to something in what waits."""
        for held in self.held.values():
            held.effects = [without(effect, anchor, gone) for effect in held.effects]

    def free(self, is_frozen: Callable[[Any], bool]) -> Iterator[tuple[Link, Held]]:
        """Yield what names nothing frozen any more, and forget it; what is done with it may end links."""
        for link in list(self.held):
            held = self.held.get(link)
            if held is None:
                continue
            named = [ref._anchor for effect in held.effects for ref in references(effect)]
            if not any(is_frozen(anchor) for anchor in named if has_key(anchor)):
                del self.held[link]
                yield link, held


def _names_any(link: Link, anchors: Iterable[Any]) -> bool:
    tables = link.session.tables
    for anchor in anchors:
        entry = tables.by_anchor.get(id(anchor))
        if entry is not None and entry.touched == tables.account.clock:
            return True
    return False


def _is_at_once(effect: Any) -> bool:
    return isinstance(effect, _AT_ONCE) or (
        type(effect) is ControlCall and effect.message.selector in _NOT_HELD
    )
