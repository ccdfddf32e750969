"""Callers and callees that give other context than was declared, or lent: nothing of it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

import captp
import captp.sync
from captp.model.values import Tagged
from captp.net.tcp import TcpNetlayer
from tests.context.people import Words
from tests.context.service import Ledger, Server, Sheet, near

Pair = captp.Cap("Pair", list[int])


class Filing(captp.Interface):
    @captp.method
    @captp.needs(Words.mut, Pair.mut, carry=True)
    def file(self) -> int: ...

    @captp.method
    @captp.needs(Ledger.mut, carry=True)
    def book(self) -> int: ...


class Liar(captp.Object):
    """Takes anything and answers what it is told to."""

    answer: object = None

    @captp.method
    def file(self, **given: object) -> object:
        return self.answer

    @captp.method
    def book(self, **given: object) -> object:
        seen.append(given["captp:context"])
        return self.answer


seen: list[Any] = []


def _back(**back: object) -> Tagged:
    return Tagged("captp:context", (1, back))


LIES = {
    "nothing": None,
    "a plain result": 1,
    "another tag": Tagged("other", (1, {"Words": (), "Pair": ()})),
    "no pair": Tagged("captp:context", None),
    "half a pair": Tagged("captp:context", (1,)),
    "three": Tagged("captp:context", (1, {"Words": (), "Pair": ()}, 3)),
    "a struct": Tagged("captp:context", {"a": 1, "b": {}}),
    "text": Tagged("captp:context", "ab"),
    "no names": Tagged("captp:context", (1, ())),
    "a name too few": _back(Words=("x",)),
    "a name too many": _back(Words=("x",), Pair=(1,), Secret=()),
    "another shape": _back(Words=("x",), Pair=("y",)),
    "text for a list": _back(Words="xy", Pair=(1,)),
    "a struct for a list": _back(Words={"x": 1}, Pair=(1,)),
    "a number for text": _back(Words=(1,), Pair=(1,)),
    "true for a number": _back(Words=("x",), Pair=(True,)),
}


@pytest.mark.parametrize("lie", LIES)
async def test_all_that_was_lent_comes_back_or_nothing_does(lie: str) -> None:
    words, pair = ["as it was"], [7]
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as vat:
        liar = await vat.enliven(host.mint(Liar(answer=LIES[lie])).reveal(), Filing)
        with captp.bind(Words.mut(words), Pair.mut(pair)):
            with pytest.raises(captp.BadArguments, match="is as it was before"):
                await liar.file()
            with Words.mut(), Pair.mut():
                assert (words, pair) == (["as it was"], [7])
        with captp.bind(Ledger.mut(Sheet())):
            with pytest.raises(captp.BadArguments, match="is as it was before"):
                await liar.book()
            with Ledger.mut():
                pass
    seen.clear()


async def test_a_callee_keeps_nothing_of_what_it_was_lent() -> None:
    sheet = Sheet(total=1)
    async with captp.open_vat(listen=[TcpNetlayer()]) as host, captp.open_vat() as vat:
        liar = await vat.enliven(host.mint(Liar(answer=_back())).reveal(), Filing)
        with captp.bind(Ledger.mut(sheet)):
            assert await liar.book() == 1
        kept = seen.pop()["Ledger"]
        with pytest.raises(captp.Error):
            await captp.E(kept).add(5)

    assert sheet.total == 1


@dataclass
class Curious:
    """Looks at the context it is made in."""

    x: int

    def __post_init__(self) -> None:
        try:
            seen.append(list(Words.get()))
        except captp.MissingContext:
            seen.append("nothing")


async def test_what_is_given_to_a_fiber_is_made_in_its_context() -> None:
    cap: Any = captp.Cap("Given", list[Curious])

    class Reader(captp.Object):
        @captp.method
        @captp.needs(cap.ref, carry=True)
        async def read(self) -> int:
            return len(cap.get())

    async with captp.open_vat() as vat:
        reader = captp.E(vat.export(Reader()))
        seen.clear()
        with captp.bind(Words.ref(["of the caller"])):
            assert await reader.read(**{"captp:context": {"Given": ({"x": 1},)}}) == 1
    assert seen == ["nothing"]
    seen.clear()


async def test_what_a_caller_gives_for_good_is_over_with_the_method_all_the_same() -> None:
    class Keeper(Server):
        @captp.method
        @captp.needs(Ledger.mut, carry=True)
        async def book(self, amount: int) -> int:
            with Ledger.mut() as ledger:
                seen.append(ledger)
            return amount

    async with captp.open_vat() as vat:
        keeper, sheet = vat.export(Keeper()), vat.export(Sheet())
        await captp.E(keeper).book(1, **{"captp:context": {"Ledger": sheet}})
        with pytest.raises(captp.BorrowEscape):
            await seen.pop().add(5)
        assert await sheet.look() == 0


def _arena(*rows: object) -> dict[str, object]:
    return {"People": Tagged("captp:arena", rows)}


ANN: dict[str, object] = {"name": "ann", "friends": (), "notes": ()}


@pytest.mark.parametrize(
    "given",
    [
        {**_arena((1, ANN)), "Words": ()},
        _arena((1, {**ANN, "Cap": 1})),
        _arena((1, {"friends": ()})),
        _arena((1, {**ANN, "name": 3})),
        _arena((1, {**ANN, "friends": (3,)})),
        _arena((1, {**ANN, "friends": (Tagged("captp:arena", (0, 1)),)})),
        _arena((1, {**ANN, "friends": (Tagged("captp:index", (True, 1)),)})),
        _arena((1, {**ANN, "friends": "ab"})),
        _arena((0, None)),
        _arena((-1, ANN)),
        _arena((True, ANN)),
        _arena((1, ANN, 3)),
        _arena(3),
        {"People": Tagged("other", ((1, ANN),))},
    ],
)
async def test_a_caller_that_gives_another_shape_is_refused(given: dict[str, object]) -> None:
    async with near() as (_vat, service):
        assert await captp.E(service).names(**{"captp:context": _arena((1, ANN))}) == ("ann",)
        with pytest.raises(captp.BadArguments):
            await captp.E(service).names(**{"captp:context": given})


async def test_a_caller_that_gives_no_reference_is_refused() -> None:
    async with near() as (_vat, service):
        for given in (3, (), None):
            with pytest.raises(captp.BadArguments, match=r"Ledger\.mut is a reference, not a"):
                await captp.E(service).book(1, **{"captp:context": {"Ledger": given}})


async def test_a_far_object_is_not_given_to_be_read() -> None:
    async with near() as (vat, service):
        with (
            captp.bind(Ledger.ref(vat.export(Sheet()))),
            pytest.raises(captp.UsageError, match="a reference cannot be carried to be read"),
        ):
            service.audit()
