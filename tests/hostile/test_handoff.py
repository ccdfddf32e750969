"""Handoffs under attack, over real netlayers: a gift goes to nobody but its receiver, and stays for him."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from captp.limits import Limits
from captp.model.keys import PrivateKey, session_id, side_id
from captp.model.values import Fault
from captp.wire.ops import Desc, Kind
from tests.hostile.node import Hostile
from tests.hostile.rows import Row, cases, check, does
from tests.hostile.spell import Ext, Raw, Rec, export, key_lists, location, object_, signature_lists, syrup

#: Where results of withdrawals stand, one after the other.
FIRST = 100


class Scene:
    """A gifter, a receiver (the row's own connection) and a thief, and a gift that was deposited."""

    def __init__(self, gifter: Hostile, receiver: Hostile, thief: Hostile) -> None:
        self.gifter, self.receiver, self.thief = gifter, receiver, thief
        #: The receiver's key in a session that it has with the gifter.
        self.key = PrivateKey.from_seed(os.urandom(32))
        self.gift_id = os.urandom(32)
        self._at = FIRST
        self._count = 50

    # Certificates, from parts that may be wrong.

    def place(self, designator: str | None = None) -> Raw:
        locator = self.receiver.node.vat.locators[0]
        name = designator or locator.designator
        return Raw(syrup(location(locator.transport, name, dict(locator.hints))))

    def give(self, *, by: Hostile | None = None, signer: PrivateKey | None = None, **changes: Any) -> bytes:
        gifter = by or self.gifter
        fields: dict[str, Any] = {
            "receiver": key_lists(self.key.public.raw),
            "place": self.place(),
            "session": session_of(gifter),
            "side": side_id(gifter.session_key.public.raw),
            "gift_id": self.gift_id,
        }
        return signed("desc:handoff-give", fields | changes, signer or gifter.session_key)

    def receive(
        self,
        give: bytes,
        *,
        by: Hostile | None = None,
        key: PrivateKey | None = None,
        count: Any = None,
        **changes: Any,
    ) -> bytes:
        receiver = by or self.receiver
        self._count += 1
        fields: dict[str, Any] = {
            "session": session_of(receiver),
            "side": side_id(receiver.session_key.public.raw),
            "count": self._count if count is None else count,
            "give": Raw(give),
        }
        return signed("desc:handoff-receive", fields | changes, key or self.key)

    # What they do.

    async def deposit(self, gift_id: bytes | None = None) -> int:
        """Deposit the door once more; return where its result will be."""
        self._at += 1
        call = self.gifter.says.call
        await self.gifter.send(call(0, "deposit-gift", gift_id or self.gift_id, export(1), at=self._at))
        return self._at

    async def withdraw(self, envelope: bytes, by: Hostile | None = None) -> int:
        """Ask for a gift; return where its result will be."""
        self._at += 1
        receiver = by or self.receiver
        value = Ext(20, envelope) if receiver.says.name == "native" else Raw(envelope)
        await receiver.send(receiver.says.call(0, "withdraw-gift", value, at=self._at))
        return self._at

    async def refused(self, envelope: bytes, by: Hostile | None = None) -> None:
        """Ask for a gift and hear that it is refused, for a reason that has to do with handoffs."""
        at = await self.withdraw(envelope, by)
        broken = await (by or self.receiver).hears("broken", at)
        assert isinstance(broken, Fault)
        assert broken.message.startswith("handoff"), broken.message

    async def redeemed(self) -> None:
        """Let the right receiver have the gift."""
        at = await self.withdraw(self.receive(self.give()))
        gift = await self.receiver.result(at)
        assert type(gift) is Desc
        assert gift.kind == Kind.IMPORT_OBJECT


def session_of(one: Hostile) -> bytes:
    return session_id(side_id(one.session_key.public.raw), side_id(bytes(one.theirs)))


def signed(label: str, fields: dict[str, Any], key: PrivateKey) -> bytes:
    inner = syrup(Rec(label, *fields.values()))
    return enveloped(inner, key.sign(inner))


def enveloped(inner: bytes, signature: Any) -> bytes:
    lists = signature_lists(signature) if isinstance(signature, bytes) else signature
    return syrup(Rec("desc:sig-envelope", Raw(inner), lists))


@asynccontextmanager
async def scene(receiver: Hostile) -> AsyncIterator[Scene]:
    codec = receiver.says.name
    async with receiver.node.hostile(codec) as gifter, receiver.node.hostile(codec) as thief:
        await gifter.open()
        await thief.open()
        it = Scene(gifter, receiver, thief)
        await gifter.result(await it.deposit())
        yield it
        for one in (gifter, thief):
            await one.goodbye()


def attack(identity: str, **more: Any) -> Callable[[Callable[[Scene], Awaitable[None]]], Row]:
    """Make a row of an attack after which the right receiver still gets the gift, and the session lives."""

    def made(script: Callable[[Scene], Awaitable[None]]) -> Row:
        @does(identity, "W", alone=True, **more)
        async def whole(receiver: Hostile) -> None:
            async with scene(receiver) as it:
                await script(it)
                await it.redeemed()
            assert await receiver.lives()
            await receiver.goodbye()

        return whole

    return made


@attack("H1-one-receive-twice")
async def one_receive_twice(it: Scene) -> None:
    receive = it.receive(it.give())
    await it.receiver.result(await it.withdraw(receive))
    await it.gifter.result(await it.deposit())
    await it.refused(receive)


@attack("H2-one-receive-twice-at-once")
async def twice_at_once(it: Scene) -> None:
    receive = it.receive(it.give())
    places = [await it.withdraw(receive), await it.withdraw(receive)]
    await it.receiver.result(places[0])
    await it.receiver.hears("broken", places[1])
    await it.gifter.result(await it.deposit())


@attack("H3-replay-in-a-later-session")
async def replay_later(it: Scene) -> None:
    node, codec, key = it.receiver.node, it.receiver.says.name, PrivateKey.from_seed(os.urandom(32))
    async with node.hostile(codec, key) as early:
        await early.open()
        receive = it.receive(it.give(), by=early)
        await early.result(await it.withdraw(receive, early))
        await early.goodbye()
    await it.gifter.result(await it.deposit())
    async with node.hostile(codec, key) as late:
        await late.open()
        await it.refused(receive, late)
        await late.goodbye()


@attack("H4-counts-that-are-none")
async def bad_counts(it: Scene) -> None:
    for count in (-1, 2**80, "7", True, 1.0):
        await it.refused(it.receive(it.give(), count=count))


@attack("H5-a-stolen-receive")
async def stolen_receive(it: Scene) -> None:
    await it.refused(it.receive(it.give()), it.thief)


@attack("H6-a-stolen-give")
async def stolen_give(it: Scene) -> None:
    await it.refused(it.receive(it.give(), by=it.thief, key=it.thief.session_key), it.thief)


@attack("H7-another-receiving-session")
async def another_session(it: Scene) -> None:
    await it.refused(it.receive(it.give(), session=session_of(it.thief)))


@attack("H8-another-receiving-side")
async def another_side(it: Scene) -> None:
    await it.refused(it.receive(it.give(), side=side_id(it.thief.session_key.public.raw)))


@attack("H9-signed-by-another-session")
async def another_signer(it: Scene) -> None:
    await it.refused(it.receive(it.give(signer=it.thief.session_key)))
    await it.refused(it.receive(it.give(side=side_id(it.thief.session_key.public.raw))))


@attack("H10-no-such-session")
async def no_such_session(it: Scene) -> None:
    await it.refused(it.receive(it.give(session=os.urandom(32))))


@attack("H11-another-exporter")
async def another_exporter(it: Scene) -> None:
    elsewhere = it.place(PrivateKey.from_seed(os.urandom(32)).public.designator)
    await it.refused(it.receive(it.give(place=elsewhere)))


@attack("H12-the-same-id-of-another-gifter")
async def another_gifter(it: Scene) -> None:
    at = await it.withdraw(it.receive(it.give(by=it.thief)))
    # The thief never deposits; when it leaves, nobody can any more.
    await it.thief.goodbye()
    broken = await it.receiver.hears("broken", at)
    assert broken.message.startswith("handoff")


@attack("H13-flipped-bits")
async def flipped_bits(it: Scene) -> None:
    give = it.give()
    receive = it.receive(give)
    for bit in range(0, 512, 31):
        # The signature of the give stands in the receive; that of the receive at its end.
        for envelope in (it.receive(flip(give, bit)), flip(receive, bit)):
            await it.refused(envelope)


def flip(envelope: bytes, bit: int) -> bytes:
    """Flip one of the 512 bits of an envelope's signature."""
    half, at = divmod(bit // 8, 32)
    mark = b"[1'r32:" if half == 0 else b"[1's32:"
    where = envelope.rindex(mark) + len(mark) + at
    return envelope[:where] + bytes([envelope[where] ^ 1 << bit % 8]) + envelope[where + 1 :]


@attack("H14-halves-of-another-length")
async def short_halves(it: Scene) -> None:
    give = it.give()
    inner = give[len(b"<17'desc:sig-envelope") : give.rindex(b"[7'sig-val")]
    signature = it.gifter.session_key.sign(inner)
    for cut in (31, 33):
        lists = signature_lists(signature)
        lists[1][1][1], lists[1][2][1] = signature[:cut], signature[cut:]
        await it.refused(it.receive(enveloped(inner, lists)))


@attack("H15-keys-of-small-order")
async def small_order(it: Scene) -> None:
    for raw in (bytes(32), b"\1" + bytes(31), b"\xee" + b"\xff" * 30 + b"\x7f", b"\xff" * 32):
        await it.refused(it.receive(it.give(receiver=key_lists(raw))))


@attack("H16-keys-of-somebody-else")
async def somebody_elses_keys(it: Scene) -> None:
    for raw in (it.gifter.session_key.public.raw, bytes(it.gifter.theirs)):
        give = it.give(receiver=key_lists(raw))
        await it.refused(it.receive(give, key=it.gifter.session_key))


@attack("H17-other-fields")
async def other_fields(it: Scene) -> None:
    await it.refused(it.receive(it.give(extra=1)))
    await it.refused(it.receive(it.give(), extra=1))
    await it.refused(it.receive(it.give(gift_id=7)))
    await it.refused(it.receive(it.give(), count=Raw(b"0051+")))
    fields = {"session": session_of(it.receiver), "side": bytes(32), "count": 1}
    await it.refused(signed("desc:handoff-receive", fields, it.key))


@attack("H18-withdrawals-that-wait", limits=Limits(waiting_withdrawals=8))
async def waiting(it: Scene) -> None:
    places = [await it.withdraw(it.receive(it.give(gift_id=os.urandom(32)))) for _ in range(9)]
    await it.receiver.hears("broken", places[8])
    assert not [at for what, at, _ in it.receiver.heard if what == "broken" and at in places[:8]]
    # They end with the gifter, and who is right is served all the same.
    await it.gifter.result(await it.deposit(b"another"))


@attack("H19-gifts-that-nobody-wants", limits=Limits(gifts=8))
async def unwanted(it: Scene) -> None:
    for number in range(7):
        await it.gifter.result(await it.deposit(b"%d" % number))
    await it.gifter.hears("broken", await it.deposit(b"one too many"))


@attack("M66-gifts-that-are-none")
async def bad_gifts(it: Scene) -> None:
    says_ = it.gifter.says
    for code, gift_id, gift in (
        ("gift-exists", it.gift_id, export(1)),
        ("bad-gift", b"data", 7),
        ("bad-gift", b"the gifter's own", object_(1000)),
        ("bad-args", "text", export(1)),
    ):
        it._at += 1
        await it.gifter.send(says_.call(0, "deposit-gift", gift_id, gift, at=it._at))
        broken = await it.gifter.hears("broken", it._at)
        assert isinstance(broken, Fault)
        assert broken.message.startswith(code), broken.message


@attack("M68-another-kind-in-the-envelope")
async def other_kinds(it: Scene) -> None:
    give, key = it.give(), it.key
    await it.refused(give)
    await it.refused(it.receive(it.receive(give)))
    await it.refused(signed("desc:handoff-give", {"inner": Raw(give)}, key))
    for inner in (b"1+", b"[]", syrup(Rec("op:deliver", 1)), syrup(location("tls", "somebody"))):
        await it.refused(enveloped(inner, key.sign(inner)))
        await it.refused(it.receive(enveloped(inner, it.gifter.session_key.sign(inner))))


@does("H20-the-gifter-leaves-before-it-deposits", "W", alone=True)
async def gifter_leaves(receiver: Hostile) -> None:
    async with scene(receiver) as it:
        at = await it.withdraw(it.receive(it.give(gift_id=b"never deposited")))
        kept = it.receive(it.give())
        with trio.move_on_after(0.05):
            await receiver.hears("broken", at)
        await it.gifter.goodbye()
        broken = await receiver.hears("broken", at)
        assert broken.message.startswith("handoff")
        # What it had deposited is still there.
        assert type(await receiver.result(await it.withdraw(kept))) is Desc
    assert await receiver.lives()
    await receiver.goodbye()


ROWS = [
    one_receive_twice, twice_at_once, replay_later, bad_counts, stolen_receive, stolen_give, another_session,
    another_side, another_signer, no_such_session, another_exporter, another_gifter, flipped_bits,
    short_halves, small_order, somebody_elses_keys, other_fields, waiting, unwanted, gifter_leaves,
    bad_gifts, other_kinds,
]  # fmt: skip


@cases(ROWS)
def test_an_attack_on_a_handoff_is_refused(row: Row, netlayer: str, codec: str) -> None:
    check(ROWS, row, netlayer, codec)


@pytest.mark.parametrize("bit", [0, 255, 256, 511])
def test_a_flipped_bit_is_another_envelope(bit: int) -> None:
    inner = syrup(Rec("desc:handoff-give"))
    whole = enveloped(inner, bytes(64))

    assert flip(whole, bit) != whole
    assert len(flip(whole, bit)) == len(whole)
