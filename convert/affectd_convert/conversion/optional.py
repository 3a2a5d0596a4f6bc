"""Packages that only some formats need, and that are not in the extra `convert`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from affectd_convert.errors import ConversionError


def needed(*names: str) -> list[Any]:
    """Import packages. Raises ConversionError with the command that installs them when one is not there."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        packages = sorted({name.partition(".")[0] for name in names})
        raise ConversionError(
            f"this format needs {' and '.join(packages)} ({error}); install with "
            f"{sys.executable} -m pip install {' '.join(packages)}, and run this again"
        ) from error
