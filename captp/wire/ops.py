"""The operations as records, one vocabulary for both codecs: a tuple whose first item is the opcode.

OCapN CapTP draft; opcodes as our native form writes them. A record *is* the tuple that codecs take
and give, so ``Deliver(to, args) == (3, to, args, False, False)`` and the hot path builds plain tuples.
``RESOLVE``, ``BREAK``, ``CALL``, ``BODY`` and ``FORGET`` are native only (docs/decisions/0002): in the
OCapN vocabulary a result travels as a deliver to a resolver object, and a call of a named method as a
deliver too.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, TypeAlias

from attrs import frozen

Op: TypeAlias = tuple[Any, ...]

START = 1
ABORT = 2
DELIVER = 3
LISTEN = 4
GET = 5
INDEX = 6
UNTAG = 7
GC_EXPORTS = 8
GC_ANSWERS = 9
RESOLVE = 15
BREAK = 16
CALL = 17
#: Of the extension frz1: a part of the body of a frozen value, and the values that are not named any more.
BODY = 18
FORGET = 19

OP_NAMES = {
    START: "op:start-session",
    ABORT: "op:abort",
    DELIVER: "op:deliver",
    LISTEN: "op:listen",
    GET: "op:get",
    INDEX: "op:index",
    UNTAG: "op:untag",
    GC_EXPORTS: "op:gc-exports",
    GC_ANSWERS: "op:gc-answers",
    RESOLVE: "op:resolve",
    BREAK: "op:break",
    CALL: "op:call",
    BODY: "op:body",
    FORGET: "op:forget",
}


class Kind(IntEnum):
    """What a reference on the wire is, from the reader's side; the numbers are native ext types."""

    IMPORT_OBJECT = 16
    IMPORT_PROMISE = 17
    EXPORT = 18
    ANSWER = 19
    CERTIFICATE = 20
    STURDYREF = 21
    #: A record of another label than these have: only OCapN has such, and it is no ext type.
    UNKNOWN = 22
    #: Of the extension own1: lent for one call, and unique, from its host or back to it.
    LENT = 23
    IMPORT_SOLE = 24
    EXPORT_SOLE = 25
    #: Of the extension frz1: a frozen value, by its hash.
    FROZEN = 26
    #: Of the extension own1: a certificate by which something unique moves here from a third vat.
    CERTIFICATE_SOLE = 27


@frozen
class Desc:
    """A descriptor: kind and position (or, for certificates and sturdyrefs, the data itself)."""

    kind: Kind
    position: Any


def Deliver(to: Any, args: tuple[Any, ...], answer: Any = False, resolve: Any = False) -> Op:  # noqa: N802
    """Call ``to``; ``answer`` is a position or False; ``resolve`` is True (native), a reference or False."""
    return (DELIVER, to, args, answer, resolve)


def Call(  # noqa: N802
    to: int, method: str, args: tuple[Any, ...], answer: Any = False, wanted: bool = False
) -> Op:
    """Call a named method; ``to`` is an export position, or -1 - n for the answer at position n."""
    return (CALL, to, method, args, answer, wanted)


def Listen(to: Any, listener: Any, wants_partial: bool = False) -> Op:  # noqa: N802
    """Ask for the settlement of ``to``; ``listener`` is a position (native) or a resolver reference."""
    return (LISTEN, to, listener, wants_partial)
