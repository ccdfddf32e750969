"""``captp new``: asks the daemon to make an object; which classes it may make is the daemon's affair."""

from __future__ import annotations

import json as json_format
from typing import Annotated

from cyclopts import Parameter

from captp.cli.daemon import ask
from captp.cli.options import Json, Quiet, note, run

__all__ = ["new"]


def new(
    class_path: Annotated[str, Parameter(name="MODULE:CLASS", help="Class on the daemon's allow-list.")],
    /,
    *,
    name: Annotated[str, Parameter(help="What to call the object.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make an object in the daemon, and name it."""
    made = run(lambda: ask(lambda control: control.new(class_path, name)))
    if json:
        print(json_format.dumps(made))
        return
    print(f"{made['name']}  {made['interface']}  vat {made['vat']}  {made['state']}")
    note(f"next: captp share {name}, or captp call {name} METHOD", quiet=quiet)
