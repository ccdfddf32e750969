"""What a plain thread holds of what is elsewhere: handles, how they act, where they go, and when they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

import captp
import captp.sync
from tests.e2e.sync_shop import BORROWED, Counter, Host, Shop, hosting, until


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("sync")) as host:
        yield host


@pytest.fixture
def source(host: Host) -> str:
    return host.source


def test_a_handle_is_an_instance_of_its_interface_and_shows_its_methods(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        assert isinstance(shop, Shop)
        assert isinstance(shop.counter("a"), Counter)
        assert "counter" in dir(shop)


def test_references_come_as_handles_inside_data_too(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        one = shop.counter("inside")
        one.add(1)
        first = shop.counters()[0]
        data = shop.echo({"it": [one]}).result(5)

        assert isinstance(data["it"][0], captp.sync.Handle)
        assert captp.E(data["it"][0]).seen().result(5) == (1,)
        assert isinstance(captp.E(first).seen().result(5), tuple)


def test_handles_of_one_object_are_equal_once_they_were_waited_for(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        one, again, other = shop.counter("x"), shop.counter("x"), shop.counter("y")

        assert one == one  # noqa: PLR0124
        assert one != again
        assert one.result(5) == again.result(5)
        assert len({one.result(5), again.result(5), other.result(5)}) == 2


def test_handles_are_arguments_and_so_are_objects_of_our_own(source: str) -> None:
    class Own(captp.Object, Counter):
        @captp.method
        def add(self, amount: int) -> int:
            return amount

        @captp.method
        def seen(self) -> list[int]:
            return [20, 22]

    with captp.sync.connect(source, Shop) as shop:
        counter = shop.counter("argument")
        counter.add(5)

        assert shop.total(counter).result(5) == 5
        assert shop.total(counter=counter).result(5) == 5
        assert shop.total(Own()).result(5) == 42


class Mine(captp.Object, Counter):
    @captp.method
    def add(self, amount: int) -> int:
        return amount

    @captp.method
    def seen(self) -> list[int]:
        return [20, 22]


@pytest.mark.parametrize("how", ["call", "named", "only", "batch", "pending"])
def test_a_handle_is_lent_to_a_parameter_that_borrows(source: str, how: str) -> None:
    BORROWED.clear()
    with captp.sync.connect(source, Shop) as shop:
        mine = shop.echo(Mine())
        if how != "pending":
            mine = mine.result(5)
        match how:
            case "named":
                assert shop.borrow(counter=mine).result(5) == 42
            case "only":
                shop.borrow.only(mine)
                until(lambda: bool(BORROWED))
            case "batch":
                with captp.sync.batch():
                    sums = [shop.borrow(mine) for _ in range(3)]
                assert [s.result(5) for s in sums] == [42, 42, 42]
            case _:
                assert shop.borrow(mine).result(5) == 42
        if how == "pending":
            # Nobody knew then what to lend.
            return
        # It is of no use there behind the answer, whatever is done with it.
        until(lambda: all(borrowed._anchor.broken is not None for borrowed in BORROWED))
        assert mine.seen().result(5) == (20, 22)


def test_a_handle_of_another_connection_is_refused_where_it_is_passed(source: str) -> None:
    with captp.sync.connect(source, Shop) as one, captp.sync.connect(source, Shop) as other:
        theirs = other.counter("x")

        with pytest.raises(captp.Unpassable, match=r"args\[0\]"):
            one.total(theirs)
        assert theirs.seen().result(5) == ()


def test_a_method_with_the_name_of_ours_is_called_through_e(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        assert captp.E(shop).result().result(5) == "a method with the name of ours"
        assert captp.sync.result(shop, timeout=5) == cast("Any", shop).result(5)


def test_without_an_interface_any_method_can_be_called(source: str) -> None:
    with captp.sync.connect(source) as anything:
        assert captp.E(captp.E(anything).counter("untyped")).add(4).result(5) == 4


def test_handles_are_no_values_and_not_awaited(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        handle = shop.echo(1)

        with pytest.raises(captp.UsageError, match="no truth yet"):
            bool(handle)
        with pytest.raises(captp.UsageError, match="cannot be iterated"):
            list(handle)  # type: ignore[call-overload]
        with pytest.raises(captp.UsageError, match="are not awaited"):
            handle.__await__()
        with pytest.raises(captp.UsageError, match="takes a handle"):
            captp.sync.result(cast("Any", 1))


def test_what_is_dropped_is_released_at_the_host(source: str, host: Host) -> None:
    with captp.sync.connect(source, Shop) as shop:
        held = [shop.counter(f"dropped {i}").result(5) for i in range(10)]
        until(lambda: host.exports() >= 11)

        del held
        until(lambda: host.exports() <= 2)
        assert shop.echo(1).result(5) == 1


def test_dropping_the_last_handle_of_a_call_cancels_it(source: str) -> None:
    with captp.sync.connect(source, Shop) as shop:
        before = shop.cancelled().result(5)
        handle = shop.slow(60.0)
        shop.echo(0).result(5)
        del handle

        until(lambda: shop.cancelled().result(5) == before + 1)
