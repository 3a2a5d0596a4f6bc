"""The report on quantization for a finished bundle: its int8 beside its float variant, which stands for the parent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import FacePreprocessing
from affectd.inference.bundle import Bundle
from affectd.inference.interpreter import Interpreter, load_runtime
from affectd_convert.conversion.parity import verify_variants
from affectd_convert.datasets.labelled import read_labelled_faces
from affectd_convert.errors import DataError
from affectd_convert.evaluation.cost import measure_costs
from affectd_convert.evaluation.predict import form_for
from affectd_convert.evaluation.quantization import QuantizationReport, report_on

FloatArray = NDArray[np.float32]


def report_on_bundle(bundle: Bundle, data: Path | None, split: str | None) -> QuantizationReport:
    """Compare a bundle's variants with its most exact float one, on labelled faces or on its golden samples.

    Raises DataError for data that cannot be read or is not for this task, ModelError when a variant does not run.
    """
    paths = {kind: bundle.model_file(kind) for kind in bundle.variants}
    exact = next((kind for kind in ("float32", "float16") if kind in paths), None)
    if exact is None:
        raise DataError(f"{bundle.folder}: has no float variant to compare with; it has {', '.join(paths)}")
    if data is None:
        golden = bundle.golden()
        inputs, truth, on = golden.inputs, None, f"its {len(golden.inputs)} golden samples"
    else:
        inputs, truth, on = _faces(bundle, data, split)
    reference = Interpreter(paths[exact], load_runtime("auto")).run(inputs)
    others = {kind: path for kind, path in paths.items() if kind != exact}
    rows = verify_variants(bundle.name, others, inputs, reference, truth)
    costs = {kind: measure_costs(path) for kind, path in others.items()}
    return report_on(rows, others, costs, inputs, reference=paths[exact], against=f"Against {exact} on {on}.")


def _faces(bundle: Bundle, data: Path, split: str | None) -> tuple[FloatArray, NDArray[np.int64] | None, str]:
    if bundle.task != "face":
        raise DataError(f"{bundle.name}: a voice is reported on by its golden samples: without --data")
    preprocessing = FacePreprocessing.from_manifest(bundle.preprocessing)
    faces = read_labelled_faces(data, split, bundle.labels, form_for(preprocessing))
    inputs = np.stack([preprocessing.prepare_still(face) for face in faces.pixels])
    # Where outputs are not the labels, their numbers are not either.
    truth = faces.truth if bundle.outputs == bundle.labels else None
    return inputs, truth, f"{len(inputs)} faces of {data.name}{'' if split is None else f', {split}'}"
