"""``__dropped__`` of what peers held: when the last one lets go, is lost, or the collector finds a cycle."""

from __future__ import annotations

import gc
from typing import Any

import captp
from captp.model.send import E
from tests.unit.peer.droppers import LOG, Dropper, Maker, bench
from tests.unit.peer.pair import outcome


def test_it_runs_once_when_the_peer_releases_the_last_reference() -> None:
    it = bench()
    (ref,) = it.make()
    second = it.get(it.maker.give_back(ref))
    assert second == ref

    del second
    it.quiet()
    assert LOG == []
    del ref
    it.quiet()
    it.quiet()

    assert LOG == ["0"]
    assert it.exports == {}


def test_a_holder_here_keeps_it_when_the_peer_has_let_go() -> None:
    it = bench()
    ref = it.get(it.maker.again("x"))

    del ref
    it.quiet()
    assert LOG == []
    it.maker.forget.only()
    it.net.rest()

    assert LOG == ["x"]


def test_of_two_peers_the_last_one_counts() -> None:
    it = bench()
    third = it.net.host(3)
    theirs = third.want(third.enliven(it.sturdyref, Maker))
    it.net.rest()
    mine = it.get(it.maker.again("x"))
    got = third.want(outcome(theirs).again("x"))
    it.net.rest()
    it.maker.forget.only()
    it.net.rest()
    other = outcome(got)
    del got

    del mine
    it.quiet()
    assert LOG == []
    del other
    it.quiet()

    assert LOG == ["x"]


def test_the_loss_of_the_session_drops_what_the_peer_held() -> None:
    it = bench()
    refs = it.make(3)

    it.net.wires[0].cut()
    it.net.rest(dials=False)

    assert sorted(LOG) == ["0", "1", "2"]
    assert len(refs) == 3


def test_what_it_sends_leaves_and_what_it_passes_on_lives() -> None:
    it = bench()
    log = Dropper(name="log")
    mine = it.a.vat.reference(log)
    (ref,) = it.make()
    ref.keep(mine)
    it.net.rest()

    del ref
    it.quiet()

    assert list(log.notes) == ["bye from 0"]


def test_an_object_that_is_sent_to_a_peer_from_it_lives_until_that_lets_go() -> None:
    it = bench()

    class Returning(captp.Object):
        to: Any

        @captp.method
        def look(self) -> str:
            return "here"

        def __dropped__(self) -> None:
            LOG.append("dropped")
            E(self.to).keep.only(self)

    it.a.vat.reference(Returning(to=it.maker))
    it.net.rest()
    assert LOG == ["dropped"]
    workshop: Any = next(o for o in it.b.vat.heap.objects() if hasattr(o, "kept"))
    works = it.b.want(E(workshop.kept[0]).look())
    it.net.rest()
    assert outcome(works) == "here"

    it.maker.forget.only()
    it.net.rest()
    it.quiet()
    assert LOG == ["dropped"]
    assert [o for o in it.a.vat.heap.objects() if isinstance(o, Returning)] == []


class Ring(captp.Object):
    """Holds itself and a far reference."""

    itself: Any = None
    far: Any = None

    def __dropped__(self) -> None:
        LOG.append("ring")
        E(self.far).note.only("bye from a ring")


def test_what_a_cycle_held_of_a_peers_can_be_used_in_its_last_turn_and_is_released_after_it() -> None:
    it = bench()
    (ref,) = it.make()
    made = next(o for o in it.b.vat.heap.objects() if isinstance(o, Dropper))
    one = Ring(far=ref)
    one.itself = one
    it.a.vat.reference(one)
    del ref, one
    it.net.rest()
    assert len(it.exports) == 1

    gc.collect()
    # Releases that are written before the last turn must not name it.
    it.maker.give_back.only(1)
    it.a.run()
    it.net.rest()

    assert LOG == ["ring"]
    assert list(made.notes) == ["bye from a ring"]
    del made
    it.quiet()
    assert LOG == ["ring", "0"]
    assert it.exports == it.imports == {}


def test_what_the_collector_found_is_broken_with_its_session() -> None:
    it = bench()
    (ref,) = it.make()
    one = Ring(far=ref)
    one.itself = one
    it.a.vat.reference(one)
    del ref, one

    gc.collect()
    it.net.wires[0].cut()
    it.net.wires[0].near.deliver()
    it.net.rest(dials=False)

    assert "ring" in LOG
    assert not it.a.sessions


def test_a_cycle_without_it_releases_what_it_held() -> None:
    class Quiet(captp.Object):
        itself: Any = None
        far: Any = None

    it = bench()
    (ref,) = it.make()
    one = Quiet(far=ref)
    one.itself = one
    it.a.vat.reference(one)
    del ref, one

    it.quiet()

    assert it.exports == it.imports == {}
    assert LOG == ["0"]


def test_any_finalizer_may_bring_a_far_reference_back() -> None:
    it = bench()
    (ref,) = it.make()
    saved: list[Any] = []

    class Phoenix:
        def __init__(self, far: Any) -> None:
            self.itself = self
            self.far = far

        def __del__(self) -> None:
            saved.append(self.far)

    Phoenix(ref)
    del ref
    it.quiet()

    assert it.get(saved[0].note(1)) == 1
    assert len(it.exports) == 1
    saved.clear()
    it.quiet()
    assert it.exports == {}


def test_a_call_whose_promise_only_a_cycle_held_is_broken_in_its_last_turn() -> None:
    it = bench()
    states: list[int] = []

    class Waiting(captp.Object):
        itself: Any = None
        promise: Any = None

        def __dropped__(self) -> None:
            states.append(self.promise._state)
            E(self.promise).note.only("too late")

    promise = it.maker.make("x")
    it.a.run()
    one = Waiting(promise=promise)
    one.itself = one
    it.a.vat.reference(one)
    del one, promise
    gc.collect()
    it.net.rest()

    assert states == [2]
    assert it.a.sessions
    it.quiet()
    assert it.exports == it.imports == {}
