"""Data: one test for each operation, and what may be in it, go in and come out."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import Any

import pytest

import captp
from captp import Access, Capsule, Data, FrozenMap
from tests.custody.boxes import Account, Other, Stock, holding
from tests.support import Solo


def test_wrap_and_unwrap() -> None:
    data, key = holding()

    def look(access: Access[Stock]) -> bool:
        account = data.unwrap(access)
        return data.unwrap(access) is account and isinstance(account, Account)

    assert key.access(look)[0]


def test_plain_containers_become_tracked_ones_of_the_capsule() -> None:
    data, key = holding({"a": [1, {2}]})

    def grow(access: Access[Stock]) -> Any:
        value = data.unwrap(access)
        assert isinstance(value, captp.Map)
        value["a"][1].add(3)
        return value

    assert key.access(grow)[0] == {"a": (1, frozenset({2, 3}))}


def test_create_needs_no_permission() -> None:
    _, key = holding()

    data = Data.create(Account, key)

    assert key.access(lambda access: data.unwrap(access).add(2))[0] == 2


def test_create_captures_nothing_that_others_may_change() -> None:
    _, key = holding()
    items = [1]

    with pytest.raises(captp.CaptureError, match="'items'"):
        Data.create(lambda: items, key)


def test_inject_and_project_portable_data() -> None:
    _, key = holding()

    assert Data.inject("text", key).project() == "text"
    assert Data.inject(7, Data.inject(1, key)).project() == 7


def test_inject_refuses_what_is_not_portable() -> None:
    _, key = holding()

    with pytest.raises(captp.Unpassable, match="cannot leave its capsule"):
        Data.inject(Account(), key)


def test_project_refuses_what_an_access_is_needed_for() -> None:
    data, _ = holding()

    with pytest.raises(captp.Contended, match="Account is in capsule Stock"):
        data.project()


def test_map_keeps_its_result_in_the_capsule() -> None:
    data, key = holding()

    with key.password() as password:
        log = data.map(password, lambda account: account.log)
        data.iter(password, lambda account: account.log.append(4))

        assert log.extract(password, list) == (4,)


def test_extract_returns_what_is_portable() -> None:
    data, key = holding()

    with key.password() as password:
        assert data.extract(password, lambda account: account.log) == ()
        with pytest.raises(captp.Unpassable, match="Account cannot leave its capsule"):
            data.extract(password, lambda account: account)


def test_iter_returns_nothing() -> None:
    data, key = holding()

    with key.password() as password:
        data.iter(password, lambda account: account.log.append(1))
        with pytest.raises(captp.UsageError, match="returns nothing"):
            data.iter(password, lambda account: account.add(1))  # type: ignore[arg-type, return-value]


def test_bind_finds_data_of_another_capsule() -> None:
    other, other_key = holding()
    data, key = holding((1, other))

    with key.password() as password:
        found = data.bind(password, lambda pair: pair[1])
        with pytest.raises(captp.UsageError, match="returns Data, not a int"):
            data.bind(password, lambda pair: pair[0])

    assert found is other
    assert other_key.access(lambda access: found.unwrap(access).add(5))[0] == 5


def test_both_halves_of_a_pair() -> None:
    one, key = holding()
    two = Data.create(Account, key)

    pair = one.both(two)

    assert pair.fst() is one
    assert pair.snd() is two
    assert key.access(lambda access: [a.add(1) for a in pair.unwrap(access)])[0] == (1, 1)


def test_both_halves_of_a_wrapped_pair() -> None:
    data, key = holding((Account(), 5))

    first, second = data.fst(), data.snd()

    assert second.project() == 5
    assert key.access(lambda access: first.unwrap(access).add(1))[0] == 1


def test_halves_are_of_pairs_alone() -> None:
    data, _ = holding((1, 2, 3))

    with pytest.raises(captp.UsageError, match="no pair"):
        data.fst()


def test_shared_variants_read() -> None:
    data, key = holding()
    pair = data.both(Data.inject(3, key))

    with key.password() as password:
        shared = password.shared()

        assert data.extract(shared, lambda account: account.total) == 0
        assert pair.map(shared, lambda two: two[1]).project() == 3
        with pytest.raises(captp.Contended, match="only reads"):
            data.iter(shared, lambda account: account.log.append(1))


@pytest.mark.parametrize("operation", ["map", "extract", "iter", "bind"])
def test_brand_matrix(operation: str) -> None:
    data, _ = holding()
    _, key = holding()

    with key.password() as password, pytest.raises(captp.BrandMismatch, match="is for capsule Stock"):
        getattr(data, operation)(password, lambda value: value)


def test_brands_of_accesses_and_of_two_data_have_to_match() -> None:
    data, _ = holding()
    other, key = holding()

    with pytest.raises(captp.BrandMismatch, match="is for capsule Stock"):
        key.access(data.unwrap)
    with pytest.raises(captp.BrandMismatch, match="is for capsule Stock"):
        data.both(other)


def test_what_cannot_be_tracked_is_for_those_alone_who_write() -> None:
    data, key = holding(bytearray(b"abc"))

    with key.password() as password:
        data.iter(password, lambda value: value.append(100))
        assert data.extract(password, bytes) == b"abcd"
        with pytest.raises(captp.Contended, match=r"a bytearray of capsule .* cannot be read by many"):
            data.extract(password.shared(), bytes)
    key.freeze()
    with pytest.raises(captp.Contended, match="cannot be read by many"):
        data.project()


def test_objects_of_a_vat_or_of_another_capsule_do_not_enter() -> None:
    data, key = holding()
    other, other_key = holding()
    taken: list[Account] = []
    other_key.access(lambda access: taken.append(other.unwrap(access)))

    with pytest.raises(captp.Contended):
        key.access(lambda access: Data.wrap(access, taken[0]))
    with pytest.raises(captp.Contended):
        key.access(lambda access: Data.wrap(access, [taken[0]]))
    assert data is not other


def test_an_object_without_fields_is_in_one_capsule_too() -> None:
    class Mark(captp.Object):
        pass

    mark = Mark()
    holding(mark)

    with pytest.raises(captp.Contended, match="a Mark is in capsule"):
        holding(mark)


def test_result_must_be_portable() -> None:
    data, key = holding()

    with key.password() as password:
        with pytest.raises(captp.Unpassable, match=r"\[1\]: a Account cannot leave"):
            Capsule.access(password, lambda access: (1, data.unwrap(access)))
        with pytest.raises(captp.Unpassable, match="a object cannot leave"):
            Capsule.access_local(password, lambda _: object())
        account = Capsule.access_local(password, data.unwrap)
        with pytest.raises(captp.Contended):
            account.total  # noqa: B018 - reading it is the test
        assert Capsule.access(password, lambda _: account.total) == 0
        shared = password.shared()
        assert Capsule.access_shared_local(shared, data.unwrap) is account


def test_deep_freeze() -> None:
    account = Account()
    data, key = holding({1: [account, {2}, {"a": [3]}]})

    key.freeze()
    value = data.project()

    assert type(value) is MappingProxyType
    inner = value[1]
    assert (type(inner), type(inner[1]), type(inner[2])) == (tuple, frozenset, FrozenMap)
    assert inner[2] == {"a": (3,)}
    assert inner[0] is account
    for change in (
        lambda: value.__setitem__(1, 2),
        lambda: inner[2].update(b=1),
        lambda: account.add(1),
        lambda: account.log.append(1),
        lambda: setattr(account, "total", 1),
    ):
        with pytest.raises((captp.Frozen, TypeError, AttributeError)):
            change()
    assert (account.total, account.log) == (0, [])
    assert data.project() is value


def test_frozen_parallel_read_from_two_threads() -> None:
    data, key = holding([Account(total=n) for n in range(100)])
    key.freeze()
    both, sums = threading.Barrier(2, timeout=10), []

    def read() -> None:
        both.wait()
        total = 0
        for _ in range(50):
            total += sum(account.total for account in data.project())
        sums.append(total)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sums == [50 * 4950] * 2


def test_brands_are_names_and_no_permission() -> None:
    one, other = Capsule.create(Stock), Capsule.create(Other)

    assert repr(one) != repr(other)
    assert repr(Data.inject(1, other)).startswith("<Data in capsule Other#")


def test_a_container_of_another_capsule_does_not_enter() -> None:
    data, key = holding()
    other, other_key = holding([1])
    taken: list[Any] = []
    other_key.access(lambda access: taken.append(other.unwrap(access)))

    with pytest.raises(captp.Contended):
        key.access(lambda access: Data.wrap(access, taken[0]))
    assert data is not other


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (bytearray(b"ab"), b"ab"),
        (memoryview(bytearray(b"ab")), b"ab"),
        (MappingProxyType({1: [2]}), {1: (2,)}),
        (captp.Tagged("t", [1]), captp.Tagged("t", (1,))),
        (captp.Fault("text", {"a": [1]}), captp.Fault("text", captp.FrozenMap({"a": (1,)}))),
    ],
)
def test_what_leaves_shares_nothing_with_what_stays(value: Any, left: Any) -> None:
    came, _ = holding()[1].access(lambda _: value)

    assert came == left
    assert type(came) in {type(left), MappingProxyType}
    assert came is not value


def test_what_is_in_itself_does_not_leave() -> None:
    ring: list[Any] = []
    ring.append(ring)

    with pytest.raises(captp.Unpassable, match="nested deeper than"):
        holding()[1].access(lambda _: ring)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda data, key: data.extract(key, repr), "takes a password, not a Key"),
        (lambda data, key: data.unwrap(key), "takes the Access that a function is given, not a Key"),
        (lambda data, key: Data.wrap(key, 1), "takes the Access that a function is given, not a Key"),
        (lambda data, key: captp.Mutex(data, Solo().vat), r"Mutex\(\) takes a Key, not a Data"),
        (lambda data, key: data.both(key), "both.. takes Data, not a Key"),
        (lambda data, key: Access.current().same_as(key), "takes an Access, not a Key"),
        (lambda data, key: Access.current().open(ValueError()), "takes an Encapsulated, not a ValueError"),
    ],
)
def test_what_is_of_another_kind_is_refused_with_the_kind_that_is_wanted(use: Any, text: str) -> None:
    data, key = holding()

    with pytest.raises(captp.UsageError, match=text):
        use(data, key)
    assert key.access(lambda access: data.unwrap(access).add(1))[0] == 1
