"""``python -m tests.check.rewrites``: writes programs otherwise, and counts those that are reported."""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator

from attrs import frozen

from captp.check import Finding, check
from tests.check.corpus import Program, outcome, programs
from tests.check.edits import edited, sites
from tests.check.rewriting import REWRITES

__all__ = ["Rewrite", "main", "rewrites"]


@frozen
class Rewrite:
    """A program that does what another does, written otherwise in some places."""

    names: tuple[str, ...]
    program: Program
    texts: dict[str, str]

    def findings(self) -> list[Finding]:
        return check(self.texts)


def rewrites(seed: int, count: int) -> Iterator[Rewrite]:
    """Give programs with one to three rewrites, that print what they printed, no two of them alike."""
    draw = random.Random(seed)
    whole = programs()
    said = {p.name: outcome(p.texts(), p.main)[0] for p in whole if p.main is not None}
    seen: set[str] = set()
    made = 0
    turn = 0
    while made < count:
        program = draw.choice(whole)
        names: list[str] = []
        for step in range(draw.choice((1, 2, 3))):
            operator = REWRITES[turn % len(REWRITES)] if not step else draw.choice(REWRITES)
            there = sites(program, operator)
            if there:
                program = edited(program, operator, draw.randrange(there))
                names.append(operator.name)
        turn += 1
        texts = program.texts()
        if not names or repr(texts) in seen or not _is_same(program, texts, said):
            continue
        seen.add(repr(texts))
        made += 1
        yield Rewrite(tuple(names), program, texts)


def _is_same(program: Program, texts: dict[str, str], said: dict[str, str]) -> bool:
    return program.main is None or outcome(texts, program.main) == (said[program.name], [])


def main() -> int:
    """Print a table by kind, and return 1 if anything is reported."""
    parser = argparse.ArgumentParser(prog="python -m tests.check.rewrites", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--shown", action="store_true", help="print the programs that are reported")
    options = parser.parse_args()
    made: Counter[str] = Counter()
    reported: Counter[str] = Counter()
    alarms = 0
    for rewrite in rewrites(options.seed, options.count):
        findings = rewrite.findings()
        alarms += bool(findings)
        for name in rewrite.names:
            made[name] += 1
            reported[name] += bool(findings)
        if findings and options.shown:
            print(f"--- {', '.join(rewrite.names)}, of {rewrite.program.name}")
            for path, text in rewrite.texts.items():
                for number, line in enumerate(text.splitlines(), 1):
                    print(f"{path}:{number}: {line}")
            print(*[f"{f.place} {f.code} {f.message}" for f in findings], sep="\n")
    for name, count in made.items():
        print(f"{name:24}{reported[name]:>5} of {count}")
    print(f"seed {options.seed}: {alarms} of {options.count} are reported; bound 0")
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
