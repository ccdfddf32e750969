"""References: one Python object per target and interface, equality across views, no copies, no sends."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest

import captp
from captp.model.ref import Far, Ref
from tests.support import Solo, outcome


class Account(captp.Interface):
    @captp.method
    def balance(self) -> int: ...


class Audited(captp.Interface):
    @captp.method
    def audit(self) -> str: ...


class Purse(captp.Object, Account, Audited):
    reads: int = 0

    @captp.method
    def balance(self) -> int:
        self.reads += 1
        return 3

    @captp.method
    def audit(self) -> str:
        return "fine"

    @captp.method
    def me(self) -> Account:
        return self

    @captp.method
    def mirror(self, value: Any) -> Any:
        return value


def test_there_is_one_reference_per_object_and_interface() -> None:
    solo, purse = Solo(), Purse()

    default, account, audited = solo.ref(purse), solo.ref(purse, Account), solo.ref(purse, Audited)

    assert solo.ref(purse) is default
    assert solo.ref(purse, Account) is account
    assert solo.ref(purse, Audited) is audited
    assert len({id(r) for r in (default, account, audited)}) == 3


def test_the_reference_that_comes_back_is_the_one_that_was_sent() -> None:
    solo, purse = Solo(), Purse()
    ref = solo.ref(purse, Account)

    assert solo.value(solo.ref(purse).mirror(ref)) is ref
    assert solo.value(solo.ref(purse).mirror([ref]))[0] is ref
    assert solo.value(solo.ref(purse).me()) is ref
    assert outcome_of_await(ref) is ref


def outcome_of_await(ref: Any) -> Any:
    with pytest.raises(StopIteration) as done:
        next(ref.__await__())
    return done.value.value


def test_views_of_one_object_compare_equal_and_hash_alike_and_others_do_not() -> None:
    solo, purse = Solo(), Purse()
    views = [solo.ref(purse), solo.ref(purse, Account), solo.ref(purse, Audited)]
    other = solo.ref(Purse(), Account)

    for one in views:
        for two in views:
            assert one == two
            assert hash(one) == hash(two)
        assert one != other
        assert one != purse
        assert one is not None
    assert len({*views, other}) == 2
    assert {views[0]: "found"}[views[2]] == "found"


def test_a_reference_made_again_after_all_were_dropped_is_equal_and_works() -> None:
    solo, purse = Solo(), Purse()
    solo.ref(purse)
    solo.ref(purse, Account)
    gc.collect()

    again = [solo.ref(purse, Account), solo.ref(purse), solo.ref(purse, Audited)]
    assert again[0] == again[1] == again[2]
    del again[0]
    gc.collect()

    ref = solo.ref(purse, Account)
    assert solo.ref(purse, Account) is ref
    assert solo.value(ref.balance()) == 3


def test_a_reference_keeps_its_object_alive_and_the_object_keeps_no_reference() -> None:
    solo = Solo()
    ref = solo.ref(Purse())
    gc.collect()

    assert solo.value(ref.balance()) == 3
    purse = Purse()
    made = solo.ref(purse)
    number = id(made)
    del made
    gc.collect()
    assert all(id(o) != number or not isinstance(o, Ref) for o in gc.get_referents(purse))


def test_same_tells_what_can_be_told() -> None:
    solo, purse = Solo(), Purse()
    ref, view, other = solo.ref(purse), solo.ref(purse, Account), solo.ref(Purse())
    promise, resolver = solo.promise()
    follower, first = solo.promise()
    first.fulfill(promise)
    solo.run()

    assert captp.same(ref, view) is True
    assert captp.same(ref, other) is False
    assert captp.same(promise, promise) is True
    assert captp.same(promise, ref) is None
    assert captp.same(ref, promise) is None
    assert captp.same(promise, follower) in (True, None)
    resolver.fulfill(view)
    solo.run()
    assert captp.same(promise, ref) is True
    assert captp.same(follower, ref) is True
    assert captp.same(follower, other) is False


def test_same_of_a_promise_that_became_data_or_broke_is_unknown_against_a_reference() -> None:
    solo = Solo()
    ref = solo.ref(Purse())
    data, first = solo.promise()
    broken, second = solo.promise()
    first.fulfill(3)
    second.break_(captp.Refused("no"))
    solo.run()

    assert captp.same(data, ref) is not True
    assert captp.same(broken, ref) is not True
    assert captp.same(data, broken) is not True


def test_looking_at_a_reference_sends_nothing() -> None:
    solo, purse = Solo(), Purse()
    ref = solo.ref(purse, Account)

    looks = [
        repr(ref),
        str(ref),
        f"{ref}",
        hash(ref),
        ref == 3,
        bool(ref),
        dir(ref),
        isinstance(ref, Account),
    ]
    with pytest.raises(AttributeError):
        _ = ref.nothing
    for protocol in ("_repr_html_", "_ipython_display_", "__len__", "__iter__", "__fspath__", "__array__"):
        assert not hasattr(ref, protocol)
    solo.run()

    assert looks[5] is True
    assert "near Purse" in str(looks[0])
    assert purse.reads == 0


def test_a_reference_cannot_be_copied_serialised_or_given_attributes() -> None:
    solo = Solo()
    ref = solo.ref(Purse())

    for attempt in (copy.copy, copy.deepcopy, lambda r: r.__reduce_ex__(4), lambda r: r.__reduce__()):
        with pytest.raises(TypeError, match="a reference cannot be copied or serialised: pass it, or mint"):
            attempt(ref)
    with pytest.raises(AttributeError):
        ref.note = 1
    with pytest.raises(AttributeError):
        ref.balance = lambda: 1_000_000


def test_there_is_no_way_from_a_reference_to_another_class_by_construction() -> None:
    solo = Solo()

    with pytest.raises(TypeError):
        type(solo.ref(Purse()))()


def test_a_far_reference_with_a_broken_session_raises_its_error_when_awaited() -> None:
    far = Far(None, None)
    ref = Ref(Solo().vat, far)
    assert outcome_of_await(ref) is ref

    far.broken = captp.Disconnected("gone")

    with pytest.raises(captp.Disconnected, match="gone"):
        outcome(Settled(ref))


class Settled:
    """Lets ``outcome`` await something that is no promise."""

    settled = True

    def __init__(self, ref: Any) -> None:
        self.ref = ref

    def __await__(self) -> Any:
        return self.ref.__await__()


def test_references_of_two_vats_to_two_objects_never_mix() -> None:
    here, there = Solo(), Solo(seed=1)
    one, two = here.ref(Purse()), there.ref(Purse())

    assert one != two
    assert captp.same(one, two) is False
