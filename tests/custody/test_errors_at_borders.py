"""What callers see of an exception that was made anew at a border, and what its owner does."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

import captp
from captp.custody.faults import KEPT, MOST_CHARS, FaultLog, FaultReport, report_of
from captp.errors import RemoteProtocolError
from captp.run.threads import open_thread_trustee
from tests.custody.test_passwords import in_thread
from tests.support import Solo
from tests.unit.model.test_faults import SECRET, OverDrawn

ANEW: dict[str, BaseException] = {
    "ours": captp.Contended("in use"),
    "ours with data": captp.Disconnected("gone", peer="p", incarnation=3, may_have_run=True),
    "ours with another text": RemoteProtocolError("code", "detail"),
    "ours with a reason": captp.Broken("b", reason=(1, captp.Symbol("x"))),
    "registered": OverDrawn("too little", missing=3, currency="EUR"),
    "key": KeyError("x"),
    "two": ValueError("x", 2),
    "file": FileNotFoundError(2, "No such file", "name"),
    "file without a name": PermissionError(13, "denied"),
    "decode": UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
    "import": ImportError("x", name="n", path="p"),
    "syntax": SyntaxError("bad", ("f", 1, 2, "text")),
}


def fails(_inside: Any, which: str) -> None:
    problem = ANEW[which]
    problem.__traceback__ = None
    raise problem


class Tin(captp.Object):
    @captp.method
    def fail(self) -> None:
        raise Private("a secret")


class Plain:
    pass


class Private(LookupError):
    pass


#: The last that ``fails_alone`` raised.
RAISED: list[weakref.ref[BaseException]] = []


def fails_alone(_inside: Any) -> None:
    problem = Private(f"a secret of {SECRET}")
    RAISED[:] = [weakref.ref(problem)]
    raise problem


def assert_like(caught: BaseException, which: str) -> None:
    raised = ANEW[which]
    assert caught is not raised
    assert type(caught) is type(raised)
    assert (str(caught), caught.args) == (str(raised), raised.args)
    for name in (
        "peer",
        "incarnation",
        "may_have_run",
        "code",
        "reason",
        "missing",
        "currency",
        "filename",
        "path",
    ):
        assert getattr(caught, name, None) == getattr(raised, name, None)


@pytest.mark.parametrize("which", ANEW)
async def test_what_is_data_is_caught_as_it_was_raised_behind_every_border(which: str) -> None:
    with captp.Capsule.create().password() as password, pytest.raises(Exception) as caught:  # noqa: PT011
        captp.Capsule.access(password, fails, which)
    assert_like(caught.value, which)

    async with captp.open_vat() as vat, open_thread_trustee() as threads:
        loop, thread = vat.entrust(Tin()), threads.entrust(Plain())
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: loop.apply(fails, which),
            lambda: thread.apply(fails, which),
        ]
        for call in calls:
            with pytest.raises(Exception) as caught:  # noqa: PT011
                await call()
            assert_like(caught.value, which)


def test_what_is_list_or_dict_is_copied() -> None:
    rows = [1, {"a": {2}}, bytearray(b"ab")]

    def fail(_access: Any) -> None:
        raise ValueError(rows)

    with captp.Capsule.create().password() as password, pytest.raises(ValueError) as caught:  # noqa: PT011
        captp.Capsule.access(password, fail)

    assert caught.value.args == ((1, captp.FrozenMap({"a": frozenset({2})}), b"ab"),)
    assert type(caught.value.args[0][2]) is bytes


def test_what_stays_inside_tells_where_it_is_and_what_it_is_like_and_no_more() -> None:
    with captp.Capsule.create().password() as password, pytest.raises(captp.Encapsulated) as caught:
        captp.Capsule.access(password, fails_alone)

    problem = caught.value
    assert (problem.class_name, problem.id) == ("LookupError", 1)
    assert problem.brand.startswith("Brand#")
    assert "secret" not in str(problem)
    assert "Private" not in str(problem)


def test_what_stays_inside_goes_on_over_further_borders_under_its_first_number() -> None:
    outer, inner = captp.Capsule.create(), captp.Capsule.create()

    with inner.password() as password, pytest.raises(captp.Encapsulated) as first:
        captp.Capsule.access(password, fails_alone)

    def passes(_access: Any) -> None:
        raise first.value

    with outer.password() as password, pytest.raises(captp.Encapsulated) as second:
        captp.Capsule.access(password, passes)

    assert (first.value.brand, first.value.id) == (second.value.brand, second.value.id)


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), SystemExit(3)])
def test_what_is_no_exception_goes_on_up_as_it_is(problem: BaseException) -> None:
    def fail(_access: Any) -> None:
        raise problem

    with captp.Capsule.create().password() as password, pytest.raises(type(problem)) as caught:
        captp.Capsule.access(password, fail)

    assert caught.value is problem


def test_each_who_awaits_a_broken_promise_has_an_exception_of_his_own() -> None:
    solo = Solo()
    promise = captp.E(solo.ref(Tin())).fail()
    caught = []
    for _ in range(2):
        with pytest.raises(captp.Encapsulated) as info:
            solo.value(promise)
        info.value.add_note("mine")
        caught.append(info.value)

    assert caught[0] is not caught[1]
    assert [problem.__notes__ for problem in caught] == [["mine"], ["mine"]]
    with pytest.raises(captp.Encapsulated) as last:
        solo.value(promise)
    assert not hasattr(last.value, "__notes__")


@captp.portable_error
class Noted(captp.Broken):
    """Has its field in one slot, named as Python allows it."""

    __slots__ = "note"  # noqa: PLC0205 - that it is no tuple is the test

    note: str

    def __init__(self, text: str, *, note: str) -> None:
        super().__init__(text)
        self.note = note


def test_each_who_awaits_has_what_is_in_slots_too() -> None:
    class Noter(captp.Object):
        @captp.method
        def fail(self) -> None:
            raise Noted("text", note="it")

    solo = Solo()
    promise = captp.E(solo.ref(Noter())).fail()

    for _ in range(2):
        with pytest.raises(Noted) as caught:
            solo.value(promise)
        assert caught.value.note == "it"


def test_the_log_of_a_vat_has_the_number_that_callers_are_told() -> None:
    solo = Solo()
    promise = captp.E(solo.ref(Tin())).fail()
    with pytest.raises(captp.Encapsulated) as caught:
        solo.value(promise)

    [told] = [o.fields for o in solo.outputs if getattr(o, "event", "") == "turn failed"]
    assert told == {"method": "Tin.fail", "fault": caught.value.id}


async def test_what_a_vat_or_a_thread_keeps_holds_nothing() -> None:
    async with captp.open_vat() as vat, open_thread_trustee() as threads:
        for entrust in (vat.entrust, threads.entrust):
            inside = Plain()
            gone = weakref.ref(inside)
            trust: Any = entrust(inside, on_error="poison")
            del inside
            with pytest.raises(captp.Encapsulated):
                await trust.apply(fails_alone)
            await went(RAISED[-1])
            trust.drop()
            del trust
            await went(gone)


async def went(gone: weakref.ref[Any]) -> None:
    with trio.fail_after(5):
        while gone() is not None:
            await trio.sleep(0.001)
            # Whoever raised it may have tied it to its own frame, at any age.
            gc.collect()


def test_a_log_keeps_the_newest_and_a_report_is_short_and_masked() -> None:
    log = FaultLog(keeps_live=True)
    for number in range(KEPT + 1):
        assert log.keep("B#1", ValueError(number)) == number + 1
    assert (log.find("B#1", 1), len(log)) == (None, KEPT)

    def deep(depth: int) -> None:
        if depth:
            deep(depth - 1)
        raise Private(SECRET * 1_000)

    with pytest.raises(Private) as caught:
        deep(500)
    report = report_of(caught.value)
    assert type(report) is FaultReport
    assert len(report.traceback) <= MOST_CHARS
    assert "S" * 43 not in report.traceback + report.text
    assert report.class_name == "Private"


def stays_inside(key: captp.Key[Any]) -> captp.Encapsulated:
    """Have something raised in a capsule that stays there."""

    def fail(_: Any) -> None:
        raise Private("a secret")

    with pytest.raises(captp.Encapsulated) as raised:
        key.access(fail)
    return raised.value


def test_what_stayed_inside_is_opened_after_the_capsule_was_merged() -> None:
    one, other = captp.Capsule.create(), captp.Capsule.create()
    first, second = stays_inside(one), stays_inside(other)

    def opened(access: captp.Access[Any]) -> list[str]:
        one.destroy()
        return [repr(access.open(problem)) for problem in (first, second)]

    texts, other = other.access(opened)
    assert texts == ("Private('a secret')", "Private('a secret')")
    report: Any = in_thread(lambda: other.destroy().open(first))
    assert isinstance(report, FaultReport)
    assert report.text == "a secret"


def test_what_stayed_inside_is_opened_by_its_own_capsule_s_access_and_as_long_as_it_is_kept() -> None:
    key = captp.Capsule.create()
    problem = stays_inside(key)

    with pytest.raises(captp.BrandMismatch, match=rf"of capsule {problem.brand}, and this access of"):
        captp.Access.current().open(problem)
    for _ in range(KEPT):
        stays_inside(key)
    with pytest.raises(
        captp.UsageError, match=rf"exception 1 of capsule {problem.brand} is not kept any more"
    ):
        key.access(lambda access: access.open(problem))


def test_a_program_without_capsules_loads_none_however_its_turns_fail() -> None:
    code = (
        "import sys, trio, captp\n"
        "from captp.run import live\n"
        "class A(captp.Object):\n"
        "    @captp.method\n"
        "    def fail(self): raise KeyError(1)\n"
        "async def main():\n"
        "    async with captp.open_vat() as vat:\n"
        "        try: await captp.E(vat.export(A())).fail()\n"
        "        except captp.RemoteFault: pass\n"
        "        try: await vat.entrust(A()).apply(A.fail)\n"
        "        except KeyError: pass\n"
        "trio.run(main)\n"
        "print([m for m in sys.modules if m.startswith('captp.custody')])\n"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "[]\n"
