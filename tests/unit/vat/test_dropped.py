"""``__dropped__`` in one vat: a turn of its own, once, when nothing holds the object any more."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

import captp
from captp.errors import Broken
from captp.limits import Limits
from captp.model.promise import Promise, Reference
from captp.model.send import E
from captp.vat.delegation import entrust
from tests.support import Solo

#: What was dropped, in order; state goes back with a turn that fails, and this does not.
LOG: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    gc.collect()
    LOG.clear()


class Log(captp.Object):
    lines: captp.List[str]

    @captp.method
    def note(self, line: str) -> None:
        self.lines.append(line)


class Thing(captp.Object):
    """Says when it is dropped, and does what it was told to do then."""

    name: str
    other: Any = None
    log: Any = None
    keeper: Any = None
    fails: bool = False
    count: int = 0

    @captp.method
    def hold(self, other: Any) -> None:
        self.other = other

    @captp.method
    def drop(self, *, fails: bool = False) -> None:
        self.other = None
        if fails:
            raise captp.Refused("after all")

    @captp.method
    def make(self, name: str) -> None:
        self.other = Thing(name=name)
        self.other = None

    @captp.method
    def look(self) -> list[Any]:
        return [self.name, self.count]

    def __dropped__(self) -> None:
        LOG.append(self.name)
        self.count += 1
        if self.log is not None:
            E(self.log).note.only(f"bye from {self.name}")
        if self.keeper is not None:
            E(self.keeper).hold.only(self)
        if self.fails:
            raise KeyError(self.name)


class Quiet(captp.Object):
    other: Any = None


def test_it_runs_when_the_last_variable_goes_and_not_before() -> None:
    it = Solo()
    thing = Thing(name="x")
    ref = it.ref(thing)
    view = it.vat.reference(thing, captp.Object)

    del thing
    it.run()
    del ref
    it.run()
    assert LOG == []
    del view
    assert LOG == []
    it.run()

    assert LOG == ["x"]
    it.run()
    assert LOG == ["x"]
    assert [line for line in it.vat.heap.dump() if "Thing" in line] == []


def test_the_object_is_as_it_was_and_its_turn_commits_writes_and_sends() -> None:
    it = Solo()
    log = Log()
    thing = Thing(name="x", log=it.ref(log))
    gone = weakref.ref(thing)
    it.ref(thing)

    del thing
    it.run()

    assert list(log.lines) == ["bye from x"]
    assert gone() is None


def test_a_field_a_container_a_message_and_a_result_hold_it() -> None:
    it = Solo()
    holder = it.ref(Thing(name="holder"))
    E(holder).hold.only(it.ref(Thing(name="x")))
    it.run()
    assert LOG == []

    box = it.turn(lambda: [it.ref(Thing(name="y"))])
    it.run()
    assert LOG == []
    promise, resolver = it.promise()
    waits = E(promise).hold(box.pop())
    it.run()
    assert LOG == []

    E(holder).drop.only()
    it.run()
    assert LOG == ["x"]
    resolver.fulfill(None)
    it.run()
    assert LOG == ["x", "y"]
    del waits


def test_a_turn_that_is_rolled_back_has_dropped_nothing() -> None:
    it = Solo()
    holder = it.ref(Thing(name="holder"))
    E(holder).hold.only(Thing(name="x"))
    it.run()

    with pytest.raises(captp.Refused):
        it.value(E(holder).drop(fails=True))
    assert LOG == []
    it.value(E(holder).drop())

    assert LOG == ["x"]


def test_it_is_never_inside_another_turn() -> None:
    it = Solo()
    order: list[Any] = []

    class Inner(captp.Object):
        def __dropped__(self) -> None:
            order.append(("dropped", self._home.in_turn is self))

    def body() -> None:
        it.ref(Inner())
        gc.collect()
        order.append("end of the turn")

    it.turn(body)

    assert order == ["end of the turn", ("dropped", True)]


def test_what_it_raises_is_logged_undone_and_goes_no_further() -> None:
    it = Solo()
    log = Log()
    it.ref(Thing(name="x", fails=True, log=it.ref(log)))
    it.ref(Thing(name="y"))

    it.run()

    assert sorted(LOG) == ["x", "y"]
    assert [repr(f) for f in it.failures] == ["KeyError('x')"]
    assert list(log.lines) == []
    gc.collect()
    it.run()
    assert len(LOG) == 2


def test_what_comes_to_be_held_again_lives_on_and_goes_without_a_word_the_next_time() -> None:
    it = Solo()
    holder = Thing(name="holder")
    keeper = it.ref(holder)
    thing = Thing(name="x", keeper=keeper)
    gone = weakref.ref(thing)
    it.ref(thing)
    del thing

    it.run()
    assert LOG == ["x"]
    assert holder.other is not None
    assert list(it.value(E(holder.other).look())) == ["x", 1]
    # The reference to it that its keeper has holds the keeper too.
    it.value(E(keeper).drop())
    gc.collect()
    it.run()

    assert LOG == ["x"]
    assert gone() is None


def test_two_objects_that_hold_one_another_are_told_when_python_finds_them() -> None:
    it = Solo()
    log = Log()
    one, two = Thing(name="one", log=it.ref(log)), Thing(name="two")
    one.other, two.other = two, one
    it.ref(one)
    gone = [weakref.ref(one), weakref.ref(two)]
    del one, two

    it.run()
    assert LOG == []
    gc.collect()
    assert LOG == []
    it.run()

    assert sorted(LOG) == ["one", "two"]
    assert list(log.lines) == ["bye from one"]
    gc.collect()
    it.run()
    assert len(LOG) == 2
    assert [g() for g in gone] == [None, None]
    it.vat.check()
    assert [line for line in it.vat.heap.dump() if "Thing" in line] == []


def test_what_a_cycle_held_is_in_the_heap_and_shown_as_before_while_it_is_told() -> None:
    it = Solo()
    seen: list[Any] = []

    class Ring(captp.Object):
        beside: Any = None
        shown: Any = None

        def __dropped__(self) -> None:
            near = self.beside._anchor
            seen.append(it.vat.heap.find(near._entry.oid) is near)
            seen.append(it.ref(near) is self.beside)
            seen.append(it.vat.heap.find(self._entry.oid) is self)

    beside = Quiet()
    ring = Ring(beside=it.ref(beside))
    ring.shown = ring
    it.ref(ring)
    del ring, beside
    gc.collect()
    it.run()

    assert seen == [True, True, True]


def test_no_class_without_it_comes_back() -> None:
    it = Solo()
    quiet = Quiet()
    gone = weakref.ref(quiet)
    it.ref(quiet)

    del quiet

    assert gone() is None
    assert not it.vat.dropped


def test_an_entrusted_object_is_told_when_its_last_handle_goes() -> None:
    it = Solo()
    handle = entrust(it.vat, Thing(name="x"), poisons=False)
    other = handle.clone()

    handle.drop()
    it.run()
    assert LOG == []
    other.drop()
    it.run()

    assert LOG == ["x"]


def test_one_that_goes_in_another_thread_is_told_in_the_vats() -> None:
    it = Solo()
    refs = [it.ref(Thing(name="x"))]
    threads: list[int] = []

    class Told(captp.Object):
        def __dropped__(self) -> None:
            threads.append(threading.get_ident())

    refs.append(it.ref(Told()))
    thread = threading.Thread(target=refs.clear)
    thread.start()
    thread.join()
    it.run()

    assert (LOG, threads) == (["x"], [threading.get_ident()])


def test_nothing_is_told_after_the_end_of_the_vat() -> None:
    it = Solo()
    first, second = it.ref(Thing(name="queued")), it.ref(Thing(name="late"))

    del first
    it.vat.close()
    del second
    assert len(it.vat.dropped) == 1
    it.run()

    assert LOG == []


def test_a_thousand_that_go_at_once_take_their_turns_with_others() -> None:
    it = Solo(Limits(quantum=10))
    refs = [it.ref(Thing(name=str(i))) for i in range(1_000)]

    refs.clear()
    it.run(100)
    some = len(LOG)
    it.run()

    assert 0 < some <= 100
    assert sorted(map(int, LOG)) == list(range(1_000))


def test_an_object_that_is_made_and_dropped_in_a_turn_that_fails_is_told_if_the_vat_owned_it() -> None:
    it = Solo()

    def body() -> None:
        it.ref(Thing(name="owned"))
        Thing(name="never owned")
        raise captp.Refused("after all")

    with pytest.raises(captp.Refused):
        it.turn(body)

    assert LOG == ["owned"]


def test_a_peer_cannot_spell_it() -> None:
    it = Solo()
    ref = it.ref(Thing(name="x"))

    for name in ("__dropped__", "captp:dropped"):
        with pytest.raises((Broken, captp.UsageError)):
            it.value(it.vat.send(ref, name, (), None, Promise))

    assert LOG == []
    assert isinstance(ref, Reference)
