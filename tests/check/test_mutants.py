"""Mistakes in real programs are reported, the programs themselves and what does the same are not."""

from __future__ import annotations

import pytest

from captp.check import check
from tests.check.corpus import Program, outcome, programs
from tests.check.mutants import LEAST, mutants
from tests.check.rewrites import rewrites

COUNTS = [(1, 20), pytest.param(2, 200, marks=pytest.mark.slow)]
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.mark.parametrize("program", programs(), ids=lambda program: program.name)
def test_a_program_runs_and_is_clean(program: Program) -> None:
    if program.main is not None:
        said, raised = outcome(program.texts(), program.main)

        assert said
        assert raised == []
    assert check(program.texts()) == []


@pytest.mark.parametrize(("seed", "count"), COUNTS)
def test_mistakes_are_reported(seed: int, count: int) -> None:
    made = list(mutants(seed, count))

    missed = [mutant.mutation.name for mutant in made if not mutant.is_reported]

    assert len(made) == count
    assert len(missed) <= (1 - LEAST) * count, missed


@pytest.mark.parametrize(("seed", "count"), COUNTS)
def test_what_does_the_same_is_not_reported(seed: int, count: int) -> None:
    alarms = [(r.names, r.program.name, r.findings()) for r in rewrites(seed, count)]

    assert [alarm for alarm in alarms if alarm[2]] == []
