"""What the command prints and ends with, in each format, with baselines and with what cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from captp.check import check
from captp.check.codes import CODES, explain
from captp.check.sarif import as_sarif
from captp.cli.main import main

PROGRAM = """\
import captp

People = captp.Cap("People", list[str])


def insert(name):
    with People.mut() as people:
        people.append(name)


def start():
    insert("ada")


start()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "town.py"
    file.write_text(PROGRAM)
    return file


def test_text_has_the_way_from_the_root_to_the_access(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["check", str(program)])

    assert code == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{program}:15:1: CAP303 People.mut is needed and nothing binds it (town -> start() -> insert())",
        f"    {program}:15:1: calls start()",
        f"    {program}:12:5: calls insert()",
        f"    {program}:7:10: People.mut is borrowed",
        "    fix: put it inside `with captp.bind(People.mut(...)):`",
        "1 finding",
    ]


def test_a_clean_program_ends_with_0(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program.write_text("print(1)\n")

    assert main(["check", str(program)]) == 0
    assert capsys.readouterr().out == "0 findings\n"


@pytest.mark.parametrize("words", [[], ["nowhere.py"], ["--explain", "CAP999"], ["--format", "xml", "."]])
def test_a_wrong_command_line_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    assert capsys.readouterr().err


def test_json_has_what_the_page_says(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(program), "--format", "json"]) == 1

    whole = json.loads(capsys.readouterr().out)
    (finding,) = whole["findings"]
    assert whole["version"] == 1
    assert (finding["code"], finding["line"], finding["function"]) == ("CAP303", 15, "<module>")
    assert [part["line"] for part in finding["related"]] == [15, 12, 7]


def test_sarif_has_a_rule_and_a_flow_for_each_result() -> None:
    log = json.loads(as_sarif(check({"town.py": PROGRAM})))

    (run,) = log["runs"]
    (result,) = run["results"]
    rules = run["tool"]["driver"]["rules"]
    flow = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert log["version"] == "2.1.0"
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "CAP303"
    assert [place["location"]["physicalLocation"]["region"]["startLine"] for place in flow] == [15, 12, 7]
    assert lines_of(log) >= {7, 12, 15}


def lines_of(part: Any) -> set[int]:
    if isinstance(part, dict):
        own = {part["startLine"]} if "startLine" in part else set()
        return own.union(*map(lines_of, part.values()))
    return set().union(*map(lines_of, part)) if isinstance(part, list) else set()


def test_a_baseline_leaves_out_what_is_known_though_its_lines_move(program: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.json"

    assert main(["check", str(program), "--write-baseline", str(known)]) == 0
    program.write_text("# a comment\n" + PROGRAM)
    assert main(["check", str(program), "--baseline", str(known)]) == 0
    program.write_text(PROGRAM + "start()\n")
    assert main(["check", str(program), "--baseline", str(known)]) == 1


def test_a_file_that_is_no_baseline_ends_with_2(program: Path) -> None:
    assert main(["check", str(program), "--baseline", str(program)]) == 2


def test_what_cannot_be_parsed_is_a_finding_beside_the_others() -> None:
    found = check({"bad.py": "def main(:\n", "town.py": PROGRAM})

    assert [(f.code, f.place.path) for f in found] == [("CAP003", "bad.py"), ("CAP303", "town.py")]


@pytest.mark.parametrize("code", CODES)
def test_each_code_explains_itself(code: str) -> None:
    text = explain(code)

    assert text.startswith(f"{code}: ")
    assert "Wrong:" in text
    assert "Right:" in text


def test_it_loads_neither_trio_nor_openssl(program: Path) -> None:
    script = (
        "import sys; from captp.cli.main import main; code = main(['check', sys.argv[1]]);"
        "print(code, sorted({'trio', 'OpenSSL'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(program)], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "1 []"
