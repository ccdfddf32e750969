"""The words of ``captp call`` and what they mean: steps, arguments, JSON in and out; no network."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any, Final, final

from attrs import define, field

from captp.cli.problems import usage
from captp.model.locator import SturdyRef
from captp.model.promise import Reference
from captp.model.values import Fault, Null, Symbol, Tagged

__all__ = ["Step", "parse_steps", "to_json"]

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_KEYWORD: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)?(:?=)(.*)", re.DOTALL)


@final
@define
class Step:
    """One call: of the target, or of what the step before will give."""

    method: str
    args: list[Any] = field(factory=list)
    kwargs: dict[str, Any] = field(factory=dict)


def parse_steps(method: str, words: tuple[str, ...]) -> list[Step]:
    """Read ``METHOD [ARG ...] [./METHOD [ARG ...] ...]``; raises Failure that names the word.

    ``text`` and ``key=text`` are text, ``:=json`` and ``key:=json`` are JSON.
    """
    steps = [_step(method, method)]
    for word in words:
        if _SURROGATE.search(word):
            raise usage(f"{word!a} is not UTF-8; bytes cannot be given as arguments")
        if word.startswith("./"):
            steps.append(_step(word[2:], word))
        else:
            _argue(steps[-1], word)
    return steps


def _step(method: str, word: str) -> Step:
    if not _NAME.fullmatch(method):
        raise usage(
            f"{word!r} is no method name; expected letters, digits and _, and ./ before the methods that"
            " follow the first"
        )
    return Step(method)


def _argue(step: Step, word: str) -> None:
    match = _KEYWORD.fullmatch(word)
    if match is None or (match[1] is None and match[2] == "="):
        step.args.append(word)
        return
    name, sign, text = match.groups()
    value = text if sign == "=" else _parse(text, name or "")
    if name is None:
        step.args.append(value)
    elif name in step.kwargs:
        raise usage(f"{step.method}: {name} is given twice")
    else:
        step.kwargs[name] = value


def _parse(text: str, name: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as problem:
        plain = f"{name}={text}" if name else text
        raise usage(
            f"{name}:={text} is not JSON ({problem})\nfor text write {plain}; JSON text has quotes:"
            f" '{name}:=\"…\"'"
        ) from None


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def to_json(value: Any) -> str:
    """Write a result as one line of JSON; what JSON lacks becomes an object with one ``$`` key."""
    text = json.dumps(_plain(value), ensure_ascii=False)
    # A peer chose the text; nothing in it shall steer the terminal.
    return text if text.isprintable() else json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"$float": str(value)}
        case tuple():
            return [_plain(v) for v in value]
        case dict():
            return {k: _plain(v) for k, v in value.items()}
        case bytes():
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        case Null():
            return {"$null": True}
        case Symbol():
            return {"$symbol": value.name}
        case Tagged():
            return {"$tagged": [value.tag, _plain(value.value)]}
        case Fault():
            return {"$fault": value.message}
        case SturdyRef():
            return {"$sturdyref": str(value)}
        case Reference():
            return {"$reference": "far"}
    raise AssertionError(f"{type(value).__name__} is not passable")
