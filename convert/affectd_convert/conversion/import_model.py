"""Bring a model of one's own into a form that the toolchain converts; run as a process of its own.

python -m affectd_convert.conversion.import_model MODEL OUT JSON

MODEL is a file or folder of a format in FORMATS. What is written under the folder OUT takes what the box makes,
float32, and gives logits in affectd's order of labels: `model.keras`, which takes any batch; the folder
`saved_model`, which takes one sample at a time; or `finished.KIND.tflite`. JSON is {"input": [48, 48, 1], "output":
"logits" or "softmax", "order": [...]}: see `Wanted`. What people should know of it goes to OUT/notes.txt.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from affectd_convert.conversion.bounded_process import exit_code_of
from affectd_convert.conversion.import_wanted import Wanted
from affectd_convert.errors import ConversionError

NOTES = "notes.txt"
FORMATS: Mapping[str, str] = {
    ".keras": "import_keras",
    ".h5": "import_keras",
    ".hdf5": "import_keras",
    "folder": "import_saved_model",
    ".onnx": "import_onnx",
    ".pt": "import_torch",
    ".pt2": "import_torch",
    ".pth": "import_torch",
    ".tflite": "import_tflite",
}
"""By the file's ending: the module, and the function in it, that reads it."""


def import_model(path: Path, out: Path, wanted: Wanted) -> None:
    """Write the model `path` under `out`. Raises ConversionError when it cannot be read or does not fit."""
    ending = "folder" if path.is_dir() else path.suffix.lower()
    if ending not in FORMATS:
        known = ", ".join(each for each in FORMATS if each != "folder")
        raise ConversionError(f"{path}: of no format that affectd reads: {known}, or the folder of a SavedModel")
    name = FORMATS[ending]
    # Each loads its own framework, and no other.
    module = importlib.import_module(f"affectd_convert.conversion.{name}")
    layout = getattr(module, name)(path, out, wanted)
    if layout.changes:
        (out / NOTES).write_text(f"{path}: {layout}\n", encoding="utf-8")


def main() -> int:
    """Import as the command line says."""
    model, out = map(Path, sys.argv[1:3])
    how = json.loads(sys.argv[3])
    wanted = Wanted(input=tuple(how["input"]), output=how["output"], order=tuple(how["order"]))
    return exit_code_of(lambda: import_model(model, out, wanted))


if __name__ == "__main__":
    sys.exit(main())
