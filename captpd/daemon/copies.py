"""Copies of all that a running daemon has stored, for a backup to be made of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import trio

import captp
from captpd.config.places import STORE
from captpd.keeper.backup import new_workspace

__all__ = ["copy_stores"]


async def copy_stores(vats: Mapping[str, captp.LiveVat], book: Path, changing: trio.Lock) -> Path:
    """Copy the stores of vats, and the book beside them, into a new folder; whoever asked removes that.

    No object is named meanwhile. Raises StoreError and OSError; then there is no folder.
    """
    async with changing:
        folder = await trio.to_thread.run_sync(new_workspace, book.parent)
        try:
            for name, live in vats.items():
                await live.copy_store(folder / f"{name}{STORE}")
            await trio.to_thread.run_sync(shutil.copy, book, folder / book.name)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder
