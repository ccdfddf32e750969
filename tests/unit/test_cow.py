"""Lists and maps that are copied when they are changed: whoever was given one has what it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import captp
from captp import cow
from captp.errors import BadClass, CaptureError, Unpassable
from captp.model.captures import check_captures
from captp.model.passable import MAX_DEPTH, plain
from captp.model.values import FrozenMap
from tests.support import Solo
from tests.unit.model.test_containers_model import DICTS, INDEX, KEYS, NUMBERS, SLICES, SMALL, op
from tests.unit.model.test_containers_model import apply as applied
from tests.unit.peer.test_borrow import Scene

#: What others may get of one, and keep.
SHARES = st.sampled_from(["passed", "copied", "gone over"])
LIST_OPS = st.one_of(
    op("append", SMALL),
    op("extend", NUMBERS),
    op("extend_self"),
    op("__iadd__", NUMBERS),
    op("insert", INDEX, SMALL),
    op("pop"),
    op("pop", INDEX),
    op("remove", SMALL),
    op("__setitem__", INDEX, SMALL),
    op("__setitem__", SLICES, NUMBERS),
    op("__getitem__", SLICES),
    op("__delitem__", INDEX),
    op("__delitem__", SLICES),
    op("clear"),
    op("reverse"),
    op("sort"),
    op("sort_backwards"),
)
MAP_OPS = st.one_of(
    op("__setitem__", KEYS, SMALL),
    op("__getitem__", KEYS),
    op("__delitem__", KEYS),
    op("pop", KEYS),
    op("pop", KEYS, SMALL),
    op("get", KEYS),
    op("setdefault", KEYS, SMALL),
    op("update", DICTS),
    op("update", st.lists(st.tuples(KEYS, SMALL), max_size=3)),
    op("update_named", DICTS),
    op("clear"),
)


def shared(value: Any, how: str) -> Any:
    if how == "passed":
        return plain(value)
    return value.copy() if how == "copied" else iter(value)


def run(value: Any, model: Any, steps: list[Any]) -> None:
    """Do steps to a value, its copies and their models; all that was given away stays as it was."""
    hands, given = [(value, model)], []
    for step, which in steps:
        value, model = hands[which % len(hands)]
        if isinstance(step, str):
            part = shared(value, step)
            before = copy.copy(model)
            if step == "copied":
                hands.append((part, before))
            else:
                given.append((part, before))
        else:
            assert applied(value, step) == applied(model, step), step
        for value, model in hands:
            # Comparing the whole would share it.
            keys = model if isinstance(model, dict) else range(len(model))
            assert all(value[key] == model[key] for key in keys)
            assert len(value) == len(model)
            assert (1 in value) == (1 in model)
    assert all(value == model for value, model in hands)
    for part, before in given:
        kind = type(before)
        assert kind(part) == (kind(before) if isinstance(part, tuple | dict) else _over(before))


def _over(before: Any) -> Any:
    return before if isinstance(before, list) else sorted(before)


@settings(max_examples=150, deadline=None)
@given(NUMBERS, st.lists(st.tuples(LIST_OPS | SHARES, st.integers(0, 3)), max_size=20))
def test_a_list_does_what_list_does_and_what_was_given_away_stays(start: list[int], steps: Any) -> None:
    run(cow.List(start), list(start), steps)


@settings(max_examples=150, deadline=None)
@given(
    DICTS,
    st.lists(st.tuples(MAP_OPS | st.sampled_from(["passed", "copied"]), st.integers(0, 3)), max_size=20),
)
def test_a_map_does_what_dict_does_and_what_was_given_away_stays(start: dict[str, int], steps: Any) -> None:
    run(cow.Map(start), dict(start), steps)


CHANGES: list[tuple[Any, Callable[[Any], Any]]] = [
    (cow.List([1, 2]), lambda xs: xs.append(3)),
    (cow.List([1, 2]), lambda xs: xs.__setitem__(0, 3)),
    (cow.Map(a=1), lambda m: m.__setitem__("a", 2)),
    (cow.Map(a=1), lambda m: m.__setitem__("0", 2)),
    (cow.Map(a=1, b=2), lambda m: m.__delitem__("b")),
]


@pytest.mark.parametrize(("value", "change"), CHANGES)
@pytest.mark.parametrize("share", [plain, copy.copy, copy.deepcopy, list])
def test_the_first_change_copies_and_the_next_are_made_in_place(
    value: Any, change: Callable[[Any], Any], share: Callable[[Any], Any]
) -> None:
    value = value.copy()
    share(value)
    before = value._items
    change(value)
    own = value._items
    assert own is not before
    value.update(a=5) if isinstance(value, cow.Map) else value.append(5)

    assert value._items is own


@pytest.mark.parametrize("value", [cow.List([1, [2]]), cow.Map(b=1, a={"c": [2]})])
@pytest.mark.parametrize("is_new", [True, False])
def test_what_was_not_changed_is_passed_and_copied_as_it_is(value: Any, is_new: bool) -> None:
    if not is_new:
        value = value.copy()
        value.update(a=5) if isinstance(value, cow.Map) else value.append(5)
    passed = plain(value)

    assert plain(value) is passed
    assert plain(value.copy()) is passed
    assert plain(type(value)(value)) is passed
    assert plain([value])[0] is passed


def test_what_arrives_is_what_lists_and_dicts_arrive_as() -> None:
    rows = cow.List([{"b": [1], "a": 2}])
    table = cow.Map(z=1)
    table["a"] = [2]

    assert plain(rows) == ({"a": 2, "b": (1,)},)
    assert type(plain(rows)) is tuple
    assert list(plain(table).items()) == [("a", (2,)), ("z", 1)]
    assert type(plain(table)) is FrozenMap
    assert rows[0] == {"a": 2, "b": (1,)}
    assert list(table) == ["a", "z"]
    assert list(reversed(table)) == ["z", "a"]
    assert list(reversed(cow.List([1, 2]))) == [2, 1]
    assert plain(cow.List([table])) == ({"a": (2,), "z": 1},)


class Keeper(captp.Object):
    kept: captp.List[object]

    @captp.method
    def keep(self, value: object) -> object:
        self.kept.append(value)
        return value


class Giver(captp.Object):
    @captp.method
    def give(self) -> list[int]:
        return cow.List([1, 2])  # type: ignore[return-value]


@pytest.mark.parametrize("host", ["near", "far"])
def test_a_call_and_a_result_bring_it_as_it_was_when_it_was_passed(host: str) -> None:
    scene = Scene("far")
    home = scene.a if host == "near" else scene.b
    keeper = Keeper()
    there = captp.E(scene.get(home, keeper, captp.Interface))
    rows, table = cow.List([1]), cow.Map(a=1)
    first = there.keep({"rows": rows, "table": table})
    rows.append(2)
    table["b"] = 2
    second = there.keep([rows, table])
    rows.clear()
    table.clear()

    assert scene.ends(first) == {"rows": (1,), "table": {"a": 1}}
    assert scene.ends(second) == ((1, 2), {"a": 1, "b": 2})
    assert scene.ends(captp.E(scene.get(home, Giver(), captp.Interface)).give()) == (1, 2)


LIST, MAP = cow.List([1]), cow.Map(a=1)


@pytest.mark.parametrize("item", [{1}, object(), Keeper(), {1: 2}, [{"a": Giver()}]])
@pytest.mark.parametrize(
    "put",
    [
        LIST.append,
        lambda item: LIST.insert(0, item),
        lambda item: LIST.__setitem__(0, item),
        lambda item: LIST.extend([1, item]),
        lambda item: LIST.__setitem__(slice(0, 1), [1, item]),
        lambda item: MAP.__setitem__("a", item),
        lambda item: MAP.setdefault("b", item),
        lambda item: MAP.update(c=1, b=item),
        lambda item: cow.List([item]),
        lambda item: cow.Map(a=item),
    ],
)
def test_what_is_no_plain_data_is_refused_where_it_is_put_in(put: Callable[[Any], Any], item: Any) -> None:
    with pytest.raises(Unpassable):
        put(item)
    assert LIST == [1]
    assert MAP == {"a": 1}


@pytest.mark.parametrize("put", [lambda: MAP.__setitem__(1, 1), lambda: cow.Map({1: 1})])  # type: ignore[call-overload, dict-item]
def test_keys_are_text(put: Callable[[], Any]) -> None:
    with pytest.raises(Unpassable, match="str"):
        put()


def nest(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("make", [lambda item: cow.List([1, item]), lambda item: cow.Map(b=1, a=item)])
@pytest.mark.parametrize("levels", [0, 1, 2, 30])
def test_it_is_as_deep_as_what_it_holds(make: Callable[[Any], Any], levels: int) -> None:
    value = make(nest(levels))
    most = MAX_DEPTH - levels

    assert plain(value, most) == plain(value)
    with pytest.raises(Unpassable, match="nested deeper"):
        plain(value, most + 1)
    if isinstance(value, cow.List):
        with pytest.raises(Unpassable, match="nested deeper"):
            plain(value[1:], most + 1)
    value.pop("a" if isinstance(value, cow.Map) else 1)
    assert plain(value, MAX_DEPTH) == plain(value)


def test_the_deepest_that_fits_goes_in_and_one_level_more_does_not() -> None:
    value = cow.List([nest(MAX_DEPTH)])

    assert plain(value) == plain([nest(MAX_DEPTH)])
    for put in (value.append, lambda item: cow.Map(a=item)):
        with pytest.raises(Unpassable, match="nested deeper"):
            put(nest(MAX_DEPTH + 2))


def test_going_over_it_shows_what_there_was() -> None:
    xs, m = cow.List([1]), cow.Map(a=1)
    xs.append(2)
    m["b"] = 2
    for x in islice(xs, 10):
        xs.append(x)
    m["b"] = 2
    for key, value in m.items():
        del m[key]
        m[key + "'"] = value

    assert xs == [1, 2, 1, 2]
    assert m == {"a'": 1, "b'": 2}
    seen = m.keys(), m.values()
    m.clear()
    assert [list(view) for view in seen] == [["a'", "b'"], [1, 2]]
    assert m.items() == {}.items()


@pytest.mark.parametrize(
    "put",
    [
        lambda xs: xs.append(xs),
        lambda xs: xs.insert(2, xs),
        lambda xs: xs.extend([xs]),
        lambda xs: xs.__setitem__(slice(2, 2), [xs]),
    ],
)
def test_one_can_be_put_into_itself_as_what_it_is(put: Callable[[Any], Any]) -> None:
    xs: Any = cow.List([1])
    xs.append(2)
    put(xs)
    assert xs == [1, 2, (1, 2)]


def test_a_map_can_be_put_into_itself_as_what_it_is() -> None:
    m: Any = cow.Map(a=1)
    m["b"] = 2
    m["m"] = m
    assert m == {"a": 1, "b": 2, "m": {"a": 1, "b": 2}}
    m.update(m, n=m)
    assert m["n"]["m"] == {"a": 1, "b": 2}


def test_a_map_gives_any_of_its_items_until_it_is_empty() -> None:
    m = cow.Map(a=1, b=2)

    assert {m.popitem(), m.popitem()} == {("a", 1), ("b", 2)}
    with pytest.raises(KeyError):
        m.popitem()


class Board(captp.Object):
    rows: captp.List[int]
    table: captp.Map[str, int]

    @captp.method
    def set(self) -> None: ...


def test_a_field_takes_a_copy_that_is_state() -> None:
    solo = Solo()
    board = Board()
    solo.ref(board)
    rows, table = cow.List([1]), cow.Map(a=1)

    def turn() -> None:
        board.rows, board.table = rows, table  # type: ignore[assignment]

    solo.turn(turn)
    rows.append(2)
    table["b"] = 2

    def breaks() -> None:
        board.rows.append(3)
        board.rows = rows  # type: ignore[assignment]
        raise captp.Refused("roll back")

    with pytest.raises(captp.Refused):
        solo.turn(breaks)
    assert type(board.rows) is captp.List
    assert (list(board.rows), dict(board.table)) == ([1], {"a": 1})
    assert (cow.List(board.rows), cow.Map(board.table)) == ([1], {"a": 1})


@pytest.mark.parametrize("kind", [cow.List[int], cow.Map[int], cow.List])
def test_one_is_no_state_itself(kind: Any) -> None:
    with pytest.raises(BadClass, match="cannot be state"):
        type(captp.Object)("Holder", (captp.Object,), {"__annotations__": {"rows": kind}})


def test_a_capsule_takes_and_gives_what_it_holds() -> None:
    key: Any = captp.Capsule.create()
    rows = cow.List([1])
    data, key = key.access(lambda access: captp.Data.wrap(access, rows))
    rows.append(2)
    got, key = key.access(lambda access: list(data.unwrap(access)))
    assert got == (1,)
    got, key = key.access(lambda _access: cow.Map(a=[1]))
    assert got == FrozenMap(a=(1,))
    injected = captp.Data.inject(cow.Map(a=rows), key)
    rows.append(3)
    key.freeze()
    assert injected.project() == {"a": (1, 2)}


def test_a_function_for_a_trustee_captures_none() -> None:
    rows = cow.List([1])

    with pytest.raises(CaptureError, match="others may change it"):
        check_captures(lambda: rows)


def test_it_says_what_it_holds_and_cannot_be_a_key() -> None:
    assert (repr(cow.List([1])), repr(cow.Map(a=1))) == ("cow.List([1])", "cow.Map({'a': 1})")
    assert cow.List([1]) == (1,)
    assert cow.List([1]) != {1}
    assert cow.Map(a=1) != [("a", 1)]
    for value in (cow.List(), cow.Map()):
        assert not hasattr(value, "__dict__")
        with pytest.raises(TypeError, match="unhashable"):
            hash(value)
