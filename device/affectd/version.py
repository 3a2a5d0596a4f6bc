"""The version: RELEASE, and for what was not released the commit, as in 0.1.0+g1a2b3c4 (PEP 440).

`.dirty` says that files were changed after that commit, `+unknown` that neither git nor the build knows one.
Stands alone: setup.py and scripts/install-device run this file before anything is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

RELEASE = "0.1.0"
"""The one place where it is written. The commit that git tags `v0.1.0` is the release itself."""

COMMIT_FILE = Path(__file__).with_name("commit")
"""Written by whoever builds or copies a checkout: what stands after the `+`; empty for the release itself."""
BUILT_FROM = ("device", "convert", "models", "systemd", "pyproject.toml", "setup.py")
GIT_S = 10.0


@cache
def version() -> str:
    """Return the version of this code, as --version, /health and Home Assistant show it."""
    commit = local_part()
    return f"{RELEASE}+{commit}" if commit else RELEASE


def local_part() -> str:
    """Return what stands after the `+`: 'g1a2b3c4', 'g1a2b3c4.dirty' or 'unknown'; empty for the release itself."""
    checkout = Path(__file__).resolve().parents[2]
    commit = _ask_git(checkout) if (checkout / ".git").exists() else None
    if commit is None:
        try:
            commit = COMMIT_FILE.read_text(encoding="ascii").strip()
        except OSError:
            commit = "unknown"
    return commit


def _ask_git(checkout: Path) -> str | None:
    """Return the local part of a checkout; None when git is not installed or cannot read it."""
    # Root installs from a user's checkout, whose code it trusts already; it must not write there, nor run its hooks.
    command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(checkout)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ["GIT_OPTIONAL_LOCKS"] = "0"

    def git(*arguments: str) -> str:
        return subprocess.run(  # noqa: S603
            [*command, *arguments], env=environ, check=True, capture_output=True, text=True, timeout=GIT_S
        ).stdout.strip()

    try:
        described = git("describe", "--tags", "--always", "--long", "--abbrev=7", "--match", f"v{RELEASE}")
        dirty = bool(git("status", "--porcelain", "--", *BUILT_FROM))
    except (OSError, subprocess.SubprocessError):
        return None
    parts = re.fullmatch(r"(?:.*-(\d+)-g)?([0-9a-f]+)", described)
    if parts is None:
        return None
    released = parts[1] == "0" and not dirty
    return "" if released else f"g{parts[2]}" + (".dirty" if dirty else "")


if __name__ == "__main__":
    print(local_part() if sys.argv[1:] == ["--commit"] else version())  # noqa: T201
