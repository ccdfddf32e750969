"""``captpd config show`` and ``check``, and how the commands find their configuration."""

from __future__ import annotations

import os
from pathlib import Path

from captpd.config.load import Flag, Loaded, load, state_of
from captpd.config.places import StateFolder, default_state
from captpd.config.problems import ConfigError
from captpd.config.show import to_toml

__all__ = ["find_and_load", "run_check", "run_show"]


def find_and_load(
    file: Path | None,
    *,
    state: Path | None = None,
    listen: list[str] | None = None,
    advertise: str | None = None,
) -> Loaded:
    """Read the configuration file given, or else the one in the state folder, under the flags."""
    flags: dict[tuple[str, ...], Flag] = {}
    if state is not None:
        flags["daemon", "state"] = Flag("--state", str(state))
    if listen is not None:
        flags["listen", "tls"] = Flag("--listen", listen)
    if advertise is not None:
        flags["listen", "advertise"] = Flag("--advertise", advertise)
    if file is None:
        folder = state_of(os.environ, state)
        file = StateFolder(folder).config
        if not file.exists():
            option = "" if folder == default_state(os.environ)[0] else f" --state {folder}"
            raise ConfigError(f"there is no configuration {file} yet; make one: captpd init{option}")
    return load(file, environ=os.environ, flags=flags)


def run_show(file: Path | None, state: Path | None, *, with_origins: bool) -> int:
    """Write the configuration that ``captpd run`` would have."""
    print(to_toml(find_and_load(file, state=state), with_origins=with_origins), end="")
    return 0


def run_check(file: Path) -> int:
    """Check one file by itself: no environment, no flags."""
    load(file, environ={})
    print(f"{file}: ok")
    return 0
