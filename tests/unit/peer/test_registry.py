"""Swiss numbers: they give what was registered, once or often, for a while or for good; no other does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captp.errors import Disconnected, NotFound
from captp.limits import Limits
from captp.model.locator import SturdyRef
from captp.model.ref import Ref, view
from captp.peer.care import PING
from captp.peer.registry import NO_SUCH_OBJECT, Registration, Registry
from tests.unit.peer.pair import Counter, Net, Pair, Shop, outcome, pair

SWISS = b"a swiss number of 32 bytes, chosen"


def fetch(it: Pair, swiss: bytes) -> Any:
    """Return the settled promise for what a swiss number of b gives."""
    promise = it.a.want(it.a.enliven(SturdyRef(it.sturdyref.peer, swiss), Shop))
    it.net.rest()
    return promise


def problem(promise: Any) -> tuple[type, str, object]:
    try:
        outcome(promise)
    except Exception as error:
        return type(error), str(error), getattr(error, "reason", None)
    raise AssertionError("it was fulfilled")


def test_a_swiss_number_gives_its_object_as_often_as_asked() -> None:
    it = pair()

    assert outcome(fetch(it, it.sturdyref.swiss)) is it.ref
    assert outcome(fetch(it, it.sturdyref.swiss)) is it.ref


def test_all_wrong_swiss_numbers_look_the_same_to_the_caller() -> None:
    it = pair()
    expired = it.b.mint(Counter(), expires=it.net.now)
    used_up = it.b.mint(Counter(), uses=1)
    outcome(fetch(it, used_up.swiss))
    revoked = it.b.mint(Counter())
    it.b.peer.registry.revoke(revoked.swiss)
    wrong = [expired.swiss, used_up.swiss, revoked.swiss, b"nothing", bytes(32), it.sturdyref.swiss[:-1]]

    problems = [problem(fetch(it, swiss)) for swiss in wrong]

    assert len(set(map(repr, problems))) == 1
    assert problems[0][:2] == (NotFound, NO_SUCH_OBJECT)


def test_a_wrong_swiss_number_looks_the_same_at_home_as_far_away() -> None:
    it = pair()

    near = it.b.enliven(SturdyRef(it.sturdyref.peer, b"nothing"), Shop)

    assert problem(near)[:2] == problem(fetch(it, b"nothing"))[:2]


@pytest.mark.parametrize("argument", [7, None, "text", ["list"], b""])
def test_what_is_no_swiss_number_at_all_looks_the_same_too(argument: Any) -> None:
    it = pair()

    promise = _send_fetch(it, argument)
    it.net.rest()

    assert problem(promise)[:2] == (NotFound, NO_SUCH_OBJECT)


def test_a_swiss_number_as_text_is_that_of_its_utf_8_bytes() -> None:
    it = pair()
    it.b.peer.registry.register(SWISS, Registration(it.b.vat.reference(it.counter), "text"))

    promise = _send_fetch(it, SWISS.decode())
    it.net.rest()

    assert outcome(promise) == it.ref


def _send_fetch(it: Pair, *arguments: Any) -> Any:
    bootstrap = view(it.a.peer.vat, it.net.link(it.a, it.b).session.bootstrap, Ref)
    promise = it.a.want(it.a.vat.send(bootstrap, "fetch", arguments, None, type(it.a.vat.promise()[0])))
    it.a.want(promise)
    return promise


def test_a_fetch_with_the_wrong_number_of_arguments_breaks_and_counts_as_no_failure() -> None:
    it = pair()

    promise = _send_fetch(it, SWISS, SWISS)
    it.net.rest()

    assert problem(promise)[1] == "bad-args: fetch takes one swiss number"
    assert it.net.link(it.b, it.a).fetch_failures == 0


def test_the_heartbeat_s_question_is_answered_with_nothing_and_takes_no_argument() -> None:
    it = pair()
    bootstrap = view(it.a.peer.vat, it.net.link(it.a, it.b).session.bootstrap, Ref)

    promises = [
        it.a.vat.send(bootstrap, PING, args, None, type(it.a.vat.promise()[0])) for args in ((), (1,))
    ]
    for promise in promises:
        it.a.want(promise)
    it.net.rest()

    assert outcome(promises[0]) is None
    assert problem(promises[1])[1] == "bad-args: captp:ping takes nothing"


def test_a_method_that_the_bootstrap_lacks_breaks_the_call_only() -> None:
    it = pair()
    bootstrap = view(it.a.peer.vat, it.net.link(it.a, it.b).session.bootstrap, Ref)

    promise = it.a.want(it.a.vat.send(bootstrap, "gift", (), None, type(it.a.vat.promise()[0])))
    it.net.rest()

    assert problem(promise)[1] == "there is no such method"
    assert it.a.sessions


@pytest.mark.parametrize("uses", [1, 3])
def test_a_swiss_number_with_uses_works_so_often_and_not_once_more(uses: int) -> None:
    it = pair()
    sturdyref = it.b.mint(Counter(), uses=uses)

    for _ in range(uses):
        outcome(fetch(it, sturdyref.swiss))

    assert problem(fetch(it, sturdyref.swiss))[0] is NotFound


def test_a_swiss_number_expires_at_its_time_and_not_before() -> None:
    registry = Registry(bytes(32))
    registration = Registration(pair().ref, "", expires=50.0)
    registry.register(SWISS, registration)

    assert registry.fetch(SWISS, 49.999) is registration.ref
    for now in (50.0, 49.0):
        with pytest.raises(NotFound):
            registry.fetch(SWISS, now)


def test_what_expired_or_was_used_up_is_no_longer_kept_alive() -> None:
    it = pair()
    before = len(list(it.b.peer.registry.registrations()))
    expired, once = it.b.mint(Counter(), expires=it.net.now + 1), it.b.mint(Counter(), uses=1)
    during = len(list(it.b.peer.registry.registrations()))
    it.net.now += 2

    fetch(it, expired.swiss)
    fetch(it, once.swiss)

    assert (during, len(list(it.b.peer.registry.registrations()))) == (before + 2, before)


@pytest.mark.parametrize("most", [0, 3])
def test_so_many_wrong_swiss_numbers_are_answered_and_one_more_ends_the_session(most: int) -> None:
    it = pair(theirs=Limits(fetch_failures=most))

    for _ in range(most):
        assert problem(fetch(it, b"guess"))[0] is NotFound
    alive_at_n = list(it.b.sessions)
    over = fetch(it, b"guess")

    assert len(alive_at_n) == 1
    with pytest.raises(Disconnected, match="fetch-failures"):
        outcome(over)
    assert it.b.sessions == it.a.sessions == []


def test_good_fetches_do_not_count_as_failures_nor_make_them_forgotten() -> None:
    it = pair(theirs=Limits(fetch_failures=2))

    for _ in range(2):
        fetch(it, b"guess")
        outcome(fetch(it, it.sturdyref.swiss))
    over = fetch(it, b"guess")

    with pytest.raises(Disconnected):
        outcome(over)


def test_failures_count_for_each_connection_by_itself() -> None:
    it = pair(theirs=Limits(fetch_failures=1))
    c = it.net.host(3)
    fetch(it, b"guess")

    other = c.want(c.enliven(SturdyRef(it.sturdyref.peer, b"guess"), Shop))
    it.net.rest()

    assert problem(other)[0] is NotFound
    assert len(it.b.sessions) == 2


def test_what_a_guesser_had_queued_is_lost_with_its_session_and_nothing_follows_the_abort() -> None:
    it = pair(theirs=Limits(fetch_failures=0))
    guess = it.a.enliven(SturdyRef(it.sturdyref.peer, b"guess"), Shop)
    it.a.want(guess)
    it.ref.add(1)
    it.a.run()

    it.wire.far.deliver()
    it.net.rest()

    assert it.b.hangups == ["fetch-failures"]
    assert it.b.sessions == []
    assert list(it.counter.seen) == []


# Labels, replacement, restart.


def test_labels_name_what_is_registered_and_no_swiss_number() -> None:
    net = Net()
    b = net.host(1)
    b.mint(Counter(), label="bank")
    sturdyref = b.mint(Counter(), label="mailbox")

    labels = b.peer.registry.labels()
    b.peer.registry.revoke(sturdyref.swiss)

    assert labels == ["bank", "mailbox"]
    assert b.peer.registry.labels() == ["bank"]


def test_revoking_tells_whether_there_was_anything_to_revoke() -> None:
    registry = Registry(bytes(32))
    registry.register(SWISS, Registration(pair().ref, ""))

    assert registry.revoke(SWISS)
    assert not registry.revoke(SWISS)
    assert not registry.revoke(b"other")


def test_registering_a_swiss_number_again_replaces_what_it_gives() -> None:
    it = pair()
    one, two = Counter(), Counter()
    it.b.mint(one, swiss=SWISS, label="old", uses=1)
    it.b.mint(two, swiss=SWISS, label="new")

    for _ in range(2):
        outcome(fetch(it, SWISS)).add(1)
    it.net.rest()

    assert list(one.seen) == []
    assert list(two.seen) == [1, 1]
    assert "old" not in it.b.peer.registry.labels()


def test_a_vat_that_restarts_with_its_key_and_swiss_numbers_serves_old_sturdyrefs() -> None:
    it = pair()
    sturdyref = it.b.mint(Counter(), swiss=SWISS)
    uri = sturdyref.reveal()
    it.wire.cut()
    it.net.rest()
    it.net.kill(it.b)

    back = it.net.host(it.b.seed, life=1)
    restored = Counter()
    assert back.mint(restored, swiss=SWISS).reveal() == uri
    ref = it.a.want(it.a.enliven(sturdyref, Shop, retry_for=5))
    it.net.wait(2)

    outcome(ref).add(9)
    it.net.rest()
    assert list(restored.seen) == [9]


def test_the_same_swiss_number_at_another_vat_is_nothing() -> None:
    it = pair()
    c = it.net.host(3)
    c.mint(Counter(), swiss=SWISS)

    assert problem(fetch(it, SWISS))[0] is NotFound


def test_a_registered_object_lives_and_a_forgotten_one_goes() -> None:
    it = pair()
    before = sum(1 for _ in it.b.vat.heap.objects())

    sturdyref = it.b.mint(Counter())
    it.net.rest()
    held = sum(1 for _ in it.b.vat.heap.objects())
    it.b.peer.registry.revoke(sturdyref.swiss)

    assert held == before + 1
    assert list(it.b.vat.heap.objects()) == [it.counter]


def test_a_reference_to_an_object_elsewhere_can_be_registered_too() -> None:
    it = pair()
    c = it.net.host(3)
    relayed = it.a.mint(it.ref)

    ref = c.want(c.enliven(relayed, Shop))
    it.net.rest()
    outcome(ref).add(6)
    it.net.rest()

    assert list(it.counter.seen) == [6]
    (registration,) = it.a.peer.registry.registrations()
    assert registration.ref is it.ref


@given(st.lists(st.binary(max_size=40), unique=True, min_size=1, max_size=8), st.binary(max_size=40))
def test_a_swiss_number_gives_its_own_object_and_any_other_gives_none(
    known: list[bytes], other: bytes
) -> None:
    registry = Registry(b"k" * 32)
    registrations = {swiss: Registration(object(), str(i)) for i, swiss in enumerate(known)}  # type: ignore[arg-type]
    for swiss, registration in registrations.items():
        registry.register(swiss, registration)

    for swiss, registration in registrations.items():
        assert registry.fetch(swiss, 0.0) is registration.ref
    if other not in registrations:
        with pytest.raises(NotFound):
            registry.fetch(other, 0.0)
