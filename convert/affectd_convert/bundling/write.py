"""From a training run and its variants to `models/<name>/`: manifest, golden samples, model card, plots."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.inference.bundle import MANIFEST, Bundle
from affectd.inference.golden import pack_inputs, unpack_inputs
from affectd.inference.interpreter import Interpreter, load_runtime
from affectd.inference.manifest import SCHEMA, TensorType
from affectd.inference.model import open_model
from affectd.version import version
from affectd_convert.bundling.card import write_card, write_fold_card
from affectd_convert.conversion.float_model import parent_logits, parent_of
from affectd_convert.conversion.parity import Row, passed, verify_bundles, verify_variants
from affectd_convert.conversion.tflite_logits import device_logits
from affectd_convert.errors import ConversionError
from affectd_convert.evaluation.calibration import Calibration
from affectd_convert.evaluation.chance_level import shortcomings
from affectd_convert.evaluation.cost import measure_costs
from affectd_convert.evaluation.metrics import Evaluation
from affectd_convert.evaluation.plots import plot_confusion, plot_reliability
from affectd_convert.evaluation.report import Report, Split, measure
from affectd_convert.evaluation.robustness.table import Robustness
from affectd_convert.training.run_folder import copy_record

FloatArray = NDArray[np.float32]

GOLDEN, ROBUSTNESS = "golden.npz", "robustness.json"
GOLDEN_BYTES = 400_000
GOLDEN_SAMPLES = 128
"""At most; fewer where GOLDEN_BYTES of int8 inputs hold fewer."""
PRIOR_SAMPLES = 50
NEAR_TIES = 0.1
"""Share of samples, those of which the float parent is least sure, that are no golden ones."""
_UNFIT = "not fit for use: "
FIRST_CHOICE = ("int8", "dynamic", "float16", "float32")
"""Whose figures stand for the bundle: the variant that the daemon takes by default, else the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a bundle says of itself that no file of the run can be asked."""

    name: str
    version: str
    task: str
    architecture: str
    maturity: str
    labels: tuple[str, ...]
    outputs: tuple[str | None, ...] = ()
    """The label of each of the network's outputs, None for one that is dropped; empty: they are `labels`."""
    parameters: Mapping[str, Any]
    """FacePreprocessing.to_manifest() or VoiceFeatures.to_manifest()."""
    training_data: Sequence[Mapping[str, str]]
    """Each with name, licence, use."""
    commands: Sequence[str] = ()
    """What was run to make it, for the card."""
    note: str = ""
    """What readers of the card must know, such as how the speakers were split."""
    protocol: str = ""
    """Markdown for the card: how it was trained and validated, and figures beside those of the held-out split."""
    fold_of: str = ""
    """The bundle whose cross-validation this is a fold of: its card says that, its figures, and no more."""


def write_bundle(
    folder: Path,
    description: Description,
    *,
    run: Path,
    variants: Mapping[str, Path],
    held_out: Split,
    calibration: Calibration | None = None,
    report: Report | None = None,
    robustness: Robustness | None = None,
    beside: Callable[[Path], object] = lambda _: None,
    even_so: bool = False,
    remarks: Sequence[str] = (),
) -> Bundle:
    """Write the bundle `folder` from the run's finished model and those of its variants (kind to `.tflite`) that hold.

    Parity is proven on `held_out`, and figures are measured there, on the device runtime; `report` brings figures
    of other predictions instead, such as those of cross-validation where the shipped model was trained on everybody.
    The temperature is that of `calibration`; without one it is fitted on the predictions, and the ECE is
    cross-fitted. `beside` is given the folder before it stands in its place, to write there what else belongs in it.
    The folder appears, or is replaced, only when all is proven and written. A model that has learned nothing is
    written `even_so` only, and its maturity says it. A variant that misses its parity bars is left out: it is
    printed, and stands in the card beside the `remarks` on how the variants were made. Raises ConversionError for a
    model that has learned nothing, and when no variant holds; ModelError when the bundle does not load.
    """
    variants = {kind: variants[kind] for kind in sorted(variants, key=FIRST_CHOICE.index)}
    measured = _measure(description, run, variants, held_out, calibration, report)
    variants = {kind: path for kind, path in variants.items() if kind in measured.report.by_kind}
    remarks = [*remarks, *measured.left_out]
    if not description.fold_of:
        found = shortcomings(measured.report.first)
        description = replace(description, maturity=maturity_of(description, found, even_so=even_so))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        draft = Path(temporary, folder.name)
        _draft(draft, description, parent_of(run), variants, held_out, measured)
        bundle = _prove(draft)
        _document(draft, bundle, description, run, held_out, measured, calibration, robustness, remarks)
        beside(draft)
        _swap(folder, draft)
    return Bundle.load(folder)


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What the variants were found to do on the held-out samples."""

    parent: FloatArray
    """Logits (n, labels) of the float parent."""
    parity: Sequence[Row]
    """Of those that hold."""
    report: Report
    left_out: Sequence[str]
    """Which variants do not hold, with their figures, a sentence each."""


def _measure(  # noqa: PLR0917
    description: Description,
    run: Path,
    variants: Mapping[str, Path],
    held_out: Split,
    calibration: Calibration | None,
    report: Report | None,
) -> _Measured:
    """Hold every variant against its float parent, and score those that hold. Raises ConversionError when none does."""
    parent = parent_logits(parent_of(run), held_out.inputs)
    if numberless := int(np.sum(~np.isfinite(parent).all(axis=1))):
        raise ConversionError(
            f"{description.name}: no bundle is written, for the network answers NaN or infinity to {numberless} of "
            f"{len(parent)} held-out inputs; look at its weights, and at what feeds it"
        )
    rows = verify_variants(description.name, variants, held_out.inputs, parent)
    missed = {row.kind: f"{row.kind} is left out: on {row.runtime} {row.shortfall}." for row in rows if row.shortfall}
    if len(missed) == len(variants):
        _refuse_misses(description.name, rows, "parity is")
    for sentence in missed.values():
        print(sentence, flush=True)
    holding = {kind: path for kind, path in variants.items() if kind not in missed}
    if report is None:
        by_kind = {kind: held_out.predictions(device_logits(path, held_out.inputs)) for kind, path in holding.items()}
        report = measure(held_out.name, by_kind, description.labels, calibration=calibration, command=held_out.command)
    elif missed:
        report = replace(report, by_kind={kind: report.by_kind[kind] for kind in holding})
    return _Measured(parent, [row for row in rows if row.kind in holding], report, list(missed.values()))


def maturity_of(description: Description, found: Sequence[str], *, even_so: bool) -> str:
    """Return the maturity with what was `found` against the model, a clause each.

    Raises ConversionError when there is something and the bundle is not wanted `even_so`.
    """
    if not found:
        return description.maturity
    if not even_so:
        raise ConversionError(
            f"{description.name}: no bundle is written, for {', and '.join(found)}; mend its training, the order "
            "of its labels or what feeds it, or take it as it is with --even-so: its card and maturity will say this"
        )
    return f"{_UNFIT}{', and '.join(found)}; {description.maturity.removeprefix(_UNFIT)}"


def _draft(  # noqa: PLR0917
    draft: Path,
    description: Description,
    model: Path,
    variants: Mapping[str, Path],
    held_out: Split,
    measured: _Measured,
) -> None:
    """Write what the daemon reads: manifest, variants, golden samples."""
    draft.mkdir()
    write_golden(draft / GOLDEN, held_out.inputs, measured.parent, model)
    manifest = _manifest(description, held_out, measured.report, draft)
    manifest["variants"] = {
        kind: _add_variant(draft, description.name, kind, path, measured) for kind, path in variants.items()
    }
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _prove(draft: Path) -> Bundle:
    """Open the draft as the daemon will, and run all golden samples on every runtime."""
    bundle = Bundle.load(draft)
    for kind in bundle.variants:
        open_model(bundle, kind)
    _refuse_misses(bundle.name, verify_bundles([draft]), "the golden samples are")
    return bundle


def _document(  # noqa: PLR0917
    draft: Path,
    bundle: Bundle,
    description: Description,
    run: Path,
    held_out: Split,
    measured: _Measured,
    calibration: Calibration | None,
    robustness: Robustness | None,
    remarks: Sequence[str],
) -> None:
    """Write what people read: the card, its pictures, and how the run went."""
    report, fitted_on = measured.report, None if calibration is None else calibration.fitted_on
    training = draft / "training"
    copy_record(run, training)
    plot_confusion(report.first, training / "confusion.png")
    plot_reliability(report.reliability, report.truth, training / "reliability.png")
    if description.fold_of:
        card = write_fold_card(bundle, description.fold_of, report=report, calibrated_on=fitted_on)
    else:
        card = write_card(
            bundle,
            report,
            parity=measured.parity,
            parity_on=held_out.described,
            remarks=remarks,
            pictures=sorted(path.name for path in training.glob("*.png")),
            costs={kind: measure_costs(bundle.model_file(kind)) for kind in bundle.variants},
            robustness=robustness,
            calibrated_on=fitted_on,
            commands=description.commands,
            note=description.note,
            protocol=description.protocol,
        )
    (draft / "CARD.md").write_text(card, encoding="utf-8")
    if robustness is not None:
        (draft / ROBUSTNESS).write_text(json.dumps(robustness.to_json(), indent=2) + "\n", encoding="utf-8")


def _swap(folder: Path, draft: Path) -> None:
    if folder.exists():
        folder.rename(draft.parent / "replaced")
    draft.rename(folder)


def _refuse_misses(name: str, rows: Sequence[Row], what: str) -> None:
    if not passed(rows):
        missed = "; ".join(f"{row.kind} on {row.runtime}: {row.shortfall}" for row in rows if row.shortfall)
        raise ConversionError(f"{name}: no bundle is written, {what} missed: {missed}")


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
    """Return each label's recall, drawn towards the mean recall as if PRIOR_SAMPLES more had been seen.

    A recall of nought on few samples must not silence the modality on that label.
    """
    counts = evaluation.confusion.sum(axis=1)
    hits = evaluation.confusion.diagonal()
    return tuple(((hits + PRIOR_SAMPLES * evaluation.uar) / (counts + PRIOR_SAMPLES)).tolist())


def _manifest(description: Description, held_out: Split, report: Report, draft: Path) -> dict[str, Any]:
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
        "golden": {"file": GOLDEN, "sha256": _sha256(draft / GOLDEN)},
        "affectd": version(),
    }


def _add_variant(draft: Path, name: str, kind: str, source: Path, measured: _Measured) -> dict[str, Any]:
    """Copy a variant into the draft; return its part of the manifest."""
    path = draft / f"{name}-{kind}.tflite"
    shutil.copyfile(source, path)
    model = Interpreter(path, load_runtime("auto"))
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": _sha256(path),
        "input": _tensor(model.input_type),
        "output": _tensor(model.output_type),
        "accuracy": round(measured.report.by_kind[kind].accuracy, 6),
        # The lowest of the runtimes: what a box may count on.
        "agreement": round(min(row.parity.agreement for row in measured.parity if row.kind == kind), 6),
    }


def _tensor(tensor: TensorType) -> dict[str, Any]:
    if tensor.dtype == "float32":
        return {"dtype": "float32"}
    return {"dtype": tensor.dtype, "scale": tensor.scale, "zero_point": tensor.zero_point}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
