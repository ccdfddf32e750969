"""E: sends anything to any reference, typed or not."""

from __future__ import annotations

from typing import Any

from captp.errors import UsageError
from captp.model.promise import Promise, Reference


class E:
    """A one-shot sender: ``E(ref).method(...)``, or ``E(ref)(...)`` for objects without methods.

    Returns a promise at once. ``E(ref).method.only(...)`` wants no answer; ``.now(...)`` runs a near
    object's method immediately.
    """

    __slots__ = ("_ref",)

    def __init__(self, ref: Any) -> None:
        if not isinstance(ref, Reference):
            raise UsageError(f"E() takes a reference or a promise, not {type(ref).__name__}")
        self._ref = ref

    def __getattr__(self, name: str) -> UntypedSend:
        if name.startswith("_"):
            raise AttributeError(f"{name}: names that start with _ cannot be sent")
        return UntypedSend(self._ref, name)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Promise[Any]:
        return UntypedSend(self._ref, None)(*args, **kwargs)

    def only(self, /, *args: Any, **kwargs: Any) -> None:
        """Send bare arguments and want no answer."""
        UntypedSend(self._ref, None).only(*args, **kwargs)

    def __repr__(self) -> str:
        return f"E({self._ref!r})"


class UntypedSend:
    """A method of a reference by name alone."""

    __slots__ = ("_name", "_ref")

    def __init__(self, ref: Any, name: str | None) -> None:
        self._ref = ref
        self._name = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Promise[Any]:
        ref = self._ref
        return ref._home.send(ref, self._name, args, kwargs or None, Promise)  # type: ignore[no-any-return]

    def only(self, /, *args: Any, **kwargs: Any) -> None:
        """Send the call and want no answer."""
        ref = self._ref
        ref._home.send_only(ref, self._name, args, kwargs or None)

    def now(self, /, *args: Any, **kwargs: Any) -> Any:
        """Run the method of a near object at once and return its result."""
        ref = self._ref
        return ref._home.call_now(ref, self._name, args, kwargs or None)
