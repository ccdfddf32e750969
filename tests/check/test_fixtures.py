"""Each program in ``fixtures`` is reported at the lines that say so, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from captp.check import check

FIXTURES = Path(__file__).parent / "fixtures"
#: Each is a file, or a folder with several; Python may have compiled some.
PROGRAMS = sorted(
    path
    for path in FIXTURES.iterdir()
    if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
)


def sources(program: Path) -> dict[str, str]:
    files = [program] if program.suffix == ".py" else sorted(program.rglob("*.py"))
    return {str(file.relative_to(FIXTURES)): file.read_text() for file in files}


def expected(texts: dict[str, str]) -> set[tuple[str, int, str]]:
    """Return what ``# expect:`` comments say; one that stands alone is for the next line."""
    found = set()
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if says := re.search(r"# expect: ([\w, ]+)", line):
                alone = line.strip().startswith("#")
                found |= {(path, number + alone, code) for code in re.findall(r"CAP\d+", says[1])}
    return found


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_it_is_reported_where_it_says_so(program: Path) -> None:
    texts = sources(program)

    found = {(f.place.path, f.place.line, f.code) for f in check(texts)}

    assert found == expected(texts)


def test_there_are_enough() -> None:
    positive = [program for program in PROGRAMS if expected(sources(program))]

    assert len(positive) >= 60
    assert len(PROGRAMS) - len(positive) >= 60
