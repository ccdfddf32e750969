"""Where a daemon keeps what must outlive it, and that nobody else can read it; knows no contents."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

from attrs import frozen

from captp.errors import UsageError

__all__ = ["StateFolder", "default_state", "write_file"]

# sun_path of a Linux socket address has 108 bytes, the last of them 0.
SOCKET_PATH_BYTES: Final = 107
#: What the name of a store ends with.
STORE: Final = ".db"


@final
@frozen
class StateFolder:
    """The state folder and the names of what is in it."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "captpd.toml"

    @property
    def identity(self) -> Path:
        return self.path / "identity.key"

    @property
    def sturdyrefs(self) -> Path:
        return self.path / "sturdyrefs.json"

    @property
    def control_cap(self) -> Path:
        return self.path / "control.cap"

    @property
    def control_socket(self) -> Path:
        return self.path / "control.sock"

    @property
    def restoring(self) -> Path:
        return self.path / "restoring"

    @property
    def lock(self) -> Path:
        return self.path / "captpd.pid"

    @property
    def stores(self) -> Path:
        return self.path / "stores"

    def store(self, vat: str) -> Path:
        """Return where the rows of a durable vat lie."""
        return self.stores / f"{vat}{STORE}"

    def stored_vats(self) -> dict[str, Path]:
        """Return by the name of its vat every store that there is."""
        return {path.name.removesuffix(STORE): path for path in sorted(self.stores.glob(f"*{STORE}"))}

    def check_path(self) -> None:
        """Raise UsageError if the control socket's path would be too long."""
        if len(os.fsencode(self.control_socket)) > SOCKET_PATH_BYTES:
            raise UsageError(
                f"{self.control_socket} is too long a path for a socket ({SOCKET_PATH_BYTES} bytes at"
                " most); choose a state folder with a shorter one: --state DIR"
            )

    def check_whole(self) -> None:
        """Raise UsageError if a restore was interrupted here."""
        if self.restoring.exists():
            raise UsageError(
                f"{self.path} is half restored: run captpd restore again; what was there before is in"
                f" {self.path}/replaced-*"
            )

    def check_private(self) -> None:
        """Raise UsageError, with the fix, unless everything secret is there for the owner alone."""
        if not self.identity.exists():
            raise UsageError(f"{self.path} holds no identity yet; make one: captpd init --state {self.path}")
        _check_private(self.path, "700")
        for secret in (self.identity, self.sturdyrefs, self.control_cap):
            if secret.exists():
                _check_private(secret, "600")


def default_state(environ: Mapping[str, str]) -> tuple[Path, str]:
    """Return the state folder where nothing else is said, and which variable named it."""
    if home := environ.get("CAPTPD_HOME"):
        return Path(home).expanduser().absolute(), "$CAPTPD_HOME"
    xdg = environ.get("XDG_STATE_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    if xdg.startswith("/"):
        return Path(xdg) / "captpd", "$XDG_STATE_HOME"
    return Path("~/.local/state/captpd").expanduser(), ""


def write_file(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Put ``text`` at ``path`` whole or not at all; it never exists with a looser mode."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_private(path: Path, fix: str) -> None:
    info = path.stat()
    if info.st_uid != os.geteuid():
        raise UsageError(
            f"{path} belongs to user {info.st_uid}, not to you (user {os.geteuid()}); run captpd as its"
            " owner, or choose another state folder: --state DIR"
        )
    if info.st_mode & 0o077:
        mode = stat.S_IMODE(info.st_mode)
        raise UsageError(
            f"{path} is open to others (mode {mode:o}), and whoever reads it can take this daemon's"
            f" place; close it: chmod {fix} {path}"
        )
