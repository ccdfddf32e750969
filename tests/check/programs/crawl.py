"""A crawl of made-up pages: tasks that read what their parent bound, and trustees that keep the counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio

import captp

PAGES = {
    "home": ["news", "shop"],
    "news": ["home", "old"],
    "shop": ["cart", "home"],
    "cart": [],
    "old": ["home"],
}


@dataclass
class Limits:
    depth: int
    tasks: int


@dataclass
class Visit:
    seen: list[str] = field(default_factory=list)

    def add(self, page: str) -> bool:
        if page in self.seen:
            return False
        self.seen.append(page)
        return True


Limit = captp.Cap("Limit", Limits)
Path = captp.Cap("Path", list[str])
Site = captp.Cap("Site", dict[str, list[str]])


class Counter:
    """What the trustee owns."""

    def __init__(self) -> None:
        self.pages: dict[str, int] = {}

    def hit(self, page: str) -> int:
        self.pages[page] = self.pages.get(page, 0) + 1
        return self.pages[page]

    def total(self) -> int:
        return sum(self.pages.values())


class Monitor(captp.Object):
    """Hears of pages, and waits in fibers for nothing but promises."""

    heard: captp.List[str]

    @captp.method
    def hear(self, page: str) -> int:
        self.heard.append(page)
        return len(self.heard)

    @captp.method
    async def slow(self, page: str) -> str:
        await captp.sleep(0.001)
        size = await captp.outside(measured, page)
        return f"{page} {size}"

    @captp.method
    def pages(self) -> list[str]:
        return sorted(self.heard)


def measured(page: str) -> int:
    return len(page)


def links(page: str) -> list[str]:
    return list(Site.get()[page])


def is_too_deep(depth: int) -> bool:
    return depth >= Limit.get().depth


async def crawl(page: str, depth: int, counter: captp.Trust[Counter], monitor: Any) -> None:
    await counter.apply(Counter.hit, page)
    await captp.E(monitor).hear(page)
    if is_too_deep(depth):
        return
    async with trio.open_nursery() as nursery:
        for link in links(page):
            nursery.start_soon(crawl, link, depth + 1, counter, monitor)


async def walk(start: str, told: list[str]) -> None:
    """Walk in a task of its own, with a path of its own."""
    way: list[str] = []
    with captp.bind(Path.mut(way)):
        step(start)
    told.append(" > ".join(way))


def step(page: str) -> None:
    with Path.mut() as path:
        path.append(page)
        is_end = len(path) > Limit.get().tasks
    if is_end:
        return
    for link in links(page):
        if link not in Path.get():
            step(link)
            return


async def monitor_all(monitor: Any) -> list[str]:
    pages: list[str] = await captp.E(monitor).pages()
    return [await captp.E(monitor).slow(page) for page in sorted(set(pages))]


async def everything(vat: captp.LiveVat) -> None:
    counter = vat.entrust(Counter())
    monitor = vat.export(Monitor())
    await crawl("home", 0, counter, monitor)
    print("hits", await counter.apply(Counter.total))
    print("of home", await counter.apply(lambda kept: kept.pages["home"]))
    told: list[str] = []
    async with trio.open_nursery() as nursery:
        for start in ("home", "shop"):
            nursery.start_soon(walk, start, told)
    print(sorted(told))
    print(await monitor_all(monitor))
    factor = 2
    print("twice", await counter.apply(lambda kept: kept.total() * factor))
    print("in a thread", await trio.to_thread.run_sync(partial(links, "home")))


async def main() -> None:
    async with captp.open_vat() as vat:
        with captp.bind(Limit.ref(Limits(depth=2, tasks=3)), Site.ref(PAGES)):
            await everything(vat)


if __name__ == "__main__":
    trio.run(main)
