"""Checks what a program gives to open_vat() and connect(), before anything of it is used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from captp.errors import UsageError
from captp.model.interface import InterfaceMeta
from captp.net.base import Netlayer

__all__ = ["check_instance", "check_interface", "netlayers_of"]


def netlayers_of(argument: str, given: Any) -> tuple[Netlayer, ...]:
    """Return the netlayers that an argument holds; raises UsageError for anything else."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        what = f"[{type(given).__name__}(...)]" if _is_netlayer(given) else "[TlsNetlayer(key, TlsPort())]"
        raise UsageError(
            f"{argument} is {_name(given)} and must be a list of netlayers: pass {argument}={what}"
        )
    layers = tuple(given)
    for index, layer in enumerate(layers):
        if not _is_netlayer(layer):
            raise UsageError(
                f"{argument}[{index}] is {_name(layer)} and must be a netlayer: make one, as in"
                f" {argument}=[captp.net.tls.TlsNetlayer(key, TlsPort())]"
            )
    return layers


def check_instance(argument: str, given: object, kind: type, make: str) -> None:
    """Raise UsageError unless an argument is None or of its kind; ``make`` says how one is made."""
    if given is not None and not isinstance(given, kind):
        raise UsageError(
            f"{argument} is {_name(given)} and must be a captp.{kind.__name__}: make one by {make}"
        )


def check_interface(interface: object) -> None:
    """Raise UsageError unless this is the class that a reference is to show, or None."""
    if interface is not None and not isinstance(interface, InterfaceMeta):
        raise UsageError(
            f"interface is {_name(interface)} and must be a subclass of captp.Interface: pass the class, or"
            " nothing and call captp.E(reference).method(...)"
        )


def _is_netlayer(given: object) -> bool:
    return not isinstance(given, type) and all(
        hasattr(given, n) for n in ("transport", "dial", "serve", "hints")
    )


def _name(given: object) -> str:
    """Say what was given by its kind: its text may be a secret."""
    return f"the class {given.__name__}" if isinstance(given, type) else f"of type {type(given).__name__}"
