"""Flags over environment over file over defaults, each value with where it came from.

Knows what can be said from the schema, and every error names the place, the key and the way out.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, final

from attrs import NOTHING, evolve, frozen

from captpd.config.allow import is_allowed, not_allowed
from captpd.config.kinds import Misfit, kind_of, shown
from captpd.config.places import default_state
from captpd.config.problems import ConfigError
from captpd.config.schema import (
    FLAT_SECTIONS,
    NAMED_SECTIONS,
    Config,
    HostedClass,
    Vat,
    keys_of,
)

__all__ = ["Flag", "Loaded", "load", "state_of"]

KeyPath = tuple[str, ...]

_PREFIX: Final = "CAPTPD_"
_SECTIONS: Final = {**FLAT_SECTIONS, **NAMED_SECTIONS}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


@final
@frozen
class Flag:
    """A value given on the command line, under the name the user typed."""

    name: str
    value: object


@final
@frozen
class Loaded:
    """A configuration and the origin of each of its values, by dotted key."""

    config: Config
    origins: Mapping[str, str]


@final
@frozen
class _Given:
    """One raw value: from where, in words for ``config show`` and for an error."""

    value: object
    origin: str
    where: str
    folder: Path


def load(
    file: Path | None,
    *,
    environ: Mapping[str, str],
    flags: Mapping[KeyPath, Flag] | None = None,
) -> Loaded:
    """Read a configuration; raises ConfigError for the first thing in it that cannot be."""
    given: dict[KeyPath, _Given] = {}
    named: dict[str, dict[str, str]] = {section: {} for section in NAMED_SECTIONS}
    if file is not None:
        _read_file(file, given, named)
    _read_environ(environ, given, named)
    for path, flag in (flags or {}).items():
        given[path] = _Given(flag.value, f"flag {flag.name}", flag.name, Path.cwd())
    origins: dict[str, str] = {}
    state, variable = default_state(environ)
    if ("daemon", "state") not in given:
        origin = f"default ({variable})" if variable else "default"
        given["daemon", "state"] = _Given(str(state), origin, origin, Path.cwd())
    flat = {s: _section(cls, (s,), given, origins) for s, cls in FLAT_SECTIONS.items()}
    vats = {n: _section(Vat, ("vat", n), given, origins, w) for n, w in named["vat"].items()}
    objects = {
        n: _section(HostedClass, ("objects", n), given, origins, w) for n, w in named["objects"].items()
    }
    if not vats:
        vats = {"main": _section(Vat, ("vat", "main"), given, origins)}
    config = Config(vats=vats, objects=_placed(objects, vats, given), **flat)
    _check_meaning(config, given)
    return Loaded(config, origins)


def state_of(environ: Mapping[str, str], flag: Path | None) -> Path:
    """Return the state folder as far as anything but a file says; the file may be in there."""
    said = str(flag) if flag is not None else environ.get("CAPTPD_DAEMON__STATE", "")
    return Path(said).expanduser().absolute() if said else default_state(environ)[0]


def _read_file(file: Path, given: dict[KeyPath, _Given], named: dict[str, dict[str, str]]) -> None:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigError(f"{file}: cannot be read ({problem.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8 text; expected TOML") from None
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{file}: is not TOML: {problem}") from None
    folder = file.absolute().parent

    def take(path: KeyPath, value: object) -> None:
        given[path] = _Given(value, f"file {file}", f"{file}: {_spell(path)}", folder)

    for section, body in data.items():
        if section not in _SECTIONS:
            raise ConfigError(f"{file}: {_no_section(section, isinstance(body, dict))}")
        for key, value in _table(file, (section,), body):
            if section in NAMED_SECTIONS:
                named[section][_name(f"{file}: [{section}]", key)] = f"{file}: [{section}.{key}]"
                for inner, leaf in _table(file, (section, key), value):
                    _known(f"{file}: [{section}.{key}] {inner}", section, inner)
                    take((section, key, inner), leaf)
            else:
                _known(f"{file}: [{section}] {key}", section, key)
                take((section, key), value)


def _table(file: Path, path: KeyPath, body: object) -> Iterator[tuple[str, object]]:
    if not isinstance(body, dict):
        raise ConfigError(f"{file}: [{'.'.join(path)}]: expected a table, got {shown(body)}")
    return iter(body.items())


def _read_environ(
    environ: Mapping[str, str], given: dict[KeyPath, _Given], named: dict[str, dict[str, str]]
) -> None:
    for variable in sorted(environ):
        if not variable.startswith(_PREFIX) or "__" not in variable:
            continue
        where = f"environment {variable}"
        path = tuple(variable.removeprefix(_PREFIX).lower().split("__"))
        section, key = path[0], path[-1]
        if section not in _SECTIONS:
            raise ConfigError(f"{where}: {_no_section(section, is_table=True)}")
        length = 3 if section in NAMED_SECTIONS else 2
        if len(path) != length:
            form = "__".join([section, "NAME", "KEY"] if length == 3 else [section, "KEY"])
            raise ConfigError(f"{where}: expected {_PREFIX}{form.upper()}")
        _known(where, section, key)
        if length == 3:
            named[section].setdefault(_name(where, path[1]), where)
        raw = kind_of(_hints(_SECTIONS[section])[_attribute(section, key)]).from_text(environ[variable])
        given[path] = _Given(raw, where, where, Path.cwd())


def _section(
    cls: type[Any],
    prefix: KeyPath,
    given: Mapping[KeyPath, _Given],
    origins: dict[str, str],
    where: str = "",
) -> Any:
    hints = _hints(cls)
    values: dict[str, Any] = {}
    for key, attribute in keys_of(cls).items():
        found = given.get((*prefix, key))
        kind = kind_of(hints[attribute.name])
        if found is None:
            if attribute.default is NOTHING:
                raise ConfigError(f"{where} {key}: is missing; expected {kind.expected}")
            origins[".".join((*prefix, key))] = "default"
            continue
        try:
            value = kind.read(found.value)
        except Misfit as problem:
            raise ConfigError(
                f"{found.where}{problem.step}: expected {problem.expected}, got {shown(problem.value)}"
            ) from None
        values[attribute.name] = found.folder / value if isinstance(value, Path) else value
        origins[".".join((*prefix, key))] = found.origin
    return cls(**values)


def _placed(
    objects: dict[str, HostedClass], vats: Mapping[str, Vat], given: Mapping[KeyPath, _Given]
) -> dict[str, HostedClass]:
    """Give each object its vat."""
    placed = {}
    for name, hosted in objects.items():
        vat = hosted.vat or next(iter(vats))
        if vat not in vats:
            where = given["objects", name, "vat"].where
            raise ConfigError(f"{where}: there is no [vat.{vat}]{_hint(vat, vats)}")
        placed[name] = evolve(hosted, vat=vat)
    return placed


def _check_meaning(config: Config, given: Mapping[KeyPath, _Given]) -> None:
    if config.listen.advertise is not None and not config.listen.tls:
        where = given["listen", "advertise"].where
        raise ConfigError(f"{where}: does nothing while [listen] tls is empty; name an address there")
    for name, hosted in config.objects.items():
        module = hosted.class_.partition(":")[0]
        if not is_allowed(module, config.daemon.allow):
            where = given["objects", name, "class"].where
            raise ConfigError(f"{where}: {not_allowed(hosted.class_, config.daemon.allow)}")


def _hints(section: type) -> dict[str, Any]:
    return typing.get_type_hints(section)


def _attribute(section: str, key: str) -> str:
    return keys_of(_SECTIONS[section])[key].name


def _spell(path: KeyPath) -> str:
    return f"[{'.'.join(path[:-1])}] {path[-1]}"


def _name(where: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: {name[:64]!r} is no name; use letters, digits, - and _, 63 at most")
    return name


def _known(where: str, section: str, key: str) -> None:
    """Raise ConfigError with the nearest key unless the section has this one."""
    keys = keys_of(_SECTIONS[section])
    if key in keys:
        return
    owners = " and ".join(_header(s) for s, cls in _SECTIONS.items() if key in keys_of(cls))
    if not difflib.get_close_matches(key, keys) and owners:
        raise ConfigError(f"{where}: there is no such key here; {key} belongs to {owners}")
    raise ConfigError(f"{where}: there is no such key{_hint(key, keys)}")


def _no_section(section: str, is_table: bool) -> str:
    if not is_table:
        for owner, cls in _SECTIONS.items():
            if section in keys_of(cls):
                return f"{section}: there is no such key here; {section} belongs to {_header(owner)}"
    spelled = f"[{section}]" if is_table else section
    return f"{spelled}: there is no such section{_hint(section, _SECTIONS)}"


def _header(section: str) -> str:
    return f"[{section}.NAME]" if section in NAMED_SECTIONS else f"[{section}]"


def _hint(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are: {', '.join(known)}"
