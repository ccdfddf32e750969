"""List, Map and Set against the builtins: any operations, any turns, the same content."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from tests.support import Solo


class Box(captp.Object):
    items: captp.List[int]
    table: captp.Map[str, int]
    tags: captp.Set[int]


Op = tuple[str, tuple[Any, ...]]
SMALL = st.integers(-3, 3)
INDEX = st.integers(-6, 6)
NUMBERS = st.lists(SMALL, max_size=4)
SLICES = st.builds(slice, st.none() | INDEX, st.none() | INDEX, st.none() | st.sampled_from([-2, -1, 1, 2]))
KEYS = st.sampled_from(["a", "b", "c", "d"])
DICTS = st.dictionaries(KEYS, SMALL, max_size=4)


def op(name: str, *args: st.SearchStrategy[Any]) -> st.SearchStrategy[Op]:
    return st.tuples(st.just(name), st.tuples(*args))


LIST_OPS = st.one_of(
    op("append", SMALL),
    op("extend", NUMBERS),
    op("extend_self"),
    op("__iadd__", NUMBERS),
    op("__imul__", st.integers(-1, 3)),
    op("insert", INDEX, SMALL),
    op("pop"),
    op("pop", INDEX),
    op("remove", SMALL),
    op("__setitem__", INDEX, SMALL),
    op("__setitem__", SLICES, NUMBERS),
    op("__delitem__", INDEX),
    op("__delitem__", SLICES),
    op("clear"),
    op("reverse"),
    op("sort"),
    op("sort_backwards"),
)
MAP_OPS = st.one_of(
    op("__setitem__", KEYS, SMALL),
    op("__delitem__", KEYS),
    op("pop", KEYS),
    op("pop", KEYS, SMALL),
    op("popitem"),
    op("setdefault", KEYS, SMALL),
    op("update", DICTS),
    op("update", st.lists(st.tuples(KEYS, SMALL), max_size=3)),
    op("update_named", DICTS),
    op("__ior__", DICTS),
    op("clear"),
)
SETS = st.sets(SMALL, max_size=4)
SET_OPS = st.one_of(
    op("add", SMALL),
    op("discard", SMALL),
    op("remove", SMALL),
    op("clear"),
    op("update", NUMBERS),
    op("update", NUMBERS, SETS),
    op("difference_update", SETS),
    op("difference_update", SETS, NUMBERS),
    op("intersection_update", SETS),
    op("intersection_update", SETS, NUMBERS),
    op("symmetric_difference_update", NUMBERS),
    op("__ior__", SETS),
    op("__iand__", SETS),
    op("__isub__", SETS),
    op("__ixor__", SETS),
)


def apply(target: Any, operation: Op) -> Any:
    """Do one operation; return what it returned, or the class it raised."""
    name, args = operation
    try:
        match name:
            case "extend_self":
                return target.extend(target)
            case "sort_backwards":
                return target.sort(reverse=True, key=lambda n: n % 3)
            case "update_named":
                return target.update(**args[0])
        result = getattr(target, name)(*args)
    except Exception as error:
        return type(error)
    return "itself" if result is target else result


def turns(operations: st.SearchStrategy[Op]) -> st.SearchStrategy[list[tuple[list[Op], bool]]]:
    """Generate turns: what each does, and whether it commits."""
    return st.lists(st.tuples(st.lists(operations, max_size=8), st.booleans()), max_size=4)


def compare_with_builtin(
    solo: Solo, tracked: Any, model: Any, plan: list[tuple[list[Op], bool]], ordered: Callable[[Any], Any]
) -> None:
    """Run turns on a tracked container and on a builtin; both must agree at every step."""

    def body(model: Any, operations: list[Op], commits: bool) -> None:
        for operation in operations:
            assert apply(tracked, operation) == apply(model, operation), operation
            assert ordered(tracked) == ordered(model), operation
        if not commits:
            raise captp.Refused("roll back")

    for operations, commits in plan:
        before = deepcopy(model)
        turn = partial(body, model, operations, commits)
        if commits:
            solo.turn(turn)
        else:
            with pytest.raises(captp.Refused):
                solo.turn(turn)
            assert tracked == before
            # A rolled back deletion puts its key at the end: only the content is promised.
            model = type(model)(tracked)
        assert ordered(tracked) == ordered(model)


@settings(max_examples=150, deadline=None)
@given(NUMBERS, turns(LIST_OPS))
def test_a_list_does_what_list_does_and_rolls_back_to_exactly_what_it_was(
    start: list[int], plan: list[tuple[list[Op], bool]]
) -> None:
    solo, box = Solo(), Box(items=start)
    solo.ref(box)

    compare_with_builtin(solo, box.items, list(start), plan, list)


@settings(max_examples=150, deadline=None)
@given(DICTS, turns(MAP_OPS))
def test_a_map_does_what_dict_does_and_rolls_back_to_what_it_held(
    start: dict[str, int], plan: list[tuple[list[Op], bool]]
) -> None:
    solo, box = Solo(), Box(table=start)
    solo.ref(box)

    compare_with_builtin(solo, box.table, dict(start), plan, lambda m: list(m.items()))


@settings(max_examples=150, deadline=None)
@given(SETS, turns(SET_OPS))
def test_a_set_does_what_set_does_and_rolls_back_to_what_it_held(
    start: set[int], plan: list[tuple[list[Op], bool]]
) -> None:
    solo, box = Solo(), Box(tags=start)
    solo.ref(box)

    compare_with_builtin(solo, box.tags, set(start), plan, set)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, DICTS, SETS, st.lists(st.one_of(*(
    st.tuples(st.just(which), ops)
    for which, ops in (("items", LIST_OPS), ("table", MAP_OPS), ("tags", SET_OPS))
)), max_size=12))  # fmt: skip
def test_interleaved_writes_to_all_containers_and_fields_roll_back_together(
    items: list[int], table: dict[str, int], tags: set[int], plan: list[tuple[str, Op]]
) -> None:
    solo, box = Solo(), Box(items=items, table=table, tags=tags)
    solo.ref(box)

    def body() -> None:
        for which, operation in plan:
            apply(getattr(box, which), operation)
        box.items = [99]
        box.items.append(100)
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(body)

    assert (box.items, box.table, box.tags) == (items, table, tags)
    solo.peer.check()
