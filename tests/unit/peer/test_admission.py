"""What runs when: each source has its go, and a held source or target keeps its own messages, in order."""

from __future__ import annotations

from captp.limits import Limits
from captp.model.send import E
from tests.unit.peer.pair import Counter, Net, Shop, outcome, pair


def test_a_source_has_its_quota_before_the_next_one_has_its_go() -> None:
    net = Net()
    b = net.host(9, Limits(quantum=2))
    counter = Counter()
    sturdyref = b.mint(counter)
    refs = []
    for seed in (1, 2):
        host = net.host(seed)
        promise = host.want(host.enliven(sturdyref, Shop))
        net.rest()
        refs.append((host, outcome(promise)))
    for first, (host, ref) in zip((0, 10), refs, strict=True):
        for i in range(4):
            ref.add(first + i)
        host.run()

    for wire in net.wires:
        wire.far.deliver()
    b.run()

    assert list(counter.seen) == [0, 1, 10, 11, 2, 3, 12, 13]


def test_holding_a_session_stops_what_it_brings_and_nothing_else() -> None:
    it = pair()
    source = it.b.sessions[0].source
    it.b.vat.queues.hold(source)
    for i in range(3):
        it.ref.add(i)
    E(it.b.vat.reference(it.counter)).add(9)
    it.net.rest()
    held = list(it.counter.seen)

    it.b.vat.queues.release(source)
    it.net.rest()

    assert held == [9]
    assert list(it.counter.seen) == [9, 0, 1, 2]


def test_holding_a_target_stops_what_is_for_it_and_nothing_else() -> None:
    it = pair()
    other = Counter()
    fetched = it.a.want(it.a.enliven(it.b.mint(other), Shop))
    it.net.rest()
    it.b.vat.latches.hold(it.counter)
    for i in range(3):
        it.ref.add(i)
        outcome(fetched).add(i)
    it.net.rest()
    held = (list(it.counter.seen), list(other.seen))

    it.b.vat.latches.release(it.counter)
    it.ref.add(3)
    it.net.rest()

    assert held == ([], [0, 1, 2])
    assert list(it.counter.seen) == [0, 1, 2, 3]
