"""What a program gives to open_vat() and connect() by mistake is named, with what to give instead."""

from __future__ import annotations

import re
from typing import Any

import pytest

import captp
import captp.sync
from captp.model.locator import PeerLocator, SturdyRef
from captp.net.tcp import TcpNetlayer

KEY = captp.PrivateKey.from_seed(b"a" * 32)
PLACE = PeerLocator.make("tcp-testing-only", KEY.public.designator, {"host": "127.0.0.1", "port": "1"})
STURDYREF = SturdyRef(PLACE, bytes(32))
MAKE = r"as in {}=\[captp.net.tls.TlsNetlayer\(key, TlsPort\(\)\)\]"

#: What was given in the place of a list of netlayers, and what is said of it.
NO_NETLAYERS = {
    "a name": (["tls"], r"{}\[0\] is of type str and must be a netlayer: make one, " + MAKE),
    "bytes": ([b"tls"], r"{}\[0\] is of type bytes and must be a netlayer: make one, " + MAKE),
    "a class": ([TcpNetlayer], r"{}\[0\] is the class TcpNetlayer and must be a netlayer: make one, " + MAKE),
    "one of two": ([TcpNetlayer(), None], r"{}\[1\] is of type NoneType and must be a netlayer"),
    "no list": ("tls", r"{} is of type str and must be a list of netlayers: pass {}=\["),
    "none": (None, r"{} is of type NoneType and must be a list of netlayers"),
    "one": (TcpNetlayer(), r"{} is of type TcpNetlayer .*: pass {}=\[TcpNetlayer\(\.\.\.\)\]"),
}


@pytest.mark.parametrize("argument", ["listen", "netlayers"])
@pytest.mark.parametrize(("given", "said"), NO_NETLAYERS.values(), ids=NO_NETLAYERS.keys())
async def test_open_vat_says_what_is_no_netlayer(given: Any, said: str, argument: str) -> None:
    with pytest.raises(captp.UsageError, match=said.replace("{}", argument)):
        async with captp.open_vat(**{argument: given}):
            pass


@pytest.mark.parametrize(
    ("argument", "given", "said"),
    [
        (
            "key",
            bytes(32),
            "key is of type bytes and must be a captp.PrivateKey: make one by captp.PrivateKey",
        ),
        (
            "limits",
            {"depth": 3},
            "limits is of type dict and must be a captp.Limits: make one by captp.Limits",
        ),
        (
            "cycles",
            captp.Limits(),
            "cycles is of type Limits and must be a captp.Cycles: make one by captp.Cycles",
        ),
    ],
)
async def test_open_vat_says_what_is_no_key_and_what_are_no_limits(
    argument: str, given: Any, said: str
) -> None:
    with pytest.raises(captp.UsageError, match=said):
        async with captp.open_vat(**{argument: given}):
            pass


#: The arguments of connect(), and what is said of them.
NO_CONNECTIONS: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (
        (PLACE,),
        {},
        "source is of type PeerLocator and must name an object: give a SturdyRef, an ocapn:// URI",
    ),
    ((5,), {}, "source is of type int and must name an object"),
    ((STURDYREF, "Shop"), {}, "interface is of type str and must be a subclass of captp.Interface"),
    ((STURDYREF, TcpNetlayer()), {}, "interface is of type TcpNetlayer and must be a subclass"),
    ((STURDYREF, int), {}, "interface is the class int and must be a subclass"),
    ((STURDYREF,), {"netlayers": ["tls"]}, r"netlayers\[0\] is of type str and must be a netlayer"),
    ((STURDYREF,), {"netlayers": TcpNetlayer()}, r"pass netlayers=\[TcpNetlayer\(\.\.\.\)\]"),
]


@pytest.mark.parametrize(("args", "options", "said"), NO_CONNECTIONS)
async def test_connect_says_what_it_cannot_use(args: Any, options: Any, said: str) -> None:
    with pytest.raises(captp.UsageError, match=said):
        async with captp.connect(*args, **options):
            pass


@pytest.mark.parametrize(("args", "options", "said"), NO_CONNECTIONS)
def test_connect_for_threads_says_what_it_cannot_use(args: Any, options: Any, said: str) -> None:
    with pytest.raises(captp.UsageError, match=said), captp.sync.connect(*args, **options):
        pass


async def test_no_secret_is_repeated() -> None:
    with pytest.raises(captp.UsageError) as caught:
        async with captp.open_vat(listen=[STURDYREF.reveal()]):  # type: ignore[list-item]
            pass

    assert not re.search(r"[A-Za-z0-9_-]{43}", str(caught.value))


async def test_netlayers_may_come_from_any_iterable() -> None:
    async with captp.open_vat(listen=(layer for layer in [TcpNetlayer()])) as vat:
        assert [locator.transport for locator in vat.locators] == ["tcp-testing-only"]
