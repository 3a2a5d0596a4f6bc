"""The subcommands of affectd-convert, a file each: `add` adds its parser, `_run` gives its exit code."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Steps: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `add` adds its parser to."""
