"""The life of a daemon: made, run, used, stopped, run again."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

import captp
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator
from captp.net.tls import TlsNetlayer
from tests.e2e.daemons import LONGEST_S, captpd, free_port, running

TILL = "daemon_shop:Till"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make an initialised state folder whose daemon listens at a free port."""
    path = tmp_path / "state"
    made = captpd(path, "init", "--listen", f"127.0.0.1:{free_port()}")
    assert made.returncode == 0, made.stderr
    return path


async def call(sturdyref: captp.SturdyRef | str, method: str, *args: Any) -> Any:
    with trio.fail_after(LONGEST_S):
        async with captp.connect(sturdyref) as ref:
            return await getattr(captp.E(ref), method)(*args)


async def test_an_object_made_by_control_is_called_over_tls_and_keeps_its_sturdyref(home: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        made = await control.new(TILL, "till")
        shared = await control.share("till")
        again = await control.share("till")

        assert made == {
            "name": "till",
            "class": TILL,
            "interface": "Till",
            "vat": "main",
            "made_by": "new",
            "state": "in memory",
            "problem": "",
        }
        assert await control.ls() == (made,)
        assert shared.peer.transport == "tls"
        assert shared.reveal() == again.reveal()
        assert await call(shared, "add", 2) == 2
        assert await call(shared, "add", 3) == 5

    async with running(home) as daemon:
        async with daemon.control() as control:
            restored = await control.share("till")

            assert restored.reveal() == shared.reveal()
            assert await call(shared, "add", 1) == 1, "state lives in memory and starts anew"
            await control.stop()
        assert await daemon.wait() == 0


async def test_status_json_tells_process_vats_listeners_and_sessions(home: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        async with captp.connect(await control.share("till")) as till:
            await captp.E(till).add(1)
            asked = await trio.to_thread.run_sync(captpd, home, "status", "--json")
            human = await trio.to_thread.run_sync(captpd, home, "status")

        found = json.loads(asked.stdout)
        assert asked.returncode == 0
        assert found["pid"] == daemon.process.pid
        assert found["store"] == "memory"
        assert found["state"] == "in memory"
        (vat,) = found["vats"]
        (at,) = vat["listeners"]
        assert (vat["name"], vat["objects"], vat["sessions"]) == ("main", 1, 1)
        assert (at["transport"], at["secure"]) == ("tls", True)
        (session,) = found["sessions"]
        assert (session["vat"], session["transport"], session["state"]) == ("main", "tls", "open")
        assert "store: memory; state: in memory" in human.stdout
        assert at["address"] in human.stdout


async def test_tables_count_entries_by_state_and_show_no_values(home: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        async with captp.connect(await control.share("till")) as till:
            await captp.E(till).add(1)
            tables = await control.tables()

        (session,) = tables["main"]
        assert session["state"] == "open"
        assert session["exports"] >= 1
        assert set(session["answers"]) <= {"open", "settled"}
        assert len(tables["control"]) == 1


async def test_captpd_stop_returns_when_the_process_has_ended(home: Path) -> None:
    async with running(home) as daemon:
        stopped = await trio.to_thread.run_sync(captpd, home, "stop")

        assert stopped.returncode == 0
        assert stopped.stdout == f"captpd (pid {daemon.process.pid}) has stopped\n"
        with trio.fail_after(1):
            assert await daemon.process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_a_running_call_finish(home: Path, number: int) -> None:
    async with running(home) as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        async with captp.connect(await control.share("till")) as till:
            running_call = captp.E(till).slow(1.0)
            outcome: list[Any] = []
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    outcome.append(await running_call)

                nursery.start_soon(wait)
                await daemon_is_busy(control)
                code = await daemon.end(number)

    assert outcome == ["done"]
    assert code == 0


async def daemon_is_busy(control: Any) -> None:
    """Wait until the daemon has a call that is not answered yet."""
    with trio.fail_after(LONGEST_S):
        while True:
            tables = await control.tables()
            if any(session["answers"].get("open") for session in tables["main"]):
                return


async def test_the_drain_is_bounded_and_breaks_what_did_not_finish(home: Path) -> None:
    async with running(home, CAPTPD_DAEMON__DRAIN_S="0.3") as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        async with captp.connect(await control.share("till")) as till:
            endless = captp.E(till).slow(3600.0)
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    with pytest.raises(captp.Disconnected):
                        await endless

                nursery.start_soon(wait)
                await daemon_is_busy(control)
                code = await daemon.end()

        assert code == 0
        await daemon.wait_for_log(b"some calls were cut off")


async def test_a_second_signal_cuts_the_drain_short(home: Path) -> None:
    async with running(home, CAPTPD_DAEMON__DRAIN_S="3600") as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        async with captp.connect(await control.share("till")) as till:
            endless = captp.E(till).slow(3600.0)
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    with pytest.raises(captp.Disconnected):
                        await endless

                nursery.start_soon(wait)
                await daemon_is_busy(control)
                daemon.process.send_signal(signal.SIGTERM)
                await daemon.wait_for_log(b'"draining"')

                assert await daemon.end() == 0


async def test_while_it_drains_it_lets_nobody_in_but_its_operator(home: Path) -> None:
    async with running(home, CAPTPD_DAEMON__DRAIN_S="3600") as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        await control.new(TILL, "other")
        other = await control.share("other")
        async with captp.connect(await control.share("till")) as till:
            endless = captp.E(till).slow(3600.0)
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    with pytest.raises(captp.Disconnected):
                        await endless

                nursery.start_soon(wait)
                await daemon_is_busy(control)
                daemon.process.send_signal(signal.SIGTERM)
                await daemon.wait_for_log(b'"draining"')

                with pytest.raises(captp.Disconnected):
                    await call(other, "add", 1)
                status = await trio.to_thread.run_sync(captpd, home, "status")
                with pytest.raises(captp.Refused, match="the daemon is stopping"):
                    await control.new(TILL, "third")

                assert "stopping: it waits for calls that still run" in status.stdout
                assert await daemon.end() == 0


async def test_nobody_is_let_in_before_all_objects_are_made(home: Path, tmp_path: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        till = await control.share("till")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def come_early() -> None:
        held = await trio.to_thread.run_sync(pipe.open, "w")  # opens once the daemon imports the class
        with held, pytest.raises(captp.Disconnected):
            await call(till, "add", 1)

    more = {"CAPTPD_OBJECTS__IT__CLASS": "daemon_slow:Slow", "DAEMON_SLOW_PIPE": str(pipe)}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(come_early)
        async with running(home, **more):
            assert await call(till, "add", 1) == 1


async def test_a_killed_daemon_leaves_nothing_that_keeps_the_next_one_out(home: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        shared = await control.share("till")
        await daemon.end(signal.SIGKILL)

    async with running(home):
        assert await call(shared, "add", 1) == 1


async def test_objects_of_the_configuration_are_made_at_each_start_at_one_sturdyref(home: Path) -> None:
    more = {"CAPTPD_OBJECTS__DESK__CLASS": TILL}
    async with running(home, **more) as daemon, daemon.control() as control:
        first = await control.share("desk")
        (described,) = await control.ls()

        assert described["made_by"] == "config"
        assert await call(first, "add", 1) == 1

    async with running(home, **more) as daemon, daemon.control() as control:
        assert (await control.share("desk")).reveal() == first.reveal()


async def test_vats_share_a_port_and_each_answers_to_its_own_key(home: Path) -> None:
    more = {
        "CAPTPD_OBJECTS__LEFT__CLASS": TILL,
        "CAPTPD_OBJECTS__LEFT__VAT": "main",
        "CAPTPD_OBJECTS__RIGHT__CLASS": TILL,
        "CAPTPD_OBJECTS__RIGHT__VAT": "other",
        "CAPTPD_VAT__OTHER__TCP_TESTING_ONLY": "",
    }
    async with running(home, **more) as daemon, daemon.control() as control:
        left, right = await control.share("left"), await control.share("right")

        assert left.peer.designator != right.peer.designator
        assert left.peer.hint("port") == right.peer.hint("port")
        assert await call(left, "add", 1) == 1
        assert await call(right, "add", 5) == 5
        crossed = captp.SturdyRef(right.peer, left.swiss)
        with pytest.raises(captp.NotFound):
            await call(crossed, "add", 1)


async def test_the_control_plane_is_not_reachable_over_tls(home: Path) -> None:
    async with running(home, CAPTPD_OBJECTS__DESK__CLASS=TILL) as daemon, daemon.control() as control:
        desk = await control.share("desk")
        cap = (home / "control.cap").read_text().splitlines()[-1]
        designator = cap.removeprefix("ocapn://").partition(".")[0]
        there = PeerLocator.make("tls", designator, dict(desk.peer.hints))

        with pytest.raises(captp.Unreachable), trio.fail_after(LONGEST_S):
            await TlsNetlayer(PrivateKey.from_seed(bytes(32))).dial(there)


async def test_advertise_goes_into_sturdyrefs(home: Path) -> None:
    more = {"CAPTPD_OBJECTS__DESK__CLASS": TILL}
    async with (
        running(home, "--advertise", "a.home.arpa:7711", **more) as daemon,
        daemon.control() as control,
    ):
        shared = await control.share("desk")

    assert (shared.peer.hint("host"), shared.peer.hint("port")) == ("a.home.arpa", "7711")


async def test_the_insecure_netlayer_works_and_is_named_insecure(home: Path) -> None:
    more = {
        "CAPTPD_LISTEN__TLS": "",
        "CAPTPD_VAT__MAIN__TCP_TESTING_ONLY": "127.0.0.1:0",
        "CAPTPD_OBJECTS__DESK__CLASS": TILL,
    }
    async with running(home, **more) as daemon, daemon.control() as control:
        shared = await control.share("desk")
        human = await trio.to_thread.run_sync(captpd, home, "status")

        assert shared.peer.transport == "tcp-testing-only"
        assert await call(shared, "add", 4) == 4
        assert "tcp-testing-only (insecure) 127.0.0.1:" in daemon.ready
        assert "insecure" in human.stdout


async def test_a_remembered_object_that_cannot_be_made_again_keeps_no_other_away(home: Path) -> None:
    async with running(home, CAPTPD_OBJECTS__DESK__CLASS=TILL) as daemon, daemon.control() as control:
        await control.new(TILL, "till")
        desk = await control.share("desk")
        till = await control.share("till")

    text = (home / "sturdyrefs.json").read_text()
    replaced = json.loads(text)
    replaced["objects"]["till"]["class"] = "daemon_shop:Gone"
    (home / "sturdyrefs.json").write_text(json.dumps(replaced))
    async with running(home, CAPTPD_OBJECTS__DESK__CLASS=TILL) as daemon, daemon.control() as control:
        problems = {row["name"]: row["problem"] for row in await control.ls()}

        assert problems["desk"] == ""
        assert "there is no Gone in daemon_shop" in problems["till"]
        assert await call(desk, "add", 1) == 1
        with pytest.raises(captp.Refused, match="cannot be shared"):
            await control.share("till")

    (home / "sturdyrefs.json").write_text(text)
    async with running(home) as daemon:
        assert await call(till, "add", 1) == 1


async def test_ready_and_stopping_are_told_to_the_service_manager(home: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        async with running(home, NOTIFY_SOCKET=str(tmp_path / "notify")) as daemon:
            with trio.fail_after(LONGEST_S):
                await trio.lowlevel.wait_readable(manager)
            assert manager.recv(100) == b"READY=1"

            await daemon.end()
            assert manager.recv(100) == b"STOPPING=1"


async def test_share_may_be_sent_before_new_is_answered(home: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        made = control.new(TILL, "till")
        shared = control.share("till")

        assert await call(await shared, "add", 1) == 1
        assert (await made)["name"] == "till"


async def test_two_new_objects_of_one_name_at_once_make_one(home: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        first, second = control.new(TILL, "till"), control.new(TILL, "till")

        assert (await first)["name"] == "till"
        with pytest.raises(captp.Refused, match="there is an object till already"):
            await second


async def test_no_secret_reaches_standard_output_or_the_log(home: Path) -> None:
    more = {"CAPTPD_DAEMON__LOG_LEVEL": "debug", "CAPTPD_OBJECTS__DESK__CLASS": TILL}
    async with running(home, **more) as daemon, daemon.control() as control:
        shared = await control.share("desk")
        with pytest.raises(captp.RemoteFault):
            await call(shared, "fail", f"cannot use {shared.reveal()}")
        await daemon.wait_for_log(b"turn failed")
        await daemon.end()
        secret = shared.reveal().partition("/s/")[2].partition("?")[0]

        assert secret.encode() not in daemon.log
        assert secret not in daemon.ready
        (failed,) = [line for line in daemon.log_lines() if line["event"] == "turn failed"]
        assert failed["level"] == "error"
        assert failed["method"] == "Till.fail"
        assert "RuntimeError: cannot use ocapn://" in failed["exception"]
        assert "/s/****" in failed["exception"]
