"""Declared needs: what a function asks of its context is asked before its body runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from captp.custody.context.cap import Borrow, GroupTerm, Term
from captp.custody.context.carry import Carried
from captp.custody.context.need import Need
from captp.errors import UsageError
from captp.model.interface import Method

__all__ = ["needs", "tie"]

P = ParamSpec("P")
R = TypeVar("R")


def needs(
    *terms: Term[Any] | GroupTerm[*tuple[Any, ...]], carry: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare what a function needs of its context, ``@captp.needs(People.mut, Pets.ref)``.

    It raises MissingContext before its body runs where that is not bound. With ``carry``, below
    ``@captp.method``, a caller over a border gives it: see ``docs/explanation/context.md``.
    """
    flat: list[Term[Any]] = []
    for term in terms:
        flat += term.terms if isinstance(term, GroupTerm) else (term,)
    if not all(isinstance(term, Term) for term in flat):
        raise UsageError("needs() takes People.ref or People.mut, and the like of groups")
    asked = tuple([Need(term, carry) for term in flat])

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        if isinstance(function, Method):
            raise UsageError(f"{function.function.__qualname__}(): put @captp.needs below @captp.method")
        return _with_needs(function, (*getattr(function, "_captp_needs", ()), *asked))

    return declare


def _with_needs(function: Callable[P, R], asked: tuple[Need, ...]) -> Callable[P, R]:
    body: Any = getattr(function, "_captp_body", function)

    def run(*args: Any, **kwargs: Any) -> Any:
        for need in asked:
            need.look(body)
        return body(*args, **kwargs)

    async def run_later(*args: Any, **kwargs: Any) -> Any:
        for need in asked:
            need.look(body)
        return await body(*args, **kwargs)

    made: Any = functools.wraps(body)(run_later if inspect.iscoroutinefunction(body) else run)
    made._captp_needs = asked
    carried = tuple([need for need in asked if need.is_carried])
    if carried:
        made._captp_carried = Carried(body.__qualname__, carried)
    made._captp_body = body
    return cast("Callable[P, R]", made)


def tie(term: Term[Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare that what a function returns is good as long as what is read of a capability now.

    With ``.mut`` the function returns ``People.mut()``, or what that ``.map(...)`` gives, to be used by a
    ``with`` block; with ``.ref`` it returns a value that is in what is bound, and its caller gets a view.
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            result = function(*args, **kwargs)
            if type(result) is Borrow:
                return result
            if term.is_mut:
                raise UsageError(
                    f"{function.__qualname__}() is tied to {term!r}: return {term!r}() or {term!r}().map(...)"
                )
            return cast("R", term.found().tied(result))

        return run

    return declare
