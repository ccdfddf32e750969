"""What the captp command says when something is in the way: one message, where, and what to do."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import captp.sync
from captp.lib.control import Control
from captp.model.keys import PrivateKey
from captp.model.locator import PeerLocator, SturdyRef, parse_sturdyref, write_cap_file
from captp.net._tls_identity import certificate_of
from tests.e2e.cli_host import Host, make_host
from tests.e2e.daemons import environment, free_port, matches

BANK = "captp.examples.bank:Vault"
TILL = "daemon_shop:Till"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A daemon with a bank and a till."""
    made = make_host(tmp_path_factory.mktemp("errors"))
    with made.daemon():
        for path, name in ((BANK, "bank"), (TILL, "till")):
            assert made.captp("new", path, "--name", name).returncode == 0
            assert made.captp("share", name).returncode == 0
        yield made


def sturdyref(host: Host, name: str = "bank") -> SturdyRef:
    return parse_sturdyref((host.folder / f"{name}.cap").read_text().splitlines()[-1])


def save(host: Host, name: str, found: SturdyRef) -> None:
    path = host.folder / name
    path.touch(mode=0o600)
    path.write_text(write_cap_file(found))


def check(done: subprocess.CompletedProcess[str], code: int, golden: str) -> None:
    assert done.stdout == ""
    assert matches(done.stderr, golden), done.stderr
    assert done.returncode == code


def test_the_daemon_is_not_running_and_was_never_made(tmp_path: Path) -> None:
    for words in (("ls",), ("new", BANK, "--name", "bank"), ("share", "bank"), ("call", "bank", "open")):
        check(
            Host(tmp_path).captp(*words),
            6,
            f"captp: the daemon is not running (state folder {tmp_path}/state)\n"
            "start it: captpd init, then captpd run; or say where it is with CAPTPD_HOME or CAPTP_CONTROL",
        )


def test_the_daemon_is_not_running_any_more(tmp_path: Path) -> None:
    host = make_host(tmp_path)
    with host.daemon() as process:
        process.kill()
        process.wait()

    check(
        host.captp("ls"),
        6,
        f"captp: the daemon is not running (state folder {tmp_path}/state)\n"
        "start it: captpd run; or say where it is with CAPTPD_HOME or CAPTP_CONTROL",
    )


def test_nobody_listens_where_the_sturdyref_leads(host: Host) -> None:
    found = sturdyref(host)
    port = str(free_port())
    moved = PeerLocator.make("tls", found.peer.designator, {**dict(found.peer.hints), "port": port})
    save(host, "moved.cap", SturdyRef(moved, found.swiss))

    check(
        host.captp("call", "moved.cap", "open", "ada"),
        3,
        f"captp: moved.cap: nobody listens at 127.0.0.1:{port}; is the daemon running there? (captpd status)",
    )


def test_somebody_else_answers_with_another_key(host: Host, tmp_path: Path) -> None:
    eve = PrivateKey.from_seed(b"e" * 32)
    found = sturdyref(host)
    with impostor(eve, tmp_path) as port:
        there = PeerLocator.make("tls", found.peer.designator, {"host": "127.0.0.1", "port": str(port)})
        save(host, "stolen.cap", SturdyRef(there, found.swiss))
        done = host.captp("call", "stolen.cap", "open", "ada")

    check(
        done,
        3,
        f"captp: stolen.cap: somebody else answered at 127.0.0.1:{port}: expected"
        f" {found.peer.designator[:8]}…, got {eve.public.designator[:8]}…; check the sturdyref or ask its"
        " owner for a new one",
    )


@contextmanager
def impostor(key: PrivateKey, folder: Path) -> Iterator[int]:
    """A TLS listener that shows ``key``, whomever the dialler wants."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secret = Ed25519PrivateKey.from_private_bytes(key.seed()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = folder / "eve.pem"
    pem.write_bytes(secret + certificate_of(key).public_bytes(serialization.Encoding.PEM))
    context.load_cert_chain(pem)
    started, ports, tokens = threading.Event(), [], []

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()

    async def serve() -> None:
        with trio.CancelScope() as scope:
            listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
            ports.append(listeners[0].transport_listener.socket.getsockname()[1])
            tokens.append((trio.lowlevel.current_trio_token(), scope))
            started.set()
            await trio.serve_listeners(answer, listeners)

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert started.wait(10)
    try:
        yield ports[0]
    finally:
        ((token, scope),) = tokens
        token.run_sync_soon(scope.cancel)
        thread.join(10)


def test_a_swiss_number_that_is_unknown(host: Host) -> None:
    save(host, "old.cap", SturdyRef(sturdyref(host).peer, b"?" * 32))

    check(
        host.captp("call", "old.cap", "open", "ada", "./balance"),
        4,
        "captp: old.cap: no-such-object: there is no such object, or it is not for you\n"
        "the sturdyref may be old or withdrawn: ask its owner for a new one",
    )


def test_an_argument_that_cannot_cross_is_told_with_its_path(host: Host) -> None:
    deep = "[" * 61 + "]" * 61
    check(
        host.captp("call", "bank", "open", "ada", "./deposit", f'amount:={{"a":[1,{deep}]}}'),
        2,
        f"captp: bank ./deposit: amount.a[1]{'[0]' * 59}: nested deeper than 61 levels, or a cycle: send a"
        " flat form",
    )


def test_an_argument_of_the_wrong_type_is_told_with_its_name(host: Host) -> None:
    check(
        host.captp("call", "bank", "open", "ada", "./deposit", "amount=5"),
        1,
        "captp: bank ./deposit: amount: expected int, got str\n"
        "arguments are text; give numbers, lists and true as JSON: amount:=100",
    )


def test_a_method_that_says_no(host: Host) -> None:
    check(
        host.captp("call", "bank", "open", "ada", "./withdraw", "amount:=5"),
        1,
        "captp: bank ./withdraw: refused: amount must be from 1 to 0",
    )


def test_a_method_that_fails(host: Host) -> None:
    check(
        host.captp("call", "till", "fail", "out of luck"),
        1,
        "captp: till fail: RuntimeError: out of luck\nthe log of its daemon may say more",
    )


def test_the_first_broken_step_of_a_chain_is_named(host: Host) -> None:
    check(
        host.captp("call", "bank", "open", "ada", "./close", "./balance", "./more"),
        1,
        "captp: bank ./close: there is no such method\n"
        "methods are those that its class marks with @captp.method; ask its owner",
    )


def test_an_answer_that_does_not_come_in_time(host: Host) -> None:
    check(
        host.captp("call", "till", "slow", ":=20.0", "--timeout", "0.3"),
        5,
        "captp: till did not answer within 0.3 s; --timeout SECONDS gives it longer",
    )


def test_a_class_that_is_not_allowed_is_told_as_the_daemon_tells_it(host: Host) -> None:
    check(
        host.captp("new", "os:path", "--name", "evil"),
        4,
        "captp: class os:path is not allowed: module os is not on the daemon's allow-list (<any>); if you"
        " trust that code, add it to [daemon] allow in the daemon's configuration",
    )


def test_a_name_that_is_taken_and_one_that_is_unknown(host: Host) -> None:
    check(
        host.captp("new", BANK, "--name", "bank"),
        4,
        "captp: there is an object bank already; choose another name",
    )
    check(host.captp("share", "bnk"), 4, "captp: there is no object 'bnk'; there are: bank, till")
    check(host.captp("call", "bnk", "open"), 4, "captp: there is no object 'bnk'; there are: bank, till")


def test_files_that_are_no_sturdyref(host: Host) -> None:
    check(
        host.captp("call", "missing.cap", "open"),
        2,
        "captp: missing.cap cannot be read (No such file or directory): give an ocapn:// URI or a .cap file",
    )
    (host.folder / "loose.cap").write_text((host.folder / "bank.cap").read_text())
    (host.folder / "loose.cap").chmod(0o644)
    check(
        host.captp("call", "loose.cap", "open"),
        2,
        "captp: loose.cap can be read by others: a sturdyref is a password; chmod 600 it",
    )
    check(
        host.captp("call", "-", "open", stdin=""),
        2,
        "captp: a cap file holds exactly one sturdyref URI; this one has 0",
    )


def test_a_mistyped_sturdyref_is_not_repeated(host: Host) -> None:
    uri = sturdyref(host).reveal().replace("/s/", "/S/")
    done = host.captp("call", uri, "open", "-q")

    assert done.returncode == 2
    assert uri.partition("/S/")[2][:20] not in done.stderr


def test_an_interrupt_ends_a_call_with_130_and_no_traceback(host: Host) -> None:
    with (
        captp.sync.connect(host.home / "control.cap", Control) as control,
        subprocess.Popen(
            [sys.executable, "-m", "captp", "call", "till", "slow", ":=20.0"],
            env=environment(host.home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        wait_for_a_call(control)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (130, "", "captp: interrupted\n")


def wait_for_a_call(control: Control) -> None:
    """Wait until the daemon's tables have a call that is not answered yet."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        sessions = captp.sync.result(control.tables())["main"]
        if any(session["answers"].get("open") for session in sessions):
            return
    raise AssertionError("nobody called")
