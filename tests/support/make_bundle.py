"""A small bundle by the real toolchain; a program, so that tests also run where the toolchain is not installed.

In tests/: python -m support.make_bundle face|voice FOLDER
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from affectd.events import LABELS, VOICE_LABELS
from affectd_convert.bundling.write import Description, write_bundle
from affectd_convert.conversion import float_model
from affectd_convert.conversion import quantize as conversion
from affectd_convert.evaluation.report import Split
from support import tiny_models
from support.bundles import KINDS, Made


def main(task: str, folder: Path) -> None:
    """Train, quantize and bundle the tiny network for `task`, with one start of TensorFlow for all but the training."""
    made = Made(task, folder)
    os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    run = made.model.parent
    subprocess.run([sys.executable, tiny_models.__file__, task, run], check=True, timeout=200)
    inputs, _ = tiny_models.samples(task, 100, seed=2)
    variants = conversion.quantize(made.model, inputs, folder / "tflite", KINDS[task])
    description = Description(
        name=made.bundle.name,
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
    write_bundle(made.bundle, description, run=run, variants=variants, held_out=held_out)


def run_here(module: str, arguments: list[object], **_bounds: object) -> None:
    """Do in this process what the toolchain does in one of its own."""
    with mock.patch.object(sys, "argv", [module, *map(str, arguments)]):
        failed = importlib.import_module(module).main()
    assert not failed, f"{module} failed"


if __name__ == "__main__":
    with mock.patch.object(conversion, "run_module", run_here), mock.patch.object(float_model, "run_module", run_here):
        main(sys.argv[1], Path(sys.argv[2]))
