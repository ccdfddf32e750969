"""What a lying collector says to do harm: nothing of it stops a vat, and none of it costs others anything."""

from __future__ import annotations

import time
from typing import Any

import pytest

import captp
from captp.limits import Limits
from captp.peer.cycles import statements
from captp.peer.cycles.statements import CLAIM, Ledger, Proof
from captp.peer.cycles.words import (
    COMMIT,
    KEY,
    MOST,
    QUERY,
    SIGNATURE,
    Confirm,
    Confirmed,
    Query,
    Reply,
    runs,
)
from captp.wire.syrup import encode
from tests.unit.peer.liars import KNOWN_S, SEED, Liar, name, signing, token
from tests.unit.peer.test_cycles import Cell, ask, vats


def asked_by_its_victim() -> tuple[Liar, Query]:
    """Return a liar and the question that its victim, who suspects what it holds, has asked it."""
    liar = Liar(backoff_max=1.0)
    liar.tie()
    for _ in range(40):
        if liar.said(Query):
            break
        liar.net.wait(0.25)
    return liar, liar.said(Query)[-1]


def signed(liar: Liar, body: Any) -> bytes:
    data = body if type(body) is bytes else encode(body)
    return liar.key + liar.signing.sign(liar.key, data) + data


def works(liar: Liar) -> bool:
    return ask(liar.net, captp.E(liar.maker).count()) == 0 and not liar.victim.has_faults


@pytest.mark.parametrize("place", range(2, 6))
@pytest.mark.parametrize("number", [MOST + 1, 10**400, -1])
def test_a_question_with_a_number_out_of_range_is_no_question(place: int, number: int) -> None:
    liar = Liar()
    liar.tie()
    word = [QUERY, name(1), 0, 8, 5000, 1000, SEED, (liar.position(), 1)]
    word[place] = number

    liar.say(tuple(word))

    assert liar.machine.counts["bad words"] == 1
    assert works(liar)


@pytest.mark.parametrize(
    ("asked", "bad"),
    [
        ((0, MOST), 0),
        ((MOST, 0), 0),
        ((1, MOST), 1),
        ((10**400, 1), 1),
        ((0, 10**400), 1),
        ((1, -1), 1),
        ((-1, 1), 1),
        ((1,), 1),
        ((True, 1), 1),
        (((1, 1),), 1),
    ],
)
def test_a_question_about_as_many_positions_as_there_are_costs_no_more_than_its_bytes(
    asked: Any, bad: int
) -> None:
    liar = Liar()
    liar.tie()
    began = time.process_time()

    liar.say((QUERY, name(1), 0, 8, 5000, 1000, SEED, asked))

    assert time.process_time() - began < 1
    assert liar.machine.counts["bad words"] == bad
    assert works(liar)


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    "body",
    [
        nested(100),
        nested(100_000),
        b"[" + b"[]" * 150_000 + b"]",
        b"9" * 30_000 + b"+",
        b"",
        b"not syrup",
        ("captp-dgc-claim-v1",),
        (CLAIM, b""),
    ],
    ids=["deep", "deepest", "wide", "long", "empty", "nothing", "one", "two"],
)
def test_a_signed_statement_that_is_none_counts_for_nothing(body: Any) -> None:
    liar, word = asked_by_its_victim()

    liar.say(Reply(word.trace, word.number, (signed(liar, body),), (), ""))
    liar.net.wait(1)

    assert liar.machine.counts["cut"] == 0
    assert works(liar)


@pytest.mark.parametrize("signers", [5, None, True, 1.5, b"", "", {}, ((),), (b"x",)])
@pytest.mark.parametrize("named", [(), 5, ((0, b"x"),), ((10**30, token(1)),), (("a", "b"),)])
@pytest.mark.parametrize("claimed", [(), 7, ((token(1), (0,)),), ((token(1), 4),), (((), ()),)])
def test_a_claim_of_the_wrong_kinds_counts_for_nothing(signers: Any, named: Any, claimed: Any) -> None:
    keys = signing()
    key = keys.make()
    body = encode((CLAIM, name(1), signers, named, claimed))

    read = Ledger(name(1), keys, Limits()).read(key + keys.sign(key, body) + body)

    assert read is None or not any(read.leading.values())  # type: ignore[union-attr]


def test_a_signature_of_a_key_that_is_none_counts_for_nothing() -> None:
    liar, word = asked_by_its_victim()
    keys = (bytes(KEY), b"\xff" * KEY, b"\1" + bytes(KEY - 1))
    blobs = tuple(key + bytes(SIGNATURE) + b"x" for key in keys)

    liar.say(Reply(word.trace, word.number, blobs, (), ""))

    assert works(liar)


def test_a_reply_of_more_live_tokens_than_a_trace_has_says_no_more_than_that_all_may_live() -> None:
    liar, word = asked_by_its_victim()
    most = liar.machine.settings.edges
    mine = tuple(edge[1] for edge in word.edges)

    liar.say(Reply(word.trace, word.number, (), tuple(token(n) for n in range(most + 1)), ""))

    assert liar.machine.counts["capped"] == 1
    assert liar.machine.counts["live"] == 1
    assert mine
    assert works(liar)


def test_what_a_relay_passes_on_is_no_more_than_others_read_in_one_message() -> None:
    net, hosts, _ = vats(1)
    relay = hosts[0]
    liars = [Liar(net, relay) for _ in range(4)]
    asker = liars.pop()
    # One cell of the relay's leads to one of the asker's, and all three others hold it.
    shared = ask(net, captp.E(asker.maker).make())
    asker.mine.append(Cell())
    ask(net, captp.E(shared).hold(asker.mine[0]))
    cell = next(o for o in relay.vat.heap.objects() if type(o) is Cell and o.held)
    for liar in liars:
        liar.cells.append(liar.fetch(relay.mint(cell, uses=1)))
    del cell, shared
    asker.cells.clear()
    net.wait(2 * KNOWN_S)
    asker.query(name(1))
    assert all(liar.said(Query) for liar in liars)

    junk = tuple(bytes(KEY + SIGNATURE + 1) + n.to_bytes(3, "big") for n in range(2000))
    for liar in liars:
        word = liar.said(Query)[-1]
        live = tuple(token(n) for n in range(1000 * liars.index(liar), 1000 * liars.index(liar) + 1000))
        liar.say(Reply(word.trace, word.number, junk * 2, live, ""))

    (reply,) = asker.said(Reply)
    assert len(reply.live) <= relay.peer.cycles.settings.edges
    assert len(reply.claims) <= len(set(junk)) + 1


def test_a_proof_of_a_large_graph_is_judged_once_for_all_who_depend_on_it() -> None:
    signatures = signing()
    key = signatures.make()
    edges = [(key, token(n)) for n in range(20_000)]
    chain = {here[1]: (there,) for here, there in zip(edges, [*edges[1:], edges[0]], strict=True)}
    proof = Proof(_Said(key, chain), [b"all"])  # type: ignore[arg-type]
    began = time.process_time()

    assert all(proof.holds([edge]) for edge in edges)

    # One walk for each would take minutes.
    assert time.process_time() - began < 5


class _Said:
    """A ledger that has read one claim already."""

    def __init__(self, key: bytes, leading: Any) -> None:
        self._claims = statements.Claims(key, leading)

    def read(self, _blob: bytes) -> Any:
        return self._claims


def test_a_proof_that_names_one_statement_over_and_over_is_the_same_as_one_that_names_it_once() -> None:
    liar = Liar()
    liar.tie()
    liar.freeze()
    big = bytes(400_000)
    first = statements.short(big)
    began = time.process_time()

    liar.say((COMMIT, name(0), (big, *[first] * 40_000), ()))

    assert time.process_time() - began < 5
    assert works(liar)


def test_a_session_may_end_while_what_it_gave_is_looked_at_for_another() -> None:
    net, hosts, _ = vats(1)
    victim = hosts[0]
    one, other = Liar(net, victim), Liar(net, victim)
    shelf = victim.mint(Shelf())
    near, far = one.fetch(shelf), other.fetch(shelf)
    # A cell that the one holds leads to something of the other's, which the one has got too.
    ask(net, captp.E(far).put(Cell()))
    got = ask(net, captp.E(near).get())
    one.tie()
    ask(net, captp.E(one.cells[0]).hold(got))
    # A cell that the other holds leads to something of the one's.
    one.mine.append(Cell())
    ask(net, captp.E(near).put(one.mine[1]))
    other.tie()
    ask(net, captp.E(other.cells[0]).hold(ask(net, captp.E(far).get())))
    ask(net, captp.E(near).empty())
    place = one.cells[0]._anchor.entry.position
    net.wait(2 * KNOWN_S)
    one.heard.clear()
    for _ in range(120):
        net.wait(0.25)
        if one.said(Query) and [at for at, _ in one.said(Query)[-1].edges] == [place]:
            break
    word = one.said(Query)[-1]
    one.say(Query(word.trace, 7, 8, 5000, 1000, SEED, runs([one.position(1)])))
    assert any(query.trace == word.trace for query in other.said(Query))
    claim = statements.claim(one.signing, one.key, word.trace, {at: () for _, at in word.edges})
    one.say(Reply(word.trace, word.number, (claim,), (), ""))
    confirm = one.said(Confirm)[-1]
    stand = statements.standing(one.signing, one.key, word.trace, confirm.digest, [])
    one.say(Confirmed(word.trace, confirm.digest, (stand,)))

    net.wires[1].cut()
    net.rest()

    assert victim.peer.cycles.collector.counts["cut"] == 1
    assert works(one)
    del got


class Shelf(captp.Object):
    """Keeps one thing."""

    kept: captp.List[Any]

    @captp.method
    def put(self, what: Any) -> None:
        self.kept.append(what)

    @captp.method
    def get(self) -> Any:
        return self.kept[-1]

    @captp.method
    def empty(self) -> None:
        self.kept.clear()
