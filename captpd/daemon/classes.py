"""From a class path to an object: allowed modules only, and every failure told in words."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import final

import captp
from captp.errors import UsageError
from captp.model.interface import is_interface
from captpd.config.allow import is_allowed, not_allowed

__all__ = ["HostingError", "load_class", "make_object"]


@final
class HostingError(UsageError):
    """A class path does not lead to an object that this daemon may and can make."""


def load_class(class_path: str, allow: tuple[str, ...]) -> type[captp.Object]:
    """Import ``module:Class``; raises HostingError, before any import if the module is not allowed."""
    module_name, colon, class_name = class_path.partition(":")
    parts = module_name.split(".")
    if not colon or not class_name.isidentifier() or not all(p.isidentifier() for p in parts):
        raise HostingError(f"{class_path!r} is no class path; expected module:Class, as shop.till:Till")
    if not is_allowed(module_name, allow):
        raise HostingError(not_allowed(class_path, allow))
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{module_name}.".startswith(f"{problem.name}."):
            raise _failed(class_path, f"importing {module_name}", problem) from problem
        raise HostingError(
            f"class {class_path}: the daemon's Python has no module {problem.name}; install it there,"
            f" or add its folder to PYTHONPATH (python: {sys.executable})"
        ) from None
    except (Exception, SystemExit) as problem:  # it is the hosted code's own, whatever it is
        raise _failed(class_path, f"importing {module_name}", problem) from problem
    # Not getattr: a module's __getattr__ could lead anywhere.
    names = vars(module)
    found = names.get(class_name)
    if isinstance(found, type) and issubclass(found, captp.Object):
        return found
    what = f"there is no {class_name} in {module_name}" if found is None else "it is no captp.Object"
    fix = "name a class that derives from captp.Object"
    if isinstance(found, type) and is_interface(found):
        classes = [n for n, c in names.items() if _implements(c, found)]
        what = "it is an interface, how others see an object"
        fix = "name the class of the object" + (f": {', '.join(classes)}" if classes else "")
    raise HostingError(f"class {class_path}: {what}; {fix}")


def make_object(cls: type[captp.Object], class_path: str) -> captp.Object:
    """Make an object of a hosted class, which takes no arguments. Raises HostingError."""
    try:
        return cls()
    except Exception as problem:  # it is the hosted code's own, whatever it is
        raise _failed(class_path, f"{cls.__name__}()", problem) from problem


def _implements(cls: object, interface: type) -> bool:
    return isinstance(cls, type) and issubclass(cls, captp.Object) and issubclass(cls, interface)


def _failed(class_path: str, doing: str, problem: BaseException) -> HostingError:
    return HostingError(f"class {class_path}: {doing} failed: {type(problem).__name__}: {problem}")
