"""What broke a promise, once for each who hears of it.

An exception that is raised gets the frames of whoever waits for it, and the one that is handled there as its
context: with one object for all, each would reach what the others hold.
"""

from __future__ import annotations

from typing import Any

from captp.errors import Broken

__all__ = ["fresh"]


def fresh(problem: Broken) -> Broken:
    """Return a copy of an exception that ``portable`` made: its text and its fields, nothing else."""
    cls = type(problem)
    made = cls.__new__(cls, *problem.args)
    made.__dict__.update(problem.__dict__)
    for base in cls.__mro__:
        slots: Any = base.__dict__.get("__slots__", ())
        for name in (slots,) if type(slots) is str else slots:
            if hasattr(problem, name):
                setattr(made, name, getattr(problem, name))
    return made
