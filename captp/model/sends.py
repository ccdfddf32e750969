"""Generated sends: the methods that reference classes have; they know rows and the home's verbs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from captp.model.codegen import compile_functions
from captp.model.terms import on_their_way

if TYPE_CHECKING:
    from captp.model.interface import Row
    from captp.model.promise import Promise

_PLAIN = inspect.Parameter.POSITIONAL_OR_KEYWORD

_FAST = """
def __call__(_captp_self, {params}):
    _captp_ref = _captp_self._ref
    return _captp_ref._home.send(
        _captp_ref, {selector!r}, ({tuple}), None, _captp_class or _captp_resolve()
    )
"""


def make_send(row: Row, result: Callable[[], type[Promise[Any]]]) -> property:
    """Make the property that turns ``ref.name`` into something to call, ``.only`` or ``.now``.

    ``result`` gives the promise class at first use, when forward references can be resolved.
    """
    parameters = list(row.signature.parameters.values())[1:]
    sent = _make_class(row, result, parameters)
    return property(sent, doc=row.doc)


def _make_class(
    row: Row, result: Callable[[], type[Promise[Any]]], parameters: list[inspect.Parameter]
) -> type:
    signature = inspect.Signature(parameters)
    names: dict[str, Any] = {"_captp_class": None}

    def promise_class() -> type[Promise[Any]]:
        if names["_captp_class"] is None:
            names["_captp_class"] = result()
        return names["_captp_class"]  # type: ignore[no-any-return]

    names["_captp_resolve"] = promise_class

    class BoundSend:
        __slots__ = ("_ref",)
        __doc__ = row.doc
        __signature__ = signature

        def __init__(self, ref: Any) -> None:
            self._ref = ref

        def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
            ref = self._ref
            _check(row, signature, args, kwargs)
            if row.modes:
                args, kwargs = on_their_way(row, args, kwargs)
            if row.carried is not None:
                return row.carried.send(ref, row.selector, args, kwargs, promise_class())
            return ref._home.send(ref, row.selector, args, kwargs or None, promise_class())

        def only(self, /, *args: Any, **kwargs: Any) -> None:
            ref = self._ref
            _check(row, signature, args, kwargs)
            if row.modes:
                args, kwargs = on_their_way(row, args, kwargs)
            if row.carried is not None:
                row.carried.send_only(ref, row.selector, args, kwargs)
            else:
                ref._home.send_only(ref, row.selector, args, kwargs or None)

        def now(self, /, *args: Any, **kwargs: Any) -> Any:
            ref = self._ref
            _check(row, signature, args, kwargs)
            if row.modes:
                args, kwargs = on_their_way(row, args, kwargs)
            if row.carried is not None:
                return row.carried.call_now(ref, row.selector, args, kwargs, promise_class())
            return ref._home.call_now(ref, row.selector, args, kwargs or None)

        def __repr__(self) -> str:
            return f"<send {row.name}{signature} of {self._ref!r}>"

    BoundSend.__name__ = BoundSend.__qualname__ = row.name
    if (
        not row.modes
        and row.carried is None
        and all(p.kind is _PLAIN and p.default is p.empty for p in parameters)
    ):
        given = [p.name for p in parameters]
        source = _FAST.format(
            params=", ".join(given), selector=row.selector, tuple="".join(f"{n}, " for n in given)
        )
        fast = compile_functions(source, names)["__call__"]
        fast.__qualname__ = row.name
        BoundSend.__call__ = fast  # type: ignore[method-assign]
    return BoundSend


def _check(row: Row, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        signature.bind(*args, **kwargs)
    except TypeError as problem:
        # What Python raises for any call that does not fit.
        raise TypeError(f"{row.name}{signature}: {problem}") from None
