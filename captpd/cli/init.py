"""``captpd init``: a state folder, a configuration and an identity; never over what is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from captp.errors import UsageError
from captpd.config.kinds import Address, Misfit, kind_of
from captpd.config.places import StateFolder, write_file
from captpd.config.schema import Listen
from captpd.daemon.identity import make_identity, read_identity, vat_key

__all__ = ["run_init"]

_TEMPLATE: Final = """\
# What captpd does; all keys are in docs/reference/config.md, and
# `captpd config show --origin` says which value holds and why.

[daemon]
# Modules whose classes may be hosted here; nothing else is ever imported.
allow = ["captp.examples.*"]

[listen]
tls = {tls}
{advertise}
[vat.main]
{durable}"""


def run_init(
    path: Path, listen: list[str], advertise: str | None, *, is_durable: bool, is_default: bool
) -> int:
    """Write what is missing and say what; the flags go into a new configuration only."""
    addresses = [str(_address("--listen", text)) for text in listen]
    public = None if advertise is None else str(_address("--advertise", advertise))
    state = StateFolder(path)
    state.check_path()
    wrote = []
    if not path.exists():
        path.mkdir(mode=0o700, parents=True)
        wrote.append(f"state folder   {path} (0700)")
    had_config = state.config.exists()
    if not had_config:
        write_file(state.config, _config_text(addresses, public, is_durable=is_durable))
        wrote.append(f"configuration  {state.config}")
    if not state.identity.exists():
        make_identity(state.identity)
        wrote.append(f"identity       {state.identity} (0600)")
    state.check_private()
    for line in wrote:
        print(f"wrote {line}")
    if not wrote:
        print(f"nothing changed: {path} is initialised already")
    if had_config and (listen or advertise or is_durable):
        print(f"the flags were not applied: edit {state.config}")
    print(f"vat main is {vat_key(read_identity(state.identity), 'main').public.designator}")
    print("next: captpd run" if is_default else f"next: captpd run --state {path}")
    return 0


def _config_text(addresses: list[str], public: str | None, *, is_durable: bool) -> str:
    tls = json.dumps(addresses or list(map(str, Listen().tls)))
    key = '# advertise = "HOST:PORT"  # what others dial, if they know this host by another name\n'
    if public is not None:
        key = f"advertise = {json.dumps(public)}\n"
    durable = "durable = true\n" if is_durable else "# durable = true  # keep its objects on disk\n"
    return _TEMPLATE.format(tls=tls, advertise=key, durable=durable)


def _address(flag: str, text: str) -> object:
    try:
        return kind_of(Address).read(text)
    except Misfit as problem:
        raise UsageError(f"{flag}: expected {problem.expected}, got {text!r}") from None
