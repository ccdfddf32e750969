"""The committed corpus: replayed through its targets, cut short and changed byte by byte."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import pytest

from tests.fuzz.bar import weighed
from tests.fuzz.hostile import attack_afresh
from tests.fuzz.make_corpus import CORPUS, made
from tests.fuzz.targets import DECODERS, REFUSALS, TARGETS, checked, tried

FILES = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
#: Valid messages that are short enough for every change of one byte.
SHORT = [path for path in FILES if path.name.startswith("valid-") and path.stat().st_size <= 256]
TRIED = {name: tried(name) for name in DECODERS}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_an_input_is_read_or_refused_in_time(path: Path) -> None:
    checked(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name in DECODERS], ids=name_of)
def test_an_input_takes_little_memory(path: Path) -> None:
    weighed(TRIED[path.parent.name], path.read_bytes())


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "ops"], ids=name_of)
def test_a_hostile_session_leaves_nothing(path: Path) -> None:
    attack_afresh(path.read_bytes())


def test_the_files_are_what_the_script_makes() -> None:
    kept = {name_of(p): p.read_bytes() for p in FILES if not p.name.startswith("crash-")}

    assert kept == {f"{target}/{name}": data for target, it in made().items() for name, data in it.items()}


def test_every_target_has_a_corpus() -> None:
    assert {path.parent.name for path in FILES} == set(TARGETS)


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name in DECODERS], ids=name_of)
def test_valid_inputs_are_read_and_malformed_ones_refused(path: Path) -> None:
    kind = path.name.partition("-")[0]
    if kind == "crash":
        return
    is_refused = False
    try:
        DECODERS[path.parent.name](path.read_bytes())
    except REFUSALS:
        is_refused = True

    assert kind == ("malformed" if is_refused else "valid")


@pytest.mark.parametrize("path", SHORT, ids=name_of)
def test_every_beginning_of_a_valid_input_is_read_or_refused(path: Path) -> None:
    data = path.read_bytes()

    for end in range(len(data)):
        TARGETS[path.parent.name](data[:end])


@pytest.mark.slow
@pytest.mark.parametrize("path", SHORT, ids=name_of)
def test_every_change_of_one_byte_is_read_or_refused(path: Path) -> None:
    change_every_byte(path)


def change_every_byte(path: Path) -> None:
    decode, data = TRIED[path.parent.name], bytearray(path.read_bytes())
    begin = perf_counter()
    for at, before in enumerate(data):
        for byte in range(256):
            data[at] = byte
            decode(bytes(data))
        data[at] = before
    assert perf_counter() - begin < 0.05 * 256 * len(data) + 1
