"""Swiss numbers to references: found by HMAC, so that no lookup compares a secret byte by byte.

The table keeps no swiss number. One answer for "no such" and "not for you".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define

from captp.errors import NotFound
from captp.model.ref import Ref
from captp.model.swiss import SwissIndex

NO_SUCH_OBJECT = "no-such-object: there is no such object, or it is not for you"


@define(eq=False)
class Registration:
    """One swiss number: what it gives, and for how long."""

    #: None in a durable vat, which keeps what is stored by its place.
    ref: Ref | None
    label: str
    expires: float | None = None
    uses: int | None = None
    place: tuple[int, int] | None = None


class Registry:
    """All objects of one vat that can be fetched by swiss number; it keeps them alive."""

    def __init__(self, index_key: bytes) -> None:
        self._index = SwissIndex(index_key)
        self._by_mac: dict[bytes, Registration] = {}

    def register(self, swiss: bytes, registration: Registration) -> None:
        """Let ``swiss`` fetch a reference; registering it again replaces what it gave."""
        mac = self._index.mac(swiss)
        self._store(mac, registration)
        self._by_mac[mac] = registration

    def revoke(self, swiss: bytes) -> bool:
        """Forget a swiss number; return whether it was known."""
        mac = self._index.mac(swiss)
        is_known = mac in self._by_mac
        if is_known:
            self._drop(mac)
        return is_known

    def fetch(self, swiss: Any, now: float) -> Ref:
        """Return what a swiss number gives; raises NotFound, with one text whatever is wrong."""
        if type(swiss) is str:
            swiss = swiss.encode(errors="replace")
        mac = self._index.mac(swiss if type(swiss) is bytes else b"")
        found = self._by_mac.get(mac)
        if found is None or type(swiss) is not bytes:
            raise NotFound(NO_SUCH_OBJECT)
        if found.expires is not None and now >= found.expires:
            self._drop(mac)
            raise NotFound(NO_SUCH_OBJECT)
        if found.uses is not None:
            found.uses -= 1
            if found.uses <= 0:
                self._drop(mac)
            else:
                self._store(mac, found)
        return self._reference(found)

    def find(self, swiss: bytes) -> Ref | None:
        """Return what a swiss number stands for, for tools: that uses nothing up."""
        found = self._by_mac.get(self._index.mac(swiss))
        return None if found is None else self._reference(found)

    def labels(self) -> list[str]:
        """Return the labels of what is registered."""
        return [r.label for r in self._by_mac.values()]

    def registrations(self) -> Iterable[Registration]:
        """Return what is registered."""
        return self._by_mac.values()

    # What a durable vat does besides.

    def _store(self, mac: bytes, registration: Registration) -> None:
        """Have a registration survive, which is new or has changed."""

    def _drop(self, mac: bytes) -> None:
        del self._by_mac[mac]

    def _reference(self, registration: Registration) -> Ref:
        assert registration.ref is not None
        return registration.ref
