"""Small bundles made by the real toolchain, and copies of them to break.

In tests/: python -m support.bundles FOLDER makes them all, for pytest --tiny-models FOLDER where there is no toolchain.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {"face": ("float32", "int8"), "voice": ("float16", "dynamic", "int8")}


class Made:
    """What the toolchain made of the tiny network for one task, below one folder."""

    def __init__(self, task: str, folder: Path) -> None:
        self.model = folder / "run" / "model.keras"
        self.variants = {kind: folder / "tflite" / f"{kind}.tflite" for kind in KINDS[task]}
        self.bundle = folder / "models" / f"{task}-tiny"


def made_once(task: str, models: Path) -> Made:
    """Have `make_bundle` make it, once for all processes that ask for it below this folder."""
    folder = models / task
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "made"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            # Whole before it has its name: one who is cut short leaves half of it behind.
            half = Path(tempfile.mkdtemp(dir=folder))
            command = [sys.executable, "-m", "support.make_bundle", task, str(half)]
            subprocess.run(command, cwd=Path(__file__).parents[1], check=True, timeout=400)
            half.rename(made)
    return Made(task, made)


def broken(bundle: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Copy a bundle and let `change(manifest)` alter the copy's manifest."""
    copy = Path(shutil.copytree(bundle, folder / bundle.name))
    manifest = json.loads((copy / "manifest.json").read_text())
    change(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def answering_wrongly(bundle: Path, folder: Path) -> Path:
    """Copy a bundle and let its golden samples want other answers."""
    copy = broken(bundle, folder, lambda _: None)
    with np.load(copy / "golden.npz") as arrays:
        stored = dict(arrays)
    np.savez(copy / "golden.npz", **{**stored, "logits": np.roll(stored["logits"], 1, axis=1)})
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["golden"]["sha256"] = hashlib.sha256((copy / "golden.npz").read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


if __name__ == "__main__":
    for name in KINDS:
        made_once(name, Path(sys.argv[1]))
