"""Random words and statements: whatever a peer says, no collector raises, and only its own edges are cut."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import captp
from captp.errors import Broken
from captp.limits import Limits
from captp.model.values import FrozenMap, Tagged
from captp.peer.cycles import statements
from captp.peer.cycles.statements import CLAIM, CONFIRM, Claims, Ledger, Proof, Standing
from captp.peer.cycles.words import KEY, MOST, SEED, SIGNATURE, TOKEN, TRACE, BadWord, Query, read, runs
from captp.wire.syrup import encode
from tests.unit.peer.liars import Liar, name, signing, token
from tests.unit.peer.test_cycles import ask

KEYS = signing()
OURS = KEYS.make()

atoms = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, 1, 7, MOST, MOST + 1, 10**4000])
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=40)
    | st.sampled_from([name(0), token(0), bytes(KEY), bytes(SIGNATURE), bytes(TOKEN), bytes(TRACE), CLAIM])
)
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2).map(FrozenMap)
        | inner.map(lambda value: Tagged("tag", value))
    ),
    max_leaves=8,
)
tokens = st.integers(0, 4).map(token)
traces = st.integers(0, 3).map(name)
seeds = st.integers(0, 1).map(lambda n: bytes([n]) * SEED)
numbers = st.integers(0, 4) | st.sampled_from([5000, MOST])
blobs = st.lists(st.binary(max_size=130) | st.integers(0, 3).map(lambda n: bytes(100 + n)), max_size=3)


def mutated(word: tuple[Any, ...], data: st.DataObject) -> tuple[Any, ...]:
    """Return a word with one of its parts changed, left out or doubled."""
    at = data.draw(st.integers(0, len(word) - 1))
    with_ = data.draw(st.sampled_from([(), (word[at], word[at]), (data.draw(values),)]))
    return (*word[:at], *with_, *word[at + 1 :])


def word_strategy(positions: st.SearchStrategy[int] = numbers) -> st.SearchStrategy[tuple[Any, ...]]:
    asked = st.lists(positions, max_size=3).map(runs)
    many = blobs.map(tuple)
    digests = st.sampled_from([bytes(32), statements.digest(())])
    return st.one_of(
        st.tuples(st.just(0), st.just(1), st.sampled_from([OURS, bytes(KEY)])),
        st.tuples(st.just(1), traces, numbers, numbers, numbers, numbers, seeds, asked),
        st.tuples(
            st.just(2), traces, numbers, many, st.lists(tokens).map(tuple), st.sampled_from(["", "live"])
        ),
        st.tuples(st.just(3), traces, digests),
        st.tuples(st.just(4), traces, digests, many),
        st.tuples(st.just(5), traces, many, many),
        st.tuples(st.just(6), traces, st.just(OURS), st.binary(max_size=64)),
        st.tuples(st.just(7), traces),
    )


@given(values)
def test_whatever_is_no_word_is_a_bad_word(value: Any) -> None:
    with suppress(BadWord):
        read(value)


@given(word_strategy(), st.data())
def test_a_changed_word_is_another_word_or_a_bad_one(word: tuple[Any, ...], data: st.DataObject) -> None:
    with suppress(BadWord):
        assert read(read(word).wire()) == read(word)
    with suppress(BadWord):
        read(mutated(word, data))


bodies = st.one_of(
    values,
    st.tuples(st.just(CLAIM), st.just(name(0)), values, values, values),
    st.tuples(
        st.just(CLAIM),
        st.just(name(0)),
        st.lists(st.sampled_from([OURS, bytes(KEY)]) | atoms, max_size=3).map(tuple),
        st.lists(st.tuples(st.integers(-1, 4), tokens | atoms), max_size=3).map(tuple),
        st.lists(st.tuples(tokens | atoms, st.lists(st.integers(-1, 4)).map(tuple)), max_size=3).map(tuple),
    ),
    st.tuples(
        st.just(CONFIRM), st.just(name(0)), st.binary(max_size=33), st.lists(tokens | atoms).map(tuple)
    ),
)


@given(st.lists(bodies | st.binary(max_size=60), min_size=1, max_size=4), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_signed_says_something_or_nothing(some: list[Any], data: st.DataObject) -> None:
    ledger = Ledger(name(0), KEYS, Limits())
    said = []
    for body in some:
        raw = body if type(body) is bytes else encode(body)
        said.append(OURS + KEYS.sign(OURS, raw) + raw)

    for blob in [*said, data.draw(st.binary(max_size=200))]:
        assert type(ledger.read(blob)) in (Claims, Standing, type(None))

    proof = Proof(ledger, said, {token(1)})
    proof.holds([(OURS, token(0)), (OURS, token(1))])
    proof.confirmed(ledger, bytes(32), said)
    assert not proof.holds([(OURS, token(1))])


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_sequence_of_words_stops_a_vat_or_costs_somebody_else_anything(data: st.DataObject) -> None:
    liar = Liar(backoff_max=1.0, hold=1.0)
    liar.tie(2)
    other = Liar(liar.net, liar.victim)
    other.tie()
    spoken = word_strategy(st.sampled_from([liar.position(0), liar.position(1), 0, 99]))

    for _ in range(data.draw(st.integers(1, 12))):
        what = data.draw(st.sampled_from(["word", "mutated", "reply", "call", "wait"]))
        if what == "word":
            liar.say(data.draw(spoken))
        elif what == "mutated":
            liar.say(mutated(data.draw(spoken), data))
        elif what == "call":
            liar.late.append(captp.E(liar.cells[0]).count())
        elif what == "wait":
            liar.net.wait(data.draw(st.sampled_from([0.25, 1.5])))
        elif liar.said(Query):
            word = liar.said(Query)[-1]
            leading = {at: tuple((liar.key, one) for _, one in word.edges[:1]) for _, at in word.edges}
            claim = statements.claim(liar.signing, liar.key, word.trace, leading)
            liar.say((2, word.trace, word.number, (claim,), (), ""))

    liar.net.wait(4)
    liar.victim.peer.check()
    assert not liar.victim.peer.cycles.waiting.held
    assert not liar.machine.frozen
    # What the others hold is there, and what it holds itself is unless it has denied that.
    assert ask(liar.net, captp.E(other.cells[0]).count()) == 1
    assert ask(liar.net, captp.E(liar.maker).count()) == 0
    with suppress(Broken):
        ask(liar.net, captp.E(liar.cells[1]).count())
