"""How a result travels home, per vocabulary: natively as its own op, in OCapN through a resolver.

Native (docs/decisions/0002): the answer position is also the address of the result, so a call needs no
resolver object and no message to release one. OCapN: op:deliver of ``fulfill`` or ``break`` to the
resolver the caller exported. Both say the same of a question: asked, listened to, or not asked.
"""

from __future__ import annotations

from typing import Any, Protocol

from captp.model.faults import to_wire
from captp.model.promise import FULFILLED
from captp.session.entries import Answer, Control, Export, Question, Release
from captp.session.tables import Tables
from captp.wire.ops import BREAK, DELIVER, GET, INDEX, LISTEN, RESOLVE, UNTAG, Op

SELECT_OPS = {"get": GET, "index": INDEX, "untag": UNTAG}


class Results(Protocol):
    """One vocabulary's way to ask for results and to give them."""

    passes_answers: bool
    #: Whether a listener's own position must be released at the peer.
    listener_release: Release

    @property
    def may_release(self) -> bool:
        """Whether the peer's form of the release messages is known."""
        ...

    def resolver(self, question: Question) -> Any:
        """Return the resolve-me field that asks for the result of a call."""
        ...

    def unasked(self, *, answered: bool) -> Any:
        """Return the resolve-me field of a call whose result nobody wants, with a position or without."""
        ...

    def select(self, step: Any, desc: Any, question: Question) -> list[Op]:
        """Return the messages for one step into data."""
        ...

    def listen(self, desc: Any, question: Question, *, own: bool) -> Op:
        """Return the message that asks for a settlement, of ``question``'s ``own`` answer or another's."""
        ...

    def report(self, answer: Answer) -> Op:
        """Return the message that tells the peer how its call ended."""
        ...


class NativeResults:
    """Results by answer position."""

    passes_answers = True
    listener_release = Release.NOT_YET
    may_release = True

    def resolver(self, question: Question) -> Any:  # noqa: ARG002
        return True

    def unasked(self, *, answered: bool) -> Any:  # noqa: ARG002
        return False

    def select(self, step: Any, desc: Any, question: Question) -> list[Op]:
        return [(SELECT_OPS[step.op], desc, step.key, question.position, question.wanted)]

    def listen(self, desc: Any, question: Question, *, own: bool) -> Op:
        return (LISTEN, desc, True if own else question.position)

    def report(self, answer: Answer) -> Op:
        if answer._state == FULFILLED:
            return (RESOLVE, answer.position, answer._value)
        return (BREAK, answer.position, to_wire(answer._value))


class OcapnResults:
    """Results through resolver objects, as every other implementation does."""

    passes_answers = False
    listener_release = Release.SENT

    def __init__(self, tables: Tables, codec: Any) -> None:
        self._tables = tables
        self._codec = codec
        self._sink: Export | None = None

    @property
    def may_release(self) -> bool:
        return self._codec.vocabulary != "unknown"  # type: ignore[no-any-return]

    def resolver(self, question: Question) -> Any:
        tables = self._tables
        if question.resolver is None:
            question.resolver = tables.export_control(Control("resolver", question))
        return tables.give(question.resolver)

    def unasked(self, *, answered: bool) -> Any:
        """Return False, or a sink where the peer's dialect is unknown or wants a resolver (protocol 2.4)."""
        dialect = self._codec.vocabulary
        if dialect == "d2" or (dialect != "unknown" and not answered):
            return False
        tables, sink = self._tables, self._sink
        if sink is None or tables.exports.get(sink.position) is not sink:
            # The peer may have released the one before, and its position have gone to something else.
            sink = self._sink = tables.export_control(Control("sink"))
        return tables.give(sink)

    def select(self, step: Any, desc: Any, question: Question) -> list[Op]:
        ops: list[Op] = [(SELECT_OPS[step.op], desc, step.key, question.position)]
        if question.wanted:
            ops.append(self.listen(question.desc, question, own=True))
        return ops

    def listen(self, desc: Any, question: Question, *, own: bool) -> Op:  # noqa: ARG002
        return (LISTEN, desc, self.resolver(question), False)

    def report(self, answer: Answer) -> Op:
        desc, _resolver = answer.reply
        if answer._state == FULFILLED:
            args = (self._codec.symbol("fulfill"), answer._value)
        else:
            args = (self._codec.symbol("break"), to_wire(answer._value))
        return (DELIVER, desc, args, False, self.unasked(answered=False))
