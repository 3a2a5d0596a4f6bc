"""Options of a delegate library, as one line of the settings: key=value,key=value."""

from __future__ import annotations

import re

_KEY = re.compile(r"[A-Za-z0-9_.-]+")


def parse_options(text: str) -> dict[str, str]:
    """Return the options; a piece without '=' belongs to the value before it, as in backends=GpuAcc,CpuAcc.

    Raises ValueError with what is wrong, as it follows the text.
    """
    options: dict[str, str] = {}
    last = ""
    for piece in text.split(",") if text.strip() else []:
        key, equals, value = piece.partition("=")
        if equals:
            last = key.strip()
            if not _KEY.fullmatch(last):
                raise ValueError(f"must be key=value,key=value, and {last!r} is no key")
            if last in options:
                raise ValueError(f"must name each key once, and names {last} twice")
            options[last] = value.strip()
        elif last:
            options[last] += f",{piece.strip()}"
        else:
            raise ValueError("must be key=value,key=value")
    return options


def options_fault(text: str) -> str:
    """Return what is wrong with options, as it follows the text, or nothing."""
    try:
        parse_options(text)
    except ValueError as error:
        return str(error)
    return ""
