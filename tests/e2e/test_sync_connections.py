"""How a plain thread's connection begins and ends, over the one portal that all of them share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import captp
import captp.sync
from captp.errors import Closed
from tests.e2e.sync_shop import LONGEST_S, Counter, Shop, hosting


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with hosting(tmp_path_factory.mktemp("sync")) as host:
        yield host.source


def test_a_host_that_is_away_is_told_where_it_is_waited_for(tmp_path: Path, source: str) -> None:
    gone = source.partition("?")[0] + f"?path={tmp_path}/none"
    with captp.sync.connect(gone, Shop) as shop, pytest.raises(captp.Unreachable, match="no socket"):
        shop.echo(1).result(5)


def test_a_source_that_is_none_is_told_at_once() -> None:
    with pytest.raises(captp.UsageError, match="cannot be read"), captp.sync.connect("no.cap", Shop):
        pass


def test_after_the_block_handles_are_closed(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        handle = shop.slow(60.0)

    with pytest.raises(captp.UsageError, match="this connection is closed"):
        shop.echo(1)
    with pytest.raises(captp.UsageError, match="this connection is closed"):
        handle.result(5)


def test_a_thread_that_waits_hears_of_the_end_of_the_block(source: str) -> None:
    heard: list[BaseException] = []

    def wait(handle: Any) -> None:
        try:
            handle.result(LONGEST_S)
        except captp.Error as problem:
            heard.append(problem)

    with captp.sync.connect(source, Shop) as shop:
        thread = threading.Thread(target=wait, args=(shop.slow(60.0),))
        thread.start()
        shop.echo(1).result(5)
        time.sleep(0.05)
    thread.join(LONGEST_S)

    assert [type(problem) for problem in heard] == [Closed]


def portal_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if "portal" in t.name]


def test_an_error_in_the_block_leaves_as_itself_and_everything_ends(source: str) -> None:
    def use() -> None:
        with captp.sync.connect(source, Shop) as shop:
            shop.echo(1).result(5)
            assert len(portal_threads()) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert portal_threads() == []


def test_all_connections_share_one_portal(source: str) -> None:
    with captp.sync.connect(source, Shop) as one:
        with captp.sync.connect(source, Shop) as other:
            assert len(portal_threads()) == 1
            assert other.echo(2).result(5) == 2
        assert one.echo(1).result(5) == 1


def test_waiting_inside_the_vat_itself_is_refused(source: str) -> None:
    class Naive(captp.Object, Counter):
        @captp.method
        def add(self, amount: int) -> int:
            return amount

        @captp.method
        def seen(self) -> list[int]:
            return [waiter()]

    with captp.sync.connect(source, Shop) as shop:

        def waiter() -> int:
            return shop.echo(1).result(5)  # type: ignore[attr-defined, no-any-return]

        with pytest.raises(captp.RemoteFault, match="would block the vat itself"):
            shop.total(Naive()).result(5)


def test_an_interrupt_ends_a_wait_and_the_program(source: str) -> None:
    script = (
        "import sys, captp, captp.sync\n"
        "with captp.sync.connect(sys.stdin.readline().strip()) as shop:\n"
        "    print(captp.E(shop).echo('up').result(10), flush=True)\n"
        "    captp.E(shop).slow(60.0).result()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{source}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LONGEST_S)

    assert process.returncode == -signal.SIGINT
    assert err.strip().splitlines()[-1] == "KeyboardInterrupt"
    assert "Exception ignored" not in err


def test_without_anyio_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['anyio'] = None; import captp.sync"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
        env={**os.environ},
    )

    assert "ImportError: captp.sync needs anyio: pip install 'captp[sync]'" in done.stderr
