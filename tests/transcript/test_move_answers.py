"""A gifter that uses what it has moved by the answers and the promises that it came by."""

from __future__ import annotations

from captp.wire.ops import CALL, GET, Kind
from tests.transcript.strangers import Kept, Refused
from tests.transcript.thieves_box import GIFT, Scene


def test_the_gifter_calls_what_it_has_moved_by_the_answer_that_it_came_by() -> None:
    it = Scene()
    answer, g = -1 - it.made, it.g
    calls = (
        (CALL, answer, "put", (3,), 90, True),
        (CALL, 0, "deposit-gift", (GIFT, it.back()), 91, True),
        (CALL, answer, "put", (50,), 92, True),
    )
    g.raw(g._codec.frame([g._codec.encode(op) for op in calls]))

    # What came before its end is done, and what came behind it is not.
    assert g.results[90] == Kept(3)
    assert isinstance(g.results[92], Refused)
    it.gets(it.r)
    assert isinstance(g.call("put", 100, to=answer), Refused)
    assert isinstance(g.call("echo", g._codec.target(Kind.ANSWER, it.made), to=it.desks[g]), Refused)
    assert list(it.sheet.numbers) == [3, 1]


def test_the_gifter_calls_what_it_has_moved_by_a_step_into_a_result() -> None:
    it = Scene()
    g = it.g
    (at,) = g.send(it.desks[g], "wrapped", ())
    result = g.results[at]
    assert isinstance(result, Kept)
    position = result.value["table"].position
    step = (GET, g._codec.target(Kind.ANSWER, at), "table", 95, False)
    deposit = (CALL, 0, "deposit-gift", (GIFT, g.mine(position, Kind.EXPORT_SOLE)), 96, True)
    g.raw(g._codec.frame([g._codec.encode(op) for op in (step, deposit)]))

    assert isinstance(g.call("put", 100, to=-1 - 95), Refused)
    assert isinstance(it.withdraw(it.r), Kept)
    assert isinstance(g.call("put", 100, to=-1 - 95), Refused)


def test_the_gifter_lets_a_call_wait_for_what_it_has_moved() -> None:
    it = Scene()
    g, desk = it.g, it.desks[it.g]
    (promised,) = g.send(desk, "promised", ())
    (at,) = g.send(-1 - promised, "put", (100,))
    it.move()
    g.call("fulfil", g._codec.target(Kind.ANSWER, it.made), to=desk)

    assert isinstance(g.results[at], Refused)
    it.gets(it.r)
    assert list(it.sheet.numbers) == [1]


def test_the_gifter_keeps_the_answer_that_it_has_given_on_as_a_promise() -> None:
    """What an answer becomes is told to one alone; the answer itself is as good as what it became."""
    it = Scene()
    g, r, answer = it.g, it.r, it.g._codec.target(Kind.ANSWER, 90)
    calls = (
        (CALL, it.desks[g], "make", (), 90, False),
        (CALL, -1 - 90, "put", (5,), 91, True),
        (CALL, 0, "deposit-gift", (GIFT, answer), 92, True),
    )
    g.raw(g._codec.frame([g._codec.encode(op) for op in calls]))
    assert g.results[91] == Kept(5), "until then it is nobody else's"

    result, withdrawn = it.withdraw(r), -1 - r._position
    assert isinstance(result, Kept)
    assert result.value.kind is Kind.IMPORT_SOLE
    assert isinstance(g.call("put", 100, to=-1 - 90), Refused)
    assert isinstance(g.call("echo", answer, to=it.desks[g]), Refused)
    assert r.call("put", 1, to=result.value.position) == Kept(6)

    # Its new owner reaches it by the answer that it came by, as long as it has it.
    assert r.call("put", 1, to=withdrawn) == Kept(7)
    back = r._codec.target(Kind.EXPORT_SOLE, result.value.position)
    assert r.deposit(b"on", back) == Kept(None)
    assert isinstance(r.call("put", 100, to=withdrawn), Refused)
