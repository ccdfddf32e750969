"""A vat frees circles of its own without Python's collector, and nothing that somebody can reach."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import captp
from captp.model.holding import hold
from captp.vat import circles
from captp.vat.circles import Circles
from captp.vat.delegation import entrust
from tests.unit.peer.pair import Counter, Shop
from tests.unit.vat.traced import Node, Scene

#: Nodes that are enough for all of these.
ALL = 1 << 20


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Keep Python's own away."""
    gc.disable()
    yield
    gc.enable()


def ring(scene: Scene, count: int = 2, cls: type[Any] = Node, **state: Any) -> list[weakref.ref[Any]]:
    """Make objects that hold each other, in a circle, and that nothing else holds."""
    nodes = [cls(label=str(number), **state) for number in range(count)]
    for one, other in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        one._f_any = scene.vat.reference(other)
    return [weakref.ref(node) for node in nodes]


def goes(scene: Scene, found: list[weakref.ref[Any]]) -> bool:
    """Go twice through all objects, as those that are to be told are; tell whether all went, or none."""
    looks = Circles(scene.vat)
    for _ in range(6):
        looks.step(ALL)
        scene.net.rest()
    left = sum(one() is not None for one in found)
    assert left in (0, len(found))
    assert looks.freed == len(found) - left
    return not left


def far(scene: Scene, theirs: Counter) -> Any:
    return scene.here.get(scene.here.enliven(scene.there.mint(theirs), Shop))


def test_a_vat_with_sessions_does_so_while_it_is_quiet() -> None:
    scene = Scene()
    theirs = Counter()
    circle = ring(scene, items=[far(scene, theirs)])
    scene.net.rest()
    assert theirs._entry.where is not None

    scene.net.wait(3)

    assert circle[0]() is None
    assert theirs._entry.where is None
    assert scene.here.peer.cycles.view().own_circles == 2


@pytest.mark.parametrize("count", [1, 2, 7])
def test_what_only_holds_itself_goes_and_gives_back_what_it_held_elsewhere(count: int) -> None:
    scene = Scene()
    theirs = Counter()
    circle = ring(scene, count, items=[far(scene, theirs)])
    scene.net.rest()
    assert theirs._entry.where is not None

    assert goes(scene, circle)

    scene.net.wait(1)
    assert theirs._entry.where is None


def test_an_object_that_is_not_owned_yet_is_in_nobodys_way() -> None:
    scene = Scene()
    circle = ring(scene)
    circle[0]()._f_face = Node()

    assert goes(scene, circle)


def test_containers_and_records_in_the_state_may_be_part_of_the_circle() -> None:
    scene = Scene()
    one = Node()
    other = Node(items=[{"face": scene.vat.reference(one)}])
    one._f_any = (1, scene.vat.reference(other))  # type: ignore[attr-defined]
    circle = [weakref.ref(one), weakref.ref(other)]
    del one, other

    assert goes(scene, circle)


def test_what_a_variable_holds_stays_and_so_does_all_behind_it() -> None:
    scene = Scene()
    circle = ring(scene, 3)
    node = circle[1]()

    assert not goes(scene, circle)
    assert node.any is not None

    del node
    assert goes(scene, circle)


def test_what_a_peer_holds_stays() -> None:
    scene = Scene()
    circle = ring(scene, 3)
    scene.give(circle[2]())

    assert not goes(scene, circle)


def test_what_a_sturdyref_leads_to_stays() -> None:
    scene = Scene()
    circle = ring(scene)
    scene.here.mint(circle[0]())

    assert not goes(scene, circle)


def test_what_runs_waits_or_is_under_way_stays() -> None:
    scene = Scene()
    running, queued, holder = ring(scene), ring(scene), Node()
    end = scene.waiting(captp.E(scene.vat.reference(holder)).wait_with, scene.vat.reference(running[0]()))
    promise, resolver = scene.vat.promise()
    captp.E(promise).take.only(scene.vat.reference(queued[0]()))
    scene.net.rest()

    assert not goes(scene, running)
    assert not goes(scene, queued)

    end()
    resolver.break_(captp.Refused("not now"))
    del promise, resolver
    scene.net.rest()
    assert goes(scene, [*running, *queued])


def test_what_a_handle_or_a_hold_has_stays() -> None:
    scene = Scene()
    entrusted, held = ring(scene), ring(scene)
    handle = entrust(scene.vat, entrusted[0](), poisons=False)
    block = hold(scene.vat, scene.vat.reference(held[0]()))

    with block as own:
        assert not goes(scene, [*entrusted, *held])
        assert own is not None
    assert handle.reference is not None

    del handle, block, own
    assert goes(scene, [*entrusted, *held])


def test_what_a_plain_object_of_users_holds_stays() -> None:
    scene = Scene()
    circle = ring(scene)
    hidden = {"node": [circle[0]()]}

    assert not goes(scene, circle)
    assert hidden


class Told(Node):
    """Says when it is dropped, and what it saw then."""

    log: captp.List[str]

    def __dropped__(self) -> None:
        LOG.append((self.label, self.any is not None))


class Sticky(Node):
    """Has itself held again when it is dropped."""

    def __dropped__(self) -> None:
        KEPT.append(self)


class Finalized(Node):
    """Has a finalizer of its own."""

    def __del__(self) -> None:
        LOG.append((self.label, hasattr(self, "any")))


LOG: list[tuple[str, bool]] = []
KEPT: list[Any] = []


def test_who_wants_to_be_told_is_told_once_and_has_all_of_its_state_then() -> None:
    scene = Scene()
    LOG.clear()

    assert goes(scene, ring(scene, 3, Told))

    assert sorted(LOG) == [("0", True), ("1", True), ("2", True)]


def test_who_is_held_again_when_it_was_told_stays_and_goes_without_a_word_the_next_time() -> None:
    scene = Scene()
    KEPT.clear()
    circle = ring(scene, 2, Sticky)

    assert not goes(scene, circle)
    assert len(KEPT) == 2
    KEPT.clear()

    assert goes(scene, circle)
    assert not KEPT


def test_a_circle_with_a_finalizer_of_its_own_is_left_to_python() -> None:
    scene = Scene()
    LOG.clear()
    circle = ring(scene, 2, Finalized)

    assert not goes(scene, circle)
    assert not LOG
    gc.collect()

    assert not any(one() for one in circle)
    assert sorted(LOG) == [("0", True), ("1", True)]


def test_one_that_python_has_told_and_that_was_held_again_is_not_told_a_second_time() -> None:
    scene = Scene()
    KEPT.clear()
    ring(scene, 2, Sticky)
    gc.collect()
    scene.net.rest()
    assert len(KEPT) == 2
    KEPT.clear()

    found = [weakref.ref(obj) for obj in scene.vat.heap.objects() if type(obj) is Sticky]
    assert goes(scene, found)
    assert not KEPT


@pytest.mark.parametrize(("count", "goes_now"), [(9, True), (10, True), (11, False)])
def test_a_look_visits_so_many_nodes_and_what_is_larger_stays(
    count: int, goes_now: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each object of the ring comes with its reference, its list, its map and its set.
    monkeypatch.setattr(circles, "LIMIT", 50)
    scene = Scene()

    assert goes(scene, ring(scene, count)) is goes_now


def test_a_step_looks_at_so_much_and_the_next_one_goes_on_there() -> None:
    scene = Scene()
    rings = [ring(scene) for _ in range(20)]
    looks = Circles(scene.vat)
    looks.step(1)
    freed = []
    for _ in range(8):
        looks.step(50)
        freed.append(looks.freed)

    # A look at a ring of two costs 10 nodes and a toll of 8; it is begun while anything is left.
    assert freed[:6] == [6, 12, 18, 24, 30, 36]
    assert freed[-1] == 2 * len(rings)


def test_a_round_passes_by_so_many_that_were_looked_at_with_others_in_one_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(circles, "SKIPS", 3)
    scene = Scene()
    kept = ring(scene, 10)
    node = kept[0]()
    looks = Circles(scene.vat)
    looks.step(ALL)
    looks.step(ALL)
    late = ring(scene)
    looks.step(ALL)
    assert late[0]() is not None

    for _ in range(8):
        looks.step(ALL)

    assert late[0]() is None
    assert node.any is not None


def test_an_interpreter_whose_counts_are_not_trusted_has_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circles, "trusted", lambda: "it moves what it holds")
    scene = Scene()

    assert not goes(scene, ring(scene))


def test_counts_that_cannot_be_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circles, "surplus_of", lambda walk: [0, -1] + [0] * (len(walk.nodes) - 2))
    scene = Scene()

    assert not goes(scene, ring(scene))


def test_what_was_looked_at_with_others_is_not_looked_at_again_in_the_same_round() -> None:
    scene = Scene()
    kept = ring(scene, 10)[0]()
    looks = Circles(scene.vat)
    looks.step(1)
    for _ in range(6):
        looks.step(1)

    # One look at all ten, and the rest of the round: three times.
    assert looks._number == 4
    del kept


def test_no_collector_runs_finalizers_while_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(circles, "_by_nobody", lambda _thing: seen.append(gc.isenabled()) or ())
    scene = Scene()
    circle = ring(scene)
    # Switched on, and yet it never comes by itself.
    thresholds = gc.get_threshold()
    gc.set_threshold(0)
    gc.enable()

    try:
        assert goes(scene, circle)
        assert gc.isenabled()
    finally:
        gc.set_threshold(*thresholds)
    assert set(seen) == {False}


def test_a_mistake_of_ours_costs_the_vat_its_collector_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_walk: Any) -> Any:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(circles, "circle_of", fail)
    scene = Scene()
    scene.here.has_faults = scene.there.has_faults = True
    theirs = Counter()
    kept = far(scene, theirs)

    scene.net.wait(3)

    events = [trace.event for trace in scene.there.traces]
    assert events.count("collector failed") == 1
    assert not scene.there.peer.cycles.view().enabled
    assert scene.here.get(kept.add(7)) == 7
