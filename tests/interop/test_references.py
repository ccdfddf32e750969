"""op:get, op:index and op:untag: steps into what a promise will be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.client import Peer
from tests.interop.conftest import Connect
from tests.interop.keys import an_object, answer, export, held
from tests.interop.ocapn_host import ECHO, PAIRS
from tests.interop.syrup import Rec, Sym, rec, same


def step(peer: Peer, label: str, to: Rec, key: Any) -> Rec:
    """Take one step; give the answer that it is."""
    position = peer.new_answer()
    peer.send(rec(label, to, key, position))
    return answer(position)


def taken(peer: Peer, label: str, to: Rec, key: Any) -> list[Any]:
    return peer.settled(peer.listen(step(peer, label, to, key)))


def echoed(peer: Peer, value: Any) -> Rec:
    """Have the host hold the list of one value as an answer."""
    return answer(peer.ask(peer.fetch(ECHO), value)[0])


def pending(peer: Peer) -> tuple[Rec, Rec]:
    peer.show_dialect()
    promise, settler = peer.call(peer.fetch(PAIRS))
    return held(promise), held(settler)


STEPS = [
    ("op:index", [7, "x"], 1, "x"),
    ("op:get", {"name": "Ada", "age": 36}, "age", 36),
    ("op:untag", rec("desc:tagged", Sym("inch"), 3.5), "inch", 3.5),
    ("op:untag", rec("desc:tag", "inch", 3.5), "inch", 3.5),
    ("op:untag", rec("user-record", Sym("inch"), 3.5), "inch", 3.5),
    ("op:untag", rec("desc:tagged", "inch", 3.5), "inch", 3.5),
]
MISSTEPS = [
    ("op:index", [7, "x"], 2),
    ("op:index", [7, "x"], -1),
    ("op:index", {"0": 1}, 0),
    ("op:index", "text", 0),
    ("op:get", {"name": "Ada"}, "age"),
    ("op:get", [1], "name"),
    ("op:untag", rec("desc:tagged", Sym("inch"), 3.5), "foot"),
    ("op:untag", [1], "inch"),
]


@pytest.mark.parametrize(("label", "value", "key", "result"), STEPS)
def test_a_step_into_an_answer(peer: Peer, label: str, value: Any, key: Any, result: Any) -> None:
    first = step(peer, "op:index", echoed(peer, value), 0)

    assert same(taken(peer, label, first, key), [Sym("fulfill"), result])


@pytest.mark.parametrize(("label", "value", "key", "result"), STEPS)
def test_a_step_into_an_exported_promise_waits_for_it(
    peer: Peer, label: str, value: Any, key: Any, result: Any
) -> None:
    promise, settler = pending(peer)
    resolver = peer.listen(step(peer, label, promise, key))
    with pytest.raises(TimeoutError):
        peer.settled(resolver, patience=0.02)

    peer.send(peer.only(settler, Sym("fulfill"), value))

    assert same(peer.value(resolver), result)


@pytest.mark.parametrize(("label", "value", "key"), MISSTEPS)
def test_a_step_to_nowhere_breaks(peer: Peer, label: str, value: Any, key: Any) -> None:
    promise, settler = pending(peer)
    peer.send(peer.only(settler, Sym("fulfill"), value))

    assert taken(peer, label, promise, key)[0] == Sym("break")
    assert peer.fetch(ECHO), "the session goes on"


@pytest.mark.parametrize(("label", "key"), [("op:index", 0), ("op:get", "name"), ("op:untag", "inch")])
def test_a_step_into_a_broken_promise_breaks_for_the_same_reason(peer: Peer, label: str, key: Any) -> None:
    promise, settler = pending(peer)
    resolver = peer.listen(step(peer, label, promise, key))

    peer.send(peer.only(settler, Sym("break"), Sym("gone")))

    assert peer.reason(resolver) == Sym("gone")
    assert taken(peer, label, promise, key) == [Sym("break"), Sym("gone")]


@pytest.mark.parametrize(("label", "key"), [("op:index", 0), ("op:get", "name"), ("op:untag", "inch")])
def test_a_step_into_an_object_breaks(peer: Peer, label: str, key: Any) -> None:
    assert taken(peer, label, peer.fetch(ECHO), key)[0] == Sym("break")


def test_steps_and_calls_are_pipelined(peer: Peer) -> None:
    """The settler of a pair that is not made yet settles its promise."""
    made = answer(peer.ask(peer.fetch(PAIRS))[0])
    promise, settler = step(peer, "op:index", made, 0), step(peer, "op:index", made, 1)

    peer.send(peer.only(settler, Sym("fulfill"), {"deep": [1, "here"]}))

    deep = step(peer, "op:get", promise, "deep")
    assert taken(peer, "op:index", deep, 1) == [Sym("fulfill"), "here"]


def test_a_step_gives_a_reference_that_is_still_ours(peer: Peer) -> None:
    ours = peer.new_export()

    assert taken(peer, "op:index", echoed(peer, an_object(ours)), 0) == [Sym("fulfill"), export(ours)]


def test_position_0_is_an_answer_position_too(connect: Connect, way: dict[str, Any]) -> None:
    peer = connect(**way).open()
    if peer.dialect == "d0":
        assert peer.new_answer() == 1, "position 0 was used, and released"
    pairs = held(peer.call_unnumbered(export(0), Sym("fetch"), PAIRS))
    made = peer.new_export()

    peer.send(peer.deliver(pairs, at=7, resolver=made), rec("op:index", answer(7), 1, 0))

    assert peer.value(made)
    assert peer.value(peer.listen(answer(0))).label == "desc:import-object"


@pytest.mark.parametrize(
    "message",
    [
        rec("op:index", export(0), "0", 5),
        rec("op:get", export(0), 0, 5),
        rec("op:get", export(0), Sym("name"), 5),
        rec("op:untag", export(0), Sym("inch"), 5),
        rec("op:index", export(0), 0, False),
    ],
)
def test_a_malformed_step_ends_the_session(peer: Peer, message: Rec) -> None:
    peer.send(message)

    reason = peer.ending()
    assert reason is not None
    assert reason.startswith("bad-op")
