"""Every Python block of the README and the docs runs, beside a daemon that shares what the pages share."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: A block with options is run by the test of its own page.
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(page, i, body) for page in PAGES for i, body in enumerate(BLOCK.findall(page.read_text()))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ``bank.cap`` in it, and the daemon behind that."""
    here = tmp_path_factory.mktemp("docs")
    environment = {**os.environ, "CAPTPD_HOME": str(here / "state")}

    def captpd(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "captpd", *arguments]

    def captp(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "captp", *arguments]

    def run(command: list[str]) -> None:
        subprocess.run(command, check=True, cwd=here, env=environment, capture_output=True, timeout=60)

    run(captpd("init", "--listen", "127.0.0.1:0"))
    with subprocess.Popen(
        captpd("run"), cwd=here, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as daemon:
        try:
            assert daemon.stdout is not None
            assert b"ready" in daemon.stdout.readline()
            run(captp("new", "captp.examples.bank:Vault", "--name", "bank"))
            run(captp("share", "bank", "--out", "bank.cap"))
            yield here
        finally:
            daemon.terminate()


@pytest.mark.parametrize(
    ("page", "number", "body"), BLOCKS, ids=[f"{p.relative_to(ROOT)}-{i}" for p, i, _ in BLOCKS]
)
def test_the_block_runs(page: Path, number: int, body: str, folder: Path) -> None:
    script = folder / f"{page.stem}_{number}.py"
    script.write_text(body)

    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr


#: Fragments of the changelog are lines of a list, not pages.
READ = [p for p in PAGES[1:] if "." not in p.stem]


@pytest.mark.parametrize("page", READ, ids=[str(p.relative_to(ROOT)) for p in READ])
def test_a_page_says_who_it_is_for_and_has_one_sentence_per_line(page: Path) -> None:
    text = page.read_text()

    assert re.search(r"^For: ", text, re.MULTILINE), "the page does not say who it is for"
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in prose.splitlines():
        if not line.startswith(("|", "#", "-", " ", "**")):
            assert not re.search(r"[a-z]\. [A-Z]", line), f"two sentences on one line: {line}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"
