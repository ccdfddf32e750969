"""What one configuration value may be, and how it reads from TOML and from text; knows no keys."""

from __future__ import annotations

import json
import math
import re
import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final, NewType, final

from attrs import frozen

__all__ = ["Address", "ClassPath", "Kind", "Misfit", "ModulePattern", "kind_of", "shown"]

ClassPath = NewType("ClassPath", str)
ModulePattern = NewType("ModulePattern", str)

SHOWN_CHARS: Final = 60

_MODULE: Final = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"
_CLASS_PATH: Final = re.compile(rf"{_MODULE}:[A-Za-z_][A-Za-z0-9_]*")
_PATTERN: Final = re.compile(rf"{_MODULE}(\.\*)?")
_ADDRESS: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>[0-9]{1,5})")
_TOML_NAMES: Final = {
    str: "string",
    int: "integer",
    float: "float",
    bool: "boolean",
    list: "list",
    dict: "table",
    date: "date",
    time: "time",
    datetime: "date and time",
}


class Misfit(Exception):
    """A value is not of its kind; ``step`` leads into a list, as in ``[1]``."""

    def __init__(self, expected: str, value: object, step: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.value = value
        self.step = step


@final
@frozen
class Address:
    """A host and a TCP port; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@final
@frozen
class Kind:
    """One kind of value: how people call it, how TOML spells it, and how plain text does."""

    expected: str
    read: Callable[[Any], Any]
    from_text: Callable[[str], Any] = str


def kind_of(annotation: Any) -> Kind:
    """Return the kind of a field's annotation; every annotation of the schema has one."""
    known = _KINDS.get(annotation)
    if known is not None:
        return known
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return _choice(args)
    if origin is types.UnionType:
        return _or_nothing(kind_of(args[0]))
    assert origin is tuple, annotation
    return _list_of(kind_of(args[0]))


def shown(value: object) -> str:
    """Describe a value for an error text, cut to a readable length."""
    name = _TOML_NAMES.get(type(value), type(value).__name__)
    if isinstance(value, list | dict):
        return f"a {name}"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return f"{name} {text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + '…'}"


def _matching(pattern: re.Pattern[str], expected: str) -> Kind:
    def read(value: object) -> str:
        if type(value) is not str or not pattern.fullmatch(value):
            raise Misfit(expected, value)
        return value

    return Kind(expected, read)


def _read_address(value: object) -> Address:
    match = _ADDRESS.fullmatch(value) if type(value) is str else None
    if match is None or int(match["port"]) > 65535:
        raise Misfit(_ADDRESS_FORM, value)
    return Address(match["v6"] or match["host"], int(match["port"]))


def _read_text(value: object) -> str:
    if type(value) is not str or not value:
        raise Misfit("a name", value)
    return value


def _read_path(value: object) -> Path:
    if type(value) is not str or not value or "\0" in value:
        raise Misfit("the path of a folder", value)
    return Path(value).expanduser()


def _read_flag(value: object) -> bool:
    if type(value) is not bool:
        raise Misfit(_FLAG_FORM, value)
    return value


def _flag_from_text(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text, text)


def _read_count(value: object) -> int:
    if type(value) is not int or value <= 0:
        raise Misfit(_COUNT_FORM, value)
    return value


def _read_amount(value: object) -> float:
    if (type(value) is not float and type(value) is not int) or not 0 < value < math.inf:
        raise Misfit(_AMOUNT_FORM, value)
    return float(value)


def _number(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def from_text(text: str) -> Any:
        try:
            return parse(text)
        except ValueError:
            return text  # reading it as TOML would then says what was expected

    return from_text


def _choice(choices: tuple[str, ...]) -> Kind:
    expected = "one of " + ", ".join(f'"{c}"' for c in choices)

    def read(value: object) -> str:
        if type(value) is not str or value not in choices:
            raise Misfit(expected, value)
        return value

    return Kind(expected, read)


def _or_nothing(kind: Kind) -> Kind:
    expected = f'{kind.expected}, or "" for none'

    def read(value: object) -> Any:
        if value == "":
            return None
        try:
            return kind.read(value)
        except Misfit:
            raise Misfit(expected, value) from None

    return Kind(expected, read, kind.from_text)


def _list_of(kind: Kind) -> Kind:
    expected = f"a list, each {kind.expected}"

    def read(value: object) -> tuple[Any, ...]:
        if type(value) is not list:
            raise Misfit(expected, value)
        items = []
        for index, item in enumerate(value):
            try:
                items.append(kind.read(item))
            except Misfit as problem:
                raise Misfit(problem.expected, item, f"[{index}]") from None
        return tuple(items)

    def from_text(text: str) -> list[Any]:
        return [kind.from_text(part.strip()) for part in text.split(",") if part.strip()]

    return Kind(expected, read, from_text)


_ADDRESS_FORM: Final = '"HOST:PORT", as "127.0.0.1:7711"'
_FLAG_FORM: Final = "true or false"
_COUNT_FORM: Final = "a whole number above 0"
_AMOUNT_FORM: Final = "a number above 0"

_KINDS: Final[dict[Any, Kind]] = {
    str: Kind("a name", _read_text),
    bool: Kind(_FLAG_FORM, _read_flag, _flag_from_text),
    int: Kind(_COUNT_FORM, _read_count, _number(int)),
    float: Kind(_AMOUNT_FORM, _read_amount, _number(float)),
    Path: Kind("the path of a folder", _read_path),
    Address: Kind(_ADDRESS_FORM, _read_address),
    ClassPath: _matching(_CLASS_PATH, '"module:Class"'),
    ModulePattern: _matching(_PATTERN, 'a module, as "shop.till", or all below one, as "shop.*"'),
}
