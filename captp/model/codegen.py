"""The one place that compiles source: text made from a class's own names, once per class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def compile_functions(source: str, names: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    """Compile function definitions with ``names`` as their globals; return those defined.

    The caller guarantees that ``source`` holds identifiers of a class statement and nothing that
    came over a wire.
    """
    namespace = dict(names)
    exec(compile(source, "<captp generated>", "exec"), namespace)  # noqa: S102
    return {k: v for k, v in namespace.items() if k not in names and k != "__builtins__"}
