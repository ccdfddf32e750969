"""Configurations: which value holds, where it came from, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captp.cycles import Cycles
from captp.limits import Limits
from captpd.config.kinds import Address
from captpd.config.load import Flag, Loaded, load
from captpd.config.problems import ConfigError
from captpd.config.show import to_toml

ADDRESS_FORM = '"HOST:PORT", as "127.0.0.1:7711"'
HOME = {"CAPTPD_HOME": "/var/lib/here"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "captpd.toml"


def of(file: Path, text: str, **environ: str) -> Loaded:
    file.write_text(text)
    return load(file, environ={**HOME, **environ})


def problem(file: Path, text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as raised:
        of(file, text, **environ)
    return str(raised.value).replace(str(file), "FILE")


def test_an_empty_file_gives_the_defaults_and_one_vat(file: Path) -> None:
    loaded = of(file, "")

    config = loaded.config
    assert config.daemon.state == Path("/var/lib/here")
    assert config.daemon.allow == ()
    assert config.listen.tls == (Address("127.0.0.1", 7711),)
    assert config.limits == Limits()
    assert config.cycles == Cycles()
    assert list(config.vats) == ["main"]
    assert set(loaded.origins.values()) == {"default", "default ($CAPTPD_HOME)"}


def test_flags_win_over_environment_over_file_over_default(file: Path) -> None:
    file.write_text('[daemon]\nlog = "json"\nlog_level = "debug"\ndrain_s = 1\n')
    environ = {**HOME, "CAPTPD_DAEMON__LOG_LEVEL": "error", "CAPTPD_DAEMON__DRAIN_S": "2"}
    flags = {("daemon", "drain_s"): Flag("--drain", 3)}

    loaded = load(file, environ=environ, flags=flags)

    daemon = loaded.config.daemon
    assert (daemon.log, daemon.log_level, daemon.drain_s, daemon.allow) == ("json", "error", 3.0, ())
    assert {key: loaded.origins[f"daemon.{key}"] for key in ("log", "log_level", "drain_s", "allow")} == {
        "log": f"file {file}",
        "log_level": "environment CAPTPD_DAEMON__LOG_LEVEL",
        "drain_s": "flag --drain",
        "allow": "default",
    }


def test_named_sections_come_from_file_and_environment(file: Path) -> None:
    text = '[daemon]\nallow = ["shop.*"]\n[vat.a]\n[objects.till]\nclass = "shop.till:Till"\n'
    loaded = of(file, text, CAPTPD_VAT__B__TCP_TESTING_ONLY="127.0.0.1:9", CAPTPD_OBJECTS__TILL__VAT="b")

    assert list(loaded.config.vats) == ["a", "b"]
    assert loaded.config.default_vat == "a"
    assert loaded.config.objects["till"].class_ == "shop.till:Till"
    assert loaded.config.objects["till"].vat == "b"
    assert loaded.origins["objects.till.vat"] == "environment CAPTPD_OBJECTS__TILL__VAT"


def test_an_object_that_names_no_vat_lives_in_the_first(file: Path) -> None:
    text = '[daemon]\nallow = ["shop"]\n[vat.z]\n[vat.a]\n[objects.till]\nclass = "shop:Till"\n'

    assert of(file, text).config.objects["till"].vat == "z"


def test_a_relative_state_folder_is_relative_to_its_file(file: Path) -> None:
    assert of(file, '[daemon]\nstate = "state"\n').config.daemon.state == file.parent / "state"


def test_the_collector_is_set_by_file_and_environment(file: Path) -> None:
    loaded = of(file, "[cycles]\nage = 5\nenabled = true\nbatch = 3\n", CAPTPD_CYCLES__ENABLED="false")

    assert loaded.config.cycles == Cycles(age=5.0, batch=3, enabled=False)
    assert loaded.origins["cycles.enabled"] == "environment CAPTPD_CYCLES__ENABLED"
    assert loaded.origins["cycles.tick"] == "default"


@pytest.mark.parametrize(
    ("environ", "folder", "origin"),
    [
        ({"CAPTPD_HOME": "/h", "XDG_STATE_HOME": "/x"}, "/h", "default ($CAPTPD_HOME)"),
        ({"XDG_STATE_HOME": "/x"}, "/x/captpd", "default ($XDG_STATE_HOME)"),
        ({"XDG_STATE_HOME": "relative"}, "~/.local/state/captpd", "default"),
        ({}, "~/.local/state/captpd", "default"),
    ],
)
def test_the_default_state_folder(environ: dict[str, str], folder: str, origin: str) -> None:
    loaded = load(None, environ=environ)

    assert loaded.config.daemon.state == Path(folder).expanduser()
    assert loaded.origins["daemon.state"] == origin


def test_variables_that_name_no_key_of_ours_are_left_alone(file: Path) -> None:
    of(file, "", CAPTPD_HOME="/h", CAPTPD_SOMETHING="x", OTHER__DAEMON__LOG="x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[listen]\ntsl = []", "FILE: [listen] tsl: there is no such key; did you mean tls?"),
        (
            "[vat.a]\ntcp_testing = 1",
            "FILE: [vat.a] tcp_testing: there is no such key; did you mean tcp_testing_only?",
        ),
        (
            "[limits]\nmesage_bytes = 1",
            "FILE: [limits] mesage_bytes: there is no such key; did you mean message_bytes?",
        ),
        ("[listen]\nqqq = 1", "FILE: [listen] qqq: there is no such key; there are: tls, advertise"),
        (
            "[listen]\nallow = []",
            "FILE: [listen] allow: there is no such key here; allow belongs to [daemon]",
        ),
        ("allow = []", "FILE: allow: there is no such key here; allow belongs to [daemon]"),
        ("[lisen]\n", "FILE: [lisen]: there is no such section; did you mean listen?"),
        ("listen = 1", "FILE: [listen]: expected a table, got integer 1"),
        ("[vat]\nmain = 1", "FILE: [vat.main]: expected a table, got integer 1"),
        ("[daemon]\nlog = 1", 'FILE: [daemon] log: expected one of "auto", "text", "json", got integer 1'),
        ('[daemon]\ndrain_s = "1"', 'FILE: [daemon] drain_s: expected a number above 0, got string "1"'),
        ("[daemon]\ndrain_s = true", "FILE: [daemon] drain_s: expected a number above 0, got boolean true"),
        ("[daemon]\ndrain_s = inf", "FILE: [daemon] drain_s: expected a number above 0, got float Infinity"),
        (
            "[daemon]\ndrain_s = 2020-01-01",
            'FILE: [daemon] drain_s: expected a number above 0, got date "2020-01-01"',
        ),
        ("[limits]\ndepth = 0", "FILE: [limits] depth: expected a whole number above 0, got integer 0"),
        ("[limits]\ndepth = 1.5", "FILE: [limits] depth: expected a whole number above 0, got float 1.5"),
        ('[cycles]\nenabled = "yes"', 'FILE: [cycles] enabled: expected true or false, got string "yes"'),
        ("[cycles]\nage = 0", "FILE: [cycles] age: expected a number above 0, got integer 0"),
        ("[cycles]\nhops = 0.5", "FILE: [cycles] hops: expected a whole number above 0, got float 0.5"),
        (
            "[daemon]\nnodes = 1",
            "FILE: [daemon] nodes: there is no such key here; nodes belongs to [limits] and [cycles]",
        ),
        ("[daemon]\nstate = []", "FILE: [daemon] state: expected the path of a folder, got a list"),
        (
            '[listen]\ntls = "127.0.0.1:1"',
            f'FILE: [listen] tls: expected a list, each {ADDRESS_FORM}, got string "127.0.0.1:1"',
        ),
        (
            '[listen]\ntls = ["a:1", "b:65536"]',
            'FILE: [listen] tls[1]: expected "HOST:PORT", as "127.0.0.1:7711", got string "b:65536"',
        ),
        (
            '[listen]\nadvertise = "here"',
            f'FILE: [listen] advertise: expected {ADDRESS_FORM}, or "" for none, got string "here"',
        ),
        (
            '[listen]\ntls = []\nadvertise = "a:1"',
            "FILE: [listen] advertise: does nothing while [listen] tls is empty; name an address there",
        ),
        (
            '[daemon]\nallow = ["*"]',
            (
                'FILE: [daemon] allow[0]: expected a module, as "shop.till", or all below one, as "shop.*",'
                ' got string "*"'
            ),
        ),
        ("[objects.a]\n", 'FILE: [objects.a] class: is missing; expected "module:Class"'),
        ('[objects.a]\nclass = "x"', 'FILE: [objects.a] class: expected "module:Class", got string "x"'),
        (
            '[objects.a]\nclass = "x:Y"',
            (
                "FILE: [objects.a] class: class x:Y is not allowed: module x is not on the daemon's"
                " allow-list (empty); if you trust that code, add it to [daemon] allow in the daemon's"
                " configuration"
            ),
        ),
        (
            '[daemon]\nallow = ["x"]\n[vat.main]\n[objects.a]\nclass = "x:Y"\nvat = "mian"',
            "FILE: [objects.a] vat: there is no [vat.mian]; did you mean main?",
        ),
        (
            '[vat."a b"]\n',
            "FILE: [vat]: 'a b' is no name; use letters, digits, - and _, 63 at most",
        ),
        (
            "[daemon\n",
            "FILE: is not TOML: Expected ']' at the end of a table declaration (at line 1, column 8)",
        ),
    ],
)
def test_what_is_said_of_a_bad_file(file: Path, text: str, said: str) -> None:
    assert problem(file, text) == said


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CAPTPD_LISTEN__TSL", "a:1", "there is no such key; did you mean tls?"),
        ("CAPTPD_LISEN__TLS", "a:1", "[lisen]: there is no such section; did you mean listen?"),
        ("CAPTPD_VAT__TCP_TESTING_ONLY", "a:1", "expected CAPTPD_VAT__NAME__KEY"),
        ("CAPTPD_LISTEN__A__TLS", "a:1", "expected CAPTPD_LISTEN__KEY"),
        ("CAPTPD_CYCLES__ENABLED", "1", 'expected true or false, got string "1"'),
        ("CAPTPD_LIMITS__DEPTH", "deep", 'expected a whole number above 0, got string "deep"'),
    ],
)
def test_what_is_said_of_a_bad_variable(file: Path, variable: str, value: str, said: str) -> None:
    assert problem(file, "", **{variable: value}) == f"environment {variable}: {said}"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .No such file or directory.$"):
        load(tmp_path / "none.toml", environ=HOME)
    (tmp_path / "latin.toml").write_bytes(b"# \xe4\n")
    with pytest.raises(ConfigError, match=r"is not UTF-8 text; expected TOML$"):
        load(tmp_path / "latin.toml", environ=HOME)


def test_a_long_value_is_cut_in_the_error(file: Path) -> None:
    assert len(problem(file, f'[daemon]\nlog = "{"x" * 5000}"')) < 200


ADDRESSES = st.builds(
    Address, st.sampled_from(["127.0.0.1", "::1", "a.home.arpa"]), st.integers(0, 65535)
).map(str)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda t: "\0" not in t)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "daemon": st.fixed_dictionaries(
            {},
            optional={
                "state": TEXTS.map(lambda t: f"/{t}"),
                "log": st.sampled_from(["auto", "text", "json"]),
                "drain_s": st.floats(0.001, 1e6),
            },
        ),
        "listen": st.fixed_dictionaries(
            {"tls": st.lists(ADDRESSES, min_size=1, max_size=3)}, optional={"advertise": ADDRESSES}
        ),
        "process": st.fixed_dictionaries({"rss_soft_mb": st.integers(1, 99)}),
        "cycles": st.fixed_dictionaries(
            {}, optional={"enabled": st.booleans(), "age": st.floats(0.1, 99), "hops": st.integers(1, 99)}
        ),
        "limits": st.fixed_dictionaries(
            {}, optional={"depth": st.integers(1, 2**62), "ping_dead_s": st.floats(0.1, 99)}
        ),
    },
)


@given(document=DOCUMENTS)
def test_what_config_show_writes_reads_as_the_same_configuration(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, dict[str, Any]]
) -> None:
    flags = {(s, k): Flag("--x", v) for s, body in document.items() for k, v in body.items()}
    first = load(None, environ=HOME, flags=flags)
    shown = tmp_path_factory.mktemp("shown") / "c.toml"

    for with_origins in (False, True):
        shown.write_text(to_toml(first, with_origins=with_origins), encoding="utf-8")

        assert load(shown, environ={}).config == first.config
