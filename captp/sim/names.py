"""The references of whoever only listens or makes things up: descriptors, taken for what they are."""

from __future__ import annotations

from typing import Any

from captp.model.boxed import Boxed
from captp.wire.ops import Desc, Kind


class Names:
    """Takes every descriptor for a name, and has none to give."""

    def describe(self, value: object) -> Desc:
        raise AssertionError(f"only descriptors are sent here, not {value!r}")

    def unbox(self, box: Boxed) -> Any:
        raise AssertionError(f"only descriptors are sent here, not {box!r}")

    def resolve(self, kind: int, position: Any) -> object:
        return Desc(Kind(kind), position)
