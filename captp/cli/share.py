"""``captp share``: writes the sturdyref of an object where only its owner can read it."""

from __future__ import annotations

import json as json_format
import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import captp
from captp.cli.daemon import ask
from captp.cli.options import Json, Quiet, note, run
from captp.cli.problems import usage
from captp.model.locator import write_cap_file
from captp.run.sources import read_sturdyref

__all__ = ["share", "write_cap"]


def share(
    name: Annotated[str, Parameter(help="The object's name in the daemon.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="File to write; NAME.cap by default.")] = None,
    show: Annotated[bool, Parameter(negative=(), help="Print the sturdyref, which is a password.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a .cap file: whoever has it has the object."""
    sturdyref = run(lambda: ask(lambda control: control.share(name)))
    told = {"name": name}
    if show:
        told["sturdyref"] = sturdyref.reveal()
    if out is not None or not show:
        path = out or Path(f"{name}.cap")
        write_cap(path, sturdyref)
        told["file"] = str(path)
        note("give the file to whoever shall have the object; it is a password (mode 0600)", quiet=quiet)
    if json:
        print(json_format.dumps(told))
    else:
        print(*(told[key] for key in ("sturdyref", "file") if key in told), sep="\n")


def write_cap(path: Path, sturdyref: captp.SturdyRef) -> None:
    """Write a .cap file, mode 0600 from the first byte on; never over another object's. Raises Failure."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        if not _holds(path, sturdyref):
            raise usage(
                f"{path} is there already and holds something else\nchoose another name with --out, or"
                " remove it"
            ) from None
        return
    except OSError as problem:
        raise usage(f"cannot write {path}: {problem.strerror}; choose another place with --out") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(write_cap_file(sturdyref))
    except OSError as problem:
        path.unlink(missing_ok=True)
        raise usage(f"cannot write {path}: {problem.strerror}; choose another place with --out") from None


def _holds(path: Path, sturdyref: captp.SturdyRef) -> bool:
    try:
        return read_sturdyref(path) == sturdyref
    except captp.Error:
        return False
