"""``python -m tests.check.mutants``: breaks programs in one place each, and counts what is reported."""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator

from attrs import frozen

from captp import errors
from captp.check import check
from tests.check.corpus import Program, outcome, programs
from tests.check.edits import Operator, edited, sites
from tests.check.mutations import MUTATIONS, Mutation
from tests.check.rewriting import REWRITES

__all__ = ["Mutant", "main", "mutants"]

#: What share has to be reported.
LEAST = 0.9


@frozen
class Mutant:
    """A program with a mistake, and whether that is reported."""

    mutation: Mutation
    program: Program
    texts: dict[str, str]

    def codes(self) -> set[str]:
        return {finding.code for finding in check(self.texts)}

    @property
    def is_reported(self) -> bool:
        return bool(self.codes() & set(self.mutation.codes))


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """Give mutants of all kinds by turns, each of which is wrong, and no two of which are alike."""
    draw = random.Random(seed)
    whole = programs()
    open_sites = {m.name: _sites(draw, whole, m) for m in MUTATIONS}
    seen: set[str] = set()
    made = 0
    while made < count and any(open_sites.values()):
        for mutation in MUTATIONS:
            found = _next(draw, mutation, open_sites[mutation.name], seen)
            if found is not None and made < count:
                made += 1
                yield found


def _sites(draw: random.Random, whole: list[Program], mutation: Mutation) -> list[tuple[Program, int, bool]]:
    places = [(p, n) for p in whole for n in range(sites(p, mutation.operator))]
    draw.shuffle(places)
    # Those that are varied before are of use when there are no others.
    return [(p, n, True) for p, n in places] + [(p, n, False) for p, n in reversed(places)]


def _next(
    draw: random.Random, mutation: Mutation, places: list[tuple[Program, int, bool]], seen: set[str]
) -> Mutant | None:
    while places:
        program, number, is_plain = places.pop()
        if not is_plain:
            program = _varied(draw, program)
            if number >= sites(program, mutation.operator):
                continue
        texts = edited(program, mutation.operator, number).texts()
        key = repr(texts)
        if key not in seen and is_wrong(mutation, program, texts):
            seen.add(key)
            return Mutant(mutation, program, texts)
    return None


def _varied(draw: random.Random, program: Program) -> Program:
    """Return a program that does the same, written otherwise."""
    operator: Operator = draw.choice(REWRITES)
    count = sites(program, operator)
    if not count:
        return program
    made = edited(program, operator, draw.randrange(count))
    if program.main is not None and outcome(made.texts(), program.main)[1]:
        return program
    return made


def is_wrong(mutation: Mutation, program: Program, texts: dict[str, str]) -> bool:
    """Tell whether a mutant fails as its kind does, where that shows when it runs."""
    if not mutation.raised:
        return True
    if program.main is None:
        return False
    _, raised = outcome(texts, program.main)
    return any(isinstance(e, mutation.raised) or _is_told(e, mutation) for e in raised)


def _is_told(error: BaseException, mutation: Mutation) -> bool:
    # What a method raises reaches its caller as its text.
    return isinstance(error, errors.RemoteFault) and any(word in str(error) for word in mutation.told)


def main() -> int:
    """Print a table by kind, and return 1 if too few are reported."""
    parser = argparse.ArgumentParser(prog="python -m tests.check.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--missed", action="store_true", help="print the mutants that are not reported")
    options = parser.parse_args()
    made: Counter[str] = Counter()
    reported: Counter[str] = Counter()
    for mutant in mutants(options.seed, options.count):
        made[mutant.mutation.name] += 1
        reported[mutant.mutation.name] += mutant.is_reported
        if options.missed and not mutant.is_reported:
            print(f"--- {mutant.mutation.name}, of {mutant.program.name}: {sorted(mutant.codes())}")
            print(*mutant.texts.values(), sep="\n")
    for name, count in made.items():
        print(f"{name:24}{reported[name]:>5} of {count}")
    share = reported.total() / made.total()
    total = f"{reported.total()} of {made.total()}"
    print(f"seed {options.seed}: {total} are reported, {share:.1%}; bound {LEAST:.0%}")
    return 0 if share >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
