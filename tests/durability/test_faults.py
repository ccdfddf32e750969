"""Whatever step of its disk fails, a durable vat acknowledges only what is there, and its store is whole."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from captp.errors import StoreError
from captpd.store.sqlite import SqliteStore
from tests.durability import faults

EVERY = [(verb, code) for verb in faults.CODES for code in faults.codes(verb)]

pytestmark = [
    pytest.mark.timeout(110),
    # apsw tells of what SQLite passes over, as when a database is closed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize(
    ("verb", "code"),
    [pytest.param(*one, marks=pytest.mark.slow if one[0] == "write" else ()) for one in EVERY],
)
def test_each_step_that_fails_stops_the_vat_or_harms_nothing(verb: str, code: int) -> None:
    came = faults.fail_all(verb, code)

    print(came)
    assert came["wrong"] == 0
    assert sum(came[name] for name in ("StoreFailed", "StoreUnusable", "StoreFull")) > 0


def test_a_store_that_says_nothing_of_a_commit_that_failed_is_found() -> None:
    real = SqliteStore._commit

    def commit(store: SqliteStore, *args: Any) -> None:
        try:
            real(store, *args)
        except StoreError:
            store.close()
            store.open()

    with mock.patch.object(SqliteStore, "_commit", commit):
        assert faults.fail_all("sync", faults.CODES["sync"])["wrong"] > 3
