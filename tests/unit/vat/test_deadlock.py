"""Calls that would wait for themselves: the newest breaks with Deadlock, and everybody else goes on."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from tests.support import Solo, outcome


class Node(captp.Object):
    """Calls the next one while it has itself to itself."""

    name: str
    next: Any = None

    @captp.method
    def link(self, other: Any) -> None:
        self.next = other

    @captp.method
    def number(self) -> int:
        return 7

    @captp.method
    async def ask(self, when: captp.Promise[None], depth: int = 0) -> Any:
        await when
        if depth:
            return await captp.E(self.next).ask(when, depth - 1)
        return await captp.E(self.next).number()

    @captp.method(latch=False)
    async def ask_open(self, when: captp.Promise[None]) -> Any:
        await when
        return await captp.E(self.next).number()

    @captp.method
    async def ask_late(self, when: captp.Promise[None]) -> Any:
        asked = captp.E(self.next).number()
        await when
        return await asked

    @captp.method
    async def hold(self, when: captp.Promise[None]) -> str:
        await when
        return "held"

    @captp.method
    async def ask_with_remedy(self, when: captp.Promise[None]) -> str:
        await when
        try:
            await captp.E(self.next).number()
        except captp.Deadlock:
            return "saw it"
        return "went well"


def ring(solo: Solo, size: int) -> list[Any]:
    nodes = [solo.ref(Node(name=str(n))) for n in range(size)]
    for at, node in enumerate(nodes):
        captp.E(node).link(nodes[(at + 1) % size])
    solo.run()
    return nodes


def ends(solo: Solo, promises: list[Any]) -> list[Any]:
    found: list[Any] = []
    for promise in promises:
        solo.vat.want(promise)
    solo.run()
    for promise in promises:
        try:
            found.append(outcome(promise))
        except captp.Broken as problem:
            found.append(type(problem))
    assert solo.vat.latches.dump() == []
    assert not solo.vat.turns.fibers
    solo.peer.check()
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 10])
@pytest.mark.parametrize("how", ["ask", "ask_late"])
def test_of_those_that_wait_in_a_ring_exactly_one_gives_way(size: int, how: str) -> None:
    solo = Solo()
    nodes = ring(solo, size)
    when, resolver = solo.promise()
    promises = [getattr(captp.E(node), how)(when) for node in nodes]
    solo.run()
    solo.peer.check()
    resolver.fulfill(None)

    found = ends(solo, promises)
    assert found.count(captp.Deadlock) == 1
    assert found.count(7) == size - 1
    assert solo.vat.latches.deadlocks == 1


def test_a_call_that_comes_back_to_its_own_object_breaks_at_once() -> None:
    solo = Solo()
    nodes = ring(solo, 3)
    when, resolver = solo.promise()
    promise = captp.E(nodes[0]).ask(when, 2)
    resolver.fulfill(None)

    assert ends(solo, [promise]) == [captp.Deadlock]


def test_who_catches_it_goes_on() -> None:
    solo = Solo()
    nodes = ring(solo, 2)
    when, resolver = solo.promise()
    promises = [captp.E(node).ask_with_remedy(when) for node in nodes]
    solo.run()
    resolver.fulfill(None)

    assert sorted(ends(solo, promises)) == ["saw it", "went well"]


def test_who_waits_for_somebody_who_is_not_held_up_is_left_alone() -> None:
    solo = Solo()
    nodes = ring(solo, 3)
    when, resolver = solo.promise()
    holds = captp.E(nodes[0]).hold(when)
    now, at_once = solo.promise()
    at_once.fulfill(None)
    waits = [captp.E(nodes[2]).ask(now), captp.E(nodes[1]).ask(now, 1), captp.E(nodes[0]).number()]
    solo.run()
    solo.peer.check()
    assert not any(promise.settled for promise in waits)
    resolver.fulfill(None)

    assert ends(solo, [holds, *waits]) == ["held", 7, 7, 7]


def test_a_method_without_a_latch_holds_nobody_up() -> None:
    solo = Solo()
    nodes = ring(solo, 2)
    when, resolver = solo.promise()
    promises = [captp.E(node).ask_open(when) for node in nodes]
    solo.run()
    resolver.fulfill(None)

    assert ends(solo, promises) == [7, 7]


def test_a_ring_over_a_fiber_that_holds_nothing_is_found() -> None:
    class Between(captp.Object):
        @captp.method(latch=False)
        async def pass_on(self, target: Any) -> Any:
            return await captp.E(target).number()

    class Holder(captp.Object):
        between: Any = None

        @captp.method
        def number(self) -> int:
            return 1

        @captp.method
        async def ask(self, between: Any, me: Any) -> Any:
            return await captp.E(between).pass_on(me)

    solo = Solo()
    holder = solo.ref(Holder())
    promise = captp.E(holder).ask(solo.ref(Between()), holder)

    assert ends(solo, [promise]) == [captp.Deadlock]


def test_a_call_that_nobody_awaits_just_waits() -> None:
    class Holder(captp.Object):
        count: int = 0

        @captp.method
        def add(self) -> int:
            self.count += 1
            return self.count

        @captp.method
        async def ask(self, me: Any) -> int:
            captp.E(me).add()
            captp.E(me).add.only()
            await captp.sleep(0)
            return self.count

    solo = Solo()
    holder = solo.ref(Holder())
    promise = captp.E(holder).ask(holder)
    solo.run()
    solo.tick(1.0)

    assert ends(solo, [promise]) == [0]
    assert ends(solo, [captp.E(holder).add()]) == [3]
