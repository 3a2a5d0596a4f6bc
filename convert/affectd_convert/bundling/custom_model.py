"""A bundle out of a model of one's own: a file of any format that is read, and a small TOML that says what it is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.inference.bundle import Bundle
from affectd_convert.bundling.description import Description
from affectd_convert.bundling.input_scaling import SAMPLES, better_way, ways_of_clips, ways_of_faces
from affectd_convert.bundling.model_toml import OwnModel, read_own_model
from affectd_convert.bundling.write import maturity_of, write_bundle
from affectd_convert.conversion.bounded_process import Bounds, run_module
from affectd_convert.conversion.float_model import parent_logits, parent_of
from affectd_convert.conversion.import_model import NOTES
from affectd_convert.conversion.quantize import MAX_SAMPLES
from affectd_convert.conversion.variants import Trial, make_variants
from affectd_convert.datasets import fer2013
from affectd_convert.datasets.clip_windows import clip_windows, fit_statistics
from affectd_convert.datasets.labelled import UNKNOWN, Clips, Faces, known_faces, read_clip_index
from affectd_convert.errors import ConversionError, DataError
from affectd_convert.evaluation.predict import form_for
from affectd_convert.evaluation.report import Split

NAMED = 20
"""Samples left out that get a sentence each."""
_FINISHED = (
    "This model was brought as a finished `.tflite`. What it is held against below is itself on TensorFlow's plain "
    "kernels: of what its own quantization cost, that says nothing."
)
_BOTH = "is representative and held_out at once, and figures on what was trained on say nothing"


def make_own_bundle(
    toml: Path, folder: Path, kinds: Sequence[str], *, even_so: bool = False, bounds: Bounds | None = None
) -> Bundle:
    """Import the model that `toml` describes, quantize it, prove the variants, and write the bundle `folder`.

    `even_so` is that of `write_bundle`; `bounds` are those of the import and of a conversion. Raises ModelError for
    the TOML, DataError for the samples, ConversionError for the model.
    """
    own = read_own_model(toml)
    if not own.model.exists():
        raise ConversionError(f"{own.model}: not there; model in {toml} is relative to that file")
    for path, key in ((own.representative, "representative"), (own.held_out, "held_out")):
        if not path.exists():
            raise DataError(f"{path}: not there; {key} in {toml} is relative to that file")
    training, held_out = _read(own, own.representative, training=True), _read(own, own.held_out)
    own = _with_statistics(own, training)
    representative = _split(own, training, "").inputs
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary)
        _import(own, run, bounds)
        if (run / NOTES).exists():
            print((run / NOTES).read_text(encoding="utf-8"), end="", flush=True)
        doubt = _fed_wrongly(own, parent_of(run), training)
        description = _describe(own, toml, folder, held_out)
        if doubt:
            description = replace(description, maturity=maturity_of(description, [doubt], even_so=even_so))
        split = _split(own, held_out, own.split)
        trial = Trial(split.inputs)
        made = make_variants(parent_of(run), representative, run / "tflite", kinds, trial, bounds=bounds)
        (run / "config.json").write_text(json.dumps(_record(own), indent=2) + "\n", encoding="utf-8")
        return write_bundle(
            folder,
            description,
            run=run,
            variants=made.paths,
            held_out=split,
            even_so=even_so,
            remarks=made.remarks,
        )


def _fed_wrongly(own: OwnModel, parent: Path, training: Faces | Clips) -> str:
    """Return in a clause by which other way to its input the model does much better; raise ConversionError as below."""
    rows = np.random.default_rng(0).permutation(len(training.truth))[:SAMPLES]
    if isinstance(training, Faces):
        ways = ways_of_faces(own.preprocessing, [training.pixels[row] for row in rows])
    else:
        ways = ways_of_clips(own.features, [training.samples[row] for row in rows])
    logits = parent_logits(parent, np.concatenate([way.inputs for way in ways]))
    check_output(own, logits[: len(rows)])
    labels = own.outputs.labels
    answers = np.where(
        np.isfinite(logits).all(axis=1), own.outputs.probabilities(logits, 1.0).argmax(axis=1), len(labels)
    )
    return better_way(ways, training.truth[rows], answers)


def check_output(own: OwnModel, logits: NDArray[np.float32]) -> None:
    """Raise ConversionError when logits (n, labels) are none."""
    if not np.isfinite(logits).all():
        raise ConversionError(f"{own.model}: gives NaN or infinity for representative samples; train it anew")
    if logits.min() >= 0 and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        raise ConversionError(f"{own.model}: gives probabilities, not logits; set output = 'softmax'")


def _read(own: OwnModel, path: Path, *, training: bool = False) -> Faces | Clips:
    """Read samples of the labels that the model knows, and name those that are left out."""
    if own.task == "face":
        samples: Faces | Clips = _faces(own, path, training)
    elif own.representative.resolve() == own.held_out.resolve():
        raise DataError(f"{path}: {_BOTH}; give an index.csv of other speakers as held_out")
    else:
        samples = read_clip_index(path, own.outputs.labels, own.features)
    for sentence in samples.skipped[:NAMED]:
        print(f"left out of {path.name}: {sentence}", flush=True)
    if len(samples.skipped) > NAMED:
        print(f"left out of {path.name}: {len(samples.skipped) - NAMED} more, for such reasons", flush=True)
    return samples


def _faces(own: OwnModel, path: Path, training: bool) -> Faces:
    """Read faces: of one archive with `usage` the split asked for, and any other one as a whole."""
    faces = fer2013.read_faces(path, form_for(own.preprocessing))
    trained_on = faces.usage == fer2013.TRAINING
    if not training and trained_on.all():
        raise DataError(f"{path}: every face of it is of usage Training; held_out takes faces never trained on")
    if not trained_on.any() and own.representative.resolve() == own.held_out.resolve():
        raise DataError(f"{path}: {_BOTH}; give other faces as held_out, or an archive with usage")
    chosen = faces.only(~trained_on if not training else trained_on if trained_on.any() else ~trained_on)
    known = known_faces(chosen, path, own.outputs.labels)
    if not training:
        return known
    # No more than int8 takes its ranges from: in colour, thousands would fill the memory.
    rows = np.random.default_rng(0).permutation(len(known.truth))[:MAX_SAMPLES]
    return replace(known, pixels=known.pixels[rows], truth=known.truth[rows])


def _split(own: OwnModel, samples: Faces | Clips, name: str) -> Split:
    """Return samples as the network sees them."""
    probabilities = own.outputs.probabilities
    if isinstance(samples, Faces):
        inputs = np.stack([own.preprocessing.prepare_still(face) for face in samples.pixels])
        return Split(name, inputs, samples.truth, probabilities=probabilities)
    windows = [clip_windows(clip, own.features) for clip in samples.samples]
    clip = np.repeat(np.arange(len(windows)), [len(window) for window in windows])
    speakers = np.array(samples.speakers)[clip]
    return Split(
        name, np.concatenate(windows), samples.truth[clip], clips=clip, groups=speakers, probabilities=probabilities
    )


def _with_statistics(own: OwnModel, training: Faces | Clips) -> OwnModel:
    """Fit mean and deviation of a voice's features on the training clips, if the TOML leaves that to us."""
    if isinstance(training, Faces) or not own.normalize:
        return own
    mean, std = fit_statistics(training.samples, own.features)
    print(
        f"mean and std: of {len(training.samples)} representative clips; write your own there if they differ",
        flush=True,
    )
    return replace(own, features=replace(own.features, mean=mean, std=std))


def _import(own: OwnModel, run: Path, bounds: Bounds | None) -> None:
    how = {
        "input": own.input_shape,
        "output": own.output,
        "order": own.outputs.order,
    }
    run_module(
        "affectd_convert.conversion.import_model",
        [own.model, run, json.dumps(how)],
        what="importing the model",
        bounds=bounds,
    )


def _record(own: OwnModel) -> dict[str, Any]:
    """Return what the bundle keeps of the TOML beside its manifest, as training/config.json."""
    return {
        "task": own.task,
        "model": own.model.name,
        "output": own.output,
        "labels": dict(zip(own.outputs.names, own.outputs.named, strict=True)),
    }


def _describe(own: OwnModel, toml: Path, folder: Path, held_out: Faces | Clips) -> Description:
    unknown = [sentence for sentence in held_out.skipped if sentence.endswith(UNKNOWN)]
    notes = [_FINISHED] if own.model.suffix.lower() == ".tflite" else []
    if unknown:
        notes.append(f"Of the held-out samples these are left out: {'; '.join(unknown)}.")
    return Description(
        name=own.name,
        version=own.version,
        task=own.task,
        architecture=own.architecture,
        maturity=own.maturity,
        labels=own.outputs.labels,
        outputs=own.outputs.outputs,
        parameters=(own.preprocessing if own.task == "face" else own.features).to_manifest(),
        training_data=own.training_data,
        commands=[f"affectd-convert bundle --from {toml.name} --out {folder}"],
        note=" ".join(notes),
    )
