"""C sources of `tests/support` as libraries for LD_PRELOAD: disks and clocks that misbehave on demand."""

import subprocess
from pathlib import Path


def build_preload(name: str, folder: Path) -> str:
    """Compile `name`.c into `folder` and give the library's path."""
    library = folder / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", library, source], check=True)
    return str(library)
