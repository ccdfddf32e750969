"""The sample configurations run as they are, but for the ports."""

from __future__ import annotations

from pathlib import Path

import pytest

import captp
from captp.examples.bank import Bank
from tests.e2e.daemons import captpd, running

SAMPLES = Path(__file__).parents[2] / "configs"


def test_both_samples_are_there() -> None:
    assert [path.name for path in sorted(SAMPLES.glob("*.toml"))] == ["dev.toml", "lan.toml"]


@pytest.mark.parametrize("sample", ["dev.toml", "lan.toml"])
async def test_a_sample_is_valid_and_runs(sample: str, tmp_path: Path) -> None:
    home, file = tmp_path / "state", str(SAMPLES / sample)
    checked = captpd(home, "config", "check", file)
    captpd(home, "init")
    ports = {"CAPTPD_VAT__PLAYGROUND__TCP_TESTING_ONLY": "127.0.0.1:0"} if sample == "dev.toml" else {}

    async with running(home, file, "--listen", "127.0.0.1:0", **ports) as daemon, daemon.control() as control:
        await control.new("daemon_shop:Till", "till")
        shared = await control.share("till")
        if sample == "dev.toml":
            async with captp.connect(await control.share("bank"), Bank) as bank:
                assert await bank.open("ada").deposit(5) == 5
        status = await control.status()

    assert checked.stdout == f"{file}: ok\n"
    assert shared.peer.transport == "tls"
    if sample == "lan.toml":
        assert (shared.peer.hint("host"), shared.peer.hint("port")) == ("a.home.arpa", "7711")
        assert [vat["name"] for vat in status["vats"]] == ["main"]
    else:
        assert [vat["name"] for vat in status["vats"]] == ["main", "playground"]
        assert "tcp-testing-only (insecure)" in daemon.ready
