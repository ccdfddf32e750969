"""Nothing live leaves by ``raise``: each way out works at a border that lets exceptions through, and at none
of ours."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final, NoReturn

import pytest
import trio

import captp
from captp.custody.faults import FaultReport
from captp.run.threads import open_thread_trustee
from tests.custody.graph import reaches
from tests.custody.ways import SECRETS, WAYS, Secret, smuggle
from tests.support import Solo
from tests.unit.peer.pair import pair

#: What objects have caught themselves, and the promises that broke with it.
CAUGHT: Final[list[tuple[BaseException, Any]]] = []


class Teller(captp.Object):
    @captp.method
    def fail(self, way: str) -> None:
        smuggle(self, way)

    @captp.method
    async def waits(self, promise: Any) -> None:
        await self.caught(promise)

    @captp.method
    async def asks(self, way: str) -> None:
        promise = captp.outside(smuggle, None, way)
        await self.caught(captp.within(5, promise))

    async def caught(self, promise: Any) -> None:
        CAUGHT.append((await caught_later(lambda: awaited(promise)), promise))


class Plain:
    """An object that only its trustee has."""


def report(_inside: Any, problem: captp.Encapsulated) -> str:
    """Return what is kept of a problem in the capsule that runs."""
    found = captp.Access.current().open(problem)
    assert type(found) is FaultReport
    return found.traceback


@pytest.fixture(autouse=True)
def secret() -> Iterator[Secret]:
    SECRETS.append(Secret())
    yield SECRETS[0]
    SECRETS.clear()
    CAUGHT.clear()


def naive(way: str) -> BaseException:
    try:
        smuggle(None, way)
    except Exception as problem:
        return problem


def caught(raises: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as info:  # noqa: PT011 - whatever comes is looked at
        raises()
    return info.value


async def caught_later(raises: Callable[[], Awaitable[Any]]) -> BaseException:
    with pytest.raises(Exception) as info:  # noqa: PT011
        await raises()
    return info.value


def assert_empty(problem: BaseException, secret: Secret, *handles: Any, inside: tuple[Any, ...] = ()) -> None:
    """Nothing of the inside is reached, now or when all that may go has gone."""
    for _ in range(2):
        assert reaches(problem, (*secret.parts, *inside), handles) == ""
        gc.collect(0)
    assert (problem.__cause__, problem.__context__) == (None, None)
    assert not hasattr(problem, "__notes__")
    assert type(str(problem)) is str


def stays(problem: Any) -> bool:
    """Tell whether the exception itself is kept where it was raised; a way may raise an Encapsulated, too."""
    return type(problem) is captp.Encapsulated and problem.brand != ""


def test_there_are_many_ways() -> None:
    assert len(WAYS) >= 30


@pytest.mark.parametrize("way", WAYS)
def test_each_way_works_at_a_border_that_lets_exceptions_through(way: str, secret: Secret) -> None:
    problem = naive(way)
    if way != "a_frame":
        # Each is to work by itself: the frame of its function has the secret, too.
        problem.__traceback__ = None

    assert reaches(problem, secret.parts)


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_out_of_an_access(way: str, secret: Secret) -> None:
    key = captp.Capsule.create()

    with key.password() as password:
        problem = caught(lambda: captp.Capsule.access(password, smuggle, way))
        assert_empty(problem, secret, password)

        if stays(problem):
            captp.Capsule.access(password, looks_at, problem)
    problem = caught(lambda: key.access(smuggle, way))
    assert_empty(problem, secret, key)


def looks_at(access: captp.Access[Any], problem: captp.Encapsulated) -> None:
    original = access.open(problem)
    assert isinstance(original, Exception)
    assert reaches(original, SECRETS[0].parts)
    assert any(note.endswith(", in smuggle") for note in original.__notes__)


@pytest.mark.parametrize("kind", [Teller, Plain])
@pytest.mark.parametrize("way", WAYS)
async def test_no_way_leads_out_of_a_trustee_in_the_loop(way: str, kind: Any, secret: Secret) -> None:
    told: list[captp.Outcome[Any]] = []
    async with captp.open_vat() as vat:
        inside = kind()
        trust = vat.entrust(inside)
        held = (trust, vat)

        for call in (
            lambda: trust.apply(smuggle, way),
            lambda: now(trust, way),
            lambda: trust.launch(later, way),
        ):
            assert_empty(await caught_later(call), secret, *held, inside=(inside,))
        [outcome] = await trust.apply_many([captp.Call(smuggle, way)])
        trust.apply_then(smuggle, way, then=told.append)
        while not told:
            await trio.testing.wait_all_tasks_blocked()
        for problem in (outcome.error, told[0].error):
            assert_empty(problem, secret, *held, inside=(inside,))
            if stays(problem):
                assert "in smuggle" in await trust.apply(report, problem)


@pytest.mark.parametrize("way", WAYS)
async def test_no_way_leads_out_of_a_thread(way: str, secret: Secret) -> None:
    async with open_thread_trustee() as trustee:
        inside = Plain()
        trust = trustee.entrust(inside)
        held = (trust, trustee, trustee._worker, trustee._loop, trust._hold)

        problem = await caught_later(lambda: trust.apply(smuggle, way))
        there = await trio.to_thread.run_sync(caught, lambda: trust.blocking.apply(smuggle, way))
        [outcome] = await trust.apply_many([captp.Call(smuggle, way)])

        for one in (problem, there, outcome.error):
            assert_empty(one, secret, *held, inside=(inside,))
        if stays(problem):
            assert "in smuggle" in await trust.apply(report, problem)


async def test_what_ended_a_thread_brings_nothing_out(secret: Secret) -> None:
    inside = Plain()
    async with open_thread_trustee() as trustee:
        trust = trustee.entrust(inside)
        problems = [await caught_later(partial(trust.apply, ends)) for _ in range(2)]

    task = trio.lowlevel.current_task()
    held = (trust, trustee, trustee._worker, trustee._loop, trust._hold, task)
    for problem in problems:
        assert type(problem) is captp.Closed
        assert reaches(problem, (*secret.parts, inside), held) == ""
    assert problems[0].__cause__ is not problems[1].__cause__


def ends(_inside: Any) -> None:
    raise SystemExit(SECRETS[0].table)


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_out_of_a_turn(way: str, secret: Secret) -> None:
    solo, teller = Solo(), Teller()
    ref = solo.ref(teller)
    promise = captp.E(ref).fail(way)
    solo.run()

    problems = [caught(lambda: solo.value(promise)) for _ in range(2)]

    assert problems[0] is not problems[1]
    for problem in problems:
        assert_empty(problem, secret, promise, inside=(teller,))
        if stays(problem):
            assert "in smuggle" in solo.turn(partial(report, None, problem))


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_out_of_what_breaks_a_promise(way: str, secret: Secret) -> None:
    solo = Solo()
    promise, resolver = solo.promise()
    resolver.break_(naive(way))

    problem = caught(lambda: solo.value(promise))

    assert_empty(problem, secret, promise)


@pytest.mark.parametrize("way", WAYS)
async def test_no_way_leads_out_of_an_outside_call(way: str, secret: Secret) -> None:
    async with captp.open_vat() as vat:
        await captp.E(vat.export(Teller())).asks(way)

        [(problem, promise)] = CAUGHT
        assert_empty(problem, secret, promise)


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_from_a_turn_into_a_fiber(way: str, secret: Secret) -> None:
    solo, teller = Solo(), Teller()
    failing = captp.E(solo.ref(teller)).fail(way)

    solo.value(captp.E(solo.ref(Teller())).waits(failing))

    [(problem, promise)] = CAUGHT
    assert_empty(problem, secret, promise, inside=(teller,))


@pytest.mark.parametrize("kind", [Teller, Plain])
@pytest.mark.parametrize("way", WAYS)
async def test_no_way_leads_out_of_what_poisoned_an_object(way: str, kind: Any, secret: Secret) -> None:
    async with captp.open_vat() as vat, open_thread_trustee() as threads:
        inside = kind()
        trusts: list[Any] = [vat.entrust(inside, on_error="poison")]
        if kind is Plain:
            trusts.append(threads.entrust(inside, on_error="poison"))
        for trust in trusts:
            await caught_later(partial(trust.apply, smuggle, way))
            problem = await caught_later(partial(trust.apply, smuggle, way))
            assert type(problem) is captp.Poisoned
            [outcome] = await trust.apply_many([captp.Call(smuggle, way)])
            for one in (problem, outcome.error):
                held = (trust, getattr(trust, "_trustee", vat), threads._worker, threads._loop)
                assert_empty(one, secret, *held, inside=(inside,))


@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_over_the_wire(way: str, secret: Secret) -> None:
    it, teller = pair(), Teller()
    it.b.has_faults = True
    far = it.a.get(it.a.enliven(it.b.mint(teller)))
    promise = captp.E(far).fail(way)

    problem = caught(lambda: it.a.get(promise))

    assert_empty(problem, secret, promise, inside=(teller,))


async def awaited(promise: Any) -> Any:
    return await promise


def now(trust: captp.Trust[Any], way: str) -> NoReturn:
    trust.apply_now(smuggle, way)


async def later(inside: Any, way: str) -> None:
    smuggle(inside, way)
