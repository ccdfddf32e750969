"""Objects: annotated fields are the state, kept in generated slots that journal their first write.

One stateful base per class, interfaces beside it. An object that no vat owns yet writes freely; an
owned one is written in turns only. What its fields may hold is the field module's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, Final
from weakref import WeakValueDictionary

from captp.errors import BadClass
from captp.model.codegen import compile_functions
from captp.model.containers import Tracked, parts_of
from captp.model.farewell import prepare_farewell
from captp.model.fields import MISSING, Field
from captp.model.guards import check_row, plain_call
from captp.model.interface import (
    InterfaceMeta,
    LocalCall,
    Method,
    Row,
    collect_rows,
    is_interface,
    selector_of,
)
from captp.model.migration import Fields, migrations_of
from captp.model.promise import Reference


class Unowned:
    """The home of objects that no vat owns: it lets everything pass and journals nothing."""

    __slots__ = ()

    token: Final = object()
    reference: Final = None
    adopt: Final = None
    guard: Final = None
    #: Reads are let pass unasked.
    in_turn: Final = True

    def first_write(self, obj: Object) -> None:
        """Let the write pass."""

    def container_write(self, owner: Object, undo: Callable[..., Any], args: Any) -> None:
        """Let the write pass."""

    def last_holder_went(self, obj: Object) -> None:
        """Let it go: it has no vat to be told in."""

    def give_up(self, obj: Object, new: Any) -> None:
        """Let ``obj`` have a new home."""


UNOWNED: Final = Unowned()

#: Annotations that need no second look: most methods stay the plain function they were.
_PLAIN_NAMES: Final = frozenset({"int", "str", "bytes", "bool", "float", "None", None, "object"})

# The generated names have a prefix that no field can have: fields never start with an underscore.
_GET = """
def _captp_get_{name}(_captp_self):
    if _captp_self._home.in_turn is None:
        _captp_self._home.look(_captp_self)
    return _captp_self._f_{name}
"""

_SET = """
def _captp_set_{name}(_captp_self, _captp_value):
    {test}_captp_value = _captp_convert_{name}(_captp_self, _captp_value)
    _captp_home = _captp_self._home
    if _captp_self._turn is not _captp_home.token:
        _captp_home.first_write(_captp_self)
    _captp_self._f_{name} = _captp_value
"""

_PREPARE = """
    _captp_self._home = _captp_unowned
    _captp_self._turn = _captp_token
    _captp_self._views = _captp_self._entry = _captp_self._latch = None
"""

_WHOLE = """
def _captp_prepare(_captp_self):{prepare}
def _captp_snap(_captp_self):
    return ({slots})
def _captp_undo(_captp_self, _captp_saved):
    ({slots}) = _captp_saved
def _captp_init(_captp_self, *, {parameters}):{prepare}{assigns}
"""

_BARE = """
def _captp_prepare(_captp_self):{prepare}
def _captp_snap(_captp_self):
    return ()
def _captp_undo(_captp_self, _captp_saved):
    pass
def _captp_init(_captp_self):{prepare}
"""


#: By its kind, the class of stored objects: the one that was defined last.
KINDS: Final[WeakValueDictionary[str, ObjectMeta]] = WeakValueDictionary()


class ObjectMeta(InterfaceMeta):
    """Turns annotations into state slots and marked methods into plain functions."""

    _captp_farewell: Row | None
    _captp_kind: str
    _captp_version: int
    #: Whether fields are all that its instances have, so that they can be stored.
    _captp_is_durable: bool
    _captp_migrations: dict[int, Callable[[Fields], Fields]]
    _captp_fields: dict[str, Field]
    _captp_missing: str
    _captp_own_init: bool
    #: Methods with what they need of their context and no caller can give.
    _captp_unmet: tuple[tuple[Row, Any], ...]

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **kwargs: Any
    ) -> ObjectMeta:
        kind, version = kwargs.pop("kind", ""), kwargs.pop("version", 1)
        _one_stateful_base(name, bases)
        own = {
            k: Field(name, k, annotation, namespace.pop(k, MISSING))
            for k, annotation in namespace.get("__annotations__", {}).items()
            if "ClassVar" not in str(annotation)
        }
        for base in bases:
            for field_name in getattr(base, "_captp_fields", {}):
                if field_name in namespace and field_name not in own:
                    raise BadClass(
                        f"{name}.{field_name} hides a state field: annotate it to change its default"
                    )
        for field_name in own:
            if field_name.startswith("_"):
                raise BadClass(f"{name}.{field_name}: state fields cannot start with _")
        has_own_slots = bool(namespace.get("__slots__"))
        namespace["__slots__"] = (*namespace.get("__slots__", ()), *(f"_f_{k}" for k in own))
        marks = {k: v for k, v in namespace.items() if isinstance(v, Method)}
        namespace.update((k, v.function) for k, v in marks.items())
        cls = type.__new__(mcls, name, bases, namespace, **kwargs)
        for mark_name, mark in marks.items():
            mark.name = mark_name
        unmarked = {k: v for k, v in namespace.items() if k not in marks}
        cls._captp_rows = rows = collect_rows(cls, {**unmarked, **marks})
        cls._captp_unmet = tuple([(r, n) for r in rows.values() for n in r.needs if not n.is_carried])
        cls._captp_views = None
        for mark_name in marks:
            _check_and_wrap(cls, cls._captp_rows[selector_of(mark_name)])
        _compile_state(cls, own, "__init__" in namespace)
        cls._captp_farewell = prepare_farewell(cls)
        cls._captp_kind = kind or f"{cls.__module__}:{cls.__qualname__}"
        cls._captp_version = version
        inherited = all(getattr(base, "_captp_is_durable", True) for base in bases)
        # Object itself has the slots that every instance needs.
        is_bare = (LocalCall in bases or not has_own_slots) and not cls.__dictoffset__
        cls._captp_is_durable = inherited and is_bare
        cls._captp_migrations = migrations_of(name, version, namespace)
        KINDS[cls._captp_kind] = cls
        return cls

    if not TYPE_CHECKING:  # type checkers would take what it returns for the instance's type

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            missing = cls._captp_missing if "_captp_missing" in cls.__dict__ else _find_missing(cls)
            if missing:
                raise BadClass(f"{cls.__name__} does not implement {missing}")
            made = type.__call__(cls, *args, **kwargs)
            if cls._captp_own_init:
                _check_complete(made)
            return made


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
    fields = cls._captp_fields = {**inherited, **own}
    names: dict[str, Any] = {
        "_captp_unowned": UNOWNED,
        "_captp_token": UNOWNED.token,
        "_captp_missing": MISSING,
    }
    source = []
    for name, field in own.items():
        field.bind(cls)
        names[f"_captp_convert_{name}"] = field.convert
        source += [_GET.format(name=name), _SET.format(name=name, test=_test(field, names))]
    names.update((f"_captp_fresh_{name}", field.fresh) for name, field in fields.items())
    assigns = [
        f"    _captp_self.{n} = _captp_fresh_{n}() if {n} is _captp_missing else {n}\n" for n in fields
    ]
    whole = _WHOLE if fields else _BARE
    source.append(
        whole.format(
            prepare=_PREPARE,
            slots="".join(f"_captp_self._f_{n}, " for n in fields),
            parameters=", ".join(f"{n}=_captp_missing" for n in fields),
            assigns="".join(assigns),
        )
    )
    made = compile_functions("".join(source), names)
    for name in own:
        setattr(cls, name, property(made[f"_captp_get_{name}"], made[f"_captp_set_{name}"]))
    for name in ("_captp_prepare", "_captp_snap", "_captp_undo"):
        setattr(cls, name, made[name])
    inherited_init = cls.__init__ is not object.__init__ and not hasattr(cls.__init__, "_captp_made")  # type: ignore[misc]
    cls._captp_own_init = has_init or inherited_init
    if cls._captp_own_init:
        cls.__new__ = staticmethod(_new_with_defaults)  # type: ignore[method-assign, assignment]
    else:
        init = made["_captp_init"]
        init.__name__, init.__qualname__ = "__init__", f"{cls.__qualname__}.__init__"
        init._captp_made = True  # type: ignore[attr-defined]
        cls.__init__ = init  # type: ignore[misc]


def _new_with_defaults(cls: Any, *_args: Any, **_kwargs: Any) -> Any:
    obj = object.__new__(cls)
    obj._captp_prepare()
    for name, field in cls._captp_fields.items():
        if field.has_default:
            setattr(obj, name, field.fresh())
    return obj


def _check_complete(obj: Any) -> None:
    for name, field in type(obj)._captp_fields.items():
        if not hasattr(obj, f"_f_{name}"):
            raise BadClass(f"{field.where} was left unset by __init__: assign it there, or give it a default")


def _test(field: Field, names: dict[str, Any]) -> str:
    """Return the inline test that lets the field's exact types pass without a call."""
    exact = field.exact_types()
    if not exact:
        return ""
    if len(exact) == 1:
        names[f"_captp_type_{field.name}"] = next(iter(exact))
        return f"if type(_captp_value) is not _captp_type_{field.name}: "
    names[f"_captp_types_{field.name}"] = exact
    return f"if type(_captp_value) not in _captp_types_{field.name}: "


def _check_and_wrap(cls: type, row: Row) -> None:
    """Check a method's annotations, and make plain calls give references where they say interface."""
    annotations = row.function.__annotations__.values()
    if all(getattr(a, "__name__", a) in _PLAIN_NAMES for a in annotations):
        return
    check_row(row)
    if row.is_fiber:
        return
    wrapper: Callable[..., Any] | None = None

    @wraps(row.function)
    def first(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        # Annotations may name classes that are defined later, so the choice is made at the first call.
        nonlocal wrapper
        if wrapper is None:
            wrapper = plain_call(row)
            setattr(cls, row.name, wrapper)
        return wrapper(self, *args, **kwargs)

    first._captp_marked = True  # type: ignore[attr-defined]
    row.first = first
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
    stack: list[Any] = [getattr(obj, f"_f_{name}", None) for name in type(obj)._captp_fields]
    stack.reverse()
    while stack:
        value = stack.pop()
        if isinstance(value, Object | Reference):
            yield value
        elif isinstance(value, Tracked):
            stack.extend(reversed(list(parts_of(value))))
        elif type(value) is tuple:
            stack.extend(reversed(value))
