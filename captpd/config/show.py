"""A configuration as TOML again, with the origin of each value beside it if wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from captpd.config.load import Loaded
from captpd.config.schema import FLAT_SECTIONS, keys_of

__all__ = ["to_toml"]


def to_toml(loaded: Loaded, *, with_origins: bool = False) -> str:
    """Write every value that holds, defaults included."""
    config, origins = loaded.config, loaded.origins if with_origins else {}
    sections = {name: getattr(config, name) for name in FLAT_SECTIONS}
    named = {
        **{f"vat.{name}": vat for name, vat in config.vats.items()},
        **{f"objects.{name}": hosted for name, hosted in config.objects.items()},
    }
    tables = [_table(header, body, origins) for header, body in {**sections, **named}.items()]
    return "\n".join(tables)


def _table(header: str, record: Any, origins: Mapping[str, str]) -> str:
    return "".join(f"{line}\n" for line in (f"[{header}]", *_lines(header, record, origins)))


def _lines(header: str, record: Any, origins: Mapping[str, str]) -> Iterator[str]:
    for key, attribute in keys_of(type(record)).items():
        line = f"{key} = {_literal(getattr(record, attribute.name))}"
        origin = origins.get(f"{header}.{key}")
        yield f"{line:<40}  # {origin}" if origin else line


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    # JSON spells a string as TOML does, but for DEL, which it leaves as it is.
    text = "" if value is None else str(value)
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
