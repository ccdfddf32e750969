"""Capsules: each brand is a type, and what is in a capsule keeps its own."""

from __future__ import annotations

from typing import assert_type

import captp
from captp import Access, Capsule, Data, Key, Password


class Stock(captp.Brand):
    pass


class Account(captp.Object):
    total: int = 0


def total(access: Access[Stock], data: Data[Account, Stock], factor: int) -> int:
    return data.unwrap(access).total * factor


def wrap(access: Access[Stock]) -> Data[Account, Stock]:
    return Data.wrap(access, Account())


key = Capsule.create(Stock)
assert_type(key, Key[Stock])
data, key = key.access(wrap)
assert_type(data, Data[Account, Stock])
result, key = key.access(total, data, 2)
assert_type(result, int)

with key.password() as password:
    assert_type(password, Password[Stock])
    assert_type(Capsule.access(password, total, data, factor=2), int)
    assert_type(data.extract(password, lambda account: account.total), int)
    assert_type(data.map(password, lambda account: str(account.total)), Data[str, Stock])
    assert_type(data.both(data).fst(), Data[Account, Stock])
    assert_type(Capsule.access_shared(password.shared(), total, data, 2), int)

assert_type(data.project(), Account)
