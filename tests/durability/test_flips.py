"""A store with a damaged bit gives no wrong value, and nothing is missing in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.durability import flips


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.mark.parametrize(
    ("number", "seed"), [(20, 1), pytest.param(200, 2, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_each_flipped_bit_is_noticed_or_hit_nothing(number: int, seed: int, folder: Path) -> None:
    print(f"seed {seed}")
    made = trio.run(flips.make, folder)
    came = flips.flip(made, number, seed)

    print(came)
    assert came["wrong"] == 0
    assert came["quarantined"] > number // 4


def test_a_flip_that_nobody_notices_would_be_found(folder: Path) -> None:
    made = trio.run(flips.make, folder)
    other = made.minted | {0: made.minted[5]}

    with pytest.raises(flips.Silent, match="minted 0 is"):
        trio.run(flips.look, folder / flips.NAME, other)
