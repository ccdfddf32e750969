"""Results of methods as they leave: frozen, references where the signature says so, or refused."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from tests.support import Solo


class Purse(captp.Object):
    total: int = 3


def test_a_result_is_frozen_and_an_unpassable_one_breaks_the_promise_with_its_path() -> None:
    class Results(captp.Object):
        count: int = 0

        @captp.method
        def good(self) -> Any:
            return {"b": [1], "a": Purse()}

        @captp.method
        def bad(self) -> Any:
            self.count = 1
            return {"a": [1, object()]}

    solo, results = Solo(), Results()
    ref = solo.ref(results)

    good = solo.value(ref.good())
    with pytest.raises(captp.RemoteFault, match=r"a\[1\]") as bad:
        solo.value(ref.bad())

    assert list(good) == ["a", "b"]
    assert isinstance(good["a"], captp.Reference)
    assert bad.value.class_name == "Unpassable"
    assert results.count == 0


def test_tracked_containers_in_a_result_leave_as_plain_frozen_data() -> None:
    class Results(captp.Object):
        row: captp.List[int]
        table: captp.Map[str, captp.List[int]]

        @captp.method
        def rows(self) -> list[int]:
            return self.row

        @captp.method
        def tables(self) -> dict[str, list[int]]:
            return self.table  # type: ignore[return-value]

    solo = Solo()
    ref = solo.ref(Results(row=[1], table={"a": [2]}))

    row, table = solo.value(ref.rows()), solo.value(ref.tables())

    assert (type(row), row) == (tuple, (1,))
    assert (type(table), table) == (captp.FrozenMap, {"a": (2,)})
    assert type(table["a"]) is tuple
