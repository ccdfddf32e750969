"""The exporter's machine against one that is three dictionaries and no more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from captp.errors import HandoffFailed, Overloaded
from captp.model.promise import BROKEN, FULFILLED, Promise
from captp.peer.handoff.exporter import ABSENT
from tests.unit.handoff.exporter_box import Machine, Visitor

KEEP, WAIT, GIFTS, WAITS = 10.0, 4.0, 3, 2
GIFT_IDS = st.sampled_from([b"1", b"2", b"3", b"4", b"5"])

Key = tuple[Visitor, bytes]


class Exporting(RuleBasedStateMachine):
    """Says of every step what a receiver may see; the machine checks its own counts after each."""

    def __init__(self) -> None:
        super().__init__()
        self.it = Machine(gift_keep_s=KEEP, gift_wait_s=WAIT, gifts=GIFTS, waiting_withdrawals=WAITS)
        self.opened: list[Visitor] = []
        self.live: set[Visitor] = set()
        self.gifts: dict[Key, tuple[Any, float]] = {}
        self.awaited: dict[Key, tuple[Promise[Any], Visitor, float]] = {}
        #: The last count of each receiver that came with a right receive.
        self.used: dict[Visitor, int] = {}

    visitors = Bundle("visitors")

    @rule(target=visitors)
    def comes(self) -> Visitor:
        visitor = self.it.visitor()
        self.opened.append(visitor)
        self.live.add(visitor)
        return visitor

    @rule(gifter=visitors, gift_id=GIFT_IDS)
    def deposits(self, gifter: Visitor, gift_id: bytes) -> None:
        gift, key = self.it.present(), (gifter, gift_id)
        try:
            said = self.it.deposit(gifter, gift_id, gift)
        except HandoffFailed:
            assert key in self.gifts
            assert key not in self.awaited
        except Overloaded:
            assert key not in self.gifts
            assert sum(g is gifter for g, _ in self.gifts) == GIFTS
        else:
            waiting = self.awaited.pop(key, None)
            if waiting is None:
                assert said == []
                assert key not in self.gifts
                self.gifts[key] = (gift, self.it.now + KEEP)
            else:
                assert [(s.promise, s.state, s.value) for s in said] == [(waiting[0], FULFILLED, gift)]

    @rule(receiver=visitors, data=st.data(), gift_id=GIFT_IDS)
    def withdraws(self, receiver: Visitor, data: st.DataObject, gift_id: bytes) -> None:
        # The gifter may be one whose session has ended.
        gifter = data.draw(st.sampled_from(self.opened))
        key, promise = (gifter, gift_id), self.it.promise()
        is_spoken_for = key in self.awaited or (gifter not in self.live and key not in self.gifts)
        if gifter in self.live or any(g is gifter for g, _ in self.gifts):
            self.used[receiver] = receiver.count
        try:
            got = self.it.withdraw(receiver, gifter, gift_id, promise)
        except HandoffFailed:
            assert is_spoken_for
        except Overloaded:
            assert key not in self.gifts
            assert not is_spoken_for
            assert sum(r is receiver for _, r, _ in self.awaited.values()) == WAITS
        else:
            assert not is_spoken_for
            if key in self.gifts:
                assert got is self.gifts.pop(key)[0]
            else:
                assert got is ABSENT
                self.awaited[key] = (promise, receiver, self.it.now + WAIT)

    @rule(receiver=visitors, gifter=visitors)
    def replays(self, receiver: Visitor, gifter: Visitor) -> None:
        """Use a count that was used; nothing changes."""
        if receiver not in self.used:
            return
        with pytest.raises(HandoffFailed, match=r"^handoff-count"):
            self.it.withdraw(receiver, gifter, b"1", self.it.promise(), count=self.used[receiver])

    @rule(visitor=consumes(visitors))
    def goes(self, visitor: Visitor) -> None:
        broken = self.it.end(visitor)

        self.live.discard(visitor)
        mine = [w for (g, _), w in self.awaited.items() if g is visitor]
        assert {s.promise for s in broken} == {promise for promise, _, _ in mine}
        assert all(s.state == BROKEN for s in broken)
        self.awaited = {k: w for k, w in self.awaited.items() if k[0] is not visitor and w[1] is not visitor}
        left = [key for key in self.gifts if key[0] not in self.live]
        kept = self.it.kept()
        # Which of them go first is told elsewhere; here only how many.
        gone = [key for key in left if self.gifts[key][0] not in kept]
        assert len(gone) == max(len(left) - GIFTS, 0)
        for key in gone:
            del self.gifts[key]

    @rule(seconds=st.sampled_from([0.0, 1.0, 3.0, 4.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        now = self.it.now + seconds
        broken = self.it.expire(now)

        late = {key: w for key, w in self.awaited.items() if w[2] <= now}
        assert {s.promise for s in broken} == {promise for promise, _, _ in late.values()}
        self.awaited = {k: w for k, w in self.awaited.items() if k not in late}
        self.gifts = {k: g for k, g in self.gifts.items() if g[1] > now}

    @invariant()
    def keeps_the_gifts_of_the_model_and_no_other(self) -> None:
        assert sorted(map(id, self.it.kept())) == sorted(id(gift) for gift, _ in self.gifts.values())

    @invariant()
    def says_how_many_there_are(self) -> None:
        shown = self.it.exporter.dump()
        assert sum(int(line.split()[1]) for line in shown) == len(self.gifts)
        assert sum(int(line.split()[3]) for line in shown) == len(self.awaited)


Exporting.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestExporting = Exporting.TestCase
