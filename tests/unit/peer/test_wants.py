"""Whoever waits for a promise has its result asked for, wherever that will come from."""

from __future__ import annotations

from typing import Any

import captp
from captp.model.promise import FULFILLED
from captp.model.send import E
from tests.unit.peer.pair import Counter, Shop, outcome, pair


class Patient(captp.Object):
    """Waits for what it is given."""

    @captp.method
    async def wait_for(self, what: Any) -> int:
        return await what


def test_a_result_that_is_itself_a_promise_of_the_peers_is_asked_for_by_who_waits_for_it() -> None:
    it = pair()
    theirs, resolver = it.b.vat.promise()
    ours = Counter()
    shop = it.b.get(it.b.enliven(it.a.mint(ours), Shop))
    shop.keep(theirs)
    asked = it.ref.never()
    it.net.rest()
    it.a.vat.settle_now(asked, FULFILLED, ours.kept[0])

    told = it.a.want(E(it.a.vat.reference(Patient())).wait_for(asked))
    it.net.rest()
    resolver.fulfill(7)
    it.net.rest()

    assert outcome(told) == 7
