"""The façade: each public name resolves, and is imported for type checkers from the very same home."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import captp

TREE = ast.parse(Path(captp.__file__).read_text())


def typed_names() -> dict[str, str]:
    """Return what the ``TYPE_CHECKING`` block imports: name to module."""
    (block,) = [
        node
        for node in TREE.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    found: dict[str, str] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.module is not None
        for alias in node.names:
            assert alias.asname == alias.name, f"{alias.name} is not re-exported"
            assert alias.name not in found, f"{alias.name} is imported twice"
            found[alias.name] = node.module
    return found


def lazy_names() -> dict[str, str]:
    """Return what the façade loads at first use: name to module."""
    (homes,) = [
        node.value
        for node in TREE.body
        if isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["_HOMES"]
    ]
    table: dict[str, str] = ast.literal_eval(homes)
    pairs = [(name, home) for home, names in table.items() for name in names.split()]
    assert len(pairs) == len(dict(pairs)), "a name has two homes"
    return dict(pairs)


def test_type_checkers_and_programs_see_the_same_names_from_the_same_homes() -> None:
    assert typed_names() == lazy_names()


@pytest.mark.parametrize("name", captp.__all__)
def test_each_public_name_resolves_to_what_its_home_defines(name: str) -> None:
    value = getattr(captp, name)

    home = lazy_names().get(name)
    if home is not None:
        assert value is getattr(importlib.import_module(home), name)
        assert getattr(value, "__module__", home).partition(".")[0] == "captp"
    assert getattr(captp, name) is value


def test_all_is_sorted_complete_and_what_dir_shows() -> None:
    assert set(captp.__all__) == {*lazy_names(), "__version__"}
    assert len(captp.__all__) == len(set(captp.__all__))
    assert set(captp.__all__) <= set(dir(captp))


def test_everything_can_be_imported_with_a_star() -> None:
    names: dict[str, object] = {}
    module = importlib.import_module("captp")

    for name in module.__all__:
        names[name] = getattr(module, name)

    assert names.keys() == set(captp.__all__)


@pytest.mark.parametrize("name", ["nothing", "_HOMES_", "open_vats", "Purse"])
def test_a_name_that_is_not_public_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'captp' has no attribute '{name}'"):
        getattr(captp, name)


def test_every_error_that_a_program_may_meet_is_public() -> None:
    from captp import errors

    internal = {"LocalProtocolError", "RemoteProtocolError", "ProtocolError", "DecodeError", "LimitExceeded"}
    internal |= {"InvariantBroken"}
    raised = {n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, errors.Error)}

    assert raised - internal - set(captp.__all__) == set()
