"""Random programs over capsules against a plain model of them, checked after each step."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import captp
from captp import Access, Capsule, Data, Key, Password
from tests.custody.boxes import Account, Stock

NUMBERS = st.integers(0, 3)


class Box:
    """What the model knows of one capsule."""

    def __init__(self, *, is_strict: bool) -> None:
        self.total = 0
        self.is_strict = is_strict
        self.is_frozen = False
        self.merged_into: Box | None = None
        self.key: Key[Any] = Capsule.create(Stock, strict=is_strict)
        self.spent: list[Key[Any]] = []
        self.home = self.key._home
        self.data = Data.create(Account, self.key)
        self.password: Password[Any] | None = None
        #: Whether it was given up for shared ones.
        self.is_shared = False
        self.lent: ExitStack | None = None

    def root(self) -> Box:
        return self if self.merged_into is None else self.merged_into.root()


class Capsules(RuleBasedStateMachine):
    """Four capsules whose keys are used, used twice, lent, frozen and merged."""

    @initialize(strict=st.lists(st.booleans(), min_size=4, max_size=4))
    def make(self, strict: list[bool]) -> None:
        self.boxes = [Box(is_strict=s) for s in strict]

    def _add(self, box: Box, amount: int) -> Any:
        def add(access: Access[Any]) -> int:
            return sum(one.data.unwrap(access).add(amount) for one in self._inside(box))

        return add

    def _inside(self, box: Box) -> list[Box]:
        return [one for one in self.boxes if one.root() is box]

    @rule(number=NUMBERS, amount=st.integers(-5, 5))
    def access(self, number: int, amount: int) -> None:
        box = self.boxes[number]
        spent = box.key
        try:
            _, box.key = box.key.access(self._add(box, amount))
        except captp.Moved:
            assert box.root() is not box
            return
        except captp.Contended:
            assert box.password is not None
            return
        except captp.Frozen:
            assert box.is_frozen
            return
        assert box.root() is box
        assert box.password is None
        assert not box.is_frozen or not self._inside(box)
        box.spent.append(spent)
        for one in self._inside(box):
            one.total += amount

    @rule(number=NUMBERS)
    def use_again(self, number: int) -> None:
        box = self.boxes[number]
        if not box.spent:
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                box.spent[-1].access(lambda _: None)
            except captp.Contended:
                assert box.password is not None
                return
            except captp.Moved:
                assert box.is_strict or box.root() is not box
                return
        assert [w.category for w in caught] == ([] if box.is_frozen else [captp.AliasedKey])
        box.is_frozen = True

    @rule(number=NUMBERS)
    def freeze(self, number: int) -> None:
        box = self.boxes[number]
        try:
            box.key = box.key.freeze()
        except captp.Moved:
            assert box.root() is not box
        except captp.Contended:
            assert box.password is not None
        else:
            box.is_frozen = True

    @precondition(lambda self: any(box.password is None for box in self.boxes))
    @rule(number=NUMBERS)
    def lend(self, number: int) -> None:
        box = self.boxes[number]
        if box.password is not None or box.root() is not box:
            return
        stack = ExitStack()
        try:
            box.password = stack.enter_context(box.key.password())
        except captp.Frozen:
            assert box.is_frozen
            return
        assert not box.is_frozen
        box.lent = stack

    @rule(number=NUMBERS, amount=st.integers(-5, 5), shared=st.booleans())
    def use_password(self, number: int, amount: int, shared: bool) -> None:
        box = self.boxes[number]
        if box.password is None:
            return
        if shared:
            box.is_shared = True
            reader = box.password.shared()
            totals = [one.data.extract(reader, lambda account: account.total) for one in self._inside(box)]
            assert totals == [one.total for one in self._inside(box)]
            return
        try:
            Capsule.access(box.password, self._add(box, amount))
        except captp.Contended:
            assert box.is_shared
            return
        assert not box.is_shared
        for one in self._inside(box):
            one.total += amount

    @rule(number=NUMBERS)
    def end_block(self, number: int) -> None:
        box = self.boxes[number]
        if box.lent is not None:
            box.lent.close()
            box.lent = box.password = None
            box.is_shared = False

    @rule(number=NUMBERS, into=NUMBERS)
    def merge(self, number: int, into: int) -> None:
        box, other = self.boxes[number], self.boxes[into]
        if box is other or other.password is not None or other.is_frozen or other.root() is not other:
            return

        def destroy(_: Access[Any]) -> bool:
            try:
                box.key.destroy()
            except (captp.Moved, captp.Contended, captp.Frozen):
                return False
            return True

        is_done, other.key = other.key.access(destroy)

        assert is_done == (box.root() is box and box.password is None and not box.is_frozen)
        if is_done:
            box.merged_into = other

    @invariant()
    def each_holds_what_it_should(self) -> None:
        for box in self.boxes:
            box.home.check()
            assert box.home.root() is box.root().home
            if box.root().is_frozen:
                assert box.data.project().total == box.total

    def teardown(self) -> None:
        for box in getattr(self, "boxes", []):
            if box.lent is not None:
                box.lent.close()
            assert box.home.readers == []
            assert not box.home.is_written


Capsules.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestCapsules = Capsules.TestCase
