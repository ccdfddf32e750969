"""What the demo calls amiss."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from captp.cli.figures import Figures

EMPTY = {"exports": 0, "imports": 0, "questions": 0, "answers": 0}
HELD = {**EMPTY, "imports": 2}
RIGHT = Figures(
    calls=4,
    round_trips=1,
    round_trips_one_by_one=4,
    balance=70,
    tables_held={"client": HELD, "daemon": HELD},
    tables_after={"client": EMPTY, "daemon": EMPTY},
    exports_after=0,
    answers_after=0,
    session_open_after=True,
    impostor_refused=True,
    cycle_collected=True,
    objects_after=0,
    same_sturdyref_after_restart=True,
    balance_after_restart=70,
    deposits=20,
    deposited=21,
    balance_kept=True,
    handoff_survives_introducer=True,
)


def test_nothing_is_amiss_when_every_figure_is_right() -> None:
    assert RIGHT.amiss() == []


def test_everything_is_amiss_before_anything_was_found() -> None:
    assert len(Figures().amiss()) == len(Figures().amiss() + RIGHT.amiss()) >= 11


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("calls", 3),
        ("round_trips", 2),
        ("round_trips_one_by_one", 1),
        ("balance", 0),
        ("tables_held", {"client": EMPTY, "daemon": HELD}),
        ("tables_held", {"client": HELD}),
        ("tables_after", {"client": EMPTY, "daemon": HELD}),
        ("tables_after", {}),
        ("exports_after", 1),
        ("answers_after", 1),
        ("session_open_after", False),
        ("impostor_refused", False),
        ("cycle_collected", False),
        ("objects_after", 1),
        ("same_sturdyref_after_restart", False),
        ("balance_after_restart", 0),
        ("deposits", 0),
        ("balance_kept", False),
        ("handoff_survives_introducer", False),
    ],
)
def test_one_wrong_figure_is_named(field: str, value: Any) -> None:
    assert len(evolve(RIGHT, **{field: value}).amiss()) == 1
