"""The programs that mutants and rewrites are made of, and running one of them within this process."""

from __future__ import annotations

import ast
import contextvars
import io
import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import CodeType, FrameType, ModuleType

from attrs import frozen

import captp.examples

__all__ = ["Program", "flat", "outcome", "programs"]

OWN = Path(__file__).parent / "programs"
EXAMPLES = Path(captp.examples.__file__).parent
#: Examples that start processes, or take their time: they are read, and not run.
SLOW = frozenset(("rooms", "introduction", "capsules", "round_trips", "fetch_and_add", "kv", "social_graph"))
LONGEST_S = 20


@frozen
class Program:
    """Trees by path; ``main`` is the one that is run, if any is."""

    name: str
    trees: Mapping[str, ast.Module]
    main: str | None

    def texts(self) -> dict[str, str]:
        return {path: ast.unparse(tree) for path, tree in self.trees.items()}


def programs() -> list[Program]:
    """Return the programs of the tests and the examples, parsed anew."""
    found = []
    for path in sorted([*OWN.iterdir(), *EXAMPLES.iterdir()]):
        if path.is_dir() and (path / "main.py").exists():
            files = {f"{path.name}/{file.name}": file for file in sorted(path.glob("*.py"))}
            found.append(_program(path.name, files, f"{path.name}/main.py"))
        elif path.suffix == ".py" and path.stem != "__init__":
            runs = path.stem not in SLOW and (path.parent == OWN or "__main__" in path.read_text())
            main = path.name if runs else None
            found.append(_program(path.stem, {path.name: path}, main))
    return found


def _program(name: str, files: Mapping[str, Path], main: str | None) -> Program:
    return Program(name, {at: ast.parse(file.read_text()) for at, file in files.items()}, main)


def outcome(
    texts: Mapping[str, str], main: str, longest_s: float = LONGEST_S
) -> tuple[str, list[BaseException]]:
    """Run a program; return what it printed and what it raised, ``TimeoutError`` if it took too long."""
    return contextvars.copy_context().run(_outcome, texts, main, longest_s)


def _outcome(texts: Mapping[str, str], main: str, longest_s: float) -> tuple[str, list[BaseException]]:
    code = {path: compile(text, path, "exec") for path, text in texts.items()}
    module = ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    own, sys.modules["__main__"] = sys.modules["__main__"], module
    finder = _Finder({path: part for path, part in code.items() if path != main})
    sys.meta_path.insert(0, finder)
    said, silenced = io.StringIO(), logging.root.manager.disable
    try:
        # What a mutant does wrong is told by what it raises.
        logging.disable(logging.CRITICAL)
        with redirect_stdout(said), _limit(longest_s), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(code[main], module.__dict__)
    except SystemExit:
        pass
    except Exception as error:
        return said.getvalue(), flat(error)
    finally:
        logging.disable(silenced)
        sys.meta_path.remove(finder)
        sys.modules["__main__"] = own
        for name in finder.names():
            sys.modules.pop(name, None)
    return said.getvalue(), []


@contextmanager
def _limit(longest_s: float) -> Iterator[None]:
    """Have what hangs end, as a mutant may."""
    rung = False

    def ring(_number: int, _frame: FrameType | None) -> None:
        nonlocal rung
        rung = True
        # Trio ends a run in order at an interrupt; an error raised from here could end its loop half way.
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGALRM, ring), signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, longest_s, longest_s)
    try:
        yield
    except BaseException as error:
        if rung:
            raise TimeoutError(f"the program took longer than {longest_s} s") from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before[0])
        signal.signal(signal.SIGINT, before[1])


class _Finder:
    """Imports the modules of a program from memory."""

    def __init__(self, code: Mapping[str, CodeType]) -> None:
        self._code = {_module(path): (path, part) for path, part in code.items()}

    def names(self) -> list[str]:
        return list(self._code)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> object:
        from importlib.machinery import ModuleSpec

        if name not in self._code:
            return None
        is_package = self._code[name][0].endswith("__init__.py")
        return ModuleSpec(name, self, is_package=is_package)  # type: ignore[arg-type]

    def create_module(self, _spec: object) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code[module.__name__][1], module.__dict__)


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def flat(error: BaseException) -> list[BaseException]:
    """Return an error with those that it was raised for, or together with."""
    inner = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
    return [error, *(found for part in [*inner, error.__cause__] if part is not None for found in flat(part))]
