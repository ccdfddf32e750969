"""The page of the configuration names every key and no other, and its examples load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from captp.cycles import Cycles
from captp.limits import Limits
from captpd.config.load import load
from captpd.config.schema import FLAT_SECTIONS, NAMED_SECTIONS, keys_of

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/reference/config.md").read_text()


def documented(section: str) -> set[str]:
    """Return the first column of the table under a heading."""
    body = PAGE.partition(f"\n## [{section}]\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([a-z_]+)` \|", body, re.MULTILINE))


@pytest.mark.parametrize("section", [*FLAT_SECTIONS, *NAMED_SECTIONS])
def test_every_key_is_documented_and_no_other(section: str) -> None:
    heading = f"{section}.NAME" if section in NAMED_SECTIONS else section
    keys = keys_of({**FLAT_SECTIONS, **NAMED_SECTIONS}[section])

    assert documented(heading) == set(keys)


@pytest.mark.parametrize(("section", "record"), [("limits", Limits), ("cycles", Cycles)])
def test_documented_defaults_are_the_defaults(section: str, record: type) -> None:
    body = PAGE.partition(f"\n## [{section}]\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| ([0-9.]+|true) \|", body, re.MULTILINE)

    assert {k: float(v.replace("true", "1")) for k, v in rows} == {
        k: a.default for k, a in keys_of(record).items()
    }


def test_every_limit_that_can_be_set_is_read_somewhere() -> None:
    sources = [p.read_text() for p in (ROOT / "captp").rglob("*.py") if p.name != "limits.py"]
    code = "\n".join(sources)

    keys = [*keys_of(Limits), *keys_of(Cycles)]
    unread = [k for k in keys if not re.search(rf"\.{k}\b", code)]

    assert unread == []


def test_the_examples_of_the_page_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        (tmp_path / "c.toml").write_text(block)
        load(tmp_path / "c.toml", environ={})
