"""The lines of ``captp why``."""

from __future__ import annotations

from typing import Any

import pytest

from captp.cli.why import ANSWERS, ID, STATES, VERDICTS, shown

STEP = {"id": "main:o12", "type": "Account"}
HOLDER: dict[str, Any] = {
    "peer": "abcdefghijkl…",
    "conn": 3,
    "position": 7,
    "touched_s": 12.0,
    "asked_s": 2.0,
    "answer": "live",
    "reason": "",
    "there": None,
}


def told(*ways: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "vat": "main",
        "id": "main:o12",
        "type": "Account",
        "state": "held by peers",
        "ways": list(ways),
        "more": 0,
        "verdict": "",
        "asked_s": None,
        "untouched_s": None,
        "collected_s": None,
        "trace": "",
        **more,
    }


def way(*holders: dict[str, Any], roots: tuple[str, ...] = (), steps: Any = (STEP,)) -> dict[str, Any]:
    return {"roots": roots, "holders": holders, "steps": steps}


def test_a_root_is_shown_with_the_path_that_it_leads_to_the_object_by() -> None:
    steps = ({"id": "main:o1", "type": "Bank"}, STEP)

    text = shown(
        told(way(roots=("the sturdyref bank", "a call of it that runs"), steps=steps), state="rooted")
    )

    assert text.splitlines() == [
        "main:o12 Account: it is in use in this vat",
        "  the sturdyref bank -> Bank main:o1 -> Account main:o12",
        "  a call of it that runs -> Bank main:o1 -> Account main:o12",
    ]


def test_a_holder_is_shown_with_what_it_answered_and_when() -> None:
    text = shown(told(way(HOLDER), verdict="live", asked_s=2.0, more=3))

    assert text.splitlines() == [
        "main:o12 Account: nothing in this vat uses it, but peers hold it",
        "  abcdefghijkl… -> Account main:o12",
        "    export 7 of c3; last named 12.0 s ago",
        "    asked 2.0 s ago: it may be used there",
        "  and 3 more ways",
        "  asked about 2.0 s ago: it may be in use somewhere",
    ]


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_and_what_is_not_known_has_words(answer: str) -> None:
    text = shown(told(way({**HOLDER, "answer": answer, "touched_s": None, "asked_s": None})))

    assert f"    {ANSWERS[answer]}" in text.splitlines()
    assert "    export 7 of c3; last named: not known" in text.splitlines()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_state_and_verdict_has_words(state: str, verdict: str) -> None:
    text = shown(told(state=state, verdict=verdict, asked_s=1.0))

    assert text == f"main:o12 Account: {STATES[state]}\n  asked about 1.0 s ago: {VERDICTS[verdict]}"


def test_the_reason_of_a_peer_is_in_our_words_and_never_in_its_own() -> None:
    known = shown(told(way({**HOLDER, "reason": "quota"})))
    strange = shown(told(way({**HOLDER, "reason": "\x1b[2Jbad"})))

    assert "it may be used there (it did not look: it was asked too much)" in known
    assert "it may be used there (for a reason of its own)" in strange
    assert "\x1b" not in strange


def test_a_vat_of_the_same_daemon_is_told_of_below_its_holder() -> None:
    there = told(
        way(roots=("the sturdyref till",)), vat="side", id="side:c1:i2", type="a reference", state="rooted"
    )

    lines = shown(told(way({**HOLDER, "there": there}))).splitlines()

    assert lines[4:] == [
        "    in vat side of this daemon:",
        "      side:c1:i2 a reference: it is in use in this vat",
        "        the sturdyref till -> Account main:o12",
    ]


@pytest.mark.parametrize(("is_above", "said"), [(True, "more is above"), (False, "`captp why` tells more")])
def test_what_is_not_followed_further_is_named(is_above: bool, said: str) -> None:
    there = {"vat": "side", "id": "side:o4", "ways": None, "is_above": is_above}

    lines = shown(told(way({**HOLDER, "there": there}))).splitlines()

    assert lines[5] == f"      side:o4, of which {said}"


@pytest.mark.parametrize(
    ("untouched", "said"), [(90.0, "last touched 90.0 s ago"), (None, "last touched: not known")]
)
def test_what_was_garbage_says_when(untouched: float | None, said: str) -> None:
    text = shown(told(state="collected", untouched_s=untouched, collected_s=30.0, trace="0123abcd"))

    assert text.splitlines() == [
        "main:o12 Account: it was garbage",
        f"  {said}; collected 30.0 s ago, by trace 0123abcd",
    ]


@pytest.mark.parametrize(
    ("text", "is_id"),
    [("main:o12", True), ("a-b:c3:i4", True), ("main", False), ("main:12", False), ("ocapn://x", False)],
)
def test_an_id_names_a_vat_and_a_thing_in_it(text: str, is_id: bool) -> None:
    assert bool(ID.fullmatch(text)) is is_id
