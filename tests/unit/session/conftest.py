"""A vat for connections by hand."""

from __future__ import annotations

import pytest

from tests.unit.session.raw import Host


@pytest.fixture
def host() -> Host:
    return Host()
