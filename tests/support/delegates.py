"""Delegate libraries that misbehave, compiled from delegate.c."""

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("delegate.c")

FAULTS = {
    # fault: what is said of it
    "refuse": "no device found",
    "abort": "died of SIGABRT while it was loaded",
    "segfault": "died of SIGSEGV while it was loaded",
    "exit": "ended its process with exit code 7 while it was loaded",
    "hang": "hangs while it was loaded",
    "run-abort": "died of SIGABRT in its first inference",
    "run-segfault": "died of SIGSEGV in its first inference",
    "run-exit": "ended its process with exit code 7 in its first inference",
    "run-hang": "hangs in its first inference",
    "nothing": "takes none of the model's",
    "wrong": "wrong answers on the golden samples",
}


def build_delegate(library: Path, *flags: str, fault: str = "") -> Path:
    """Compile a library that has this fault, unless the option `fault` tells it another, or defines `flags`."""
    command = ["gcc", "-shared", "-fPIC", "-o", library, SOURCE, f'-DFAULT="{fault}"', *flags]
    subprocess.run(command, check=True)
    return library
