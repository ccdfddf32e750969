"""Notes turns that take long: a thread of its own looks, since nothing else runs while one does.

It says where such a turn stands, and no value of any argument. What keeps the interpreter to itself all
the time, as some C code does, keeps it from this thread too.
"""

from __future__ import annotations

import logging
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any, Final, final

from attrs import define, frozen

import captp
from captp.vat import delegation
from captp.vat.turns import Turns
from captp.vat.vat import Vat

__all__ = ["watch_turns"]

#: Seconds between two looks: a turn that both find is so old at least.
LOOK_S: Final = 0.05
#: Lines of the stack that are told.
STEPS: Final = 8

log: Final = logging.getLogger("captp")

#: Where turns begin; what stands above one of these in the stack belongs to the turn.
_BEGINNINGS: Final[frozenset[CodeType]] = frozenset(
    function.__code__
    for function in (
        *(Turns.turn, Turns._start, Turns._advance, Turns._close),
        *(delegation.LoopTrust.apply, delegation._turn),
    )
)
_STANDARD: Final = sysconfig.get_path("stdlib")
_ROOMS: Final = ("model", "wire", "session", "vat", "peer", "net", "run")
_ENGINE: Final = tuple(str(Path(captp.__file__).parent / room / "_")[:-1] for room in _ROOMS)


#: What watches the vats of this thread, if something does.
_HERE: Final = threading.local()


@contextmanager
def watch_turns(vats: Mapping[str, Vat]) -> Iterator[None]:
    """Log a warning for each turn that takes LOOK_S or more; the vats run in the calling thread.

    One thread watches all vats of this one, for as long as there are any.
    """
    watchdog: _Watchdog | None = getattr(_HERE, "watchdog", None)
    if watchdog is None:
        watchdog = _HERE.watchdog = _Watchdog(threading.get_ident())
    watched = [_Watched(name, vat) for name, vat in vats.items()]
    watchdog.vats += watched
    try:
        yield
    finally:
        for one in watched:
            watchdog.vats.remove(one)
        if not watchdog.vats:
            _HERE.watchdog = None
            watchdog.end()


@final
@define(eq=False)
class _Watched:
    """One vat, the turn that the last look found in it, and whether it has been told of."""

    name: str
    vat: Vat
    turn: tuple[int, ...] | None = None
    is_told: bool = False

    def turn_now(self) -> tuple[int, ...] | None:
        """Return what tells the turn that runs from those before and after it; None between turns.

        Calls of handles that run at once are in no count, but each takes from the budget; those of
        ``apply_now`` do neither, and several in a row on one object look like one.
        """
        obj = self.vat.trustee.in_turn
        return None if obj is None else (id(obj), self.vat.turns.count, self.vat.budget)


@final
@frozen
class _Step:
    """One line of a stack: in which function, and where."""

    function: str
    path: str
    line: int

    @property
    def is_users(self) -> bool:
        """Whether it is neither Python's nor the engine's."""
        packages = "site-packages" in self.path or "dist-packages" in self.path
        return not (
            self.path.startswith(("<", *_ENGINE)) or (self.path.startswith(_STANDARD) and not packages)
        )

    @property
    def name(self) -> str:
        """The function as one reads it: ``Class.method``."""
        return self.function.rpartition("<locals>.")[2]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@final
class _Watchdog:
    """Looks at the vats of one thread, in one of its own."""

    def __init__(self, loop: int) -> None:
        #: Those that are open; only the thread that drives them changes which.
        self.vats: list[_Watched] = []
        self._loop = loop
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="captp watchdog", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the thread, and wait for it."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_S):
            for watched in list(self.vats):
                self._look(watched)

    def _look(self, watched: _Watched) -> None:
        turn = watched.turn_now()
        if turn is None or turn != watched.turn:
            watched.turn, watched.is_told = turn, False
        elif not watched.is_told:
            steps = _stack(self._loop)
            # It may have ended meanwhile, and what was found is of another.
            if steps and watched.turn_now() == turn:
                watched.is_told = True
                _tell(watched.name, steps)


def _stack(thread: int) -> list[_Step]:
    """Return the lines of the turn that runs in a thread, from its method inwards."""
    # Names and numbers alone: a frame that we held would hold what its variables do, and these would
    # end in this thread.
    frame: Any = sys._current_frames().get(thread)
    steps = []
    while frame is not None and frame.f_code not in _BEGINNINGS:
        code = frame.f_code
        steps.append(_Step(code.co_qualname, code.co_filename, frame.f_lineno or code.co_firstlineno))
        frame = frame.f_back
    return steps[::-1] if frame is not None else []


def _tell(vat: str, steps: list[_Step]) -> None:
    users = [step for step in steps if step.is_users] or steps
    fields = {
        "vat": vat,
        "method": users[0].name,
        "at": str(users[-1]),
        "stack": [f"{step.name}:{step.line}" for step in users[-STEPS:]],
        "longer_than_ms": round(LOOK_S * 1000),
    }
    log.warning("a turn takes long, and nothing else runs meanwhile", extra={"captp": fields})
