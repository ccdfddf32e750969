"""The one place that compiles source: text made from a class's own names, once per class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

#: The file that the functions made here name as theirs.
GENERATED: Final = "<captp generated>"


def compile_functions(source: str, names: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    """Compile function definitions with ``names`` as their globals; return those defined.

    ``names`` is used as it is, so a name that is set in it later is seen by the functions.

    The caller guarantees that ``source`` holds identifiers of a class statement and nothing that
    came over a wire.
    """
    before = {*names, "__builtins__"}
    exec(compile(source, GENERATED, "exec"), names)  # noqa: S102
    return {k: v for k, v in names.items() if k not in before}
