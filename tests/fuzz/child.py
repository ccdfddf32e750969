"""One target under atheris, in a process of its own: ``python -m tests.fuzz.child TARGET OPTIONS DIRS``.

What follows the target goes to libFuzzer as it is. Each input that is slower than all before it is said so.
"""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-untyped]

#: What is worth a look at its branches: a mutation that reaches a new one is kept.
WATCHED = ["captp.wire", "captp.model.locator", "captp.session", "captp.peer.handoff", "captpd.config"]


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    with atheris.instrument_imports(include=WATCHED):  # pyright: ignore[reportAttributeAccessIssue]
        from tests.fuzz.targets import checked
    name, *options = sys.argv[1:]
    slowest = 0.0

    def run(data: bytes) -> None:
        nonlocal slowest
        seconds = checked(name, data)
        if seconds > slowest:
            slowest = seconds
            print(f"slowest: {seconds * 1000:.1f} ms", file=sys.stderr)

    atheris.Setup([sys.argv[0], *options], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
