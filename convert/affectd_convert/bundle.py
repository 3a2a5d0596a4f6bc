"""From a training run and its variants to `models/<name>/`: manifest, golden samples, model card, plots."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import affectd
from affectd.inference.bundle import MANIFEST, Bundle
from affectd.inference.golden import pack_inputs, unpack_inputs
from affectd.inference.interpreter import Interpreter, load_runtime
from affectd.inference.manifest import SCHEMA, TensorType
from affectd.inference.model import open_model
from affectd_convert.card import write_card
from affectd_convert.device_logits import device_logits
from affectd_convert.errors import ConversionError
from affectd_convert.evaluate import Evaluation, evaluate, fit_temperature, plot_confusion, plot_reliability
from affectd_convert.parent import parent_logits
from affectd_convert.verify import Row, passed, verify_bundles, verify_variants

FloatArray = NDArray[np.float32]

GOLDEN = "golden.npz"
GOLDEN_BYTES = 400_000
GOLDEN_SAMPLES = 128
"""At most; fewer where GOLDEN_BYTES of int8 inputs hold fewer."""
PRIOR_SAMPLES = 50
NEAR_TIES = 0.1
"""Share of samples, those of which the float parent is least sure, that are no golden ones."""
FIRST_CHOICE = ("int8", "dynamic", "float16", "float32")
"""Whose figures stand for the bundle: the variant that the daemon takes by default, else the next."""
RUN_FILES = ("config.json", "history.csv", "curves.png")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Held-out samples as the network sees them."""

    name: str
    """What the card calls it: 'FER2013 PublicTest'."""
    inputs: FloatArray
    """(n, *input) float32."""
    truth: NDArray[np.int64]
    """(n,) label numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a bundle says of itself that no file of the run can be asked."""

    name: str
    version: str
    task: str
    architecture: str
    maturity: str
    labels: tuple[str, ...]
    parameters: Mapping[str, Any]
    """FacePreprocessing.to_manifest() or VoiceFeatures.to_manifest()."""
    training_data: Sequence[Mapping[str, str]]
    """Each with name, licence, use."""
    commands: Sequence[str] = ()
    """What was run to make it, for the card."""
    note: str = ""
    """What readers of the card must know, such as how the speakers were split."""


def write_bundle(
    folder: Path,
    description: Description,
    *,
    run: Path,
    variants: Mapping[str, Path],
    held_out: Split,
    calibration: Split | None = None,
) -> Bundle:
    """Write the bundle `folder` from the run's `model.keras` and its variants (kind to `.tflite`).

    Figures are measured on `held_out`, on the device runtime; the temperature is fitted on
    `calibration`, or on `held_out` where there is no third split. The folder appears, or is replaced,
    only when all is proven. Raises ConversionError when a variant misses its parity bars, ModelError
    when the bundle does not load.
    """
    kinds = sorted(variants, key=FIRST_CHOICE.index)
    parent = parent_logits(run / "model.keras", held_out.inputs)
    rows = verify_variants(description.name, variants, held_out.inputs, parent, held_out.truth)
    if not passed(rows):
        missed = "; ".join(f"{row.kind} on {row.runtime}: {row.shortfall}" for row in rows if row.shortfall)
        raise ConversionError(f"{description.name}: no bundle is written, parity is missed: {missed}")
    logits = {kind: device_logits(variants[kind], held_out.inputs) for kind in kinds}
    if calibration is None:
        temperature = fit_temperature(logits[kinds[0]], held_out.truth)
    else:
        temperature = fit_temperature(device_logits(variants[kinds[0]], calibration.inputs), calibration.truth)
    figures = {
        kind: evaluate(logits[kind], held_out.truth, description.labels, temperature=temperature) for kind in kinds
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        draft = Path(temporary, folder.name)
        draft.mkdir()
        write_golden(draft / GOLDEN, held_out.inputs, parent, run / "model.keras")
        manifest = _manifest(description, held_out, figures, temperature, draft)
        manifest["variants"] = {
            kind: _add_variant(draft, description.name, kind, variants[kind], figures[kind], rows) for kind in kinds
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        bundle = _prove(draft)
        card = write_card(
            bundle,
            figures[kinds[0]],
            rows,
            calibrated_on=(calibration or held_out).name,
            commands=description.commands,
            note=description.note,
        )
        (draft / "CARD.md").write_text(card, encoding="utf-8")
        _add_training(draft / "training", run)
        plot_confusion(figures[kinds[0]], draft / "training" / "confusion.png")
        plot_reliability(logits[kinds[0]], held_out.truth, temperature, draft / "training" / "reliability.png")
        _replace(folder, draft)
    return Bundle.load(folder)


def write_golden(path: Path, inputs: FloatArray, parent: FloatArray, model: Path) -> None:
    """Write golden samples out of held-out inputs: first, of each label, the one the parent is surest of.

    The rest are drawn at random, near ties left out: they say little about a runtime. `parent` are its
    logits for `inputs`; those stored belong to the inputs as they are stored, rounded to int8 with one scale.
    """
    count = min(GOLDEN_SAMPLES, max(16, GOLDEN_BYTES // inputs[0].size), len(inputs))
    best = np.sort(parent, axis=1)
    margin, answer = best[:, -1] - best[:, -2], parent.argmax(axis=1)
    surest = [int(np.where(answer == label, margin, -1.0).argmax()) for label in np.unique(answer)]
    clear = margin >= np.quantile(margin, NEAR_TIES)
    others = [int(i) for i in np.random.default_rng(0).permutation(len(inputs)) if clear[i] and i not in set(surest)]
    stored, scale = pack_inputs(inputs[[*surest, *others][:count]])
    logits = parent_logits(model, unpack_inputs(stored, scale))
    np.savez_compressed(path, inputs=stored, scale=scale, logits=logits)


def shrunk_recall(evaluation: Evaluation) -> tuple[float, ...]:
    """Give each label's recall, drawn towards the mean recall as if PRIOR_SAMPLES more had been seen.

    A recall of nought on few samples must not silence the modality on that label.
    """
    counts = evaluation.confusion.sum(axis=1)
    hits = evaluation.confusion.diagonal()
    return tuple(((hits + PRIOR_SAMPLES * evaluation.uar) / (counts + PRIOR_SAMPLES)).tolist())


def _manifest(
    description: Description,
    held_out: Split,
    figures: Mapping[str, Evaluation],
    temperature: float,
    draft: Path,
) -> dict[str, Any]:
    first = next(iter(figures.values()))
    return {
        "schema": SCHEMA,
        "name": description.name,
        "version": description.version,
        "task": description.task,
        "architecture": description.architecture,
        "maturity": description.maturity,
        "labels": list(description.labels),
        "input": {"shape": [1, *held_out.inputs.shape[1:]], "dtype": "float32"},
        "preprocessing" if description.task == "face" else "features": dict(description.parameters),
        "calibration": {"temperature": round(temperature, 6)},
        "skill": [round(value, 6) for value in shrunk_recall(first)],
        "training_data": [dict(item) for item in description.training_data],
        "metrics": [
            {
                "split": held_out.name,
                "samples": figure.samples,
                "variant": kind,
                **{key: round(getattr(figure, key), 6) for key in ("accuracy", "macro_f1", "uar", "ece")},
            }
            for kind, figure in figures.items()
        ],
        "golden": {"file": GOLDEN, "sha256": _sha256(draft / GOLDEN)},
        "affectd": affectd.__version__,
    }


def _add_variant(  # noqa: PLR0917
    draft: Path, name: str, kind: str, source: Path, figure: Evaluation, rows: Sequence[Row]
) -> dict[str, Any]:
    """Copy a variant into the draft; give its part of the manifest."""
    path = draft / f"{name}-{kind}.tflite"
    shutil.copyfile(source, path)
    model = Interpreter(path, load_runtime("auto"))
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": _sha256(path),
        "input": _tensor(model.input_type),
        "output": _tensor(model.output_type),
        "accuracy": round(figure.accuracy, 6),
        # The lowest of the runtimes: what a box may count on.
        "agreement": round(min(row.parity.agreement for row in rows if row.kind == kind), 6),
    }


def _tensor(tensor: TensorType) -> dict[str, Any]:
    if tensor.dtype == "float32":
        return {"dtype": "float32"}
    return {"dtype": tensor.dtype, "scale": tensor.scale, "zero_point": tensor.zero_point}


def _prove(draft: Path) -> Bundle:
    """Open the draft as the daemon will, and run all golden samples on every runtime."""
    bundle = Bundle.load(draft)
    for kind in bundle.variants:
        open_model(bundle, kind)
    rows = verify_bundles([draft])
    if not passed(rows):
        missed = "; ".join(f"{row.kind} on {row.runtime}: {row.shortfall}" for row in rows if row.shortfall)
        raise ConversionError(f"{bundle.name}: no bundle is written, the golden samples are missed: {missed}")
    return bundle


def _add_training(target: Path, run: Path) -> None:
    target.mkdir()
    for name in RUN_FILES:
        if (run / name).is_file():
            shutil.copyfile(run / name, target / name)


def _replace(folder: Path, draft: Path) -> None:
    if folder.exists():
        folder.rename(draft.parent / "replaced")
    draft.rename(folder)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
