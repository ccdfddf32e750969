"""Which classes are hosted: nothing is imported that the allow-list does not name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import captp
from captpd.config.allow import is_allowed
from captpd.daemon.classes import HostingError, load_class


@pytest.mark.parametrize(
    ("module", "patterns", "allowed"),
    [
        ("shop", ("shop",), True),
        ("shop.till", ("shop",), False),
        ("shop", ("shop.*",), False),
        ("shop.till", ("shop.*",), True),
        ("shop.till.keys", ("shop.*",), True),
        ("shopping.till", ("shop.*",), False),
        ("shopping", ("shop",), False),
        ("shop", (), False),
        ("b", ("a", "b"), True),
    ],
)
def test_the_allow_list(module: str, patterns: tuple[str, ...], allowed: bool) -> None:
    assert is_allowed(module, patterns) is allowed


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a package whose modules say when they are imported."""
    package = tmp_path / "captpd_test_shelf"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "door.py").write_text(
        "import captp\n"
        "class Way(captp.Interface):\n    pass\n"
        "class Gate(captp.Interface):\n    pass\n"
        "class Door(captp.Object, Way):\n    pass\n"
        "def __getattr__(name):\n    return Door\n"
    )
    (package / "bad.py").write_text("raise SystemExit('bye')\n")
    (package / "lacking.py").write_text("import captpd_test_no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [n for n in sys.modules if n.startswith("captpd_test_shelf")]:
        del sys.modules[name]


def test_a_module_that_is_not_allowed_is_not_imported(shelf: Path) -> None:
    with pytest.raises(HostingError, match=r"add it to \[daemon\] allow"):
        load_class("captpd_test_shelf.door:Door", ("captpd_test_shelf.window",))

    assert "captpd_test_shelf" not in sys.modules


def test_an_allowed_class_is_loaded(shelf: Path) -> None:
    found = load_class("captpd_test_shelf.door:Door", ("captpd_test_shelf.*",))

    assert issubclass(found, captp.Object)


@pytest.mark.parametrize(
    ("class_path", "said"),
    [
        ("captpd_test_shelf.door:Window", "there is no Window in captpd_test_shelf.door"),
        ("captpd_test_shelf.door:captp", "it is no captp.Object"),
        (
            "captpd_test_shelf.door:Way",
            "it is an interface, how others see an object; name the class of the object: Door",
        ),
        (
            "captpd_test_shelf.door:Gate",
            "it is an interface, how others see an object; name the class of the object",
        ),
        ("captpd_test_shelf.door:Door.x", "is no class path"),
        ("captpd_test_shelf..door:Door", "is no class path"),
        ("captpd_test_shelf.door", "is no class path"),
        ("captpd_test_shelf.gone:Door", "has no module captpd_test_shelf.gone"),
        ("captpd_test_shelf.bad:Door", "importing captpd_test_shelf.bad failed: SystemExit: bye"),
        (
            "captpd_test_shelf.lacking:Door",
            (
                "importing captpd_test_shelf.lacking failed: ModuleNotFoundError: No module named"
                " 'captpd_test_no_such_module'"
            ),
        ),
    ],
)
def test_what_is_said_when_a_class_cannot_be_loaded(shelf: Path, class_path: str, said: str) -> None:
    with pytest.raises(HostingError) as raised:
        load_class(class_path, ("captpd_test_shelf.*",))

    assert said in str(raised.value)
