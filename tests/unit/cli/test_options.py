"""How the errors of trio tasks leave the command."""

from __future__ import annotations

import pytest
import trio

from captp.cli.options import run
from captp.cli.problems import Failure
from captp.errors import Refused


async def fall_over_with(*errors: BaseException) -> None:
    async def fail(error: BaseException) -> None:
        raise error

    async with trio.open_nursery() as nursery:
        for error in errors:
            nursery.start_soon(fail, error)


@pytest.mark.parametrize(
    ("errors", "leaves"),
    [
        ((ValueError(),), ValueError),
        ((Refused("x"),), Refused),
        ((Failure("x", 1), Failure("y", 1)), Failure),
        ((Refused("x"), Failure("y", 1), ValueError()), Failure),
        ((Failure("x", 1), KeyboardInterrupt()), KeyboardInterrupt),
    ],
)
def test_the_error_for_the_user_leaves_as_itself(
    errors: tuple[BaseException, ...], leaves: type[BaseException]
) -> None:
    with pytest.raises(leaves):
        run(lambda: fall_over_with(*errors))


def test_several_errors_of_which_none_is_for_the_user_leave_together() -> None:
    with pytest.raises(BaseExceptionGroup):
        run(lambda: fall_over_with(ValueError(), KeyError()))
