"""A model of what Endo 1.1 reads: it refuses what Endo ends a session over, and says why.

Only what was seen of it on the wire or in its source is here. ``read_as_endo`` reads one message.
"""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from typing import Any

from tests.interop.syrup import NAN, Malformed, Reader, Rec, Sym, read, utf16, write

NEGATIVE_ZERO = bytes.fromhex("8000000000000000")
TARGETS = ("desc:export", "desc:answer")
IMPORTS = ("desc:import-object", "desc:import-promise")

#: Records inside messages, and their number of fields.
FIELDS = {
    "void": 0,
    "null": 0,
    "desc:tagged": 2,
    "desc:error": 1,
    "desc:import-object": 1,
    "desc:import-promise": 1,
    "desc:export": 1,
    "desc:answer": 1,
    "desc:sig-envelope": 2,
    "desc:handoff-give": 5,
    "desc:handoff-receive": 4,
    "ocapn-peer": 3,
    "ocapn-sturdyref": 2,
    "my-location": 1,
    "op:start-session": 4,
    "op:abort": 1,
    "op:deliver": 4,
    "op:listen": 3,
    "op:get": 3,
    "op:index": 3,
    "op:untag": 3,
    "op:gc-exports": 2,
    "op:gc-answers": 1,
}
#: Where a locator may stand, and nowhere else.
PLACES = {"ocapn-sturdyref": 0, "desc:handoff-give": 1, "op:start-session": 2, "my-location": 0}


class EndoReader(Reader):
    """Reads as Endo does; sets and 32-bit floats are no values to the reader below it either."""

    def check_struct(self, keys: list[Any]) -> None:
        if any(type(key) is not str for key in keys):
            raise Malformed(f"struct keys that are no strings: {keys}")
        if any(utf16(a) >= utf16(b) for a, b in pairwise(keys)):
            raise Malformed(f"struct keys that are not in raw order: {keys}")

    def check_symbol(self, name: str) -> None:
        if name.startswith("@@"):
            raise Malformed(f"a symbol that is reserved: {name}")

    def check_float(self, raw: bytes) -> None:
        if raw == NEGATIVE_ZERO:
            raise Malformed("a negative zero")
        if math.isnan(struct.unpack(">d", raw)[0]) and raw != NAN:
            raise Malformed("a NaN that is not the one")

    def check_record(self, record: Rec) -> None:
        label, fields = record
        if label not in FIELDS:
            raise Malformed(f"an unknown record: {label}")
        if len(fields) != FIELDS[label]:
            raise Malformed(f"{label} with {len(fields)} fields")
        if label == "desc:tagged" and type(fields[0]) is not Sym:
            raise Malformed("a tag that is no symbol")
        if label == "desc:error" and type(fields[0]) is not str:
            raise Malformed("an error without text")
        for i, field in enumerate(fields):
            if PLACES.get(label) != i:
                check_no_place(field)
        if label.startswith("op:"):
            check_operation(label, fields)


def check_no_place(value: Any) -> None:
    """Refuse a locator on its own: the model has none."""
    if type(value) is Rec and value.label == "ocapn-peer":
        raise Malformed("a bare locator")
    if type(value) is dict:
        value = list(value.values())
    if type(value) is list:
        for part in value:
            check_no_place(part)


def check_operation(label: str, fields: list[Any]) -> None:
    match label, fields:
        case "op:start-session", [str(), list(), Rec("ocapn-peer"), list()]:
            return
        case "op:abort", [str()]:
            return
        case "op:deliver", [to, list(), answer, resolve]:
            is_right = is_one_of(to, TARGETS) and (answer is False or is_position(answer))
            if is_right and (resolve is False or is_one_of(resolve, IMPORTS)):
                return
        case "op:listen", [to, listener, bool()]:
            if is_one_of(to, TARGETS) and is_one_of(listener, IMPORTS):
                return
        case (("op:get" | "op:index" | "op:untag"), [to, key, answer]):
            wanted = int if label == "op:index" else str
            if is_one_of(to, TARGETS) and type(key) is wanted and is_position(answer) and answer > 0:
                return
        case "op:gc-exports", [list(positions), list(counts)]:
            if len(positions) == len(counts) and all(map(is_position, positions)) and min(counts) > 0:
                return
        case "op:gc-answers", [list(positions)]:
            if all(map(is_position, positions)):
                return
    raise Malformed(f"a malformed {label}: {fields}")


def is_one_of(value: Any, labels: tuple[str, ...]) -> bool:
    return type(value) is Rec and value.label in labels and is_position(value.fields[0])


def is_position(value: Any) -> bool:
    return type(value) is int and value >= 0


def read_as_endo(data: bytes) -> Any:
    """Read one message; raises Malformed where Endo would close the connection."""
    message = read(data, EndoReader())
    if type(message) is not Rec or not message.label.startswith("op:"):
        raise Malformed("a message that is no operation")
    return message


def message_with(value: Any) -> bytes:
    """Spell a call with one argument; structs stay as they are given."""
    target = Rec("desc:export", [1])
    return write(Rec("op:deliver", [target, [value], False, False]), "given")
