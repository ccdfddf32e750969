"""What a configuration can say, as frozen records with their defaults; knows no files.

An attribute is a key of the same name; a trailing underscore, which keeps it from being a keyword of
Python, is not part of the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, final

from attrs import Attribute, fields, frozen

from captp.cycles import Cycles
from captp.limits import Limits
from captpd.config.kinds import Address, ClassPath, ModulePattern

__all__ = [
    "FLAT_SECTIONS",
    "NAMED_SECTIONS",
    "Config",
    "Daemon",
    "HostedClass",
    "Listen",
    "Process",
    "Vat",
    "keys_of",
]


@final
@frozen(kw_only=True)
class Daemon:
    """``[daemon]``: the process itself."""

    state: Path
    allow: tuple[ModulePattern, ...] = ()
    log: Literal["auto", "text", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    drain_s: float = 5.0


@final
@frozen(kw_only=True)
class Listen:
    """``[listen]``: where all vats together are reached."""

    tls: tuple[Address, ...] = (Address("127.0.0.1", 7711),)
    advertise: Address | None = None


@final
@frozen(kw_only=True)
class Process:
    """``[process]``: what the whole process may use."""

    rss_soft_mb: int = 1_024
    rss_hard_mb: int = 1_536


@final
@frozen(kw_only=True)
class Vat:
    """``[vat.NAME]``: one vat, with an identity of its own."""

    durable: bool = False
    tcp_testing_only: Address | None = None


@final
@frozen(kw_only=True)
class HostedClass:
    """``[objects.NAME]``: an object that is made at each start."""

    class_: ClassPath
    vat: str | None = None


FLAT_SECTIONS: Final[Mapping[str, type]] = MappingProxyType(
    {"daemon": Daemon, "listen": Listen, "process": Process, "limits": Limits, "cycles": Cycles}
)
NAMED_SECTIONS: Final[Mapping[str, type]] = MappingProxyType({"vat": Vat, "objects": HostedClass})


@final
@frozen(kw_only=True)
class Config:
    """A whole configuration; ``vats`` has at least one entry, and the first is the default."""

    daemon: Daemon
    listen: Listen
    process: Process
    limits: Limits
    cycles: Cycles
    vats: Mapping[str, Vat]
    objects: Mapping[str, HostedClass]

    @property
    def default_vat(self) -> str:
        """The vat of objects that name none."""
        return next(iter(self.vats))


def keys_of(section: type) -> dict[str, Attribute[object]]:
    """Return the attributes of a section's record by key."""
    return {a.name.rstrip("_"): a for a in fields(section)}
