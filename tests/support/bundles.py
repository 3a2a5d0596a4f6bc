"""Small bundles made by the real toolchain, and copies of them to break."""

import fcntl
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affectd.events import LABELS, VOICE_LABELS
from affectd_convert.bundle import Description, Split, write_bundle
from affectd_convert.quantize import quantize
from support import tiny_models

KINDS = {"face": ("float32", "int8"), "voice": ("float16", "dynamic", "int8")}


@dataclass(frozen=True)
class Made:
    """What the toolchain made of one tiny network."""

    model: Path
    """The `.keras` file."""
    variants: dict[str, Path]
    bundle: Path


def make(task: str, folder: Path) -> Made:
    """Train, quantize and bundle the tiny network for `task` under `folder`."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = folder / "run"
    subprocess.run([sys.executable, tiny_models.__file__, task, run], env=environment, check=True, timeout=200)
    inputs, _ = tiny_models.samples(task, 100, seed=2)
    variants = quantize(run / "model.keras", inputs, folder / "tflite", KINDS[task])
    description = Description(
        name=f"{task}-tiny",
        version="0.0.1",
        task=task,
        architecture="tiny",
        maturity="test",
        labels=LABELS if task == "face" else VOICE_LABELS,
        parameters={"size": 24} if task == "face" else {"sample_rate": 16000},
        training_data=[{"name": "made up", "use": "800 samples", "licence": "none needed"}],
        commands=["python tests/support/tiny_models.py"],
    )
    held_out = Split("made up, other seed", *tiny_models.samples(task, 200, seed=5))
    bundle = folder / "models" / description.name
    write_bundle(bundle, description, run=run, variants=variants, held_out=held_out)
    return Made(run / "model.keras", variants, bundle)


def made_once(task: str, folder: Path) -> Made:
    """Like `make`, but once for all processes that ask for it in this folder."""
    folder.mkdir(exist_ok=True)
    made = folder / "made.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            # In a folder of its own: one who was cut short leaves half of it behind.
            made.write_bytes(pickle.dumps(make(task, Path(tempfile.mkdtemp(dir=folder)))))
    result: Made = pickle.loads(made.read_bytes())
    return result


def broken(bundle: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Copy a bundle and let `change(manifest)` alter the copy's manifest."""
    copy = Path(shutil.copytree(bundle, folder / bundle.name))
    manifest = json.loads((copy / "manifest.json").read_text())
    change(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy
