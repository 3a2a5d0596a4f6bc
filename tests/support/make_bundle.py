"""A small bundle by the real toolchain; a program, so that tests also run where the toolchain is not installed.

In tests/: python -m support.make_bundle face|voice FOLDER
"""

import subprocess
import sys
from pathlib import Path

from affectd.events import LABELS, VOICE_LABELS
from affectd_convert.bundling.description import Description
from affectd_convert.bundling.write import write_bundle
from affectd_convert.conversion.quantize import quantize
from affectd_convert.evaluation.report import Split
from support import tiny_models
from support.bundles import KINDS, Made
from support.one_process import in_one_process


def main(task: str, folder: Path) -> None:
    """Train, quantize and bundle the tiny network for `task`."""
    made = Made(task, folder)
    run = made.model.parent
    subprocess.run([sys.executable, tiny_models.__file__, task, run], check=True, timeout=200)
    inputs, _ = tiny_models.samples(task, 100, seed=2)
    variants = quantize(made.model, inputs, folder / "tflite", KINDS[task])
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


if __name__ == "__main__":
    with in_one_process():
        main(sys.argv[1], Path(sys.argv[2]))
