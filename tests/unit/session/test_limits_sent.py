"""What the other side would end the session for is not sent: the call breaks, and the session goes on."""

from __future__ import annotations

from typing import Any

import pytest

import captp
from captp.errors import Broken, Unpassable
from captp.limits import Limits
from captp.model.locator import PeerLocator, SturdyRef
from tests.unit.peer.pair import TRANSPORT, Net, Pair, outcome, pair

CODECS = ["native", "syrup"]
LIMITS = Limits()

#: References that a message has besides those in its arguments or in its result.
OTHERS = {
    ("native", "argument"): 0,  # op:call has its target's position as a number
    ("native", "keyword"): 1,  # op:deliver has a target
    ("native", "result"): 0,
    ("syrup", "argument"): 2,  # a target and a resolver
    ("syrup", "keyword"): 2,
    ("syrup", "result"): 1,  # a resolver as the target
}
#: Values that a message is taken to have around the list of lists in its arguments or in its result.
AROUND = {
    ("native", "argument"): len(("op", "to", "method", "args", "at", "wanted")) + len(("list",)),
    ("native", "result"): len(("op", "at", "list")),
    ("syrup", "argument"): len(("op", "to", 1, "args", "method", "list", "at", "resolver", 1)),
    ("syrup", "result"): len(("op", "to", 1, "args", "fulfill", "list", "at", "resolver", 1)),
}


class Mirror(captp.Object):
    """Takes and gives whatever there may be too much of."""

    @captp.method
    def length(self, what: Any) -> int:
        return len(what)

    @captp.method
    def give(self, shape: str, count: int) -> Any:
        return SHAPES[shape](self, count)

    @captp.method
    async def wait(self, gate: Any, shape: str, count: int) -> Any:
        await gate
        return SHAPES[shape](self, count)


def lists(count: int) -> list[list[int]]:
    """Return two lists of so many values, themselves included."""
    half = (count - 2) // 2
    return [[0] * half, [0] * (count - 2 - half)]


SHAPES: dict[str, Any] = {
    "list": lambda _mirror, count: [0] * count,
    "struct": lambda _mirror, count: {f"{i}": 0 for i in range(count)},
    "lists": lambda _mirror, count: lists(count),
    "references": lambda mirror, count: [mirror] * count,
    "error": lambda _mirror, count: captp.Fault("much", captp.FrozenMap(data=(0,) * count)),
}


class Talk:
    """A caller, a mirror far away, and how to call it."""

    def __init__(self, codec: str) -> None:
        self.it: Pair = pair()
        net: Net = self.it.net
        self.caller, self.callee = net.host(8), net.host(9)
        self.near = self.caller.vat.reference(Mirror())
        sturdyref = self.callee.mint(Mirror())
        if codec == "syrup":
            # Whoever dials chooses by the hint what is spoken.
            locator = PeerLocator.make(TRANSPORT, sturdyref.peer.designator, {})
            sturdyref = SturdyRef(locator, sturdyref.swiss)
        found = self.caller.want(self.caller.enliven(sturdyref))
        net.wait(3)  # the dialect is known by now
        self.mirror = captp.E(outcome(found))
        spoken = net.link(self.caller, self.callee).session.codec
        assert spoken is not None
        assert spoken.name == codec

    def call(self, way: str, shape: str, count: int) -> Any:
        """Have so many of something cross; return what came of it."""
        if way == "result":
            asked = self.mirror.give(shape, count)
        elif way == "keyword":
            asked = self.mirror.length(what=SHAPES[shape](self.near, count))
        else:
            asked = self.mirror.length(SHAPES[shape](self.near, count))
        self.caller.want(asked)
        self.it.net.rest()
        return outcome(asked)

    def exports(self) -> list[int]:
        """Return how much each side exports to the other."""
        ends = [(self.caller, self.callee), (self.callee, self.caller)]
        return [len(self.it.net.link(*end).session.tables.exports) for end in ends]

    def lives(self) -> None:
        """Assert that the session goes on."""
        assert self.call("argument", "list", 3) == 3
        assert not self.caller.hangups
        assert not self.callee.hangups


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("way", ["argument", "keyword", "result"])
@pytest.mark.parametrize("codec", CODECS)
def test_references_in_one_message_are_sent_up_to_the_limit(codec: str, way: str, more: int) -> None:
    talk = Talk(codec)
    most = LIMITS.caps_per_message - OTHERS[codec, way]

    before = talk.exports()

    if more:
        with pytest.raises((Unpassable, Broken), match="over 256 references in one message"):
            talk.call(way, "references", most + 1)
        assert talk.exports() == before
    else:
        given = talk.call(way, "references", most)
        assert (len(given) if way == "result" else given) == most
    talk.lives()


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(
    ("codec", "way", "shape"),
    [
        ("native", "argument", "list"),
        ("native", "argument", "struct"),
        ("native", "keyword", "list"),
        ("native", "result", "list"),
        ("native", "result", "struct"),
        ("native", "result", "error"),
        # In Syrup the keys of a struct are values too, and so many reach another limit first.
        ("syrup", "argument", "list"),
        ("syrup", "keyword", "list"),
        ("syrup", "result", "list"),
    ],
)
def test_entries_of_a_container_are_sent_up_to_the_limit(codec: str, way: str, shape: str, more: int) -> None:
    talk = Talk(codec)

    if more:
        with pytest.raises((Unpassable, Broken), match="over 50000 entries in a container"):
            talk.call(way, shape, LIMITS.container_entries + 1)
    else:
        given = talk.call(way, shape, LIMITS.container_entries)
        if shape != "error":
            assert (len(given) if way == "result" else given) == LIMITS.container_entries
    talk.lives()


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("way", ["argument", "result"])
@pytest.mark.parametrize("codec", CODECS)
def test_values_in_one_message_are_sent_up_to_the_limit(codec: str, way: str, more: int) -> None:
    talk = Talk(codec)
    most = LIMITS.nodes - AROUND[codec, way]

    if more:
        with pytest.raises((Unpassable, Broken), match="over 100000 values in one message"):
            talk.call(way, "lists", most + 1)
    else:
        given = talk.call(way, "lists", most)
        assert (len(given) if way == "result" else given) == 2
    talk.lives()


@pytest.mark.parametrize("codec", CODECS)
def test_a_result_that_came_late_and_is_too_much_breaks_its_call_alone(codec: str) -> None:
    talk = Talk(codec)
    gate, resolver = talk.caller.vat.promise()
    much = talk.caller.want(talk.mirror.wait(gate, "references", 300))
    little = talk.caller.want(talk.mirror.wait(gate, "references", 3))
    talk.it.net.rest()

    resolver.fulfill(None)
    talk.it.net.rest()

    with pytest.raises(Broken, match="over 256 references in one message"):
        outcome(much)
    talk.lives()
    assert little.settled
