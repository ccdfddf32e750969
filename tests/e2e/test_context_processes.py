"""Context that a process of its own is given over TLS, and what becomes of it when that is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

import captp
from tests.context.people import People, Words, two
from tests.e2e.context_host import Office


@pytest.fixture
def host() -> Iterator[str]:
    """Run a host; give the URI of its office."""
    command = [sys.executable, "-m", "tests.e2e.context_host"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def test_another_process_changes_what_it_is_lent_and_no_more(host: str) -> None:
    people, ann, _bob = two()
    async with captp.open_vat() as vat:
        office = vat.enliven(host, Office)
        with captp.bind(People.mut(people), Words.ref(["!"])):
            assert await office.enter("cid") == 3
            assert await office.enter("dan") == 4
            until, resolver = vat.promise()
            waiting = office.enter_and_wait("eve", until)
            with pytest.raises(captp.BorrowConflict, match="enter_and_wait"), People.mut():
                pytest.fail("the body ran")
            resolver.fulfill(None)
            await waiting

    assert [p.name for p in people] == ["ann", "bob", "cid!", "dan!", "eve"]
    assert people[ann].name == "ann"


async def test_what_was_lent_to_a_process_that_is_killed_is_as_it_was(host: str) -> None:
    people, _ann, _bob = two()
    async with captp.open_vat() as vat:
        office = await vat.enliven(host, Office)
        with captp.bind(People.mut(people)):
            with pytest.raises(captp.Disconnected) as caught:
                await office.enter_and_die("eve")
            assert caught.value.may_have_run
            with People.mut() as mine:
                assert [p.name for p in mine] == ["ann", "bob"]
