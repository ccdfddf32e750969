"""References given back early, and references of one's own: who may use what, and what the host is told."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import captp
from captp.errors import Broken, Dropped, Moved, UsageError
from captp.model.guards import as_interface
from captp.model.holding import hold
from captp.model.own import lend
from captp.model.send import E
from captp.peer.outputs import Write
from tests.unit.peer.droppers import LOG, Dropper, Item, bench
from tests.unit.peer.pair import Counter, outcome, pair


def test_it_is_refused_from_now_on_and_its_host_hears_of_it_while_the_variable_lives() -> None:
    it = bench()
    (ref,) = it.make()
    assert list(it.exports.values()) == [1]

    ref.release()
    ref.release()
    with pytest.raises(Dropped, match=r"^this reference was released here: ask for it again, or take one"):
        ref.note(1)
    with pytest.raises(Dropped, match="released"):
        it.maker.keep(ref)
    with pytest.raises(Dropped, match="released"):
        E(ref).note.only(1)
    it.quiet()

    assert it.exports == it.imports == {}
    assert LOG == ["0"]
    with pytest.raises(Broken, match="released"):
        outcome(ref)


def test_what_was_sent_with_it_before_leaves_and_what_was_sent_on_arrives() -> None:
    it = bench()
    one, two = it.make(2)

    noted = it.a.want(one.note("first"))
    two.keep(one)
    one.release()
    it.net.rest()
    assert outcome(noted) == "first"
    it.quiet()

    # Its host has it in a field of the other.
    assert LOG == []
    assert len(it.exports) == 1
    two.release()
    it.quiet()
    assert LOG == ["1", "0"]


def test_other_references_to_the_same_object_stay_and_keep_it() -> None:
    it = bench()
    (ref,) = it.make()
    item = as_interface(ref, captp.Interface)

    ref.release()
    it.quiet()

    assert list(it.exports.values()) == [1]
    assert it.get(E(item).note(5)) == 5
    del item
    it.quiet()
    assert it.exports == {}


def test_named_again_it_is_another_reference_that_works() -> None:
    it = bench()
    ref = it.get(it.maker.again("x"))

    ref.release()
    again = it.get(it.maker.again("x"))
    it.quiet()

    assert again is not ref
    assert it.get(again.note(1)) == 1
    assert list(it.exports.values()) == list(it.imports.values())


def test_in_a_turn_that_is_rolled_back_nothing_was_released() -> None:
    it = bench()

    class Holder(captp.Object):
        beside: Item

        @captp.method
        def release(self, *, fails: bool) -> None:
            self.beside.release()  # type: ignore[attr-defined]
            if fails:
                raise captp.Refused("after all")

    (ref,) = it.make()
    holder = it.a.vat.reference(Holder(beside=ref))

    failed = it.a.want(E(holder).release(fails=True))
    it.net.rest()
    with pytest.raises(captp.Refused, match="after all"):
        outcome(failed)
    assert it.get(ref.note(1)) == 1
    del ref
    done = it.a.want(E(holder).release(fails=False))
    it.net.rest()
    assert outcome(done) is None
    it.quiet()

    assert it.exports == {}


def test_held_in_two_places_it_goes_when_the_other_place_lets_go() -> None:
    it = bench()
    (ref,) = it.make()
    other = [ref]

    ref.release()
    it.quiet()
    assert len(it.exports) == 1
    del ref
    other.clear()
    it.quiet()

    assert it.exports == {}


def test_a_peer_that_has_a_near_object_is_not_affected() -> None:
    it = bench()
    counter = Counter()
    mine: Any = it.a.vat.reference(counter)
    it.maker.keep.only(mine)
    sturdyref = it.a.mint(mine)
    it.net.rest()

    mine.release()
    it.net.rest()
    with pytest.raises(Dropped):
        mine.add(1)
    back = it.get(it.maker.give_back(it.a.vat.reference(counter)))
    assert it.get(back.add(1)) == 1
    fetched = it.b.want(it.b.enliven(sturdyref))
    it.net.rest()
    called = it.b.want(E(outcome(fetched)).add(2))
    it.net.rest()

    assert outcome(called) == 2
    assert list(counter.seen) == [1, 2]


def test_a_near_reference_that_one_variable_held_lets_its_object_go() -> None:
    it = bench()
    ref: Any = it.a.vat.reference(Dropper(name="near"))

    ref.note.only(1)
    ref.release()
    it.net.rest()
    it.net.rest()

    del ref
    it.net.rest()
    assert LOG == ["near"]


def test_it_cannot_be_stored_minted_or_held() -> None:
    it = bench()
    (ref,) = it.make()
    ref.release()

    with pytest.raises(Dropped, match=r"Dropper\.beside"):
        Dropper(name="x", beside=ref)
    with pytest.raises(Dropped, match="mint"):
        it.a.mint(ref)
    with pytest.raises(Dropped), hold(it.a.vat, ref):
        pass


def test_a_promise_and_a_borrowed_reference_are_not_released() -> None:
    it = bench()
    (ref,) = it.make()

    with pytest.raises(UsageError, match="let go of it"):
        it.maker.make("x").release()
    with pytest.raises(UsageError, match="when its call is over"):
        lend(ref).release()


def test_a_unique_reference_is_released_like_any_and_a_moved_one_says_so() -> None:
    it = bench()
    mine = it.a.vat.owning.owned(Dropper(name="sole"))
    moved = it.a.vat.owning.owned(Dropper(name="moved"))
    captp.share(moved)

    with pytest.raises(Moved):
        moved.release()
    mine.release()
    with pytest.raises(Dropped):
        E(mine).note(1)
    it.net.rest()

    assert LOG == ["sole"]


def test_after_the_end_of_the_vat_it_does_nothing() -> None:
    it = bench()
    (ref,) = it.make()
    it.a.vat.close()

    ref.release()

    with pytest.raises(Dropped):
        ref.note(1)


# Of one's own.


def test_a_held_reference_works_until_its_block_ends_whatever_others_do() -> None:
    it = bench()
    (ref,) = it.make()

    with hold(it.a.vat, ref) as held:
        assert held == ref
        assert held is not ref
        # The variable stays, and the block does not hold what it holds.
        ref.release()
        it.quiet()
        assert len(it.exports) == 1
        assert it.get(held.note(1)) == 1
        last = it.a.want(held.note(2))
    with pytest.raises(Dropped, match="released"):
        held.note(3)
    it.net.rest()
    assert outcome(last) == 2
    del last
    it.quiet()

    assert it.exports == {}
    assert LOG == ["0"]


def test_what_is_passed_on_in_the_block_is_a_plain_reference_that_outlives_it() -> None:
    it = bench()
    (ref,) = it.make()

    with hold(it.a.vat, ref) as held:
        near = Counter()
        E(it.a.vat.reference(near)).keep.only(held)
        it.maker.keep.only(held)
        it.net.rest()
        with pytest.raises(UsageError, match="store the one it was made of"):
            Dropper(name="x", beside=held)
        with hold(it.a.vat, held) as inner:
            assert it.get(inner.note(1)) == 1
        assert it.get(held.note(2)) == 2
    it.quiet()

    assert near.kept[0] is ref
    assert it.get(near.kept[0].note(3)) == 3


def test_a_block_that_raises_releases_all_the_same() -> None:
    it = bench()
    refs = it.make()

    with pytest.raises(KeyError), hold(it.a.vat, refs.pop()):
        raise KeyError
    it.quiet()

    assert it.exports == {}


def test_what_cannot_be_held_is_refused() -> None:
    it, other = bench(), pair()
    (ref,) = it.make()
    pending: Any = it.maker.make("x")

    for wrong in (pending, 5, lend(ref), it.a.vat.owning.owned(Counter()), other.ref):
        with pytest.raises(UsageError), hold(it.a.vat, wrong):
            pass


# Batches.


def test_five_thousand_dropped_references_are_three_frames_at_most() -> None:
    it = bench()
    refs = it.make(5_000)
    assert len(it.exports) == len(it.imports) == 5_000
    before = [len([o for o in b.outputs if type(o) is Write]) for b in it.a.batches]

    refs.clear()
    gc.collect()
    it.net.wait(1)

    after = [len([o for o in b.outputs if type(o) is Write]) for b in it.a.batches]
    assert 1 <= sum(after) - sum(before) <= 3
    assert it.exports == it.imports == {}
    assert len(LOG) == 5_000


def test_released_by_name_they_are_as_few() -> None:
    it = bench()
    refs = it.make(1_000)
    before = sum(type(o) is Write for b in it.a.batches for o in b.outputs)

    for i in range(1_000):
        refs[i].release()
    it.net.wait(1)

    assert sum(type(o) is Write for b in it.a.batches for o in b.outputs) - before <= 3
    assert it.exports == it.imports == {}
    assert len(refs) == 1_000
