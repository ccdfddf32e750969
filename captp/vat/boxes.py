"""What one vat knows of data that crosses its borders, as long as that is alive.

One Object stands for each box that stays, and one box for each frozen value, whichever session it came by.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from captp.model.boxed import Boxed, Stand
from captp.model.object import Object
from captp.model.ref import Ref

__all__ = ["Boxes"]


class Face(Stand, Object):
    """Stands for a box: peers hold it and pass it on, and it answers nothing. It has more than state."""

    __slots__ = ("box",)


class Boxes:
    """The faces of one vat's boxes, and the frozen values in them."""

    __slots__ = ("_faces", "_frozen", "_vat")

    def __init__(self, vat: Any) -> None:
        self._vat = vat
        #: By the identity of their boxes, which they hold.
        self._faces: WeakValueDictionary[int, Face] = WeakValueDictionary()
        self._frozen: WeakValueDictionary[bytes, Boxed] = WeakValueDictionary()

    def reference(self, box: Boxed) -> Ref:
        """Return the reference that stands for a box."""
        face = self._faces.get(id(box))
        if face is None:
            face = Face()
            face.box = box
            self._faces[id(box)] = face
        ref: Ref = self._vat.reference(face)
        return ref

    def enter(self, box: Boxed) -> None:
        """Have a box be the one of its frozen value, unless another is."""
        assert box._captp_sealed is not None
        self._frozen.setdefault(box._captp_sealed.digest, box)

    def known(self, digest: bytes) -> Boxed | None:
        """Return the box of a frozen value."""
        return self._frozen.get(digest)
