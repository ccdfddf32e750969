"""What a vat's own tables have of a reference goes on working when a user of that vat releases it."""

from __future__ import annotations

from tests.unit.peer.droppers import Dropper, Item, bench


def test_a_sturdyref_works_though_its_reference_was_released_where_it_was_minted() -> None:
    it = bench()
    item = Dropper(name="x")
    ref = it.b.vat.reference(item)
    sturdyref = it.b.mint(item)

    ref.release()
    # It goes when nothing here has that very reference any more.
    del ref
    it.quiet()

    assert it.get(it.get(it.a.enliven(sturdyref, Item)).note(1)) == 1
