"""Where the files lie that come with affectd and are no Python: the models, the clip, a detector's file."""

from __future__ import annotations

import sysconfig
from pathlib import Path

PACKAGES = Path(__file__).resolve().parents[1]
"""A checkout's `device/`, or the folder into which pip installed the packages."""
CHECKOUT = PACKAGES.parent


def in_checkout() -> bool:
    """Whether this code runs from a checkout."""
    return (CHECKOUT / "pyproject.toml").is_file()


def shared_folder() -> Path:
    """Return pip's share/affectd: that of the environment, of the user (--user) or of a folder (--target).

    Where there is none, the environment's.
    """
    places = (
        Path(sysconfig.get_path("data")),
        Path(sysconfig.get_path("data", sysconfig.get_preferred_scheme("user"))),
        PACKAGES,
    )
    folders = [place / "share" / "affectd" for place in places]
    return next((folder for folder in folders if folder.is_dir()), folders[0])
