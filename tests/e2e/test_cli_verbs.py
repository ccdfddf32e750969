"""``captp new``, ``share``, ``ls`` and ``call`` against a daemon, as people use them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli_host import Host, make_host
from tests.e2e.daemons import environment

BANK = "captp.examples.bank:Vault"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A daemon with a bank, and bank.cap beside it."""
    made = make_host(tmp_path_factory.mktemp("verbs"))
    with made.daemon():
        assert made.captp("new", BANK, "--name", "bank").returncode == 0
        assert made.captp("share", "bank", "-q").returncode == 0
        yield made


def secret_of(host: Host) -> str:
    return (host.folder / "bank.cap").read_text().partition("/s/")[2].partition("?")[0]


def test_new_tells_what_was_made_and_what_to_do_next(host: Host) -> None:
    done = host.captp("new", BANK, "--name", "told")

    assert (done.returncode, done.stdout) == (0, "told  Bank  vat main  in memory\n")
    assert done.stderr == "next: captp share told, or captp call told METHOD\n"


def test_new_as_json_is_one_object_and_no_notes_are_needed(host: Host) -> None:
    done = host.captp("new", BANK, "--name", "as-json", "--json", "-q")

    found = json.loads(done.stdout)
    assert (found["name"], found["class"], found["interface"]) == ("as-json", BANK, "Bank")
    assert done.stderr == ""


def test_ls_is_a_table_and_shows_no_sturdyref(host: Host) -> None:
    done = host.captp("ls")

    title, *rows = done.stdout.splitlines()
    assert title.split() == ["name", "interface", "class", "vat", "state"]
    assert ["bank", "Bank", BANK, "main", "in", "memory"] in [row.split() for row in rows]
    assert secret_of(host) not in done.stdout + host.captp("ls", "--json").stdout


def test_ls_as_json_is_a_list_of_objects(host: Host) -> None:
    rows = json.loads(host.captp("ls", "--json").stdout)

    assert "bank" in [row["name"] for row in rows]


def test_trustees_is_a_table_of_the_loops_of_all_vats(host: Host) -> None:
    assert host.captp("call", "bank", "open", "busy", "./deposit", "amount:=1").returncode == 0
    done = host.captp("trustees")

    title, *rows = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert title.split() == [
        *("vat", "trustee", "load", "busy", "turns", "turns/s", "zero-hop", "waiting"),
        *("most", "longest-wait", "longest-batch", "longest-hold", "overloads"),
    ]
    assert [row.split()[:2] for row in rows] == [["main", "loop"], ["control", "loop"]]
    assert secret_of(host) not in done.stdout


def test_trustees_as_json_is_a_list_with_figures_that_grow(host: Host) -> None:
    before, control = json.loads(host.captp("trustees", "--json").stdout)
    host.captp("call", "bank", "open", "busy", "./deposit", "amount:=1")
    after, _ = json.loads(host.captp("trustees", "--json", "-q").stdout)

    assert (before["vat"], before["trustee"], control["vat"]) == ("main", "loop", "control")
    assert after["turns"] - before["turns"] == 2
    assert after["batches"] > before["batches"]
    assert 0 < after["busy_s"] - before["busy_s"] < after["age_s"] - before["age_s"]
    assert (after["depth"], after["zero_hop"]) == (0, 0)


def test_gc_is_a_table_of_all_vats(host: Host) -> None:
    done = host.captp("gc")

    title, *rows = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert title.split()[:4] == ["vat", "peers", "exports", "in-use"]
    assert [row.split()[0] for row in rows] == ["main", "control"]
    assert secret_of(host) not in done.stdout


def test_gc_as_json_is_a_list_with_figures(host: Host) -> None:
    main, control = json.loads(host.captp("gc", "--json", "-q").stdout)

    assert (main["vat"], control["vat"], main["enabled"], main["fault"]) == ("main", "control", True, "")
    assert (main["suspects_now"], main["collected_lately"]) == ([], [])


def test_why_tells_of_a_name_a_file_and_an_id_and_shows_no_sturdyref(host: Host) -> None:
    by_name = host.captp("why", "bank")
    number = by_name.stdout.partition(" ")[0]

    assert (by_name.returncode, by_name.stderr) == (0, "")
    first, second = by_name.stdout.splitlines()
    assert first.endswith("Vault: it is in use in this vat")
    assert second == f"  the sturdyref bank -> Vault {number}"
    assert host.captp("why", number).stdout == by_name.stdout
    assert host.captp("why", "bank.cap").stdout == by_name.stdout
    text = (host.folder / "bank.cap").read_text()
    assert host.captp("why", "-", stdin=text).stdout == by_name.stdout
    told = json.loads(host.captp("why", "bank", "--json").stdout)
    assert (told["id"], told["type"], told["state"]) == (number, "Vault", "rooted")
    assert secret_of(host) not in by_name.stdout + json.dumps(told)


def test_why_refuses_what_is_not_there(host: Host) -> None:
    unknown, gone = host.captp("why", "nobody"), host.captp("why", "main:o9999")

    assert (unknown.returncode, gone.returncode) == (4, 4)
    assert "there is no object 'nobody'" in unknown.stderr
    assert "nothing is known of main:o9999" in gone.stderr


def test_share_writes_a_file_for_its_owner_alone_and_shows_no_secret(host: Host) -> None:
    done = host.captp("share", "bank", "--out", "given.cap")

    path = host.folder / "given.cap"
    assert (done.returncode, done.stdout) == (0, "given.cap\n")
    assert done.stderr == "give the file to whoever shall have the object; it is a password (mode 0600)\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == (host.folder / "bank.cap").read_text()


def test_share_is_private_whatever_the_umask_says(host: Host) -> None:
    before = os.umask(0)
    try:
        assert host.captp("share", "bank", "--out", "open.cap").returncode == 0
    finally:
        os.umask(before)

    assert stat.S_IMODE((host.folder / "open.cap").stat().st_mode) == 0o600


def test_share_twice_is_fine_and_never_writes_over_something_else(host: Host) -> None:
    (host.folder / "mine.txt").write_text("precious")

    assert host.captp("share", "bank").returncode == 0
    done = host.captp("share", "bank", "--out", "mine.txt")

    assert done.returncode == 2
    assert done.stderr == (
        "captp: mine.txt is there already and holds something else\n"
        "choose another name with --out, or remove it\n"
    )
    assert (host.folder / "mine.txt").read_text() == "precious"


def test_share_follows_no_link_and_names_a_place_it_cannot_write(host: Host) -> None:
    (host.folder / "link.cap").symlink_to("elsewhere.cap")

    assert host.captp("share", "bank", "--out", "link.cap").returncode == 2
    assert not (host.folder / "elsewhere.cap").exists()
    done = host.captp("share", "bank", "--out", "no/such/place.cap")
    assert done.returncode == 2
    assert "cannot write no/such/place.cap: No such file or directory" in done.stderr


def test_share_show_prints_the_sturdyref_and_writes_nothing(host: Host) -> None:
    before = sorted(host.folder.iterdir())
    done = host.captp("share", "bank", "--show", "-q")

    assert done.stdout == (host.folder / "bank.cap").read_text().splitlines()[-1] + "\n"
    assert sorted(host.folder.iterdir()) == before


def test_share_as_json_tells_the_file_and_no_secret_unless_asked(host: Host) -> None:
    told = json.loads(host.captp("share", "bank", "--json").stdout)
    shown = json.loads(host.captp("share", "bank", "--json", "--show").stdout)

    assert told == {"name": "bank", "file": "bank.cap"}
    assert set(shown) == {"name", "sturdyref"}


def test_a_chain_of_calls_gives_the_last_result(host: Host) -> None:
    done = host.captp("call", "bank.cap", "open", "owner=ada", "./deposit", "amount:=100")

    assert (done.returncode, done.stdout, done.stderr) == (0, "100\n", "")


def test_the_target_is_a_name_a_file_or_standard_input(host: Host) -> None:
    words = ("open", "eve", "./balance")

    assert host.captp("call", "bank", *words).stdout == "0\n"
    assert host.captp("call", "./bank.cap", *words).stdout == "0\n"
    text = (host.folder / "bank.cap").read_text()
    assert host.captp("call", "-", *words, stdin=text).stdout == "0\n"
    assert host.captp("call", "-", *words, stdin=text.splitlines()[-1]).stdout == "0\n"


def test_a_sturdyref_in_the_command_line_works_and_is_warned_of(host: Host) -> None:
    uri = (host.folder / "bank.cap").read_text().splitlines()[-1]
    done = host.captp("call", uri, "open", "eve", "./balance")

    assert (done.returncode, done.stdout) == (0, "0\n")
    assert done.stderr == (
        "warning: a sturdyref is a password, and other users see command lines (ps) and your shell keeps"
        " them\nput it in a file (chmod 600) and give its path, or give - and paste it\n"
    )
    assert host.captp("call", uri, "open", "eve", "./balance", "-q").stderr == ""


def test_a_reference_as_result_is_told_as_such(host: Host) -> None:
    done = host.captp("call", "bank", "open", "ada")

    assert json.loads(done.stdout) == {"$reference": "far"}
    assert done.stderr == "the reference ends with this command; go on with ./METHOD\n"


def test_results_of_all_kinds_are_json(host: Host) -> None:
    host.captp("call", "bank", "open", "kinds", "./deposit", ":=1")

    assert host.captp("call", "bank", "open", "kinds", "./history").stdout == '["deposit 1"]\n'


def test_the_daemon_is_found_by_its_control_file_too(host: Host, tmp_path: Path) -> None:
    elsewhere = {"CAPTPD_HOME": str(tmp_path), "CAPTP_CONTROL": str(host.home / "control.cap")}
    by_xdg = {"CAPTPD_HOME": "", "XDG_STATE_HOME": str(host.folder)}
    (host.folder / "captpd").symlink_to(host.home)

    assert "bank" in host.captp("ls", **elsewhere).stdout
    assert "bank" in host.captp("ls", **by_xdg).stdout


def test_who_reads_no_further_is_no_error(host: Host) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "captp", "ls"],
            env=environment(host.home),
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(write_end)

    assert (done.returncode, done.stderr) == (0, "")
