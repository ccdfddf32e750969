"""Arenas against a model: an index finds what was put there, or is stale for good."""

from __future__ import annotations

import weakref

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

import captp
from captp import Arena, Index
from tests.context.people import People, Person, two


class ArenaModel(RuleBasedStateMachine):
    """A dict by index, and all indexes that ever were."""

    indexes: Bundle[Index[str]] = Bundle("indexes")
    gone: Bundle[Index[str]] = Bundle("gone")

    def __init__(self) -> None:
        super().__init__()
        self.arena: Arena[str] = Arena()
        self.model: dict[Index[str], str] = {}

    @rule(target=indexes, value=st.text(max_size=3))
    def insert(self, value: str) -> Index[str]:
        index = self.arena.insert(value)
        assert index not in self.model
        self.model[index] = value
        return index

    @rule(target=gone, index=consumes(indexes))
    def remove(self, index: Index[str]) -> Index[str]:
        assert self.arena.remove(index) == self.model.pop(index)
        return index

    @rule(index=indexes)
    def look(self, index: Index[str]) -> None:
        assert self.arena[index] == self.arena.get(index, None) == self.model[index]

    @rule(index=gone)
    def look_at_what_is_gone(self, index: Index[str]) -> None:
        assert index not in self.arena
        assert self.arena.get(index, "none") == "none"
        for act in (self.arena.__getitem__, self.arena.remove):
            with pytest.raises(KeyError, match="is stale"):
                act(index)

    @invariant()
    def is_the_model(self) -> None:
        assert dict(self.arena.items()) == self.model
        assert len(self.arena) == len(self.model)
        assert sorted(self.arena) == sorted(self.model.values())


TestArena = ArenaModel.TestCase


def test_an_index_finds_its_arena_by_the_capability_of_its_class() -> None:
    people, ann, bob = two()
    with captp.bind(People.mut(people)):
        assert ann.get().name == "ann"
        with bob.mut() as person:
            person.rename("bert")
        with pytest.raises(captp.BorrowConflict):
            ann.get().rename("x")

    assert people[bob].name == "bert"
    with pytest.raises(captp.MissingContext):
        ann.get().name  # noqa: B018


def test_no_index_counts_from_the_end_and_what_was_removed_is_let_go() -> None:
    people, _ann, bob = two()
    for index in (Index[Person](-1, 1), Index[Person](2, 1), Index[Person](2**70, 1)):
        assert index not in people
        with pytest.raises(KeyError):
            people[index]
    person = weakref.ref(people.remove(bob))
    assert person() is None


def test_an_index_whose_class_names_no_capability() -> None:
    index = Arena[str]().insert("a")
    with pytest.raises(captp.UsageError, match="that str names as its `Cap`"):
        index.get()


def test_a_stale_index_gives_the_borrow_back() -> None:
    people, ann, bob = two()
    people.remove(ann)
    with captp.bind(People.mut(people)):
        with pytest.raises(KeyError), ann.mut():
            pytest.fail("the body ran")
        with bob.mut() as person:
            assert isinstance(person, Person)
