"""Debian's PyGObject for tests: it is no package of pip's, and is built for the system's own Python alone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

DEBIAN = Path("/usr/lib/python3/dist-packages")


def find_gi() -> Path | None:
    """Return the folder of PyGObject that this Python can load; None where there is none."""
    installed = importlib.util.find_spec("gi")
    if installed is not None and installed.origin is not None:
        return Path(installed.origin).parent
    abi = f"cpython-{sys.version_info.major}{sys.version_info.minor}-"
    return DEBIAN / "gi" if any((DEBIAN / "gi").glob(f"_gi.{abi}*")) else None
