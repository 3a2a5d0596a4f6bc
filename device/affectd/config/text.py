"""Read the text of a settings file, and explain in one sentence why it is no TOML and on which line a key stands."""

from __future__ import annotations

import bisect
import codecs
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from affectd.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES = 256 * 1024
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE_AS_UTF8 = "save it as UTF-8, which editors offer under 'Save as'"
_TYPOGRAPHIC = "“”„‟«»‘’‚‛′″"
_BLANKS = "\u00a0\u2002\u2003\u2007\u2009\u200b\u202f\u2060\u3000\ufeff"
"""Seen as a blank or not at all; the last is a byte order mark, as stands between two files put together."""


def read(path: Path) -> str:
    """Return the file's text without its byte order mark. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; 'affectd config init {path}' writes one") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; name the TOML file in it") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 1024} KB, so it is not a settings file of affectd")
    if content.startswith(_UTF16) or _every_other_byte_is_nul(content):
        raise ConfigError(f"{path}: is UTF-16 text (Notepad's 'Unicode'); {_SAVE_AS_UTF8}")
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        raise ConfigError(f"{path}, line {line}: holds NUL bytes, as after a power cut; write the file again")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        decoded = error.object
        line, byte = decoded.count(b"\n", 0, error.start) + 1, decoded[error.start]
        raise ConfigError(f"{path}, line {line}: not UTF-8 text (byte 0x{byte:02x}); {_SAVE_AS_UTF8}") from None


def parse(path: Path | None, text: str) -> dict[str, Any]:
    """Return the document. Raises ConfigError with line, column and, where it is sure, the cause."""
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from None
    except ValueError as error:
        lines = text.split("\n")
        where = f"at line {len(lines)}, column {len(lines[-1]) + 1}, the end of the file"
        sentence = str(error).replace("at end of document", where)
        raise ConfigError(f"{path}: not valid TOML: {sentence}{_hint(sentence, lines)}") from None
    return document


def line_of(text: str, names: tuple[str, ...]) -> int:
    """Find the line on which the statement begins that defines a table or key (tomllib reports none).

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


def _every_other_byte_is_nul(content: bytes) -> bool:
    """Whether this is UTF-16 of Latin letters, without a byte order mark."""
    return any(half and not any(half) for half in (content[::2], content[1::2])) and any(content)


def _hint(sentence: str, lines: list[str]) -> str:
    """Return the likely cause of a syntax error, as it follows tomllib's sentence; empty when none is plain to see."""
    found = re.search(r"line (\d+), column (\d+)", sentence)
    if found is None:
        return ""
    line, column = lines[int(found[1]) - 1], int(found[2]) - 1
    at = line[column : column + 1]
    if "\r" in line.removesuffix("\r"):
        return "; its lines end as on old Macs (a carriage return alone): save it with Unix line ends"
    if at in tuple(_BLANKS):
        return f"; an invisible character (U+{ord(at):04X}) stands there: delete it, or type a plain blank"
    if any(quote in line for quote in _TYPOGRAPHIC):
        return '; typographic quotes, as copied from a web page, stand in that line: type plain ones (")'
    if "Unescaped '\\'" in sentence:
        return r"; write \\ for a \, or put the text in single quotes"
    if re.match(r"(true|false)\b", line[column:], re.IGNORECASE):
        return "; write true and false in small letters"
    value = line.partition("=")[2].strip()
    if value and ("Invalid value" in sentence or re.match(r"[0-9]+(\.[0-9]+){2}", value)):
        return '; text stands in quotes ("...")'
    return ""
