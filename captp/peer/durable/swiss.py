"""The swiss numbers of a durable vat: stored by their HMAC, beside the place of what they give.

Nothing is kept in memory by having a sturdyref. Times are stored by the wall clock.
"""

from __future__ import annotations

from collections.abc import Iterable

from captp.errors import UsageError
from captp.model.object import Object
from captp.model.ref import Ref
from captp.peer.durable.stored import Stored
from captp.peer.registry import Registration, Registry
from captp.peer.rows import Change, Verb, packed, unpacked

__all__ = ["DurableRegistry"]


class DurableRegistry(Registry):
    """All objects of one durable vat that can be fetched by swiss number."""

    def __init__(self, index_key: bytes, stored: Stored, rows: Iterable[tuple[bytes, bytes]]) -> None:
        super().__init__(index_key)
        self._stored = stored
        for mac, value in rows:
            oid, kind, label, expires, uses = unpacked(value, 5)
            if expires is not None:
                expires -= stored.wall_ahead
            self._by_mac[mac] = Registration(None, label, expires, uses, (oid, kind))

    def _store(self, mac: bytes, registration: Registration) -> None:
        if registration.ref is not None:
            obj = registration.ref._anchor
            if not isinstance(obj, Object):
                raise UsageError("mint(): a durable vat gives sturdyrefs to its own objects alone")
            if not type(obj)._captp_is_durable:
                # It has more than state, and goes with this run: whoever minted it does so again.
                return
            registration.place = self._stored.keep(obj)
            registration.ref = None
        assert registration.place is not None
        expires = None if registration.expires is None else registration.expires + self._stored.wall_ahead
        value = packed(*registration.place, registration.label, expires, registration.uses)
        known = self._by_mac.get(mac)
        verb = Verb.REPLACE if known is not None and known.place is not None else Verb.INSERT
        self._stored.change(Change(verb, "swiss", mac, value))

    def _drop(self, mac: bytes) -> None:
        is_stored = self._by_mac[mac].place is not None
        super()._drop(mac)
        if is_stored:
            self._stored.change(Change(Verb.DELETE, "swiss", mac))

    def _reference(self, registration: Registration) -> Ref:
        if registration.place is None:
            return super()._reference(registration)
        return self._stored.reference(registration.place)
