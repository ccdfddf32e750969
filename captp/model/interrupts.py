"""What ends more than a call, as an interrupt does: it goes on through borders, and carries nothing along.

It cannot be made anew, since those who look out for it know it by its class, and often by itself. So what it
holds is taken from it, without running any code of its own.
"""

from __future__ import annotations

from types import MemberDescriptorType
from typing import Any, Final

from captp.errors import Unpassable
from captp.model.plain import mro_of, plain

__all__ = ["GROUPED", "LINKS", "NAMES", "emptied"]

#: The ways from one exception to others and to frames, whatever its class says of them.
LINKS: Final = tuple(BaseException.__dict__[n] for n in ("__traceback__", "__cause__", "__context__"))
#: The attributes of one exception by name, and the members of a group.
NAMES: Final[Any] = BaseException.__dict__["__dict__"]
GROUPED: Final[Any] = BaseExceptionGroup.__dict__["exceptions"]
_ARGS: Final[Any] = BaseException.__dict__["args"]
_VARS: Final = type.__dict__["__dict__"].__get__


def emptied(exc: BaseException) -> BaseException:
    """Take from an exception, and from those that it groups, all but plain data; return it."""
    found, seen = [exc], set()
    while found:
        one = found.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for link in LINKS:
            link.__set__(one, None)
        mro = mro_of(type(one))
        if any(base is BaseExceptionGroup for base in mro):
            found += GROUPED.__get__(one)
        _ARGS.__set__(one, _plain(_ARGS.__get__(one)) or ())
        names = NAMES.__get__(one)
        plain_ones = {name: _plain(dict.get(names, name)) for name in list(dict.keys(names))}
        # Another dict, as this one may be of a class of its own.
        NAMES.__set__(one, {name: value for name, value in plain_ones.items() if value is not None})
        for slot in (v for base in mro for v in _VARS(base).values() if type(v) is MemberDescriptorType):
            _empty(slot, one)
    return exc


def _empty(slot: Any, one: BaseException) -> None:
    """Clear what a slot of a class holds that is no plain data."""
    try:
        plain(slot.__get__(one))
    except AttributeError:
        return  # it holds nothing
    except Unpassable:
        pass
    else:
        return
    try:
        slot.__set__(one, None)
    except (AttributeError, TypeError):
        return  # of a group, whose members were emptied


def _plain(value: Any) -> Any:
    try:
        return plain(value)
    except Unpassable:
        return None
