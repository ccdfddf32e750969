"""Running code within a capsule, and its border: what a function brings out, as its result or by raising."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from captp.custody.access import Access
from captp.custody.home import CapsuleHome
from captp.errors import UsageError
from captp.model.faults import rebuilt

__all__ = ["run_inside"]


def run_inside(
    home: CapsuleHome,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    leave: Callable[[Any], Any],
    *,
    is_shared: bool,
) -> Any:
    """Run a function within a capsule, and return what ``leave`` makes of its result, still within it.

    What it raises leaves as data: see ``rebuilt``.
    """
    with home.opened(is_shared=is_shared) as opening:
        try:
            return leave(_finished(function(Access(home, opening), *args, **kwargs)))
        except Exception as problem:  # user code's: none of it may leave with what it holds
            error = rebuilt(problem, home)
    # Here, as what is raised while another is handled brings that along; and this frame is in its traceback,
    # where whoever catches it looks.
    del home, opening
    try:
        raise error
    finally:
        del error


def _finished(result: Any) -> Any:
    if isinstance(result, Coroutine):
        result.close()
        raise UsageError(
            "this is an async def function, and an access ends with its function: await before or after it"
        )
    return result
