"""What either codec writes under some limits, a codec with the same limits reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captp.errors import Unpassable
from captp.limits import Limits
from captp.model.values import Fault, FrozenMap, Tagged
from captp.wire.dialect import SyrupCodec
from captp.wire.native import NativeCodec
from captp.wire.ops import BREAK, CALL, RESOLVE, Deliver, Desc, Kind, Op

REFERENCES = st.builds(Desc, st.sampled_from([Kind.IMPORT_OBJECT, Kind.EXPORT]), st.integers(0, 2**50))


class Names:
    """Refs by which every descriptor is its own reference."""

    def describe(self, value: object) -> Desc:
        raise Unpassable(f"a {type(value).__name__} cannot cross")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(Kind(kind), position)


def containers(inner: Any) -> Any:
    structs = st.dictionaries(st.text("abc", max_size=2), inner, max_size=6).map(
        lambda d: FrozenMap(sorted(d.items()))
    )
    return (
        st.lists(inner, max_size=7).map(tuple)
        | structs
        | st.builds(Tagged, st.just("t"), inner)
        | st.builds(Fault, st.just("f"), structs)
    )


VALUES = st.recursive(st.integers(0, 9) | st.none() | REFERENCES, containers, max_leaves=25)
TARGET = Desc(Kind.EXPORT, 1)
RESOLVER = Desc(Kind.IMPORT_OBJECT, 2)

OPS = {
    "native": lambda value: [
        (CALL, 1, "method", (value,), 3, True),
        (CALL, 1, "method", value if type(value) is tuple else (value,)),
        (RESOLVE, 1, value),
        (BREAK, 1, value),
        Deliver(TARGET, (value,), 3, True),
    ],
    "syrup": lambda value: [Deliver(TARGET, (value,), 3, RESOLVER), Deliver(TARGET, (value,))],
}


def codec(name: str, limits: Limits) -> NativeCodec | SyrupCodec:
    if name == "native":
        return NativeCodec(Names(), limits)
    made = SyrupCodec(Names(), limits, None)
    made.vocabulary = "d2"
    return made


@pytest.mark.parametrize(
    "limits",
    [Limits(caps_per_message=3), Limits(container_entries=4), Limits(nodes=30), Limits(message_bytes=90)],
    ids=["references", "entries", "values", "bytes"],
)
@pytest.mark.parametrize("name", ["native", "syrup"])
@settings(max_examples=60, deadline=None)
@given(values=st.lists(VALUES, min_size=1, max_size=4))
def test_what_is_written_under_limits_is_read_under_them(
    name: str, limits: Limits, values: list[Any]
) -> None:
    """One codec writes them all: what it refused leaves no trace in what follows."""
    own, peer = codec(name, limits), codec(name, limits)
    free = codec(name, Limits())

    for op in [op for value in values for op in OPS[name](value)]:
        try:
            message = own.encode(op)
        except Unpassable:
            continue
        assert message == free.encode(op)
        assert len(list[Op](peer.feed(own.frame([message])))) == 1


@pytest.mark.parametrize("name", ["native", "syrup"])
def test_so_many_references_are_written_after_more_were_refused(name: str) -> None:
    own = codec(name, Limits(caps_per_message=4))
    wrap = OPS[name]

    with pytest.raises(Unpassable, match="over 4 references in one message: send it in parts"):
        own.encode(wrap((TARGET,) * 5)[0])

    for _ in range(3):
        assert own.encode(wrap((TARGET,) * (4 if name == "native" else 2))[0])
