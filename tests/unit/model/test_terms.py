"""Terms of parameters are found however they are written, or refused where they could not hold."""

# An interface has no bodies, which mypy allows in protocols only.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from typing import Annotated, Any, Optional

import pytest

import captp
from captp.model.own import Mode
from tests.unit.peer.owners import Desk, Table  # noqa: F401 - annotations name them as text

ALIAS = captp.Borrowed[Table]


def parameter(annotation: Any, base: type) -> dict[str, Mode]:
    def read(self: Any, table: Any) -> int:
        return 0

    read.__annotations__["table"] = annotation
    made = type(base)("Made", (base,), {"read": captp.method(read), "__module__": __name__})
    return made._captp_rows["read"].modes  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("base", [captp.Object, captp.Interface])
@pytest.mark.parametrize(
    "annotation",
    ["captp.Borrowed[Table]", "'captp.Borrowed[Table]'", "ALIAS", ALIAS, "captp.Borrowed['Table']"],
)
def test_a_term_is_found_however_it_is_written(annotation: Any, base: type) -> None:
    assert parameter(annotation, base) == {"table": Mode.BORROWED}


@pytest.mark.parametrize("base", [captp.Object, captp.Interface])
@pytest.mark.parametrize(
    "annotation",
    [
        "captp.Borrowed[Table] | None",
        "None | captp.Borrowed[Table]",
        "captp.Borrowed[Table] | captp.Borrowed[Desk]",
        "Optional[captp.Unique[Table]]",
        "list[captp.Borrowed[Table]]",
        "dict[str, ALIAS]",
        "captp.Borrowed[captp.Unique[Table]]",
        captp.Borrowed[Table] | None,
        Optional[ALIAS],  # noqa: UP045 - as people write it
        list[ALIAS],
        captp.Borrowed[captp.Unique[Table]],
        Annotated[list[ALIAS], "of mine"],
    ],
    ids=str,
)
def test_a_term_inside_an_annotation_is_refused(annotation: Any, base: type) -> None:
    with pytest.raises(captp.BadClass, match="whole annotation"):
        parameter(annotation, base)


def test_any_number_of_arguments_have_no_terms() -> None:
    with pytest.raises(captp.BadClass, match="any number"):

        class Positional(captp.Interface):
            @captp.method
            def read(self, *tables: captp.Borrowed[Table]) -> int: ...

    with pytest.raises(captp.BadClass, match="any number"):

        class Named(captp.Interface):
            @captp.method
            def read(self, /, **tables: captp.Unique[Table]) -> int: ...
