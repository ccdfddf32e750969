"""Tells whether somebody else wants the core on which an end waits awake, by how long a yield takes.

alone --LOST looks in a row lose the core--> crowded --so many looks later--> alone, for one look at least;
if that loses it too, it is crowded for twice as long. Who shares a core has the answer sooner asleep: the
kernel wakes a sleeper at once, and lets whoever yields wait for its turn.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LONGEST", "LOST", "SHARED_S", "SHORTEST", "Crowd"]

#: Seconds of one look and a yield that say that somebody else had this core meanwhile.
SHARED_S: Final = 0.00005
#: Looks in a row that lose the core before there is a crowd: one may do so at any time.
LOST: Final = 4
#: Looks for which a crowd is taken to stay: at first, and at most.
SHORTEST: Final = 16
LONGEST: Final = 1024


class Crowd:
    """What the looks of one waiting end say of the core."""

    __slots__ = ("_length", "left", "lost")

    def __init__(self) -> None:
        #: Looks in a row that lost the core.
        self.lost = 0
        #: Looks that are still to be slept through, and as how many the next crowd counts.
        self.left = 0
        self._length = SHORTEST

    def is_there(self) -> bool:
        """Say, once for each look while any are ``left``, whether to sleep instead of looking awake."""
        if not self.left:
            return False
        self.left -= 1
        return True

    def looked(self, *, lost: bool) -> None:
        """Note a look that lost the core, or the first that did not behind some ``lost``; both awake."""
        if not lost:
            self.lost, self._length = 0, SHORTEST
            return
        self.lost += 1
        if self.lost >= LOST:
            self.left = self._length
            self._length = min(2 * self._length, LONGEST)
