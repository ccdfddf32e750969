"""Capsules: what is of one brand does not open another."""

from __future__ import annotations

import captp
from captp import Access, Capsule, Data, Key, Password


class Stock(captp.Brand):
    pass


class Other(captp.Brand):
    pass


def read(access: Access[Stock], data: Data[int, Stock]) -> int:
    return data.unwrap(access)


def mixed(data: Data[int, Stock], key: Key[Other], password: Password[Other], access: Access[Other]) -> None:
    data.unwrap(access)  # E: [arg-type]
    data.extract(password, int)  # E: [arg-type]
    Capsule.access(password, read, data)  # E: [misc]
    Capsule.access_shared(password.shared(), read, data)  # E: [misc]
    key.access(read, data)  # E: [arg-type]
    data.both(Data.wrap(access, 1))  # E: [arg-type]
