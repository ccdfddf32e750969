"""What captpd says when something is wrong: whole messages, and the exit codes that go with them."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

import captp
from captpd.config.places import StateFolder
from tests.e2e.daemons import captpd, free_port, matches, running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Make an initialised state folder whose daemon listens at a free port."""
    path = tmp_path / "state"
    assert captpd(path, "init", "--listen", f"127.0.0.1:{free_port()}").returncode == 0
    return path


def says(done: subprocess.CompletedProcess[str], code: int, golden: str) -> None:
    assert matches(done.stderr, golden), done.stderr
    assert done.stdout == ""
    assert done.returncode == code


def test_init_says_what_it_wrote_and_what_comes_next(tmp_path: Path) -> None:
    home = tmp_path / "state"

    done = captpd(home, "init")

    assert matches(
        done.stdout,
        f"""\
wrote state folder   {home} (0700)
wrote configuration  {home}/captpd.toml
wrote identity       {home}/identity.key (0600)
vat main is <any>
next: captpd run""",
    ), done.stdout
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "identity.key").stat().st_mode & 0o777 == 0o600


def test_a_second_init_changes_nothing_and_says_so(home: Path) -> None:
    before = {path.name: path.read_bytes() for path in home.iterdir()}

    done = captpd(home, "init", "--listen", "127.0.0.1:1")

    assert matches(
        done.stdout,
        f"""\
nothing changed: {home} is initialised already
the flags were not applied: edit {home}/captpd.toml
vat main is <any>
next: captpd run""",
    ), done.stdout
    assert done.returncode == 0
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


@pytest.mark.parametrize("verb", ["status", "stop"])
def test_not_running(home: Path, verb: str) -> None:
    says(
        captpd(home, verb),
        6,
        f"captpd: the daemon is not running (state folder {home}); start it: captpd run",
    )


async def test_not_running_any_more(home: Path) -> None:
    async with running(home) as daemon:
        await daemon.end()

    assert (home / "control.cap").exists()
    says(
        captpd(home, "status"),
        6,
        f"captpd: the daemon is not running (state folder {home}); start it: captpd run",
    )


def test_run_before_init(tmp_path: Path) -> None:
    home = tmp_path / "state"

    says(
        captpd(home, "run"),
        7,
        f"captpd: there is no configuration {home}/captpd.toml yet; make one: captpd init",
    )
    says(
        captpd(home, "run", "--state", str(tmp_path / "else")),
        7,
        f"captpd: there is no configuration {tmp_path}/else/captpd.toml yet; make one:"
        f" captpd init --state {tmp_path}/else",
    )


def test_run_without_identity(home: Path) -> None:
    (home / "identity.key").unlink()

    says(
        captpd(home, "run"), 2, f"captpd: {home} holds no identity yet; make one: captpd init --state {home}"
    )


def test_port_in_use_names_address_holder_and_setting(home: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        done = captpd(home, "run", "--listen", f"127.0.0.1:{port}")

    says(
        done,
        3,
        f"captpd: cannot listen at 127.0.0.1:{port}: port {port} is in use by <any> (pid <any>);"
        " stop that, or choose another port (set in [listen] tls)",
    )


def test_insecure_netlayer_on_a_public_address(home: Path) -> None:
    done = captpd(home, "run", CAPTPD_VAT__MAIN__TCP_TESTING_ONLY="0.0.0.0:0")

    says(
        done,
        3,
        "captpd: tcp-testing-only has no encryption and proves no key, and '0.0.0.0' is not loopback;"
        " use the netlayer tls<any> (set in [vat.main] tcp_testing_only)",
    )


async def test_second_daemon_on_one_state_folder(home: Path) -> None:
    async with running(home) as daemon:
        says(
            captpd(home, "run"),
            2,
            f"captpd: another captpd runs on {home} (pid {daemon.process.pid}); stop it: captpd stop"
            f" --state {home}, or use another state folder: --state DIR",
        )


async def test_class_not_allowed(home: Path) -> None:
    async with running(home) as daemon, daemon.control() as control:
        with pytest.raises(captp.Refused) as refused:
            await control.new("os.path:join", "door")

    assert str(refused.value) == (
        "class os.path:join is not allowed: module os.path is not on the daemon's allow-list"
        " (daemon_shop, daemon_slow, captp.examples.*); if you trust that code, add it to [daemon] allow"
        " in the daemon's configuration"
    )


def test_class_of_the_configuration_not_allowed(home: Path) -> None:
    says(
        captpd(home, "run", CAPTPD_OBJECTS__DOOR__CLASS="shelf.door:Door"),
        7,
        "captpd: environment CAPTPD_OBJECTS__DOOR__CLASS: class shelf.door:Door is not allowed: module"
        " shelf.door is not on the daemon's allow-list (daemon_shop, daemon_slow, captp.examples.*);"
        " if you trust that code, add it to [daemon] allow in the daemon's configuration",
    )


@pytest.mark.parametrize(
    ("class_path", "golden"),
    [
        (
            "daemon_shop:Needy",
            (
                "[objects.it] class: class daemon_shop:Needy: Needy() failed: TypeError: Needy.owner needs a"
                " value: pass owner=... to the constructor, or give it a default"
            ),
        ),
        (
            "daemon_shop:Faulty",
            "[objects.it] class: class daemon_shop:Faulty: Faulty() failed: ValueError: no luck",
        ),
        (
            "daemon_shop:Missing",
            (
                "[objects.it] class: class daemon_shop:Missing: there is no Missing in daemon_shop; name a"
                " class that derives from captp.Object"
            ),
        ),
        (
            "daemon_shop:NOT_A_CLASS",
            (
                "[objects.it] class: class daemon_shop:NOT_A_CLASS: it is no captp.Object; name a class that"
                " derives from captp.Object"
            ),
        ),
        (
            "captp.examples.nothing:Here",
            (
                "[objects.it] class: class captp.examples.nothing:Here: the daemon's Python has no module"
                " captp.examples.nothing; install it there, or add its folder to PYTHONPATH (python: <any>)"
            ),
        ),
    ],
)
def test_class_that_cannot_be_hosted(home: Path, class_path: str, golden: str) -> None:
    says(captpd(home, "run", CAPTPD_OBJECTS__IT__CLASS=class_path), 7, f"captpd: {golden}")


def test_typo_in_the_configuration(home: Path) -> None:
    file = home / "captpd.toml"
    file.write_text(file.read_text().replace("tls =", "tsl ="))

    says(
        captpd(home, "run"),
        7,
        f"captpd: {file}: [listen] tsl: there is no such key; did you mean tls?",
    )
    says(
        captpd(home, "config", "check", str(file)),
        7,
        f"captpd: {file}: [listen] tsl: there is no such key; did you mean tls?",
    )


@pytest.mark.parametrize(("name", "fix"), [("", "700"), ("identity.key", "600"), ("sturdyrefs.json", "600")])
async def test_loose_permissions_are_refused_with_the_fix(home: Path, name: str, fix: str) -> None:
    async with running(home):
        pass
    path = home / name if name else home
    path.chmod(path.stat().st_mode | 0o044)
    mode = path.stat().st_mode & 0o777

    says(
        captpd(home, "run"),
        2,
        f"captpd: {path} is open to others (mode {mode:o}), and whoever reads it can take this daemon's"
        f" place; close it: chmod {fix} {path}",
    )


def test_damaged_secrets_are_told_without_their_contents(home: Path) -> None:
    (home / "sturdyrefs.json").touch(0o600)
    (home / "sturdyrefs.json").write_text('{"format": 1, "control": "c2VjcmV0"')
    says(captpd(home, "run"), 2, f"captpd: {home}/sturdyrefs.json is damaged: restore it from a backup,<any>")

    (home / "identity.key").write_text("0123456789abcdef\n")
    says(captpd(home, "run"), 2, f"captpd: {home}/identity.key is damaged: expected one line of 64 hex<any>")


def test_a_state_folder_whose_socket_path_is_too_long_is_refused(tmp_path: Path) -> None:
    home = tmp_path / ("x" * 100)

    done = captpd(home, "init")

    assert not home.exists()
    says(
        done,
        2,
        f"captpd: {StateFolder(home).control_socket} is too long a path for a socket (107 bytes at most);"
        " choose a state folder with a shorter one: --state DIR",
    )


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    says(captpd(tmp_path / "file", "init"), 1, f"captpd: {tmp_path}/file/<any>: Not a directory")


def test_usage(home: Path) -> None:
    says(
        captpd(home, "rnu"),
        2,
        'captpd: Unknown command "rnu". Did you mean "run"? Available commands: <any>\n'
        "captpd --help says what there is",
    )
    says(
        captpd(home, "init", "--listen", "localhost"),
        2,
        'captpd: --listen: expected "HOST:PORT", as "127.0.0.1:7711", got \'localhost\'',
    )


def test_help_and_version_load_neither_trio_nor_cryptography(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from captpd.cli.main import main\n"
        "for words in (['--help'], ['--version'], ['run', '--help']):\n"
        "    try:\n"
        "        main(words)\n"
        "    except SystemExit as done:\n"
        "        assert done.code == 0, done.code\n"
        "heavy = {'trio', 'cryptography', 'OpenSSL', 'structlog', 'msgpack'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "Usage: captpd COMMAND" in done.stdout


def test_config_show_tells_the_origin_of_each_value(home: Path) -> None:
    done = captpd(home, "config", "show", "--origin", CAPTPD_DAEMON__DRAIN_S="2")

    lines = {line.partition(" = ")[0]: line for line in done.stdout.splitlines() if " = " in line}
    assert lines["state"].endswith("# default ($CAPTPD_HOME)")
    assert lines["allow"].endswith("# environment CAPTPD_DAEMON__ALLOW")
    assert lines["drain_s"].startswith("drain_s = 2.0 ")
    assert lines["tls"].endswith(f"# file {home}/captpd.toml")
    assert lines["depth"].endswith("# default")
