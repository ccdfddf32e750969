"""Operations with a field too few, too many, or of another kind, one field at a time."""

from __future__ import annotations

from typing import Any

from tests.hostile.node import MARK
from tests.hostile.rows import Row, cases, check, says
from tests.hostile.spell import Sym, export, object_, promise

PING = [Sym("captp:ping")]

#: What an operation's fields are when they are right; each is replaced by what its kind is not.
RIGHT: dict[str, dict[str, list[Any]]] = {
    "syrup": {
        "op:deliver": [export(1), PING, False, False],
        "op:deliver-only": [export(1), PING],
        "op:listen": [export(1), object_(1), False],
        "op:get": [export(1), "name", 1],
        "op:index": [export(1), 0, 1],
        "op:untag": [export(1), "tag", 1],
        "op:gc-exports": [[1], [1]],
        "op:gc-export": [[1], [1]],
        "op:gc-answers": [[0]],
        "op:gc-answer": [[0]],
        "op:abort": ["closed: bye"],
    },
    "native": {
        "op:deliver": [export(1), PING, False, False],
        "op:call": [1, "number", [1], False, False],
        "op:listen": [export(1), 1],
        "op:get": [export(1), "name", 1, False],
        "op:index": [export(1), 0, 1, False],
        "op:untag": [export(1), "tag", 1, False],
        "op:gc-exports": [[1], [1]],
        "op:gc-answers": [[0]],
        "op:resolve": [1, "value"],
        "op:break": [1, "value"],
        "op:abort": ["closed: bye"],
    },
}
#: Fields that may be left out at the end.
OPTIONAL = {
    "native": {"op:deliver": 2, "op:call": 2, "op:get": 1, "op:index": 1, "op:untag": 1},
    "syrup": {"op:listen": 1},
}
#: Values of every kind, by a name.
KINDS: dict[str, Any] = {
    "undefined": None,
    "true": True,
    "text": MARK,
    "float": 1.0,
    "integer": 1,
    "list": [],
    "an-import": object_(2),
    "a-promise": promise(3),
    "an-export": export(1),
}
TARGET = {"an-export"}
#: The kinds that a field may have.
FITS: dict[str, dict[str, list[set[str]]]] = {
    "syrup": {
        "op:deliver": [TARGET, {"list"}, {"integer"}, {"an-import", "a-promise"}],
        "op:deliver-only": [TARGET, {"list"}],
        "op:listen": [TARGET, {"an-import", "a-promise"}, {"true"}],
        "op:get": [TARGET, {"text"}, {"integer"}],
        "op:index": [TARGET, {"integer"}, {"integer"}],
        "op:untag": [TARGET, {"text"}, {"integer"}],
        "op:gc-exports": [{"list", "integer"}, {"list", "integer"}],
        "op:gc-export": [{"list", "integer"}, {"list", "integer"}],
        "op:gc-answers": [{"list", "integer"}],
        "op:gc-answer": [{"list", "integer"}],
        "op:abort": [{"text"}],
    },
    "native": {
        "op:deliver": [TARGET, {"list"}, {"integer"}, set()],
        "op:call": [{"integer"}, {"text"}, {"list"}, {"integer"}, set()],
        "op:listen": [TARGET, {"integer", "true"}],
        "op:get": [TARGET, {"text"}, {"integer"}, {"true"}],
        "op:index": [TARGET, {"integer"}, {"integer"}, {"true"}],
        "op:untag": [TARGET, {"text"}, {"integer"}, {"true"}],
        "op:gc-exports": [{"list"}, {"list"}],
        "op:gc-answers": [{"list"}],
        "op:resolve": [{"integer"}, set(KINDS)],
        "op:break": [{"integer"}, set(KINDS)],
        "op:abort": [{"text"}],
    },
}


def rows(codec: str) -> list[Row]:
    """Make the rows of one encoding."""
    made = []
    for op, right in RIGHT[codec].items():
        few = right[: -1 - OPTIONAL[codec].get(op, 0)]
        made.append(_row(f"M38-{op}-too-few", codec, op, few))
        made.append(_row(f"M38-{op}-none", codec, op, []))
        made.append(_row(f"M38-{op}-too-many", codec, op, [*right, False]))
        for at, fits in enumerate(FITS[codec][op]):
            for kind, value in KINDS.items():
                if kind not in fits:
                    wrong = [*right[:at], value, *right[at + 1 :]]
                    made.append(_row(f"M38-{op}-{at + 1}-{kind}", codec, op, wrong))
    return made


def _row(identity: str, codec: str, op: str, fields: list[Any]) -> Row:
    # The same bytes over TLS are no other attack.
    netlayers = ("tcp-testing-only",)
    return says(identity, "A:bad-op", lambda s: s.message(op, *fields), codecs=(codec,), netlayers=netlayers)


ROWS = [*rows("native"), *rows("syrup")]


@cases(ROWS)
def test_an_operation_of_another_shape_ends_its_session(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)
