"""Which modules a daemon may import: names and ``.*`` patterns; it imports nothing itself."""

from __future__ import annotations

__all__ = ["is_allowed", "not_allowed"]


def is_allowed(module: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether an allow-list names a module, itself or by a ``.*`` above it."""
    return any(module.startswith(p.removesuffix("*")) if p.endswith(".*") else module == p for p in patterns)


def not_allowed(class_path: str, patterns: tuple[str, ...]) -> str:
    """Say that a class may not be hosted, and which key would allow it."""
    module = class_path.partition(":")[0]
    listed = ", ".join(patterns) or "empty"
    return (
        f"class {class_path} is not allowed: module {module} is not on the daemon's allow-list"
        f" ({listed}); if you trust that code, add it to [daemon] allow in the daemon's configuration"
    )
