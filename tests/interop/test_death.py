"""What a session's end does to those who waited for it: they hear a break, and nobody else does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.client import Host
from tests.interop.conftest import Connect
from tests.interop.keys import Key, a_promise, an_object, export, held
from tests.interop.ocapn_host import ECHO, GREETER, PAIRS
from tests.interop.syrup import Rec, Sym


@pytest.mark.parametrize("goodbye", [True, False], ids=["abort", "no-word"])
def test_a_promise_that_was_handed_over_breaks_when_the_peer_behind_it_dies(
    connect: Connect, way: dict[str, Any], host: Host, goodbye: bool
) -> None:
    dying, waiting = connect(**way).open(), connect(**way).open()
    promise, settler = map(held, dying.call(dying.fetch(PAIRS)))
    key, gift_id = Key(), b"a-promise"
    dying.send(dying.only(export(0), Sym("deposit-gift"), gift_id, promise))
    give = dying.give(key.raw, dying, gift_id, host.location)
    _, resolver = waiting.ask(export(0), Sym("withdraw-gift"), waiting.withdrawal(give, key))
    dying.call(settler, Sym("fulfill"), a_promise(dying.new_export()))
    with pytest.raises(TimeoutError):
        waiting.settled(resolver, patience=0.1)

    if goodbye:
        dying.close()
    else:
        dying.die()

    reason = waiting.reason(resolver)
    assert reason.label == "desc:error"
    assert [type(field) for field in reason.fields] == [str]


def test_a_withdrawal_breaks_when_its_gifter_dies_without_a_deposit(
    connect: Connect, way: dict[str, Any], host: Host
) -> None:
    dying, waiting, key = connect(**way).open(), connect(**way).open(), Key()
    give = dying.give(key.raw, dying, b"never", host.location)
    _, resolver = waiting.ask(export(0), Sym("withdraw-gift"), waiting.withdrawal(give, key))
    with pytest.raises(TimeoutError):
        waiting.settled(resolver, patience=0.05)

    dying.die()

    assert waiting.reason(resolver).label == "desc:error"


def test_an_object_of_a_dead_peer_is_broken_for_others(
    connect: Connect, way: dict[str, Any], host: Host
) -> None:
    dying, waiting = connect(**way).open(), connect(**way).open()
    promise, settler = map(held, dying.call(dying.fetch(PAIRS)))
    key, gift_id = Key(), b"a-promise"
    dying.send(dying.only(export(0), Sym("deposit-gift"), gift_id, promise))
    give = dying.give(key.raw, dying, gift_id, host.location)
    position, _ = waiting.ask(export(0), Sym("withdraw-gift"), waiting.withdrawal(give, key))
    dying.call(settler, Sym("fulfill"), an_object(dying.new_export()))
    dying.die()

    verb, reason = waiting.outcome(Rec("desc:answer", [position]), "anybody there?")

    assert verb == Sym("break")
    assert reason.label == "desc:error"


def test_questions_to_a_dead_peer_cost_the_host_nothing(connect: Connect, way: dict[str, Any]) -> None:
    for _ in range(3):
        dying = connect(**way).open()
        dying.send(dying.only(dying.fetch(GREETER), an_object(9)))
        dying.serve_one(export(9))
        dying.die()

    assert connect(**way).open().fetch(ECHO)
