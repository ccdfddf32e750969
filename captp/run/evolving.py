"""Bringing a store to the versions that its classes have now: found by a scan, copied first, one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from captp.errors import StoreFailed
from captp.peer.durable.evolution import Evolution
from captp.peer.durable.kinds import PREFIX
from captp.peer.durable.portrait import kind_of
from captp.peer.durable.stored import Image
from captp.peer.rows import coalesced

if TYPE_CHECKING:
    from captp.run.sealed import Sealed

__all__ = ["evolved"]


def evolved(sealed: Sealed, image: Image) -> Image:
    """Migrate all objects of earlier versions and return what is in the store now; mostly that is ``image``.

    Only if something has to be migrated, all objects are read, and what changes is in memory at once.
    Raises Unfit where there is no way to the classes, and what the store raises; both ways nothing
    in it has changed.
    """
    evolution = Evolution(image)
    if not evolution.is_needed:
        return image
    evolution.plan({kind_of(body) for _, body in sealed.every("object")})
    if not evolution.has_objects:
        sealed.commit(coalesced(evolution.changes), evolution.last_oid)
    else:
        for key, body in sealed.every("object"):
            if evolution.is_old(body):
                evolution.migrate(sealed.rows_of(int.from_bytes(key, "big")))
        copy = sealed.store.copy_aside(f"before-upgrade-{sealed.commits}")
        try:
            sealed.commit(coalesced(evolution.changes), evolution.last_oid)
        except StoreFailed:
            # Perhaps it was made: then the copy is what there is of the old.
            raise
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
    return evolve(image, kinds=list(sealed.rows("meta", PREFIX)), last_oid=evolution.last_oid)
