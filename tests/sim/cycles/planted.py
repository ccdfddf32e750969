"""Faults to plant in the collector and in what its owner does for it, each a patch of something small."""

from __future__ import annotations

from typing import Any

import pytest

from captp.peer.cycles import collect, conclude, leaving, statements
from captp.peer.cycles.ground import Import
from captp.sim.cycles import held, inbound
from captp.sim.cycles.ground import VatGround
from captp.sim.cycles.seals import Seals
from captp.sim.cycles.values import Deliver, Deposit, Said, Side
from captp.sim.cycles.vat import Gift, Turn, Vat
from captp.sim.cycles.world import World

Patch = pytest.MonkeyPatch


def nobody_looks_twice(patch: Patch) -> None:
    """The second collect is removed: what was claimed once stands."""
    patch.setattr(conclude, "_dirty", lambda c, trace, _side: set())
    patch.setattr(conclude, "_is_same", lambda c, trace, key: True)
    patch.setattr(VatGround, "unrooted", lambda ground, keys, but=(): set(keys))
    mine = conclude._mine

    def all_stands(c: Any, trace: Any, side: Any) -> bytes:
        for claim in trace.claims.values():
            claim.is_changed = False
        return mine(c, trace, side)

    patch.setattr(conclude, "_mine", all_stands)


def contents_are_compared(patch: Patch) -> None:
    """What is as it was counts as untouched, whatever happened in between."""
    holdings = VatGround.holdings

    def without_stamps(ground: VatGround, key: Any) -> Any:
        from attrs import evolve

        return tuple(evolve(h, incarnation=0, touched=0, transferred=0) for h in holdings(ground, key))

    def unstamped(ground: VatGround, side: Any, position: int) -> Import | None:
        table = ground._vat.tables.get(side)
        return Import(0, 0) if table is not None and position in table.imports else None

    patch.setattr(VatGround, "holdings", without_stamps)
    patch.setattr(VatGround, "imported", unstamped)


def existence_is_compared(patch: Patch) -> None:
    """What is there counts as untouched."""
    contents_are_compared(patch)
    patch.setattr(conclude, "_dirty", lambda c, trace, _side: set())


def gifts_are_no_roots(patch: Patch) -> None:
    """What waits to be withdrawn keeps nothing alive."""
    _are_no_roots(patch, "gifts")


def pending_turns_are_no_roots(patch: Patch) -> None:
    """What waits for something from elsewhere keeps nothing alive."""
    _are_no_roots(patch, "pending")


def held_turns_are_no_roots(patch: Patch) -> None:
    """What is held back for one trace does not count for another."""
    _are_no_roots(patch, "held")


def _are_no_roots(patch: Patch, kept: str) -> None:
    """Have a vat look for roots as if it had nothing in one of its attributes."""

    def roots(ground: VatGround, but: Any = ()) -> Any:
        with patch.context() as meanwhile:
            meanwhile.setattr(ground._vat, kept, {})
            return list(ground._vat.root_refs(but))

    patch.setattr(VatGround, "roots", roots)


def nobody_checks_signatures(patch: Patch) -> None:
    """Whoever names a key has it."""
    patch.setattr(Seals, "verify", lambda seals, public, body, signature: True)


def words_overtake(patch: Patch) -> None:
    """The collectors have a channel of their own, beside the session's queue."""

    def send(world: World, vat: Vat, side: Side, message: Any) -> None:
        link = world.links.get(side.number)
        if link is None or side not in vat.tables:
            return
        queue = link.queues[side.peer]
        if type(message) is Said:
            said = sum(type(one) is Said for one in queue)
            queue.insert(said, message)
        else:
            queue.append(message)

    patch.setattr(World, "send", send)


def releases_hide_mentions(patch: Patch) -> None:
    """F2: holders that vanished before the digest came do not count as a change."""

    def dirty(c: Any, trace: Any, _side: Any) -> set[Any]:
        unrooted = c.ground.unrooted(trace.exports)
        return {
            key for key, was in trace.exports.items()
            if key not in unrooted or not set(c.ground.holdings(key)) <= set(was)
        }  # fmt: skip

    patch.setattr(conclude, "_dirty", dirty)


def summaries_are_believed(patch: Patch) -> None:
    """F3: what an old summary says of exports stands, though they were touched since."""

    def reaching(ground: VatGround, side: Any, position: int) -> Any:
        from captp.sim.cycles.values import Far

        known = (ground._summary or ground.look()).leading.get(Far(side, position))
        if known is None or known[0] != ground.imported(side, position):
            return None
        return known[1]

    patch.setattr(VatGround, "reaching", reaching)


def nothing_is_held_back(patch: Patch) -> None:
    """F1: turns run while what they name is frozen."""
    patch.setattr(held, "admit", held._go_on)


def held_messages_are_not_decoded(patch: Patch) -> None:
    """F5: what comes behind something that is held back is not looked at before that goes on."""
    hear, thaw = inbound.hear, held.thaw
    waiting: dict[Any, list[Any]] = {}

    def late(world: World, vat: Vat, side: Side, message: Any) -> None:
        names = isinstance(message, Deliver | Deposit)
        if vat.liar is None and names and _names_frozen(vat, side, message):
            waiting.setdefault((id(vat), side), []).append((world, vat, message))
        elif vat.liar is None and type(message) is not Said and (id(vat), side) in waiting:
            waiting[id(vat), side].append((world, vat, message))
        else:
            hear(world, vat, side, message)

    def release(world: World, vat: Vat) -> None:
        thaw(world, vat)
        for at in [at for at in waiting if at[0] == id(vat)]:
            for _, _, message in waiting.pop(at):
                late(world, vat, at[1], message)

    patch.setattr(inbound, "hear", late)
    patch.setattr(held, "thaw", release)


def _names_frozen(vat: Vat, side: Side, message: Any) -> bool:
    table = vat.tables.get(side)
    if table is None or not vat.collector.frozen:
        return False
    positions = (
        [message.position]
        if type(message) is Deposit
        else [part.position for part in (message.target, *message.args) if type(part).__name__ == "Yours"]
    )
    keys = {table.exports[p].key for p in positions if p in table.exports}
    return bool(keys & set(vat.collector.frozen))


def ended_names_are_forgotten(patch: Patch) -> None:
    """F4: a question that comes after the end begins the trace anew."""
    query = collect._refusal

    def refusal(c: Any, side: Any, word: Any) -> str:
        c.over.clear()
        return query(c, side, word)

    patch.setattr(collect, "_refusal", refusal)


def gifts_after_the_digest_are_ignored(patch: Patch) -> None:
    """F6: what is given away between the digest and the proof is cut nevertheless."""
    patch.setattr(conclude, "_is_same", lambda c, trace, key: True)


def any_digest_will_do(patch: Patch) -> None:
    """F7: who begins a trace chooses what is confirmed."""
    digest = statements.digest
    patch.setattr(statements, "digest", lambda blobs: b"nonce" * 6 + b"!!" if blobs else digest(blobs))


def what_waits_is_not_cut(patch: Patch) -> None:
    """F10: references in what waits stay whole when what they lead to is cut."""
    patch.setattr(Turn, "replace", lambda turn, cut: False)
    patch.setattr(Gift, "replace", lambda gift, cut: False)


def anybody_ends_a_trace(patch: Patch) -> None:
    """F11: the end of a trace is believed, whoever says it."""

    def on_end(c: Any, side: Any, word: Any) -> None:
        trace = c.traces.get(word.trace)
        if trace is not None and not trace.is_mine and trace.parent == side:
            leaving.finish(c, trace)

    from captp.peer.cycles import collector
    from captp.peer.cycles.words import End

    patch.setitem(collector._HANDLERS, End, on_end)


def gifts_are_stamped_by_holder(patch: Patch) -> None:
    """Who has given back what he was given after the digest leaves no trace of it."""
    from attrs import evolve

    holdings = VatGround.holdings

    def by_holder(ground: VatGround, key: Any) -> Any:
        return tuple(evolve(h, transferred=0) for h in holdings(ground, key))

    patch.setattr(VatGround, "holdings", by_holder)


def what_is_held_back_never_counts(patch: Patch) -> None:
    """What names an export and is held back does not keep it, not even before it is asked about."""
    unrooted = VatGround.unrooted
    patch.setattr(VatGround, "unrooted", lambda ground, keys, but=(): unrooted(ground, keys, keys))
