"""For the whole suite: no swiss number that it made may show in anything that it produced."""

from __future__ import annotations

import gc
import json
import re
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import captp.model.swiss
import captp.peer.peer
from captp.model.current import CAPS

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SWISS_IN_URI = re.compile(r"/s/([A-Za-z0-9_-]{43})")
LONG_WORD = re.compile(r"[A-Za-z0-9_-]{43,64}")
#: What a user does against all advice, and two tests with him: the command itself warns of it.
ADVISED_AGAINST = "-m captp call ocapn://"
#: Where a swiss number is meant to be: the files that are passwords, and mode 0600.
KEPT = (".cap", "sturdyrefs.json")


class Canary:
    """Collects the swiss numbers made in this process or kept in files, and every text that was shown."""

    def __init__(self) -> None:
        self.minted: set[str] = set()
        self.shown: list[tuple[str, str]] = []
        self.leaks: list[str] = []
        #: Held while files are read, which takes descriptors.
        self.reading = threading.Lock()

    def note(self, swiss: bytes) -> None:
        self.minted.add(urlsafe_b64encode(swiss).decode().rstrip("="))
        self.minted.add(swiss.hex())

    def watch(self, stop: threading.Event) -> None:
        """Keep the command lines that may hold a secret, of every process, until told to stop."""
        seen: set[str] = set()
        while not stop.wait(0.05):
            with self.reading:
                lines = [_read(path).replace("\0", " ") for path in _processes()]
            for line in lines:
                if line not in seen and LONG_WORD.search(line) and ADVISED_AGAINST not in line:
                    seen.add(line)
                    self.shown.append((f"the process list ({line[:60]}…)", line))

    def search(self, folder: Path) -> list[str]:
        """Return where a secret showed."""
        files = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
        secrets = set(self.minted)
        for path in files:
            if path.name.endswith(KEPT):
                secrets |= _secrets_of(path)
        texts = [*self.shown, *((str(p), _read(p)) for p in files if not p.name.endswith(KEPT))]
        # One pass over each text, however many secrets there are.
        return [where for where, text in texts if any(w in secrets for w in LONG_WORD.findall(text))]


def _processes() -> list[Path]:
    try:
        return list(Path("/proc").glob("[0-9]*/cmdline"))
    except OSError:
        return []  # one of them has ended meanwhile: the next look is soon


def _secrets_of(path: Path) -> set[str]:
    text = _read(path)
    found = set(SWISS_IN_URI.findall(text))
    if path.suffix == ".json":
        try:
            document = json.loads(text)
        except ValueError:
            return found  # a test damaged it on purpose
        # Tests damage these files on purpose, so their shape is not to be relied on.
        stack = [document]
        while stack:
            value = stack.pop()
            if isinstance(value, dict | list):
                stack.extend(value.values() if isinstance(value, dict) else value)
            elif isinstance(value, str) and len(value) in (43, 44):
                found.add(value.rstrip("="))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("latin-1")
    except OSError:
        return ""


CANARY = Canary()


@pytest.fixture(autouse=True, scope="session")
def _minted() -> Iterator[None]:
    mint = captp.model.swiss.mint

    def noted(entropy: Callable[[int], bytes]) -> bytes:
        swiss = mint(entropy)
        CANARY.note(swiss)
        return swiss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captp.model.swiss, "mint", noted)
        patch.setattr(captp.peer.peer, "mint", noted)
        stop = threading.Event()
        watcher = threading.Thread(target=CANARY.watch, args=(stop,), daemon=True)
        watcher.start()
        yield
        stop.set()
        watcher.join()


@pytest.fixture
def unwatched() -> Iterator[None]:
    """Keep the descriptors of this process to the test, which counts them or takes them all."""
    with CANARY.reading:
        yield


def pytest_collection_finish() -> None:
    """Let Python's collector look at what the tests make, and not at ten thousand of them each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _settled() -> Iterator[None]:
    """Have the collector pass over what earlier modules left alive, such as what they were first to load."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _bare(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have turns run as in a program without contextual capabilities, but where those are tested."""
    defined = set() if "context" in request.module.__name__ else set(CAPS)
    CAPS.difference_update(defined)
    yield
    CAPS.update(defined)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    CANARY.shown += [(f"{report.nodeid} ({name})", text) for name, text in report.sections]
    if report.failed:
        CANARY.shown.append((f"{report.nodeid} (traceback)", report.longreprtext))


def pytest_sessionfinish(session: pytest.Session) -> None:
    factory = getattr(session.config, "_tmp_path_factory", None)
    if factory is not None and CANARY.minted:
        CANARY.leaks += CANARY.search(factory.getbasetemp())
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["leaks"] = CANARY.leaks
    elif CANARY.leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        for where in CANARY.leaks:
            reporter.write_line(f"A SWISS NUMBER SHOWS IN {where}", red=True)


def pytest_testnodedown(node: Any) -> None:
    """One of the processes that run tests side by side has ended: what it found counts here."""
    CANARY.leaks += getattr(node, "workeroutput", {}).get("leaks", [])
