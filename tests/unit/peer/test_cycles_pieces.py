"""A dict in pieces is a dict, and may change while somebody walks over it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from captp.peer.cycles.ground import Key
from captp.peer.cycles.pieces import BITS, Pieces

keys = st.integers(-3, 3).map(lambda n: n << BITS - 1) | st.integers(-(2**80), 2**80)


@given(st.lists(st.tuples(keys, st.integers(0, 3) | st.none())))
def test_it_holds_what_a_dict_holds(steps: list[tuple[int, int | None]]) -> None:
    pieces: Pieces[int] = Pieces()
    plain: dict[int, int] = {}
    for number, value in steps:
        if value is None:
            assert pieces.pop(Key(number), None) == plain.pop(number, None)
        else:
            pieces[Key(number)] = plain[number] = value
        assert (Key(number) in pieces, pieces.get(Key(number), -1)) == (
            number in plain,
            plain.get(number, -1),
        )
    assert dict(pieces) == plain
    assert (len(pieces), bool(pieces)) == (len(plain), bool(plain))


def test_a_walk_goes_on_whatever_is_changed_meanwhile() -> None:
    pieces: Pieces[None] = Pieces()
    for number in range(5 << BITS):
        pieces[Key(number)] = None

    met = []
    for key in pieces:
        met.append(key)
        pieces.pop(Key(key ^ 1), None)
        pieces[Key(key + (9 << BITS))] = None

    assert len(met) == len(set(met)) >= 5 << BITS - 1
