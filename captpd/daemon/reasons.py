"""What the control plane says of garbage: figures of collectors, and why something is kept, across vats.

A holder that is a vat of the same daemon is followed into that; of any other there is its name and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import trio
from attrs import asdict

from captp.peer.cycles.ground import Key
from captp.peer.cycles.parts import has_key
from captp.peer.cycles.view import name_of
from captp.peer.cycles.why import collected, suspects, why
from captp.run.live import LiveVat

__all__ = ["collector_row", "reasons"]

#: Suspects that are told of, and what was collected last.
SUSPECTS: Final = 50
COLLECTED: Final = 20

#: How many things in other vats are looked into for one question.
FOLLOWED: Final = 16

Vats = Mapping[str, LiveVat]


def collector_row(name: str, live: LiveVat) -> dict[str, Any]:
    """Return the figures of one vat's collector, its oldest suspects and the last that it has cut."""
    view, keeper = live.view().cycles, live.peer.cycles
    figures = {
        key: dict(value) if isinstance(value, Mapping) else value
        for key, value in asdict(view, recurse=False).items()
    }
    return {
        "vat": name,
        **figures,
        "oldest_suspect_s": round(view.oldest_suspect_s, 3),
        "suspects_now": [_plain(name, one) for one in suspects(keeper, SUSPECTS)],
        "collected_lately": [_brief(name, one) for one in collected(keeper, COLLECTED)],
    }


def _plain(vat: str, record: Any) -> dict[str, Any]:
    told = asdict(record)
    return {**told, "vat": vat, "id": f"{vat}:{told['id']}"}


def _brief(vat: str, record: Any) -> dict[str, Any]:
    told = _plain(vat, record)
    return {key: told[key] for key in ("vat", "id", "type", "untouched_s", "collected_s", "trace")}


def reasons(vat: str, key: Key, vats: Vats) -> dict[str, Any] | None:
    """Tell why something in a vat is kept; None when nothing is known of it."""
    return _tell(vat, key, vats, set())


def _tell(vat: str, key: Key, vats: Vats, seen: set[tuple[str, Key]]) -> dict[str, Any] | None:
    seen.add((vat, key))
    peer = vats[vat].peer
    peer.now = trio.current_time()
    record = why(peer.cycles, key)
    if record is None:
        return None
    told = _plain(vat, record)
    for way in told["ways"]:
        for step in way["steps"]:
            step["id"] = f"{vat}:{step['id']}"
        for holder in way["holders"]:
            holder["there"] = _follow(vat, holder, vats, seen)
    return told


def _follow(
    vat: str, holder: dict[str, Any], vats: Vats, seen: set[tuple[str, Key]]
) -> dict[str, Any] | None:
    """Tell what holds something at the other end of a session, if that end is ours too."""
    place = _other_end(vat, holder["conn"], holder["position"], vats)
    if place is None:
        return None
    name, key = place
    if place in seen or len(seen) >= FOLLOWED:
        return {"vat": name, "id": f"{name}:{name_of(key)}", "ways": None, "is_above": place in seen}
    return _tell(name, key, vats, seen)


def _other_end(vat: str, conn: int, position: int, vats: Vats) -> tuple[str, Key] | None:
    mine = next((link for link in vats[vat].peer.router.links.values() if link.conn == conn), None)
    if mine is None or mine.session.hello is None:
        return None
    for name, live in vats.items():
        for link in live.peer.router.links.values():
            session = link.session
            if session is mine.session or session.hello is None:
                continue
            if session.hello.session_id == mine.session.hello.session_id:
                entry = session.tables.imports.get(position)
                far = None if entry is None else entry()
                return (name, live.peer.cycles.key(far)) if has_key(far) else None
    return None
