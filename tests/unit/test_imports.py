"""What an import loads, and what no file of the project may contain."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import captp

ROOT = Path(captp.__file__).parents[1]
SOURCES = sorted(p for package in ("captp", "captpd") for p in (ROOT / package).rglob("*.py"))
PURE_ROOMS = ("model", "custody", "wire", "session", "vat", "peer")
EVENT_LOOPS = ("trio", "asyncio", "anyio", "socket", "select", "threading", "logging")


def loaded_by(statement: str, names: tuple[str, ...]) -> set[str]:
    """Run one statement in a fresh interpreter; return which of ``names`` it loaded."""
    code = f"import sys; before = set(sys.modules); {statement}\nprint(*(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    tops = {name.split(".")[0] for name in done.stdout.split()}
    return tops & set(names)


@pytest.mark.parametrize(
    "statement",
    [
        "import captp",
        "import captp.version; captp.version.__version__",
        "import captp; captp.__version__",
        "import captp; captp.Interface; captp.Object; captp.List; captp.E; captp.Refused; captp.Limits",
        "import captp; dir(captp)",
    ],
)
def test_looking_at_the_package_loads_neither_trio_nor_cryptography(statement: str) -> None:
    assert loaded_by(statement, ("trio", "cryptography", "OpenSSL", "msgpack", "asyncio")) == set()


def test_the_version_command_loads_neither_trio_nor_cryptography() -> None:
    statement = (
        "from captp.cli.main import main; sys.argv = ['captp', '--version']\n"
        "try: main()\nexcept SystemExit: pass\n"
    )  # fmt: skip

    assert loaded_by(statement, ("trio", "cryptography", "OpenSSL")) == set()


def test_importing_the_engine_loads_no_event_loop() -> None:
    assert loaded_by("import captp.peer", ("trio",)) == set()
    assert loaded_by("import captp.peer.peer", ("trio", "anyio", "asyncio")) == set()


def test_no_module_of_a_pure_room_loads_trio() -> None:
    modules = [
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for p in SOURCES
        if p.relative_to(ROOT).parts[0] == "captp" and p.relative_to(ROOT).parts[1] in PURE_ROOMS
    ]

    assert len(modules) > 30
    assert loaded_by("import " + ", ".join(modules), ("trio", "anyio")) == set()


@pytest.mark.parametrize("module", EVENT_LOOPS)
def test_no_pure_room_names_what_does_io(module: str) -> None:
    named = []
    for path in SOURCES:
        parts = path.relative_to(ROOT).parts
        if parts[0] != "captp" or parts[1] not in PURE_ROOMS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            named += [(*parts, module) for name in names if name.split(".")[0] == module]

    # A capsule is bound to a thread, and has to know which runs.
    assert {*named} <= {("captp", "custody", "strand.py", "threading")}


@pytest.mark.parametrize(
    "word", [r"\bpickle\b", r"\bmarshal\b", r"\beval\(", r"\b__import__\(", r"\bshelve\b"]
)
def test_no_source_mentions_what_runs_foreign_bytes(word: str) -> None:
    assert [str(p) for p in SOURCES if re.search(word, p.read_text())] == []


def test_exec_is_called_in_exactly_one_module() -> None:
    callers = [p.relative_to(ROOT).as_posix() for p in SOURCES if re.search(r"\bexec\(", p.read_text())]

    assert callers == ["captp/model/codegen.py"]


def test_no_call_of_compile_eval_or_exec_hides_behind_another_name() -> None:
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name) and node.id in ("exec", "eval", "compile"):
                found.add((path.relative_to(ROOT).as_posix(), node.id))

    assert found == {("captp/model/codegen.py", "exec"), ("captp/model/codegen.py", "compile")}


def test_the_sources_were_found() -> None:
    assert len(SOURCES) > 60
