"""A trace disturbs nothing: no code of users runs, it holds nothing, and Python's collector is as before."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import captp
from tests.unit.vat.traced import Node, Scene


class Armed:
    """Tells tests whether code of users ran."""

    is_armed = False


def _tell(*_args: Any) -> Any:
    if Armed.is_armed:
        raise SystemExit("code of users ran")
    return NotImplemented


class Sly(type(captp.Object)):  # type: ignore[misc]
    def __getattribute__(cls, name: str) -> Any:
        _tell()
        return type.__getattribute__(cls, name)

    def __eq__(cls, other: object) -> Any:
        return _tell()

    def __hash__(cls) -> int:
        _tell()
        return 1

    def __instancecheck__(cls, other: object) -> bool:
        _tell()
        return True

    def __subclasscheck__(cls, other: type) -> bool:
        _tell()
        return type.__subclasscheck__(cls, other)


class Hostile(Node, metaclass=Sly):
    @property
    def __class__(self) -> Any:
        _tell()
        return Hostile

    def __getattribute__(self, name: str) -> Any:
        _tell()
        return object.__getattribute__(self, name)

    def __eq__(self, other: object) -> Any:
        return _tell()

    def __hash__(self) -> int:
        _tell()
        return 1

    def __bool__(self) -> bool:
        _tell()
        return True

    def __len__(self) -> int:
        _tell()
        return 0

    def __del__(self) -> None:
        _tell()


def test_no_code_of_users_runs_in_a_trace() -> None:
    scene = Scene()
    inner = Hostile(label="inner", any=scene.far("x"))
    outer = Hostile(label="n", next=inner, some=captp.Set([inner]), face=inner, items=captp.List([inner]))
    scene.give(outer)
    seeds = [outer]
    del inner, outer

    Armed.is_armed = True
    try:
        found = scene.trace(seeds)
    finally:
        Armed.is_armed = False

    assert scene.shown(found) == ({"n"}, {"x": {"n"}})


@pytest.mark.parametrize("is_enabled", [True, False])
def test_python_s_collector_rests_during_a_trace_and_is_as_before_afterwards(is_enabled: bool) -> None:
    scene = Scene()
    scene.give(Node(label="n"))
    seen: list[bool] = []

    def held(anchor: Any) -> Any:
        seen.append(gc.isenabled())
        return scene.held(anchor)

    (gc.enable if is_enabled else gc.disable)()
    try:
        scene.trace(held=held)
        assert gc.isenabled() is is_enabled
    finally:
        gc.enable()

    assert seen == [False]


def test_a_trace_that_fails_leaves_the_collector_as_it_was() -> None:
    scene = Scene()
    scene.give(Node(label="n"))

    with pytest.raises(ZeroDivisionError):
        scene.trace(held=lambda _anchor: 1 // 0)  # type: ignore[arg-type, return-value]

    assert gc.isenabled()


def test_a_trace_leaves_nothing_that_holds_anything() -> None:
    scene = Scene()
    node = Node(label="n", any=(Node(label="inner"),))
    scene.give(node)
    watches = [weakref.ref(node), weakref.ref(node.any[0])]
    gc.collect()
    gc.disable()
    try:
        found = scene.trace([node])
        scene.there.vat.close()
        for table in (scene.net.link(scene.here, scene.there).session.tables,):
            table.exports.clear()
            table.by_anchor.clear()
        del node
        assert [watch() for watch in watches] == [None, None]
    finally:
        gc.enable()
    assert found.is_whole
