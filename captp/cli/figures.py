"""What the demo found, and what it should have found; it knows no daemon."""

from __future__ import annotations

from typing import final

from attrs import define, field

__all__ = ["Figures", "Tables", "used"]

Tables = dict[str, int]


@final
@define(kw_only=True)
class Figures:
    """What the demo found; what it has not found yet counts as amiss."""

    calls: int = 0
    round_trips: int = 0
    round_trips_one_by_one: int = 0
    balance: int = 0
    tables_held: dict[str, Tables] = field(factory=dict)
    tables_after: dict[str, Tables] = field(factory=dict)
    exports_after: int = -1
    answers_after: int = -1
    session_open_after: bool = False
    impostor_refused: bool = False
    cycle_collected: bool = False
    objects_after: int = -1
    same_sturdyref_after_restart: bool = False
    balance_after_restart: int = -1
    #: Deposits that were acknowledged before the kill, and what the account had after it.
    deposits: int = 0
    deposited: int = -1
    balance_kept: bool = False
    handoff_survives_introducer: bool = False
    elapsed_s: float = 0.0

    def amiss(self) -> list[str]:
        """Return what should have been and was not."""
        wanted = {
            "4 calls": self.calls == 4,
            "1 round trip for a chain": self.round_trips == 1,
            "4 round trips one by one": self.round_trips_one_by_one == 4,
            "balance of 70": self.balance == 70,
            "entries at both ends while held": _are_used(self.tables_held) == [True, True],
            "empty tables when dropped": _are_used(self.tables_after) == [False, False],
            "0 exports and 0 answers": self.exports_after == self.answers_after == 0,
            "open session after that": self.session_open_after,
            "refusal of the impostor": self.impostor_refused,
            "cycle that was collected": self.cycle_collected,
            "0 objects left of it": self.objects_after == 0,
            "same sturdyref after the restart": self.same_sturdyref_after_restart,
            "introduction that outlives its introducer": self.handoff_survives_introducer,
            "same balance after the restart": self.balance_after_restart == 70,
            "deposits that outlive a kill": self.balance_kept and self.deposits > 0,
        }
        return [what for what, holds in wanted.items() if not holds]

    def summary(self) -> str:
        """Return the main figures in a line."""
        return (
            f"{self.calls} calls, {self.round_trips} round trip; empty tables; sturdyref and balance outlive"
            " a kill; handoff outlives gifter"
        )


def used(tables: Tables) -> int:
    """Return how many entries there are in all tables of one end."""
    return sum(tables.values())


def _are_used(ends: dict[str, Tables]) -> list[bool]:
    return [used(tables) > 0 for tables in ends.values()]
