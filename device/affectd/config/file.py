"""Read a TOML file and the environment into a `Config`; write a commented default file.

The environment wins over the file, the file over the defaults. `AFFECTD_MQTT_PORT` is `port` of `[mqtt]`.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from affectd.capture.address import ENCODING, concealed, is_unclear
from affectd.capture.source_settings import camera_fault
from affectd.config import Config, MqttConfig
from affectd.config import text as config_text
from affectd.config.keys import (
    ENVIRONMENT_PREFIX,
    TABLES,
    Field,
    fault_of,
    from_text,
    keys_of,
    plain,
    requirement,
    shown,
    toml,
    variable,
)
from affectd.config.paths import absolute, is_file, is_folder, working_folder
from affectd.errors import ConfigError

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def load(path: Path | None, environ: Mapping[str, str], options: Mapping[str, str] = MappingProxyType({})) -> Config:
    """Return the settings of `path` (None: no file), over the defaults, under `environ` and, over all, `options`.

    `options` is the command line's, under the names that the environment has for the keys. Paths come back absolute:
    those of the file start from its folder, all others from the working directory. Raises ConfigError naming the
    place, the key, its value and what is allowed.
    """
    text = "" if path is None else config_text.read(path)
    given = _Given(path, text, config_text.parse(path, text), environ, options)
    _refuse_unknown(given)
    tables = {}
    for table, defaults in TABLES.items():
        values = {name: _checked(given, table, key) for name, key in keys_of(table).items() if given.has(table, name)}
        tables[table] = dataclasses.replace(defaults, **values)
    config = Config(**tables)
    _check_camera(config, given)
    _check_picture(config, given)
    _check_fusion(config, given)
    _check_pace(config, given)
    _check_mqtt(config.mqtt, given)
    _check_outbox(config, given)
    return config


def warnings(config: Config) -> list[str]:
    """Explain what is allowed but probably not meant, one sentence each."""
    mqtt, found = config.mqtt, []
    if not mqtt.tls and mqtt.port == 8883:
        found.append("mqtt.port is 8883, which is usual with TLS, but mqtt.tls is false.")
    if not mqtt.tls and (mqtt.ca_file or mqtt.cert_file):
        found.append("mqtt.ca_file and mqtt.cert_file have no effect while mqtt.tls is false.")
    if not mqtt.tls and mqtt.password_file and mqtt.host not in LOOPBACK:
        found.append(f"The password travels unencrypted to {mqtt.host}; set mqtt.tls = true.")
    if config.inference.options and config.inference.delegate in ("cpu", "gpu", "auto"):
        found.append(f'inference.options has no effect with inference.delegate = "{config.inference.delegate}".')
    if is_unclear(config.camera.source):
        found.append(f"camera.source: it is unclear where the password ends; {ENCODING}.")
    return found


def write_default(stream: TextIO) -> None:
    """Write every table and key with its doc, what is allowed and its default, the keys commented out."""
    stream.write(
        "# Settings of affectd. A commented-out key has the default shown; remove its # to change it.\n"
        f"# The environment overrides this file: {variable('mqtt', 'port')}=1884 is `port` of [mqtt].\n"
        "# Paths start from this file's folder (in the environment: from the working directory), or with ~.\n"
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
    """What the file, the environment and the command line set, and where."""

    path: Path | None
    text: str
    document: dict[str, Any]
    environ: Mapping[str, str]
    options: Mapping[str, str]

    def has(self, table: str, key: str) -> bool:
        return self._as_text(table, key) is not None or key in self.document.get(table, {})

    def value(self, table: str, key: Field) -> Any:
        """Return what was given for a key, as its kind where it can be read as such."""
        text = self._as_text(table, key.name)
        return self.document[table][key.name] if text is None else from_text(text, type(key.default))

    def folder(self, table: str, key: str) -> Path:
        """Return the folder that the key's value starts from when it is a relative path."""
        if self.path is None or self._as_text(table, key) is not None:
            return working_folder()
        return self.path.parent if self.path.is_absolute() else working_folder() / self.path.parent

    def place(self, table: str, key: str) -> str:
        """Return where a person finds the key's value, for the start of an error."""
        if variable(table, key) in self.options:
            return f"option --{key.replace('_', '-')}"
        if variable(table, key) in self.environ:
            return f"environment variable {variable(table, key)}"
        if key in self.document.get(table, {}):
            return self.line(table, key)
        return "settings"

    def line(self, *names: str) -> str:
        return f"{self.path}, line {config_text.line_of(self.text, names)}"

    def shown(self, table: str, name: str, value: str) -> str:
        """Show a key and what was given for it, and the path that this became, `value`."""
        key = keys_of(table)[name]
        written = self.value(table, key)
        became = "" if written == value or key.metadata["secret"] else f" ({plain(value)})"
        return f"{table}.{name} = {shown(key, written)}{became}"

    def _as_text(self, table: str, key: str) -> str | None:
        name = variable(table, key)
        return self.options.get(name, self.environ.get(name))


def _refuse_unknown(given: _Given) -> None:
    for table, content in given.document.items():
        if table not in TABLES:
            suggestion = _did_you_mean(table, TABLES)
            raise ConfigError(f"{given.line(table)}: there is no table [{plain(table)}]; {suggestion}")
        if not isinstance(content, dict):
            place, value = given.line(table), concealed(repr(content))
            raise ConfigError(f"{place}: {table} = {value:.80}: is a table; write its keys below [{table}]")
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
    """Return the value of a key that is set, a path made absolute, or raise ConfigError."""
    value = given.value(table, key)
    if type(value) is int and isinstance(key.default, float):
        value = float(value)
    what = f"{given.place(table, key.name)}: {table}.{key.name} = {shown(key, value)}"
    fault = fault_of(key, value)
    if fault:
        raise ConfigError(f"{what}: {fault}")
    if key.metadata["path"] and key.metadata["path"](value):
        try:
            return absolute(value, given.folder(table, key.name), given.environ)
        except ConfigError as error:
            raise ConfigError(f"{what}: {error}") from None
    return value


def _check_camera(config: Config, given: _Given) -> None:
    if not given.has("camera", "source"):
        return
    key = keys_of("camera")["source"]
    written = given.value("camera", key)
    fault = camera_fault(written, is_file=is_file(config.camera.source))
    if fault:
        raise ConfigError(f"{given.place('camera', 'source')}: camera.source = {shown(key, written)}: {fault}")


def _check_picture(config: Config, given: _Given) -> None:
    for name, read in (("pixel_aspect", "pixel_ratio"), ("crop", "crop_area")):
        try:
            getattr(config.camera, read)
        except ValueError as error:
            key = keys_of("camera")[name]
            what = f"camera.{name} = {shown(key, getattr(config.camera, name))}: {error}"
            raise ConfigError(f"{given.place('camera', name)}: {what}. {key.metadata['doc']}") from None


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
        if file and not (is_file(file) and os.access(file, os.R_OK)):
            what = f"{given.place('mqtt', name)}: {given.shown('mqtt', name, file)}"
            raise ConfigError(f"{what}: must be a file that this user can read")
    if mqtt.key_file and not mqtt.cert_file:
        raise ConfigError(f"{given.place('mqtt', 'key_file')}: mqtt.key_file is set, so mqtt.cert_file must be too")


def _check_outbox(config: Config, given: _Given) -> None:
    if config.outbox.path and is_folder(config.outbox.path):
        what = f"{given.place('outbox', 'path')}: {given.shown('outbox', 'path', config.outbox.path)}"
        raise ConfigError(f"{what}: is a folder; name a file in it, such as outbox.db")
