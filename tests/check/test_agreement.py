"""The run-time agrees with the checker: a fixture that is reported fails so when it runs, others do not."""

from __future__ import annotations

import contextvars
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

import captp
from captp import Arena, errors
from tests.check.corpus import flat
from tests.check.test_fixtures import FIXTURES, PROGRAMS, expected, sources

#: What is raised where the checker reports a code.
RAISED: dict[str, tuple[type[BaseException], ...]] = {
    "CAP301": (errors.BorrowConflict,),
    "CAP302": (errors.MissingContext, errors.UnsizeError),
    "CAP303": (errors.MissingContext,),
    "CAP304": (errors.BorrowConflict, errors.MissingContext),
    "CAP401": (errors.Moved,),
    "CAP402": (errors.BorrowEscape, errors.BorrowConflict),
}

TOLD = {"CAP302": "nothing binds it", "CAP402": "was lent to"}

#: How to call what a fixture only defines: text that is run in its module, with what ``helpers`` gives.
CALLS = {
    "borrow_by_setattr": "send(Clerk, 'steal')",
    "borrow_in_list": "send(Clerk, 'steal')",
    "borrow_in_map": "send(Clerk, 'steal')",
    "borrow_in_tuple_in_list": "send(Clerk, 'steal')",
    "borrow_returned": "send(Clerk, 'back')",
    "borrow_shared": "send(Clerk, 'share')",
    "borrow_stored": "send(Clerk, 'steal')",
    "borrow_stored_by_helper": "send(Clerk, 'steal')",
    "conflict_in_callback": "town(main)",
    "conflict_in_exit_stack": "town(main)",
    "conflict_in_method": "town(Clerk().insert); town(Clerk().visit)",
    "conflict_in_use": "town(main)",
    "conflict_insert_through_ref": "town(insert)",
    "conflict_loop_over_view": "town(befriend, person(), person())",
    "conflict_ref_in_mut": "town(main)",
    "conflict_through_call": "town(main)",
    "conflict_view_after_change": "town(rename, person())",
    "conflict_write_through_ref": "town(rename, person())",
    "missing_conditional": "count(True)",
    "missing_in_started_program": "start()",
    "missing_in_trust": "turn(main)",
    "moved_by_alias": "turn(main, job(), worker())",
    "moved_in_branch": "turn(main, job(), worker(), worker(), True)",
    "moved_in_closure": "turn(main, job(), worker())",
    "moved_in_helper": "turn(main, job(), worker())",
    "moved_in_loop": "turn(main, job(), [worker(), worker()])",
    "moved_shared_then_used": "turn(main, job())",
    "moved_twice": "turn(main, job(), worker(), worker())",
    "ok_borrows_one_after_the_other": "town(main, person())",
    "ok_data_after_block": "town(name, person())",
    "ok_loop_over_copy": "town(befriend, person(), person())",
    "ok_moved_once": "turn(main, job(), worker(), worker(), True)",
    "ok_plain_data_after_change": "town(rename, person())",
    "ok_view_in_local": "town(show, person())",
    "ok_view_read_again": "town(rename, person())",
    "rfc_generic_same": "town(main)",
    "rfc_literal_ref_insert": "town(pet_that_animal, person(), pet())",
    "rfc_two_muts": "town(demo, person())",
    "tied_after_binding": "main()",
    "tied_after_block": "town(name, person())",
    "unsized_through_helper": "send(Desk, 'name', 1)",
}

#: Where they do not agree, or cannot be compared, and why.
APART = {
    "borrow_in_closure": "a closure is not looked into, and fails when it uses what is over",
    "borrow_in_global": "a global is not looked at, and fails when it is used",
    "borrow_field": "the class is refused when it is made",
    "carried_send_unbound": "it connects to another host",
    "missing_in_test": "pytest runs it",
    "missing_in_thread": "what a thread raises is told to nobody",
    "missing_recursive": "no number of rounds is known to the checker, and 10 is even",
    "moved_parameter": "it is handed to another host's object, which is not here",
    "moved_result": "its reference comes from another host",
    "borrow_passed_on": "it is handed to another host's object, which is not here",
    "ok_bound_by_exit_stack": "it reads a file",
    "ok_carried_send_bound": "it connects to another host",
    "ok_tests": "pytest runs it",
    "ok_bound_by_unknown_stack": "it imports what is not there",
    "ok_unknown_things": "it imports what is not there",
    "ok_waived": "its mistake is waived, and is one",
    "rfc_alliance": "its people have no names, as in the text that it is taken from",
    "rfc_callback": "its people have no pets, as in the text that it is taken from",
    "rfc_cannot_be_unsized": "a class that differs from its interface is refused when it is made",
    "rfc_generic_class": "type parameters have no values at run time",
    "rfc_use_block": "use() gives a copy of what cannot leave",
    "tied_returned": "a view is good until the next change, whoever has it",
    "tied_stored_in_field": "a view is good until the next change, wherever it is",
    "tied_stored_in_global": "a view is good until the next change, wherever it is",
    "unsized_in_base": "the class that needs context is another than the one that is marked",
}


def comparable(program: Path) -> bool:
    codes = {code for _, _, code in expected(sources(program))}
    return codes <= set(RAISED) | {"CAP306"} and program.stem not in APART


@pytest.mark.parametrize("program", [p for p in PROGRAMS if comparable(p)], ids=lambda path: path.stem)
def test_the_run_time_says_the_same(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {code for _, _, code in expected(sources(program))} - {"CAP306"}

    raised = contextvars.copy_context().run(outcome, program)

    capsys.readouterr()
    if not wanted:
        assert raised == []
    for code in wanted:
        assert any(fits(error, code) for error in raised), raised


def fits(error: BaseException, code: str) -> bool:
    # What a method raises reaches its caller as its text.
    is_told = isinstance(error, errors.RemoteFault) and TOLD.get(code, "nothing") in str(error)
    return is_told or isinstance(error, RAISED[code])


def test_each_exception_is_one() -> None:
    names = {program.stem for program in PROGRAMS}

    assert set(APART) | set(CALLS) <= names
    assert not set(APART) & set(CALLS)


def outcome(program: Path) -> list[BaseException]:
    """Run a fixture as a program, and what ``CALLS`` says after it; return what it raised."""
    main = program if program.suffix == ".py" else program / "main.py"
    module = ModuleType("__main__")
    module.__dict__.update(helpers(module))
    before = set(sys.modules)
    own, sys.modules["__main__"] = sys.modules["__main__"], module
    sys.path.insert(0, str(main.parent))
    try:
        exec(compile(main.read_text(), str(main), "exec"), module.__dict__)
        exec(CALLS.get(program.stem, ""), module.__dict__)
    except SystemExit:
        return []
    except Exception as error:
        return flat(error)
    finally:
        sys.modules["__main__"] = own
        sys.path.remove(str(main.parent))
        for name in set(sys.modules) - before:
            if str(FIXTURES) in str(getattr(sys.modules[name], "__file__", None)):
                del sys.modules[name]
    return []


class Anything(captp.Object):
    """Does whatever it is asked for, for a fixture that says nothing of what is behind its references."""

    @captp.method
    def take(self, job: captp.Unique[captp.Interface]) -> None: ...

    @captp.method
    def put(self, number: int) -> int:
        return number

    @captp.method
    def run(self) -> int:
        return 1

    def __captp_clone__(self) -> Anything:
        return Anything()


def helpers(module: ModuleType) -> dict[str, Any]:
    """Return what calls the functions of a fixture: in a town with people, in a turn, or by reference."""
    arenas: dict[str, Any] = {name: Arena() for name in ("Groups", "People", "Pets")}

    def filled(cap: str, kind: str) -> Any:
        made = getattr(module, kind)()
        made.name, made.friends, made.petted_by = "Ann", {arenas["People"].insert(None)}, set()
        made.pets, made.groups = set(), []
        return arenas[cap].insert(made)

    def town(function: Any, *args: Any) -> None:
        bounds = [getattr(module, name).mut(arena) for name, arena in arenas.items() if hasattr(module, name)]
        with captp.bind(*bounds):
            function(*args)

    def turn(function: Any, *parts: Any) -> None:
        async def main() -> None:
            async with captp.open_vat() as vat:
                given = [exported(vat, part) for part in parts]
                await function(*(given or [vat]))

        trio.run(main)

    def exported(vat: Any, part: Any) -> Any:
        if isinstance(part, list):
            return [exported(vat, inner) for inner in part]
        return vat.export(part()) if part is Anything else part

    def send(kind: type[captp.Object], name: str, *args: Any) -> None:
        async def main() -> None:
            async with captp.open_vat() as vat:
                target = vat.export(kind())
                given = args or (await captp.make_unique(vat.export(Anything())),)
                await getattr(captp.E(target), name)(*given)

        trio.run(main)

    return {
        "town": town, "turn": turn, "send": send,
        "person": lambda: filled("People", "Person"), "pet": lambda: filled("Pets", "Pet"),
        "job": lambda: Anything, "worker": lambda: Anything,
    }  # fmt: skip
