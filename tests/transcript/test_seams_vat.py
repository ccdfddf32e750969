"""The seams in a vat and its output, c to h: each is there, idle today, and takes what is plugged in."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

import captp
from captp.errors import Refused
from captp.model.interface import Row, rows_of
from captp.model.object import Object
from captp.model.own import Mode
from captp.model.send import E
from captp.peer.outputs import Batch, Commit, Load
from tests.unit.peer.pair import Counter, Host, Net, Shop, outcome, pair

# c. One door, one queue per source, and holding by source or by target.


def test_seam_c_each_connection_is_a_source_and_none_is_held_today() -> None:
    it = pair()
    c = it.net.host(3)
    c.want(c.enliven(it.sturdyref, Shop))
    it.net.rest()

    sources = it.b.vat.queues.sources

    assert [s.name for s in sources] == ["vat", "c1", "c2"]
    assert not any(s.held for s in sources)
    assert it.counter._latch is None


def test_seam_c_everything_that_runs_comes_through_one_door_with_its_source() -> None:
    it = pair()
    admitted, entered = it.b.vat.admitted, []

    def door(source: Any) -> None:
        entered.append((source.name, len(source.messages)))
        admitted(source)

    it.b.vat.admitted = door  # type: ignore[method-assign]
    it.ref.add(1)
    it.ref.add(2)
    E(it.b.vat.reference(it.counter)).add(3)
    it.net.rest()

    assert sorted(entered) == [("c1", 2), ("vat", 1)]


def test_seam_c_a_target_that_is_held_twice_waits_for_both() -> None:
    it = pair()
    it.a.want(it.ref.never())
    it.net.rest()
    it.ref.add(1)
    it.net.rest()
    busy = list(it.counter.seen)

    it.b.peer.vat.latches.hold(it.counter)
    it.b.run()
    it.b.peer.vat.latches.release(it.counter)
    it.b.run()

    assert busy == []
    assert list(it.counter.seen) == []


# d. All results and output leave through drain, in numbered batches.


def test_seam_d_batches_are_numbered_and_today_none_waits_for_a_commit() -> None:
    it = pair()
    it.ref.add(1)

    batches = [it.a.run() for _ in range(3)]

    assert [b.number - batches[0].number for b in batches] == [0, 1, 2]
    assert [b.commit for b in batches] == [None, None, None]


class Storing(Host):
    """A driver that lets no output leave before its batch is stored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unstored: list[tuple[Commit, list[Any]]] = []
        drain = self.peer.drain

        def durable() -> Batch:
            batch = drain()
            commit = Commit(batch.number, [], 0)
            self.unstored.append((commit, batch.outputs))
            return evolve(batch, commit=commit, outputs=[])

        self.peer.drain = durable  # type: ignore[method-assign]

    def stored(self) -> None:
        """Let what is stored by now leave, in the order of the commits."""
        unstored, self.unstored = self.unstored, []
        assert [c.number for c, _ in unstored] == sorted(c.number for c, _ in unstored)
        for _, outputs in unstored:
            for output in outputs:
                self.act(output)


def storing() -> tuple[Net, Host, Storing, Counter, Any]:
    """Return a vat in session with one whose driver stores first, and its reference there."""
    net = Net()
    a, b = net.host(1), Storing(net, 2, None)
    net.hosts.append(b)
    counter = Counter()
    fetched = a.want(a.enliven(b.mint(counter), Shop))
    for _ in range(5):
        net.rest()
        b.stored()
    net.rest()
    return net, a, b, counter, outcome(fetched)


def test_seam_d_a_driver_that_stores_first_can_hold_back_all_that_a_vat_says() -> None:
    net, a, b, counter, ref = storing()
    call = a.want(ref.add(1))
    b.want(E(b.vat.reference(counter)).add(2), "local caller")

    net.rest()
    unstored = (call.settled, list(b.woken))
    b.stored()
    net.rest()

    assert sorted(counter.seen) == [1, 2]
    assert unstored == (False, [])
    assert outcome(call) == 1
    assert b.woken == ["local caller"]


# e. The heap entry, edges and holders.


def test_seam_e_a_heap_entry_names_its_trustee_and_one_implicit_capsule() -> None:
    it = pair()
    heap, entry = it.b.vat.heap, it.counter._entry

    assert heap.find(entry.oid) is it.counter
    assert entry.trustee is it.b.vat.trustee
    assert entry.capsule == 0
    assert list(heap.edges(it.counter)) == []


# f. The method row.


def test_seam_f_a_row_knows_how_its_method_is_called() -> None:
    it = pair()
    it.a.want(it.ref.me())
    it.net.rest()
    rows = rows_of(Counter)
    add, me, never = rows["add"], rows["me"], rows["never"]

    assert add.function.__name__ == "add"
    assert list(add.signature.parameters) == ["self", "number"]
    assert [row.is_fiber for row in (add, me, never)] == [False, False, True]
    assert me.result is Shop
    assert me.thunk is not None
    assert (add.modes, add.needs) == ({}, ())


def test_seam_f_dispatch_calls_what_the_row_says() -> None:
    class Borrower(captp.Object):
        @captp.method
        def take(self, what: int) -> Shop:
            raise AssertionError("the row has another thunk")

    net = Net()
    a = net.host(1)
    row, made, seen = rows_of(Borrower)["take"], Counter(), []

    def thunk(obj: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        seen.append((type(obj).__name__, args, kwargs))
        return made

    row.thunk, row.result, row.modes, row.needs = thunk, Shop, {"what": Mode.BORROWED}, ("clock",)
    result = a.want(E(a.vat.reference(Borrower())).take(1))
    net.rest()

    assert seen == [("Borrower", (1,), None)]
    assert outcome(result) is a.vat.reference(made, Shop)


# g. Steps that each turn enters and leaves.


class Steps:
    """Takes note of turns; sees the row, and with it the modes and needs of its method."""

    def __init__(self, refuses: str = "") -> None:
        self.log: list[tuple[Any, ...]] = []
        self.refuses = refuses

    def enter(self, obj: Object, row: Row) -> None:
        if row.name == self.refuses:
            raise Refused("not in this context")
        self.log.append(("enter", obj._entry.capsule, row.name))

    def leave(self, obj: Object, row: Row, *, committed: bool) -> None:
        self.log.append(("leave", row.name, committed))


def test_seam_g_a_trustee_has_no_steps_today() -> None:
    it = pair()

    assert it.a.vat.trustee.steps == ()


def test_seam_g_each_turn_and_each_step_of_a_fiber_is_entered_and_left_once() -> None:
    it = pair()
    steps = Steps("me")
    it.b.vat.trustee.steps = (steps,)
    it.counter._entry.capsule = 3

    it.ref.add(1)
    it.a.want(it.ref.give_back(1)["x"])
    refused = it.a.want(it.ref.me())
    dropped = it.a.want(it.ref.never())
    it.net.rest()

    assert steps.log == [
        ("enter", 3, "add"), ("leave", "add", True), ("enter", 3, "give_back"), ("leave", "give_back", True),
        ("enter", 3, "never"), ("leave", "never", True),
    ]  # fmt: skip
    assert not dropped.settled
    with pytest.raises(Refused, match="not in this context"):
        outcome(refused)


# h. Effects for the driver beside writes and dials.


def test_seam_h_a_volatile_vat_loads_nothing_and_commits_nothing() -> None:
    it = pair()
    it.ref.add(1)
    it.net.rest()

    outputs = [o for host in (it.a, it.b) for batch in host.batches for o in batch.outputs]

    assert not any(isinstance(o, Load | Commit) for o in outputs)
