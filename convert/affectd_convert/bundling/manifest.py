"""A bundle's manifest.json: what the daemon reads of a model beside its files."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from affectd.inference.interpreter import Interpreter, load_runtime
from affectd.inference.manifest import SCHEMA, TensorType
from affectd.version import version
from affectd_convert.bundling.description import Description
from affectd_convert.evaluation.metrics import Evaluation
from affectd_convert.evaluation.report import Report, Split

GOLDEN = "golden.npz"
PRIOR_SAMPLES = 50


def new_manifest(description: Description, held_out: Split, report: Report, golden: Path) -> dict[str, Any]:
    """Return a bundle's manifest, but for its variants."""
    return {
        "schema": SCHEMA,
        "name": description.name,
        "version": description.version,
        "task": description.task,
        "architecture": description.architecture,
        "maturity": description.maturity,
        "labels": list(description.labels),
        **({"outputs": list(description.outputs)} if description.outputs not in {(), description.labels} else {}),
        "input": {"shape": [1, *held_out.inputs.shape[1:]], "dtype": "float32"},
        "preprocessing" if description.task == "face" else "features": dict(description.parameters),
        "calibration": {"temperature": round(report.temperature, 6)},
        "skill": [round(value, 6) for value in shrunk_recall(report.first)],
        "training_data": [dict(item) for item in description.training_data],
        "metrics": [
            {
                "split": report.split,
                "samples": evaluation.samples,
                "variant": kind,
                **{key: round(getattr(evaluation, key), 6) for key in ("accuracy", "macro_f1", "uar", "ece")},
            }
            for kind, evaluation in report.by_kind.items()
        ],
        "golden": {"file": golden.name, "sha256": _sha256(golden)},
        "affectd": version(),
    }


def add_variant(path: Path, source: Path, *, accuracy: float, agreement: float) -> dict[str, Any]:
    """Copy a variant to `path` in the bundle; return its part of the manifest. Both shares are 0..1."""
    shutil.copyfile(source, path)
    model = Interpreter(path, load_runtime("auto"))
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": _sha256(path),
        "input": _tensor(model.input_type),
        "output": _tensor(model.output_type),
        "accuracy": round(accuracy, 6),
        "agreement": round(agreement, 6),
    }


def shrunk_recall(evaluation: Evaluation) -> tuple[float, ...]:
    """Return each label's recall, drawn towards the mean recall as if PRIOR_SAMPLES more had been seen.

    A recall of nought on few samples must not silence the modality on that label.
    """
    counts = evaluation.confusion.sum(axis=1)
    hits = evaluation.confusion.diagonal()
    return tuple(((hits + PRIOR_SAMPLES * evaluation.uar) / (counts + PRIOR_SAMPLES)).tolist())


def _tensor(tensor: TensorType) -> dict[str, Any]:
    if tensor.dtype == "float32":
        return {"dtype": "float32"}
    return {"dtype": tensor.dtype, "scale": tensor.scale, "zero_point": tensor.zero_point}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
