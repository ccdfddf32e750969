"""Classes of the program: their bases, what kind they are, and where an attribute comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field

from captp.check.ir import At, ClassDef, Expr
from captp.check.values import AliasVal, ClassVal, Ext, TypeVarVal, Value

__all__ = ["ClassInfo"]


@define(eq=False)
class ClassInfo:
    """A class, with those that it derives from."""

    ir: ClassDef
    #: The activation in which it is defined.
    frame: Any
    bases: tuple[Any, ...] = ()
    #: Paths of bases from outside.
    outside: tuple[str, ...] = ()
    #: Names of its type parameters, in order, and what its bases' stand for.
    parameters: tuple[str, ...] = ()
    base_args: dict[Any, tuple[Value, ...]] = field(factory=dict)
    is_runtime: bool = False
    _mro: list[ClassInfo] | None = None
    attrs: dict[str, Value] = field(factory=dict)

    @property
    def name(self) -> str:
        return self.ir.name

    def mro(self) -> list[ClassInfo]:
        """Return it and its bases of the program, nearest first."""
        if self._mro is None:
            self._mro = [self]
            for base in self.bases:
                for part in base.mro():
                    if part in self._mro:
                        self._mro.remove(part)
                    self._mro.append(part)
        return self._mro

    def _descends(self, path: str) -> bool:
        return any(path in part.outside for part in self.mro())

    @property
    def is_object(self) -> bool:
        return self._descends("captp.Object")

    @property
    def is_interface(self) -> bool:
        return self._descends("captp.Interface") and not self.is_object

    @property
    def must_use(self) -> bool:
        """Tell whether a unique reference to it is not to be dropped."""
        return any(part.ir.must_use for part in self.mro())

    @property
    def is_protocol(self) -> bool:
        return bool({"typing.Protocol", "typing_extensions.Protocol"} & set(self.outside))

    @property
    def has_unknown_base(self) -> bool:
        """Tell whether something may come from a class that is not read."""
        return any(path not in _KNOWN for part in self.mro() for path in part.outside)

    def is_subclass(self, other: ClassInfo) -> bool:
        return other in self.mro()

    def owner_of(self, name: str) -> ClassInfo | None:
        """Return the class that gives the attribute ``name``."""
        for part in self.mro():
            if name in part.ir.attrs or name in part.ir.annotations:
                return part
        return None

    def annotation_of(self, name: str) -> tuple[ClassInfo, Expr, At] | None:
        for part in self.mro():
            found = part.ir.annotations.get(name)
            if found is not None:
                return part, *found
        return None


_KNOWN = {
    "builtins.object",
    "captp.Interface",
    "captp.Object",
    "typing.Generic",
    "typing.Protocol",
    "typing_extensions.Protocol",
    "abc.ABC",
}


def bases_of(values: list[Value]) -> Iterator[tuple[Any, str, tuple[Value, ...]]]:
    """Return class, outside path and type arguments of each base."""
    for value in values:
        for atom in value:
            if isinstance(atom, ClassVal):
                yield atom.cls, "", atom.args
            elif isinstance(atom, Ext):
                yield None, atom.path, ()
            elif isinstance(atom, AliasVal) and isinstance(atom.base, Ext):
                yield None, atom.base.path, atom.args
            elif not isinstance(atom, TypeVarVal):
                yield None, "?", ()
