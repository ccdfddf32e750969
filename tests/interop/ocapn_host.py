"""Hosts the five objects that the OCapN test suite calls; ``python -m tests.interop.ocapn_host --port N``.

The first line it prints is its locator. It uses nothing but the public API.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

import trio

import captp
from captp.net.tcp import TcpNetlayer

BUILDER = b"JadQ0++RzsD4M+40uLxTWVaVqM10DcBJ"
ECHO = b"IO58l1laTyhcrgDKbEzFOO32MDd6zE5w"
GREETER = b"VMDDd1voKWarCe2GvgLbxbVFysNzRPzx"
PAIRS = b"IokCxYmMj04nos2JN1TDoY1bT8dXh6Lr"
ENLIVENER = b"gi02I1qghIwPiKGKleCQAOhpy3ZtYRpB"


class Car(captp.Object):
    """Drives when it is called."""

    color: str
    model: str

    @captp.method
    def __call__(self) -> str:
        return f"Vroom! I am a {self.color} {self.model} car!"


class Factory(captp.Object):
    """Makes one car of a color and a model, two symbols in a list."""

    @captp.method
    def __call__(self, order: list[captp.Symbol]) -> Any:
        if len(order) != 2:
            raise captp.Refused(f"a car has a color and a model, not {len(order)} things")
        color, model = order
        return Car(color=color.name, model=model.name)


class Builder(captp.Object):
    """Makes factories."""

    @captp.method
    def __call__(self) -> Any:
        return Factory()


class Echo(captp.Object):
    """Gives its arguments back and keeps none."""

    @captp.method
    def __call__(self, *values: Any) -> Any:
        return values


class Greeter(captp.Object):
    """Greets whatever it is given, and waits for the answer before it lets go of the promise."""

    @captp.method(latch=False)
    async def __call__(self, greeted: Any) -> None:
        await captp.E(greeted)("Hello")


class Settler(captp.Object):
    """Settles one promise: ``fulfill`` or ``break``, and a value."""

    __slots__ = ("_resolver",)

    def __init__(self, resolver: captp.Resolver) -> None:
        self._resolver = resolver

    @captp.method
    def __call__(self, verb: captp.Symbol, value: Any) -> None:
        if verb.name == "fulfill":
            self._resolver.fulfill(value)
        elif verb.name == "break":
            self._resolver.break_(captp.Broken("broken on request", reason=value))
        else:
            raise captp.Refused("a resolver takes fulfill or break")


class Pairs(captp.Object):
    """Makes promises, each with the one who settles it."""

    __slots__ = ("_vat",)

    def __init__(self, vat: captp.LiveVat) -> None:
        self._vat = vat

    @captp.method
    def __call__(self) -> Any:
        promise, resolver = self._vat.promise()
        return [promise, Settler(resolver)]


class Enlivener(captp.Object):
    """Turns a sturdyref into what it names."""

    @captp.method
    def __call__(self, sturdyref: captp.SturdyRef) -> Any:
        return captp.enliven(sturdyref)


async def host(port: int, framing: str | None) -> None:
    """Serve until killed."""
    framed = None if framing is None else framing == "framed"
    async with captp.open_vat(listen=[TcpNetlayer(port=port, framed=framed)]) as vat:
        for swiss, hosted in (
            (BUILDER, Builder()),
            (ECHO, Echo()),
            (GREETER, Greeter()),
            (PAIRS, Pairs(vat)),
            (ENLIVENER, Enlivener()),
        ):
            vat.mint(hosted, swiss=swiss)
        print(vat.locators[0], flush=True)
        await trio.sleep_forever()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop.ocapn_host", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes any that is free")
    parser.add_argument(
        "--framing", choices=("raw", "framed"), help="how to speak first when dialling; default: as peers do"
    )
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        trio.run(host, options.port, options.framing)


if __name__ == "__main__":
    main()
