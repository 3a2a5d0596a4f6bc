"""What one key of the settings allows, and how its values are read and shown."""

from __future__ import annotations

import dataclasses
import math
import re
from contextlib import suppress
from typing import Any

from affectd.capture.address import concealed
from affectd.config import Config

ENVIRONMENT_PREFIX = "AFFECTD_"
SHOWN_CHARACTERS = 200

Field = dataclasses.Field[Any]

TABLES: dict[str, Any] = {table.name: table.default for table in dataclasses.fields(Config)}
"""Table name to its settings with all defaults."""


def keys_of(table: str) -> dict[str, Field]:
    """Return the keys of a table by name."""
    return {key.name: key for key in dataclasses.fields(TABLES[table])}


def variable(table: str, key: str) -> str:
    """Name the environment variable that overrides a key."""
    return f"{ENVIRONMENT_PREFIX}{table}_{key}".upper()


def from_text(text: str, kind: type) -> Any:
    """Read an environment variable as its key's kind; text that does not fit stays text, and is refused."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    with suppress(ValueError):
        return kind(text)
    return text


def fault_of(key: Field, value: Any) -> str:
    """Return what is wrong with a value, as it follows the value, with the right form where it is plain, or nothing."""
    rules = key.metadata
    if not _allows(key, value):
        meant = _meant(key, value)
        suggestion = "" if meant is None or shown(key, meant) != toml(meant) else f"; write {key.name} = {toml(meant)}"
        return f"must be {requirement(key)}{suggestion}. {rules['doc']}"
    return rules["fault"](value) if rules["fault"] else ""


def _allows(key: Field, value: Any) -> bool:
    """Whether the value has the key's type, choices, range and pattern."""
    rules, same_kind = key.metadata, type(value) is type(key.default)
    if not same_kind or (rules["choices"] and value not in rules["choices"]):
        return False
    if isinstance(value, str):
        if not value.isprintable():
            return False
        return not rules["pattern"] or re.fullmatch(rules["pattern"], value) is not None
    number = float(value)
    return math.isfinite(number) and (rules["low"] is None or rules["low"] <= number <= rules["high"])


def _meant(key: Field, value: Any) -> Any:
    """Return the allowed value that a person meant who left out quotes, wrote too many, or shouted; None if unclear."""
    if isinstance(value, str):
        candidates = [from_text(value.strip(), type(key.default)), value.strip().lower()]
    else:
        candidates = [str(value)] if type(value) is int else []
    return next((each for each in candidates if each != value and _allows(key, each)), None)


def requirement(key: Field) -> str:
    """Explain what is allowed, as it follows 'must be'."""
    rules, default = key.metadata, key.default
    if isinstance(default, bool):
        return "true or false"
    if rules["choices"]:
        return "one of " + ", ".join(toml(choice) for choice in rules["choices"])
    if isinstance(default, str):
        return "printable text in quotes" + (f" that fits the pattern {rules['pattern']}" if rules["pattern"] else "")
    number = "a whole number" if isinstance(default, int) else "a number"
    return number if rules["low"] is None else f"{number} from {rules['low']:,} to {rules['high']:,}"


def shown(key: Field, value: Any) -> str:
    """Show a value in an error: on one line, not too long, without what may be a password, a secret not at all."""
    if key.metadata["secret"]:
        return "(not shown)"
    if isinstance(value, (bool, int, float)):
        text = toml(value)
    else:
        text = toml(concealed(value)) if isinstance(value, str) else plain(concealed(str(value)))
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def plain(text: str) -> str:
    """Write text so that it stays on its line, with what cannot be printed as in TOML."""
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def toml(value: str | bool | float) -> str:
    """Write a value as TOML."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{plain(escaped)}"'
    return str(value).lower() if isinstance(value, bool) else str(value)
