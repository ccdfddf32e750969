"""What a function needs that does not run here: with what it is given, as a child task, or with nothing."""

from __future__ import annotations

from captp.check import ir
from captp.check.engine import Activation, Need
from captp.check.functions import name_of
from captp.check.run import Run
from captp.check.state import Trail

__all__ = ["given_context", "in_child", "without_context"]


def given_context(run: Run, act: Activation, at: ir.At, why: str) -> None:
    """Ask of this context what a function is given that starts with nothing else."""
    carried = [(cap, mode) for cap, mode, is_carried in act.marks.needs if is_carried]
    without_context(run, act, at, why, frozenset(cap for cap, _ in carried))
    for cap, mode in carried:
        trail = (run.step(at, f"{name_of(act)} is given {run.cap_name(cap, mode)}"),)
        run.need(cap, mode, Need(trail, is_access=mode == "mut"), at)


def without_context(
    run: Run, act: Activation, at: ir.At, why: str, given: frozenset[str] = frozenset()
) -> None:
    """Report needs of a function that starts with nothing bound, but for what it is given."""
    for (cap, mode), need in list(act.summary.needs.items()):
        if cap in given:
            continue
        steps: Trail = (run.step(at, f"calls {name_of(act)}"), *need.trail)
        path = " -> ".join(s.text.removeprefix("calls ") for s in steps if s.text.startswith("calls "))
        run.report(
            "CAP303",
            at,
            f"{run.cap_name(cap, mode)} is not bound where {name_of(act)} runs: {why} ({path})",
            steps,
            f"bind {run.cap_name(cap, mode)} inside it",
        )


def in_child(run: Run, act: Activation, at: ir.At) -> None:
    """Note what a task needs that inherits bindings for reading only."""
    for (cap, mode), need in list(act.summary.needs.items()):
        steps = (run.step(at, f"calls {name_of(act)}"), *need.trail)
        if mode == "mut":
            path = " -> ".join(s.text.removeprefix("calls ") for s in steps if s.text.startswith("calls "))
            run.report(
                "CAP303",
                at,
                f"{run.cap_name(cap, 'mut')} is needed in a task of its own, which inherits it for reading"
                f" only ({path})",
                steps,
                f"bind {run.cap_name(cap, 'mut')} inside the task, or change it before or after",
            )
        else:
            run.need(cap, mode, Need(steps, is_access=False, root=need.root), at)
