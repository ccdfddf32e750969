"""Context over a border: what a method declares, its callers give as a hidden argument.

What is read travels as a frozen copy; what is changed as a copy too, which comes back with the result, while
nobody has it here. Of an Object goes a reference that is lent for the call: to be changed to itself, to be
read to a facet of it. In a message it is the keyword argument ``captp:context``, and in a result the tag.

loan: out --the result is there--> back, as the callee left it; out --the call broke or never left--> back,
unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final, final

from captp.custody.context.bind import bind
from captp.custody.context.binding import Binding
from captp.custody.context.cap import Bound
from captp.custody.context.facet import facet_of
from captp.custody.context.need import Need
from captp.custody.context.portrait import check_refillable, refill, saved, shape, taken
from captp.custody.context.views import value_of
from captp.custody.freezing import frozen
from captp.custody.place import here
from captp.errors import BadArguments, UsageError
from captp.model.guards import as_interface
from captp.model.interface import InterfaceMeta, interface_of, is_interface, ref_class
from captp.model.own import Hold, lent
from captp.model.promise import BROKEN, ENDED, FULFILLED, Promise, Reference
from captp.model.ref import Ref, settled
from captp.model.terms import lent_out
from captp.model.values import Tagged

__all__ = ["Carried"]

CONTEXT: Final = "captp:context"

Thunk = Callable[[Any, tuple[Any, ...], dict[str, Any] | None], Any]


@final
class Carried:
    """What the callers of one method give it of their context."""

    __slots__ = ("_lends", "_name", "_needs")

    def __init__(self, name: str, needs: tuple[Need, ...]) -> None:
        self._name = name
        #: Whether what is lent comes back with the result.
        self._lends = any(need.term.is_mut for need in needs)
        self._needs = {need.term.cap.name: need for need in needs}
        if len(self._needs) != len(needs):
            raise UsageError(f"{name}() is to be given two capabilities of one name, which callers go by")
        for need in needs:
            if need.term.is_mut and not _is_object(need):
                check_refillable(need.term.cap.type, f"{name}() needs {need.term!r}")

    # Where it is called.

    def send(
        self, ref: Any, selector: Any, args: tuple[Any, ...], kwargs: dict[str, Any], kind: type[Promise[Any]]
    ) -> Promise[Any]:
        """Send a call with what this context has; raises MissingContext and BorrowConflict."""
        home = ref._home
        given, loans = self._give(_vat_of(ref))
        kwargs = {**kwargs, CONTEXT: given}
        if not loans:
            return home.send(ref, selector, args, kwargs, kind)  # type: ignore[no-any-return]

        def send(arrived: Callable[[], Any]) -> Promise[Any]:
            try:
                to, args, kwargs = arrived()
                vat = _vat_of(to)
                promise = to._home.send(to, selector, args, kwargs, Promise)
            except BaseException:
                _take_back(loans)
                raise
            result = kind(vat)
            back = _Back(promise, result, loans)
            vat.owning.when_settled(promise, back)
            vat.unheard.add(back)
            vat.on_roll_back(back.undo)
            return result

        # What stands for a reference in a plain thread has this done where the reference is.
        there: Any = getattr(home, "call_there", None)
        if there is None:
            return send(lambda: (ref, args, kwargs))
        try:
            return there(send, ref, args, kwargs, interface_of(kind))  # type: ignore[no-any-return]
        except BaseException:
            _take_back(loans)
            raise

    def send_only(self, ref: Any, selector: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Send a call whose result nobody wants, but for what was lent to it."""
        self.send(ref, selector, args, kwargs, Promise)

    def call_now(
        self, ref: Any, selector: Any, args: tuple[Any, ...], kwargs: dict[str, Any], kind: type[Promise[Any]]
    ) -> Any:
        """Run a method of a near object at once."""
        given, loans = self._give(_vat_of(ref))
        try:
            value = ref._home.call_now(ref, selector, args, {**kwargs, CONTEXT: given})
        except BaseException:
            _take_back(loans)
            raise
        return _result(value, loans, kind) if loans else value

    @contextmanager
    def given(self, fn: Callable[..., Any], *, copies: bool) -> Iterator[Callable[..., Any]]:
        """Give a delegated function what this context has, for the block; or copies, which come back."""
        loans: list[_Loan] = []
        bounds: list[Bound[Any]] = []
        try:
            for need, binding in self._borrowed(loans):
                if copies:
                    value = _copied(need, binding.value)
                else:
                    value = binding.value if need.term.is_mut else binding.shown()
                bounds.append(Bound(need.term, value))
            yield _with_bounds(fn, bounds)
            if copies:
                changed = [bound.value for bound in bounds if bound.term.is_mut]
                _refill(list(zip(loans, changed, strict=True)))
        finally:
            _take_back(loans)

    def _give(self, vat: Any) -> tuple[dict[str, Any], list[_Loan]]:
        given: dict[str, Any] = {}
        loans: list[_Loan] = []
        try:
            for need, binding in self._borrowed(loans):
                given[need.term.cap.name] = _given(need, binding.value, vat)
        except BaseException:
            _take_back(loans)
            raise
        return given, loans

    def _borrowed(self, loans: list[_Loan]) -> Iterator[tuple[Need, Binding]]:
        """Give each binding that callers give, as it may be used now; add to ``loans`` what is lent."""
        place = here()
        for need in self._needs.values():
            need.look()
            binding = need.term.found()
            if need.term.is_mut:
                binding.lend(f"{self._name}()", place)
                loans.append(_Loan(need, binding))
            else:
                binding.read(place)
                binding.end_read(place)
            yield need, binding

    # Where it runs.

    def receive(self, thunk: Thunk, *, is_fiber: bool) -> Thunk:
        """Return a thunk that binds what the caller gave, and gives back what it lent."""

        def run(obj: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Any:
            if kwargs is None or CONTEXT not in kwargs:
                # A call in the same turn has its context as it is; elsewhere the method says what is missing.
                return thunk(obj, args, kwargs)
            rest = {name: value for name, value in kwargs.items() if name != CONTEXT}
            bounds = self._take(kwargs[CONTEXT], obj)
            if is_fiber:
                return self._later(thunk, obj, args, rest or None, bounds)
            with _bound(bounds):
                value = thunk(obj, args, rest or None)
            return self._give_back(value, bounds)

        return run

    async def _later(self, thunk: Thunk, obj: Any, args: Any, kwargs: Any, bounds: list[Bound[Any]]) -> Any:
        with _bound(bounds):
            value = await thunk(obj, args, kwargs)
        return self._give_back(value, bounds)

    def _take(self, given: Any, obj: Any) -> list[Bound[Any]]:
        if not isinstance(given, Mapping) or set(given) != set(self._needs):
            names = ", ".join(self._needs)
            raise BadArguments(f"{self._name}() is to be given the context it declares, which is {names}")
        bounds: list[Bound[Any]] = []
        for name, need in self._needs.items():
            where = f"{self._name}(): {need.term!r}"
            if _is_object(need):
                value = _arrived(need, given[name], obj, where)
            else:
                value = taken(given[name], need.term.cap.type, where)
            bounds.append(Bound(need.term, value))
        return bounds

    def _give_back(self, value: Any, bounds: list[Bound[Any]]) -> Any:
        if not self._lends:
            return value
        back = {
            bound.term.cap.name: shape(bound.value, bound.term.cap.type, f"{self._name}(): {bound.term!r}")
            for bound in bounds
            if bound.term.is_mut and not isinstance(bound.value, Reference)
        }
        return Tagged(CONTEXT, (value, back))


@contextmanager
def _bound(bounds: list[Bound[Any]]) -> Iterator[None]:
    """Bind what the caller gave; references to it were lent, and that ends with the block."""
    try:
        with bind(*bounds):
            yield
    finally:
        for bound in bounds:
            if isinstance(bound.value, Reference):
                home: Any = bound.value._home
                home.end()


class _Loan:
    """What is away to be changed, and where it belongs."""

    __slots__ = ("binding", "need")

    def __init__(self, need: Need, binding: Binding) -> None:
        self.need = need
        self.binding = binding

    def made_of(self, back: Mapping[str, Any]) -> Any:
        """Return the value that came back; nothing where only a reference was lent."""
        if _is_object(self.need):
            return None
        cap = self.need.term.cap
        return taken(back[cap.name], cap.type, f"what came back for {self.need.term!r}")


class _Back:
    """Waits for the result of a call, which brings back what was lent to it."""

    __slots__ = ("_loans", "_promise", "_result")

    def __init__(self, promise: Promise[Any], result: Promise[Any], loans: list[_Loan]) -> None:
        #: Held, as a promise that goes cancels its call.
        self._promise = promise
        self._result = result
        self._loans = loans

    def end(self) -> None:
        """Take back what was lent, and settle what the caller waits for."""
        vat: Any = self._result._home
        vat.unheard.discard(self)
        promise, loans = self._promise, self._loans
        self._loans = []
        if promise._state == BROKEN:
            _take_back(loans)
            vat.settle_now(self._result, BROKEN, promise._value)
            return
        try:
            value = _result(promise._value, loans, type(self._result))
        except BadArguments as problem:
            vat.settle_now(self._result, BROKEN, problem)
            return
        vat.settle_now(self._result, FULFILLED, value)

    def undo(self) -> None:
        """Take back what was lent: no answer comes, as the turn was rolled back or the vat is closed."""
        vat: Any = self._result._home
        vat.unheard.discard(self)
        _take_back(self._loans)
        self._loans = []


ENDED.add(_Back)


def _result(answer: Any, loans: list[_Loan], kind: type) -> Any:
    """Return a result without what it brings back, once that is where it belongs: all of it, or nothing."""
    try:
        value, back = _answered(
            answer, {loan.need.term.cap.name for loan in loans if not _is_object(loan.need)}
        )
        made = [(loan, loan.made_of(back)) for loan in loans]
        _refill([(loan, new) for loan, new in made if new is not None])
    except BadArguments as problem:
        raise BadArguments(f"what was lent to the call is as it was before: {problem}") from None
    finally:
        _take_back(loans)
    shown = interface_of(kind)
    return value if shown is None or not isinstance(value, Reference) else as_interface(value, shown)


def _refill(made: list[tuple[_Loan, Any]]) -> None:
    """Have all that is bound be as the callee left it, or none of it; then BadArguments is raised."""
    before = [(loan.binding.value, saved(loan.binding.value)) for loan, _ in made]
    for loan, new in made:
        try:
            refill(loan.binding.value, new)
        except Exception:  # its class's own, as where it refuses what a list of its kind may have
            for value, was in before:
                # One that refuses even that was not changed, or nobody can.
                with suppress(Exception):
                    refill(value, was)
            raise BadArguments(f"what is bound to {loan.need.term!r} does not take what came back") from None


def _answered(answer: Any, lent_names: set[str]) -> tuple[Any, Mapping[str, Any]]:
    if type(answer) is Tagged and answer.tag == CONTEXT and type(answer.value) is tuple:
        match answer.value:
            case value, Mapping() as back if set(back) == lent_names:
                return value, back
    raise BadArguments("the callee gave back none of what was lent to it, or something else")


def _copied(need: Need, value: Any) -> Any:
    if _is_object(need):
        raise UsageError(
            f"{need.term!r} is bound to an object of a vat, which stays there: apply a function that is"
            " given data, or send a message"
        )
    kind, where = need.term.cap.type, repr(need.term)
    return taken(frozen(shape(value, kind, where)), kind, where)


def _with_bounds(fn: Callable[..., Any], bounds: list[Bound[Any]]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with bind(*bounds):
            return fn(*args, **kwargs)

    async def run_later(*args: Any, **kwargs: Any) -> Any:
        with bind(*bounds):
            return await fn(*args, **kwargs)

    made: Any = wraps(fn)(run_later if iscoroutinefunction(fn) else run)
    # What it captures is given, and its own captures were looked at.
    made._captp_marked = True
    del made._captp_carried, made._captp_body
    return made  # type: ignore[no-any-return]


def _take_back(loans: list[_Loan]) -> None:
    for loan in loans:
        loan.binding.come_back()


def _vat_of(ref: Any) -> Any:
    home = ref._home
    return home.vat if isinstance(home, Hold) else home


def _is_object(need: Need) -> bool:
    return isinstance(need.term.cap._kind, InterfaceMeta)


def _given(need: Need, value: Any, vat: Any) -> Any:
    cap = need.term.cap
    if not _is_object(need):
        return shape(value, cap.type, repr(need.term))
    if not need.term.is_mut:
        value = facet_of(value_of(value), repr(need.term))
    if not isinstance(value, Reference):
        value = vat.reference(value, cap._kind if is_interface(cap._kind) else None)
    return lent_out(value)


def _arrived(need: Need, value: Any, obj: Any, where: str) -> Ref:
    target = settled(value) if isinstance(value, Reference) else value
    if not isinstance(target, Ref):
        raise BadArguments(f"{where} is a reference, not a {type(value).__name__}")
    return lent(obj._home.vat, target, f"carried to {where}", ref_class(need.term.cap._kind))
