"""``captpd run``: one daemon in the foreground."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import trio

from captp.errors import StoreError, UsageError
from captpd.cli.config import find_and_load
from captpd.config.places import StateFolder
from captpd.daemon.daemon import serve
from captpd.daemon.lock import hold_lock
from captpd.daemon.log import set_up_logging
from captpd.keeper.backup import remove_workspaces

__all__ = ["run_daemon"]

log = logging.getLogger("captpd")


def run_daemon(file: Path | None, listen: list[str] | None, advertise: str | None, state: Path | None) -> int:
    """Run until stopped; 0 after an orderly end."""
    config = find_and_load(file, state=state, listen=listen, advertise=advertise).config
    folder = StateFolder(config.daemon.state)
    folder.check_path()
    folder.check_private()
    folder.check_whole()
    with hold_lock(folder):
        remove_workspaces(folder.path)
        set_up_logging(config.daemon.log, config.daemon.log_level, sys.stderr)
        try:
            trio.run(serve, config, folder, _announce)
        except (UsageError, StoreError):
            raise
        except Exception:
            # Whatever it is, it leaves as a masked log line.
            log.critical("the daemon failed", exc_info=True)
            return 1
        log.info("stopped")
    return 0


def _announce(line: str) -> None:
    print(line, flush=True)
