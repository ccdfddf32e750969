"""Data of capsules that goes through three vats."""

from __future__ import annotations

from itertools import pairwise

import pytest

import captp
from captp import E
from tests.transcript.parties import CODECS, Root, three
from tests.unit.session.boxes import data


class Shelf(Root):
    """A Root that keeps what it is told beside its state."""

    __slots__ = ("had",)

    @captp.method
    def take(self, what: object) -> None:
        self.had = what

    @captp.method
    def take_data(self, what: captp.Data[object, captp.Brand]) -> None:
        self.had = what


@pytest.mark.parametrize("syrup", CODECS, ids=lambda names: "-".join(names) or "native")
def test_data_that_stays_is_handed_on_and_comes_home_as_itself(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    shelves = {host: Shelf() for host in (it.g, it.r, it.e)}
    minted = {host: host.mint(shelf) for host, shelf in shelves.items()}
    box = captp.Data.inject([1, 2], captp.Capsule.create())
    chain = [it.g, it.r, it.e]

    given: object = box
    for host, following in pairwise(chain):
        host.get(E(host.get(host.enliven(minted[following]))).take(given))
        it.net.rest()
        given = shelves[following].had
        assert not isinstance(given, captp.Data)
    it.e.get(E(it.e.get(it.e.enliven(minted[it.g]))).take_data(given))

    assert shelves[it.g].had is box


@pytest.mark.parametrize("syrup", [(), ("GR",), ("ER",)], ids=lambda names: "-".join(names) or "native")
def test_frozen_data_goes_on_as_it_came(syrup: tuple[str, ...]) -> None:
    it = three(syrup)
    at_r, at_e = Shelf(), Shelf()
    to_r, to_e = it.r.mint(at_r), it.e.mint(at_e)

    it.g.get(E(it.g.get(it.g.enliven(to_r))).take(data({"a": [1]})))
    it.r.get(E(it.r.get(it.r.enliven(to_e))).take(at_r.had))

    came = at_e.had
    assert isinstance(came, captp.Data) == (not syrup)
    assert (came.project() if isinstance(came, captp.Data) else came) == {"a": (1,)}
