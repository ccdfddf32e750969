"""The steps of the Dockerfile, replayed without a container engine: copy, install, run, health check."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text().replace("\\\n", "")


def words(instruction: str) -> list[list[str]]:
    return [line.split()[1:] for line in TEXT.splitlines() if line.startswith(f"{instruction} ")]


def command(instruction: str) -> list[str]:
    (found,) = re.findall(rf"^{instruction}\b.*?(\[.*\])$", TEXT, re.MULTILINE)
    return [str(word) for word in json.loads(found)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_image_would_install_run_and_be_healthy(tmp_path: Path) -> None:
    source, home, venv = tmp_path / "src", tmp_path / "home", tmp_path / "venv"
    source.mkdir()
    home.mkdir(mode=0o700)
    for *names, target in words("COPY"):
        for name in names:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, source / target, ignore=ignored)
            else:
                shutil.copy(ROOT / name, source / target)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    (install,) = [line for line in TEXT.splitlines() if line.startswith("RUN pip")]
    pip = install.removeprefix("RUN ").split("&&")[0]
    environment = {**os.environ, "PATH": f"{venv / 'bin'}:{os.environ['PATH']}", "CAPTPD_HOME": str(home)}
    environment.pop("PYTHONPATH", None)

    subprocess.run(["bash", "-ec", pip], cwd=source, env=environment, check=True, capture_output=True)
    shutil.rmtree(source)
    captpd = command("ENTRYPOINT")
    listen = ["init", "--listen", "127.0.0.1:0"]
    subprocess.run([*captpd, *listen], cwd=home, env=environment, check=True, capture_output=True)
    with subprocess.Popen(
        [*captpd, *command("CMD")],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as daemon:
        try:
            assert daemon.stdout is not None
            assert b"ready" in daemon.stdout.readline()
            healthy = subprocess.run(
                command("HEALTHCHECK"), cwd=home, env=environment, check=False, capture_output=True
            )
        finally:
            daemon.terminate()
    sick = subprocess.run(command("HEALTHCHECK"), cwd=home, env=environment, check=False, capture_output=True)

    assert healthy.returncode == 0, healthy.stderr
    assert sick.returncode != 0
    assert words("USER") == [["10001"]]
