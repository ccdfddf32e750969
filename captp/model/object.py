"""Objects: annotated fields are the state, kept in generated slots that journal their first write.

One stateful base per class, interfaces beside it. An object that no vat owns yet writes freely; an
owned one is written in turns only. What its fields may hold is the field module's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final

from captp.errors import BadClass
from captp.model.codegen import compile_functions
from captp.model.containers import Tracked, parts_of
from captp.model.fields import MISSING, Field
from captp.model.interface import (
    InterfaceMeta,
    LocalCall,
    Method,
    Row,
    collect_rows,
    is_interface,
    selector_of,
)
from captp.model.promise import Reference


class Unowned:
    """The home of objects that no vat owns: it lets everything pass and journals nothing."""

    __slots__ = ()

    token: Final = object()
    reference: Final = None

    def first_write(self, obj: Object) -> None:
        """Let the write pass."""

    def container_write(self, owner: Object, undo: Callable[..., Any], args: Any) -> None:
        """Let the write pass."""


UNOWNED: Final = Unowned()

#: Annotations that need no look: most methods stay the plain function they were.
_NO_INTERFACE: Final = frozenset({"int", "str", "bytes", "bool", "float", "None", None, "object"})

_GET = "def get_{name}(self):\n    return self._{name}\n"

_SET = """
def set_{name}(self, value):
    {test}value = convert_{name}(self, value)
    home = self._home
    if self._turn is not home.token:
        home.first_write(self)
    self._{name} = value
"""

_WHOLE = """
def _captp_prepare(self):
    self._home = UNOWNED
    self._turn = UNOWNED_TOKEN
    self._views = self._entry = self._latch = None

def _captp_snap(self):
    return ({slots})

def _captp_undo(self, snap):
    ({slots}) = snap

def __init__(self, *, {params}):
    self._home = UNOWNED
    self._turn = UNOWNED_TOKEN
    self._views = self._entry = self._latch = None
{assigns}
"""


class ObjectMeta(InterfaceMeta):
    """Turns annotations into state slots and marked methods into plain functions."""

    _captp_fields: dict[str, Field]
    _captp_missing: str

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> ObjectMeta:
        _one_stateful_base(name, bases)
        own = {
            k: Field(name, k, annotation, namespace.pop(k, MISSING))
            for k, annotation in namespace.get("__annotations__", {}).items()
            if "ClassVar" not in str(annotation)
        }
        for field_name in own:
            if field_name.startswith("_"):
                raise BadClass(f"{name}.{field_name}: state fields cannot start with _")
        namespace["__slots__"] = (*namespace.get("__slots__", ()), *(f"_{k}" for k in own))
        marks = {k: v for k, v in namespace.items() if isinstance(v, Method)}
        namespace.update((k, v.function) for k, v in marks.items())
        cls = type.__new__(mcls, name, bases, namespace, **kwargs)
        for mark_name, mark in marks.items():
            mark.name = mark_name
        unmarked = {k: v for k, v in namespace.items() if k not in marks}
        cls._captp_rows = collect_rows(cls, {**unmarked, **marks})
        cls._captp_views = None
        for mark_name in marks:
            _wrap_plain_call(cls, cls._captp_rows[selector_of(mark_name)])
        _compile_state(cls, own, "__init__" in namespace)
        return cls

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        missing = cls._captp_missing if "_captp_missing" in cls.__dict__ else _find_missing(cls)
        if missing:
            raise BadClass(f"{cls.__name__} does not implement {missing}")
        return type.__call__(cls, *args, **kwargs)


def _one_stateful_base(name: str, bases: tuple[type, ...]) -> None:
    stateful = [b for b in bases if isinstance(b, ObjectMeta) and b.__dict__.get("_captp_fields")]
    if len(stateful) > 1:
        raise BadClass(
            f"{name} has two bases with state, {stateful[0].__name__} and {stateful[1].__name__}:"
            " keep one, and hold the other as a field"
        )


def _find_missing(cls: ObjectMeta) -> str:
    missing = [f"{r.owner.__name__}.{r.name}" for r in cls._captp_rows.values() if is_interface(r.owner)]
    cls._captp_missing = ", ".join(missing)
    return cls._captp_missing


def _compile_state(cls: ObjectMeta, own: dict[str, Field], has_init: bool) -> None:
    inherited: dict[str, Field] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited.update(base.__dict__.get("_captp_fields", {}))
    fields = {**inherited, **own}
    cls._captp_fields = fields
    names: dict[str, Any] = {"UNOWNED": UNOWNED, "UNOWNED_TOKEN": UNOWNED.token, "MISSING": MISSING}
    source = []
    for name, field in own.items():
        field.bind(cls)
        names[f"convert_{name}"] = field.convert
        source += [_GET.format(name=name), _SET.format(name=name, test=_test(field, names))]
    assigns = []
    for name, field in fields.items():
        names[f"field_{name}"] = field
        assigns.append(f"    self.{name} = field_{name}.fresh() if {name} is MISSING else {name}\n")
    source.append(
        _WHOLE.format(
            slots="".join(f"self._{n}, " for n in fields) or "()",
            params=", ".join(f"{n}=MISSING" for n in fields) or "**_",
            assigns="".join(assigns),
        )
        if fields
        else _WHOLE.replace("({slots}) = snap", "pass")
        .replace("*, {params}", "")
        .format(slots="", assigns="")
    )
    made = compile_functions("".join(source), names)
    for name in own:
        setattr(cls, name, property(made[f"get_{name}"], made[f"set_{name}"]))
    for name in ("_captp_prepare", "_captp_snap", "_captp_undo"):
        setattr(cls, name, made[name])
    inherited_init = cls.__init__ is not object.__init__ and not hasattr(cls.__init__, "_captp_made")  # type: ignore[misc]
    if has_init or inherited_init:
        cls.__new__ = staticmethod(_new_with_defaults)  # type: ignore[method-assign, assignment]
    else:
        made["__init__"]._captp_made = True  # type: ignore[attr-defined]
        cls.__init__ = made["__init__"]  # type: ignore[misc]


def _new_with_defaults(cls: Any, *_args: Any, **_kwargs: Any) -> Any:
    obj = object.__new__(cls)
    obj._captp_prepare()
    for name, field in cls._captp_fields.items():
        if field.has_default:
            setattr(obj, name, field.fresh())
    return obj


def _test(field: Field, names: dict[str, Any]) -> str:
    """Return the inline test that lets the field's exact types pass without a call."""
    exact = field.exact_types()
    if not exact:
        return ""
    if len(exact) == 1:
        names[f"type_{field.name}"] = next(iter(exact))
        return f"if type(value) is not type_{field.name}: "
    names[f"types_{field.name}"] = exact
    return f"if type(value) not in types_{field.name}: "


def _wrap_plain_call(cls: type, row: Row) -> None:
    """Make plain calls give references where the signature says interface, as sends do."""
    annotations = row.function.__annotations__.values()
    if row.is_fiber or all(getattr(a, "__name__", a) in _NO_INTERFACE for a in annotations):
        return
    from captp.model.guards import plain_call  # noqa: PLC0415 - guards need Object itself

    function = row.function
    wrapper: Callable[..., Any] | None = None

    @wraps(function)
    def first(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        nonlocal wrapper
        if wrapper is None:
            wrapper = plain_call(row)
            setattr(cls, row.name, wrapper)
        return wrapper(self, *args, **kwargs)

    setattr(cls, row.name, first)


class Object(LocalCall, metaclass=ObjectMeta):
    """A thing that lives in one vat: its annotated fields are its state, its marked methods its face.

    Calling a method of the object itself is a plain call. Fields are given to the constructor by
    keyword. Passing an Object across any border passes a reference to it.
    """

    __slots__ = ("__weakref__", "_entry", "_home", "_latch", "_turn", "_views")

    _captp_fields: ClassVar[dict[str, Field]]

    if TYPE_CHECKING:
        _home: Any
        _turn: object
        _views: Any
        _entry: Any
        _latch: Any

        def __init__(self, **state: Any) -> None: ...

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object>"

    def __reduce__(self) -> Any:
        raise TypeError("an Object cannot be copied or serialised: pass it, others get a reference")


def edges(obj: Object) -> Iterator[Object | Reference]:
    """Yield each Object and reference that ``obj`` holds in its state, through containers too."""
    stack: list[Any] = [getattr(obj, f"_{name}", None) for name in type(obj)._captp_fields]
    stack.reverse()
    while stack:
        value = stack.pop()
        if isinstance(value, Object | Reference):
            yield value
        elif isinstance(value, Tracked):
            stack.extend(reversed(list(parts_of(value))))
        elif type(value) is tuple:
            stack.extend(reversed(value))
