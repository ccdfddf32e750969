"""Modules that capabilities may reach, wherever they import what makes some."""

from __future__ import annotations

import pytest

from captp.check.relevance import relevant
from captp.check.sources import parse

CAPS = "import captp\nPeople = captp.Cap('People', list)\n"


@pytest.mark.parametrize(
    "text",
    [
        "import caps",
        "def f():\n    from caps import People",
        "try:\n    import fast\nexcept ImportError:\n    import caps",
        "try:\n    import fast\nfinally:\n    import caps",
        "for i in ():\n    pass\nelse:\n    import caps",
        "match 1:\n    case 1:\n        import caps",
        "class C:\n    with open('x'):\n        import caps",
    ],
)
def test_an_import_counts_wherever_it_stands(text: str) -> None:
    sources = parse(
        {"caps.py": CAPS, "one.py": text, "two.py": "import one", "plain.py": "x = 1"}, on_disk=False
    )

    assert relevant(sources) == {"caps", "one", "two"}
