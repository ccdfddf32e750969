"""Events: handlers of many kinds, which are called where their context is bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any, Generic, Protocol, TypeVar

import captp
from captp import Arena, Index

E = TypeVar("E")


@dataclass
class Order:
    item: str
    count: int
    state: str = "new"


@dataclass
class Stock:
    items: dict[str, int] = field(default_factory=dict)


@dataclass
class Log:
    lines: list[str] = field(default_factory=list)


Orders = captp.Cap("Orders", Arena[Order])
Store = captp.Cap("Store", Stock)
Audit = captp.Cap("Audit", Log)


@dataclass(frozen=True)
class Ordered:
    order: Index[Order]


@dataclass(frozen=True)
class Arrived:
    item: str
    count: int


class Handler(Protocol[E]):
    def __call__(self, event: E) -> None: ...


class Bus(Generic[E]):
    """Calls its handlers, in the order in which they came."""

    def __init__(self) -> None:
        self._handlers: list[Callable[[E], None]] = []

    def on(self, handler: Callable[[E], None]) -> Callable[[E], None]:
        self._handlers.append(handler)
        return handler

    def emit(self, event: E) -> int:
        for handler in self._handlers:
            handler(event)
        return len(self._handlers)


def audited(handler: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(handler)
    def run(event: Any) -> None:
        handler(event)
        with Audit.mut() as log:
            log.lines.append(f"{handler.__name__} {event}")

    return run


def take(item: str, count: int) -> bool:
    with Store.mut() as stock:
        if stock.items.get(item, 0) < count:
            return False
        stock.items[item] -= count
        return True


@audited
def serve(event: Ordered) -> None:
    order = Orders.get()[event.order]
    is_there = take(order.item, order.count)
    with Orders.mut() as orders:
        orders[event.order].state = "served" if is_there else "waiting"


@audited
def receive(event: Arrived) -> None:
    with Store.mut() as stock:
        stock.items[event.item] = stock.items.get(event.item, 0) + event.count


class Retry:
    """Serves what waits, when something arrives."""

    def __init__(self, act: Callable[[Ordered], None]) -> None:
        self.act = act
        self.rounds = 0

    def __call__(self, event: Arrived) -> None:
        self.rounds += 1
        waiting = [
            index
            for index, order in Orders.get().items()
            if order.state == "waiting" and order.item == event.item
        ]
        for index in waiting:
            self.act(Ordered(index))


def count_state(state: str, _event: Any) -> None:
    found = sum(1 for order in Orders.get() if order.state == state)
    with Audit.mut() as log:
        log.lines.append(f"{found} {state}")


class Shop:
    def __init__(self) -> None:
        self.ordered: Bus[Ordered] = Bus()
        self.arrived: Bus[Arrived] = Bus()
        self.retry = Retry(serve)

    def open(self) -> None:
        self.ordered.on(serve)
        self.ordered.on(partial(count_state, "waiting"))
        self.arrived.on(receive)
        self.arrived.on(self.retry)
        self.arrived.on(lambda event: count_state("served", event))

    def order(self, item: str, count: int) -> str:
        with Orders.mut() as orders:
            index = orders.insert(Order(item, count))
        self.ordered.emit(Ordered(index))
        return Orders.get()[index].state


@contextmanager
def quiet() -> Iterator[None]:
    with captp.bind(Audit.mut(Log())):
        yield


def lines() -> list[str]:
    return Audit.ref.use(lambda log: list(log.lines))


def main() -> None:
    shop = Shop()
    shop.open()
    with captp.bind(Orders.mut(Arena()), Store.mut(Stock({"tea": 2})), Audit.mut(Log())):
        print(shop.order("tea", 1), shop.order("rum", 2))
        with quiet():
            print(shop.order("tea", 5), len(lines()))
        print(shop.arrived.emit(Arrived("rum", 2)), shop.retry.rounds)
        for line in lines():
            print(line)
        if (stock := Store.get()).items["tea"] == 1:
            print("left:", dict(stock.items))


if __name__ == "__main__":
    main()
