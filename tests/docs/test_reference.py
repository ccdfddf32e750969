"""What is not documented is not public: the reference pages have every name, option and number there is."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import shlex
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from cyclopts import App

import captp
from captp import errors
from captp.cli.main import VERBS
from captp.limits import Limits
from captp.model.faults import from_wire, portable, to_wire
from captp.peer import care, router
from captp.peer.cycles.view import CyclesView
from captp.peer.load import LoopStats
from captp.peer.view import SessionView, VatView
from captp.session import releases
from captp.wire import canonical, native
from captp.wire.ops import OP_NAMES, Desc, Kind
from captpd.cli.main import app as captpd_app
from captpd.config.schema import keys_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
SOURCES = sorted((ROOT / "captp").rglob("*.py"))


def page(name: str) -> str:
    return (DOCS / name).read_text()


API, ERRORS, LIMITS, WIRE = (page(f"reference/{name}.md") for name in ("api", "errors", "limits", "wire"))
CONTAINER = page("how-to/container.md")


def sections(text: str) -> dict[str, str]:
    """Return what stands below the headings of a page, by each name that a heading has in backticks."""
    found: dict[str, str] = {}
    for heading, body in re.findall(r"^###? ([^\n]*)\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL):
        for name in re.findall(r"`(\w+)`", heading):
            assert name not in found, f"{name} has two headings"
            found[name] = heading + "\n" + body
    return found


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of every row of a page's tables, by the first cell."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {cells[0].strip().strip("`"): [c.strip() for c in cells] for cells in lines}


def has_word(text: str, word: str) -> bool:
    """Whether a word stands in code: in backticks, or in a block."""
    code = re.findall(r"`[^`\n]+`", text) + re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    return any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", part) for part in code)


# Names.


API_SECTIONS = sections(API)
CLASSES = [n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, errors.Error)]
#: Those with pages of their own aside.
OWN = [n for n in captp.__all__ if n not in (*CLASSES, "Limits", "Cycles", "NULL", "__version__")]


def test_each_public_name_has_a_heading_and_no_other_name_has_one() -> None:
    assert sorted(API_SECTIONS) == sorted(captp.__all__)


VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def members(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a class adds to Python's own, and a function itself."""
    if typing.get_origin(thing) is not None:
        return  # a name for annotations
    if not inspect.isclass(thing):
        yield thing.__name__, thing
        return
    builtin = {name for base in (list, dict, set) if issubclass(thing, base) for name in dir(base)} - {"copy"}
    for name in set(vars(thing)) - builtin:
        if not name.startswith("_"):
            yield name, getattr(thing, name)


@pytest.mark.parametrize("name", OWN)
def test_the_section_of_a_name_has_its_members_and_their_parameters(name: str) -> None:
    section = API_SECTIONS[name]
    for member, value in members(getattr(captp, name)):
        assert has_word(section, member), f"{name}.{member} is not in its section"
        if inspect.isroutine(value) and name != "method":  # a decorator, which is not called by name
            for parameter in inspect.signature(value).parameters.values():
                if parameter.name != "self" and parameter.kind not in VARIABLE:
                    assert has_word(section, parameter.name), f"{name}.{member}: no word of {parameter.name}"


@pytest.mark.parametrize("record", [VatView, SessionView, LoopStats, CyclesView])
def test_the_section_of_a_live_vat_says_what_view_gives(record: type) -> None:
    for field in fields(record):
        assert has_word(API_SECTIONS["LiveVat"], field.name), f"{record.__name__}.{field.name}"


def test_each_module_that_the_page_names_has_what_it_says() -> None:
    for module, name in re.findall(r"`(captp\.net\.\w+)\.(\w+)\(", API):
        assert callable(getattr(importlib.import_module(module), name))


# Errors.


ERROR_SECTIONS = sections(ERRORS)


def test_each_error_class_has_a_heading_and_no_other_name_has_one() -> None:
    assert sorted(ERROR_SECTIONS) == sorted(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_the_section_of_an_error_says_what_it_crosses_as(name: str) -> None:
    arrived = from_wire(to_wire(portable(getattr(errors, name)("text"))))

    assert f"Crosses as `{type(arrived).__name__}`, kind `{arrived.kind}`" in ERROR_SECTIONS[name]
    is_internal = "\nInternal.\n" in ERROR_SECTIONS[name]
    assert is_internal == (name not in captp.__all__)


# Limits.


LIMIT_ROWS = rows(LIMITS)
READ = {
    field.name
    for field in fields(Limits)
    if any(re.search(rf"limits\.{field.name}\b", path.read_text()) for path in SOURCES)
}


@pytest.mark.parametrize("field", fields(Limits), ids=lambda f: f.name)
def test_each_limit_has_a_row_with_its_default_and_says_whether_it_is_enforced(field: Any) -> None:
    _, default, stops, over = LIMIT_ROWS[field.name]

    value, _, unit = default.partition(" ")
    assert float(value) == field.default
    assert unit
    assert (unit == "s") == field.name.endswith("_s")
    assert stops
    assert over
    assert over.startswith("not enforced yet") == (field.name not in READ)


def test_no_limit_is_documented_that_is_none() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", LIMITS, re.MULTILINE))

    assert named == {field.name for field in fields(Limits)}
    assert set(keys_of(Limits)) == READ, "the daemon offers exactly the limits that are read"


# The wire.


def test_each_operation_has_a_row_with_its_opcode() -> None:
    section = WIRE.partition("\n## Operations\n")[2].partition("\n## ")[0]
    numbered = re.findall(r"^\| (\d+) \| `([\w:-]+)` \|", section, re.MULTILINE)
    found = {int(code): name for code, name in numbered}

    assert found == OP_NAMES
    for code in found:
        assert f"| `[{code}, " in section


def test_each_ext_type_has_a_row_with_its_number() -> None:
    exts = {v: n.removeprefix("EXT_").lower() for n, v in vars(native).items() if n.startswith("EXT_")}
    exts |= {int(kind): kind.name.lower().replace("_", "-") for kind in Kind if kind is not Kind.UNKNOWN}

    section = WIRE.partition("\n| ext | name |")[2].partition("\n\n")[0]
    numbered = re.findall(r"^\| (\d+) \| ([\w-]+) \|", section, re.MULTILINE)
    assert {int(number): name for number, name in numbered} == exts


class NoRefs:
    """The session's side of a codec that meets no references."""

    def describe(self, value: object) -> Desc:
        raise AssertionError(value)

    def resolve(self, kind: Kind, position: Any) -> object:
        raise AssertionError((kind, position))


def test_the_bytes_on_the_page_are_those_on_the_wire() -> None:
    codec = native.NativeCodec(NoRefs(), Limits())
    examples = [
        (json.loads(message), bytes.fromhex(written))
        for message, written in re.findall(r"^\| `(\[\d+, .*?\])` \| `([0-9a-f ]+)` \|$", WIRE, re.MULTILINE)
    ]

    assert len(examples) >= 3
    for message, written in examples:
        assert codec.encode(tuple(message)) == written
    assert native.PREAMBLE.hex(" ") in WIRE
    hello = canonical.captp_hello(("tls", "abc", {"exts": "mp1"}), ("mp1",), b"")
    assert f"\n{hello.decode()}\n" in WIRE


@pytest.mark.parametrize(
    "says",
    [
        f"more than {native.FRAME_BYTES} bytes",
        f"comes in {care.DOUBT_S:g} seconds",
        f"waits {router.YIELD_S:g} seconds",
        f"until {releases.RELEASES} answers",
    ],
)
def test_the_page_has_the_constants_of_the_code(says: str) -> None:
    assert says in WIRE


#: Calls that take a code, and as which argument: of what is told to the peer, and of what is not.
TOLD = {
    "RemoteProtocolError": 0,
    "DecodeError": 0,
    "LimitExceeded": 0,
    "abort": 0,
    "_error": 0,
    "read_location": 1,
}
UNTOLD = {"Ended": 0, "end": 1, "_give_up": 0, "given_up": 1, "Hangup": 1}


def codes(calls: dict[str, int]) -> set[str]:
    """Collect the codes that captp gives to these calls; those in variables it cannot see."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                at = calls.get(name, len(node.args))
                found |= {code for code in map(_code, node.args[at : at + 1]) if code}
    return found


def _code(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    text = node.value if isinstance(node, ast.Constant) else ""
    code = text.partition(":")[0] if isinstance(text, str) else ""
    return code if re.fullmatch(r"[a-z-]+", code) else ""


def test_each_abort_code_has_a_row_and_each_row_is_a_code() -> None:
    codes_section = WIRE.partition("\n## Abort codes\n")[2]
    told, _, untold = codes_section.partition("\nThese ends are not told")
    row = re.compile(r"^\| `([a-z-]+)` \|", re.MULTILINE)
    sent = {*codes(TOLD), router.CROSSED, router.DUPLICATE}

    assert set(row.findall(told)) == sent
    assert set(row.findall(untold)) == codes(UNTOLD) - sent | {"disconnected"}


# Commands.


def verbs() -> Iterator[tuple[str, App]]:
    for verb in VERBS:
        made = App(name=f"captp {verb}", version_flags=())
        made.default(getattr(importlib.import_module(f"captp.cli.{verb}"), verb))
        yield f"captp {verb}", made
    yield from below("captpd", captpd_app)


def below(path: str, parent: App) -> Iterator[tuple[str, App]]:
    for name in parent:
        if not name.startswith("-"):
            child = parent[name]
            if child.default_command is None:
                yield from below(f"{path} {name}", child)
            else:
                yield f"{path} {name}", child


COMMANDS = dict(verbs())


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_its_options_and_arguments_on_its_page(command: str) -> None:
    program = command.partition(" ")[0]
    text = page(f"reference/{program}.md")
    usage = re.findall(rf"^\| `({command}(?: [^`]*)?)` \|", text, re.MULTILINE)

    assert usage, f"{command} has no row"
    for argument in COMMANDS[command].assemble_argument_collection():
        for name in argument.names:
            assert has_word(text, name), f"{command} {name} is not on the page"
        long = argument.names[0]
        if long.startswith("--") and long not in ("--json", "--quiet", "--timeout"):
            assert has_word(f"`{usage[0]}`", long), f"{command}: its row lacks {long}"


@pytest.mark.parametrize("program", ["captp", "captpd"])
def test_no_command_or_option_is_documented_that_is_none(program: str) -> None:
    text = page(f"reference/{program}.md")
    options = {n for c, a in COMMANDS.items() for g in a.assemble_argument_collection() for n in g.names}

    for found in re.findall(rf"^\| `({program} [^`]*)` \|", text, re.MULTILINE):
        if found != "captp --version":
            assert any(found == c or found.startswith(f"{c} ") for c in COMMANDS), found
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)) <= options | {"--version", "--help"}


# The container.


def test_the_container_page_agrees_with_the_dockerfile_and_the_commands() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    (volume,) = re.findall(r"^VOLUME (\S+)$", dockerfile, re.MULTILINE)
    (port,) = re.findall(r"^EXPOSE (\d+)$", dockerfile, re.MULTILINE)
    (user,) = re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    assert f":{volume} captpd" in CONTAINER
    assert f"-p {port}:{port}" in CONTAINER
    assert f"USER {user}\n" in CONTAINER
    assert re.findall(r"--interval=(\d+)s", dockerfile) == re.findall(r"every (\d+) seconds", CONTAINER)

    blocks = "\n".join(re.findall(r"^```text\n(.*?)^```$", CONTAINER, re.MULTILINE | re.DOTALL))
    inside = re.findall(rf":{volume} (captpd .+)$|exec captpd (.+?)(?: > .*)?$", blocks, re.MULTILINE)
    run = [shlex.split(a or b.rstrip(")").partition(" >")[0]) for a, b in inside]
    assert [words[:2] for words in run] == [
        ["captpd", "init"],
        ["captpd", "status"],
        ["captp", "new"],
        ["captp", "share"],
    ]
    for program, command, *words in run:
        COMMANDS[f"{program} {command}"].parse_args(words, exit_on_error=False, print_error=False)


# Links.


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("at", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_each_relative_link_leads_to_a_file_and_a_heading(at: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", at.read_text()):
        if "://" in target:
            continue
        to = (at.parent / target).resolve() if target else at
        assert to.exists(), target
        assert to.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(to.read_text()), f"{target}#{anchor}"


def test_each_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        at = todo.pop()
        if at in seen or at.suffix != ".md":
            continue
        seen.add(at)
        links = re.findall(r"\]\(([^)#\s]+)", at.read_text())
        targets = [(at.parent / link).resolve() for link in links if "://" not in link]
        todo += [p for t in targets for p in (sorted(t.glob("*.md")) if t.is_dir() else [t])]

    # Notes for who changes the code, and lines of the changelog.
    aside = {p for p in PAGES if p.parent.name == "changes"}
    assert {p for p in PAGES if p not in seen} - aside == set()
