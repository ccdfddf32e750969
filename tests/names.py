"""References for a codec that only listens: every descriptor is taken for what it is."""

from __future__ import annotations

from typing import Any

from captp.model.boxed import Boxed
from captp.wire.ops import Desc, Kind


class Names:
    """Takes every descriptor for what it is: a name."""

    def describe(self, value: object) -> Desc:
        raise AssertionError(f"{value!r} is not to be sent")

    def unbox(self, box: Boxed) -> Any:
        raise AssertionError(f"{box!r} is not to be sent")

    def resolve(self, kind: Kind, position: Any) -> object:
        return Desc(Kind(kind), position)
