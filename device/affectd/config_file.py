"""Read a TOML file and the environment into a `Config`; write a commented default file.

The environment wins over the file, the file over the defaults. `AFFECTD_MQTT_PORT` is `port` of `[mqtt]`.
"""

from __future__ import annotations

import bisect
import dataclasses
import difflib
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from affectd.config import Config, MqttConfig
from affectd.config_keys import (
    ENVIRONMENT_PREFIX,
    TABLES,
    Field,
    allows,
    from_text,
    keys_of,
    plain,
    requirement,
    shown,
    toml,
    variable,
)
from affectd.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 256 * 1024
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Give the settings of `path` (None: no file) and `environ` over the defaults.

    Raises ConfigError naming the place, the key, its value and what is allowed.
    """
    text = "" if path is None else _read(path)
    given = _Given(path, text, _parse(path, text), environ)
    _refuse_unknown(given)
    tables = {}
    for table, defaults in TABLES.items():
        values = {name: _checked(given, table, key) for name, key in keys_of(table).items() if given.has(table, name)}
        tables[table] = dataclasses.replace(defaults, **values)
    config = Config(**tables)
    _check_pixels(config, given)
    _check_fusion(config, given)
    _check_pace(config, given)
    _check_mqtt(config.mqtt, given)
    return config


def warnings(config: Config) -> list[str]:
    """Say what is allowed but probably not meant, one sentence each."""
    mqtt, found = config.mqtt, []
    if not mqtt.tls and mqtt.port == 8883:
        found.append("mqtt.port is 8883, which is usual with TLS, but mqtt.tls is false.")
    if not mqtt.tls and (mqtt.ca_file or mqtt.cert_file):
        found.append("mqtt.ca_file and mqtt.cert_file have no effect while mqtt.tls is false.")
    if not mqtt.tls and mqtt.password_file and mqtt.host not in LOOPBACK:
        found.append(f"The password travels unencrypted to {mqtt.host}; set mqtt.tls = true.")
    return found


def write_default(stream: TextIO) -> None:
    """Write every table and key with its doc, what is allowed and its default, the keys commented out."""
    stream.write(
        "# Settings of affectd. A commented-out key has the default shown; remove its # to change it.\n"
        f"# The environment overrides this file: {variable('mqtt', 'port')}=1884 is `port` of [mqtt].\n"
    )
    for table, defaults in TABLES.items():
        stream.write(f"\n# {type(defaults).__doc__}\n[{table}]\n")
        for name, key in keys_of(table).items():
            limited = key.metadata["choices"] or key.metadata["low"] is not None
            limits = f" Allowed: {requirement(key)}." if limited else ""
            for line in textwrap.wrap(key.metadata["doc"] + limits, 100):
                stream.write(f"# {line}\n")
            stream.write(f"#{name} = {toml(getattr(defaults, name))}\n")


@dataclass(frozen=True)
class _Given:
    """What the file and the environment set, and where."""

    path: Path | None
    text: str
    document: dict[str, Any]
    environ: Mapping[str, str]

    def has(self, table: str, key: str) -> bool:
        return variable(table, key) in self.environ or key in self.document.get(table, {})

    def place(self, table: str, key: str) -> str:
        """Say where a person finds the key's value, for the start of an error."""
        if variable(table, key) in self.environ:
            return f"environment variable {variable(table, key)}"
        if key in self.document.get(table, {}):
            return self.line(table, key)
        return "settings"

    def line(self, *names: str) -> str:
        return f"{self.path}, line {_line_of(self.text, names)}"


def _read(path: Path) -> str:
    content = b""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; 'affectd config init {path}' writes one") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; name the TOML file in it") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}, line {line}: not UTF-8 text (byte 0x{content[error.start]:02x})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 1024} KB, so it is not a settings file of affectd")
    return text


def _parse(path: Path | None, text: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:
        lines = text.split("\n")
        where = f"at line {len(lines)}, column {len(lines[-1]) + 1}, the end of the file"
        sentence = str(error).replace("at end of document", where)
        raise ConfigError(f"{path}: not valid TOML: {sentence}") from None
    return document


def _line_of(text: str, names: tuple[str, ...]) -> int:
    """Find the line on which the statement begins that defines a table or key (tomllib gives none).

    The first n lines, extended to the end of the statement that line n stands in, either define it or
    do not; the smallest n that does is the line, and the TOML parser itself is the judge.
    """
    lines = [line + "\n" for line in text.split("\n")]

    def defined_by(count: int) -> bool:
        for end in range(count, len(lines) + 1):
            with suppress(tomllib.TOMLDecodeError):
                return _defines(tomllib.loads("".join(lines[:end])), names)
        return False

    return bisect.bisect_left(range(1, len(lines) + 1), True, key=defined_by) + 1


def _defines(document: Any, names: tuple[str, ...]) -> bool:
    for name in names:
        if not isinstance(document, dict) or name not in document:
            return False
        document = document[name]
    return True


def _refuse_unknown(given: _Given) -> None:
    for table, content in given.document.items():
        if table not in TABLES:
            suggestion = _did_you_mean(table, TABLES)
            raise ConfigError(f"{given.line(table)}: there is no table [{plain(table)}]; {suggestion}")
        if not isinstance(content, dict):
            place = given.line(table)
            raise ConfigError(f"{place}: {table} = {content!r:.80}: is a table; write its keys below [{table}]")
        for name in content:
            if name not in keys_of(table):
                suggestion = _did_you_mean(name, keys_of(table))
                place = given.line(table, name)
                raise ConfigError(f"{place}: {table}.{plain(name)}: there is no such key; {suggestion}")
    known = [variable(table, name) for table in TABLES for name in keys_of(table)]
    for name in given.environ:
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            suggestion = _did_you_mean(name, known)
            raise ConfigError(f"environment variable {plain(name)}: there is no such setting; {suggestion}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else "'affectd config init' prints all there are"


def _checked(given: _Given, table: str, key: Field) -> Any:
    """Give the value of a key that is set, or raise ConfigError."""
    if variable(table, key.name) in given.environ:
        value = from_text(given.environ[variable(table, key.name)], type(key.default))
    else:
        value = given.document[table][key.name]
    if type(value) is int and isinstance(key.default, float):
        value = float(value)
    if not allows(key, value):
        what = f"{table}.{key.name} = {shown(key, value)}: must be {requirement(key)}"
        raise ConfigError(f"{given.place(table, key.name)}: {what}. {key.metadata['doc']}")
    return value


def _check_pixels(config: Config, given: _Given) -> None:
    try:
        _ = config.camera.pixel_ratio
    except ValueError as error:
        key = keys_of("camera")["pixel_aspect"]
        what = f"camera.pixel_aspect = {shown(key, config.camera.pixel_aspect)}: {error}"
        raise ConfigError(f"{given.place('camera', 'pixel_aspect')}: {what}. {key.metadata['doc']}") from None


def _check_fusion(config: Config, given: _Given) -> None:
    enter, leave, strategy = config.fusion.enter, config.fusion.leave, config.fusion.strategy
    if leave >= enter:
        place = given.place("fusion", "leave" if given.has("fusion", "leave") else "enter")
        raise ConfigError(f"{place}: fusion.leave = {leave} must be less than fusion.enter = {enter}")
    for modality, source in (("face", config.camera.source), ("voice", config.microphone.source)):
        off = "inference." + modality if getattr(config.inference, modality) == "off" else ""
        if source == "off":
            off = "camera.source" if modality == "face" else "microphone.source"
        if strategy == modality and off:
            place = given.place("fusion", "strategy")
            raise ConfigError(f'{place}: fusion.strategy = "{strategy}" has nothing to go by, for {off} = "off"')


def _check_pace(config: Config, given: _Given) -> None:
    """Refuse what would have a modality vanish, or a camera be taken for dead, between two readings."""
    fps, hop_s = config.camera.fps, config.voice.hop_s
    frames = (1 / fps, f"the {1 / fps:.3g} s between two frames of camera.fps = {fps:g}")
    hops = (hop_s, f"voice.hop_s = {hop_s:g}")
    rules = [("camera", "timeout_s", config.camera.timeout_s, frames)]
    if config.fusion.strategy != "voice":
        rules.append(("fusion", "absent_s", config.fusion.absent_s, frames))
    if config.fusion.strategy != "face":
        rules.append(("fusion", "absent_s", config.fusion.absent_s, hops))
    for table, key, limit_s, (pace_s, pace) in rules:
        if limit_s <= pace_s:
            other = ("camera", "fps") if pace is frames[1] else ("voice", "hop_s")
            place = given.place(table, key) if given.has(table, key) else given.place(*other)
            raise ConfigError(f"{place}: {table}.{key} = {limit_s:g} must be longer than {pace}")


def _check_mqtt(mqtt: MqttConfig, given: _Given) -> None:
    for name in ("ca_file", "cert_file", "key_file", "password_file"):
        file = getattr(mqtt, name)
        if file and not (Path(file).is_file() and os.access(file, os.R_OK)):
            what = f"mqtt.{name} = {shown(keys_of('mqtt')[name], file)}"
            raise ConfigError(f"{given.place('mqtt', name)}: {what}: must be a file that this user can read")
    if mqtt.key_file and not mqtt.cert_file:
        raise ConfigError(f"{given.place('mqtt', 'key_file')}: mqtt.key_file is set, so mqtt.cert_file must be too")
    if mqtt.password_file and not mqtt.username:
        raise ConfigError(f"{given.place('mqtt', 'password_file')}: a password is given, so mqtt.username must be set")
