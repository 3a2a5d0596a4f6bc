"""From a training run and its variants to `models/<name>/`: manifest, golden samples, model card, plots."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectd.inference.bundle import MANIFEST, Bundle
from affectd.inference.model import open_model
from affectd_convert.bundling.card import write_card, write_fold_card
from affectd_convert.bundling.description import Description
from affectd_convert.bundling.golden import write_golden
from affectd_convert.bundling.manifest import GOLDEN, add_variant, new_manifest
from affectd_convert.conversion.float_model import parent_logits, parent_of
from affectd_convert.conversion.parity import Row, passed, verify_bundles, verify_variants
from affectd_convert.conversion.tflite_logits import device_logits
from affectd_convert.errors import ConversionError
from affectd_convert.evaluation.calibration import Calibration
from affectd_convert.evaluation.chance_level import shortcomings
from affectd_convert.evaluation.cost import measure_costs
from affectd_convert.evaluation.plots import plot_confusion, plot_quantization, plot_reliability
from affectd_convert.evaluation.quantization import report_on
from affectd_convert.evaluation.report import Report, Split, measure
from affectd_convert.evaluation.robustness.table import Robustness
from affectd_convert.training.run_folder import copy_record

FloatArray = NDArray[np.float32]

ROBUSTNESS = "robustness.json"
_UNFIT = "not fit for use: "
FIRST_CHOICE = ("int8", "dynamic", "float16", "float32")
"""Whose figures stand for the bundle: the variant that the daemon takes by default, else the next."""


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
    plain = description.outputs in {(), description.labels}
    rows = verify_variants(description.name, variants, held_out.inputs, parent, held_out.truth if plain else None)
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
    manifest = new_manifest(description, held_out, measured.report, draft / GOLDEN)
    manifest["variants"] = {
        kind: add_variant(
            draft / f"{description.name}-{kind}.tflite",
            path,
            accuracy=measured.report.by_kind[kind].accuracy,
            # The lowest of the runtimes: what a box may count on.
            agreement=min(row.parity.agreement for row in measured.parity if row.kind == kind),
        )
        for kind, path in variants.items()
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
        paths = {kind: bundle.model_file(kind) for kind in bundle.variants}
        costs = {kind: measure_costs(path) for kind, path in paths.items()}
        quantization = report_on(
            measured.parity,
            paths,
            costs,
            held_out.inputs,
            reference=paths.get("float32", paths.get("float16")),
            against=f"Against the float parent on {held_out.described}.",
        )
        plot_quantization(quantization.figures, quantization.layers, training / "quantization.png")
        card = write_card(
            bundle,
            report,
            parity=measured.parity,
            parity_on=held_out.described,
            remarks=remarks,
            pictures=sorted(path.name for path in training.glob("*.png")),
            costs=costs,
            quantization=quantization,
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
