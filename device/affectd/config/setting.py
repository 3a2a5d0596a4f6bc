"""How one key of the settings is declared: its default, its doc and what is allowed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any


def setting(
    default: Any,
    doc: str,
    *,
    choices: Sequence[str | int] = (),
    low: float | None = None,
    high: float | None = None,
    pattern: str = "",
    fault: Callable[[str], str] | None = None,
    path: Callable[[str], bool] | None = None,
    secret: bool = False,
) -> Any:
    """Declare one key: its default, its doc (one or two sentences) and what is allowed.

    `pattern` is a regular expression that the whole string must match; `fault` returns what is wrong with a string, as
    it follows the value, or nothing; `path`: whether a string is a path, which is then made absolute (`bool`:
    any that is not empty); a `secret` is never printed.
    """
    metadata = {
        "doc": doc,
        "choices": tuple(choices),
        "low": low,
        "high": high,
        "pattern": pattern,
        "fault": fault,
        "path": path,
        "secret": secret,
    }
    return dataclasses.field(default=default, metadata=metadata)
