"""The log: one form for all records, fields beside the event, secrets masked in the finished line."""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator

import pytest

from captpd.daemon.log import set_up_logging

SECRET = "dGhpcyBpcyBhIHNlY3JldCBzd2lzcyBudW1iZXIhISE"
URI = f"ocapn://abcdef.tls/s/{SECRET}?host=h&port=1"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    level = root.level
    yield
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def test_a_record_is_one_json_object_with_its_fields() -> None:
    stream = io.StringIO()
    set_up_logging("auto", "info", stream)

    logging.getLogger("captp").warning("session %s", "ended", extra={"captp": {"conn": 3, "level": "no"}})

    line = json.loads(stream.getvalue())
    timestamp = line.pop("timestamp")
    assert timestamp.endswith("Z")
    assert line == {"event": "session ended", "level": "warning", "logger": "captp", "conn": 3}


def test_below_the_level_nothing_is_written() -> None:
    stream = io.StringIO()
    set_up_logging("json", "warning", stream)

    logging.getLogger("captp").info("session up")

    assert stream.getvalue() == ""


@pytest.mark.parametrize("style", ["text", "json"])
def test_secrets_are_masked_in_events_fields_arguments_and_tracebacks(style: str) -> None:
    stream = io.StringIO()
    set_up_logging(style, "info", stream)
    log = logging.getLogger("captp")

    log.info("of %s", URI, extra={"captp": {"at": URI, "nested": {"uri": [URI]}}})
    try:
        raise ValueError(URI)
    except ValueError:
        log.exception("it failed")

    text = stream.getvalue()
    assert SECRET not in text
    assert text.count("/s/****") >= 4
    assert "ValueError: ocapn://" in text
    assert 'File "' in text.replace('\\"', '"')


def test_text_is_coloured_on_a_terminal_unless_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain, piped = Terminal(), Terminal(), io.StringIO()

    for stream, style in ((coloured, "auto"), (piped, "text")):
        set_up_logging(style, "info", stream)
        logging.getLogger("captpd").info("ready")
    monkeypatch.setenv("NO_COLOR", "1")
    set_up_logging("auto", "info", plain)
    logging.getLogger("captpd").info("ready")

    assert "\x1b[" in coloured.getvalue()
    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" not in piped.getvalue()
    assert "ready" in plain.getvalue()


def test_uncaught_errors_and_warnings_are_masked_lines() -> None:
    stream = io.StringIO()
    set_up_logging("json", "info", stream)

    try:
        raise ValueError(URI)
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"look at {URI}", stacklevel=1)

    uncaught, warned = map(json.loads, stream.getvalue().splitlines())
    assert (uncaught["level"], uncaught["event"]) == ("critical", "the daemon failed")
    assert "/s/****" in uncaught["exception"]
    assert "/s/****" in warned["event"]
    assert SECRET not in stream.getvalue()


def test_a_record_that_cannot_be_formatted_writes_no_secret_past_the_mask(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stream = io.StringIO()
    set_up_logging("json", "info", stream)

    logging.getLogger("captp").info("%d sessions", URI)

    out = capsys.readouterr()
    assert SECRET not in stream.getvalue() + out.out + out.err
