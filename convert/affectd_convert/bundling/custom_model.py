"""A bundle out of a model of one's own: a Keras file or SavedModel, and a small TOML that says what it is."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectd.errors import ModelError
from affectd.events import LABELS, VOICE_LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd.inference.bundle import Bundle
from affectd.inference.manifest import FILE_NAME, Section
from affectd.voice.features import MfccFeatures, VoiceFeatures
from affectd_convert.bundling.write import Description, write_bundle
from affectd_convert.conversion.bounded_process import Bounds, run_module
from affectd_convert.conversion.float_model import parent_logits, parent_of
from affectd_convert.conversion.import_model import NOTES
from affectd_convert.conversion.quantize import quantize
from affectd_convert.datasets import fer2013
from affectd_convert.datasets.clip_windows import clip_windows
from affectd_convert.datasets.labelled import read_clip_index, read_labelled_faces
from affectd_convert.errors import ConversionError, DataError
from affectd_convert.evaluation.report import Split

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModel:
    """What the TOML says; paths are relative to it."""

    name: str
    version: str
    task: str
    """'face' or 'voice'."""
    architecture: str
    maturity: str
    model: Path
    output: str
    """'logits', or 'softmax', which is taken off."""
    labels: tuple[str, ...]
    """In the order of the model's outputs."""
    preprocessing: FacePreprocessing
    features: VoiceFeatures
    """How the box makes the input; of the two that of the task counts."""
    representative: Path
    """Training samples; int8 takes its ranges from them."""
    held_out: Path
    """Samples never trained on; parity and figures are measured on them."""
    split: str
    """What the card calls the held-out samples."""
    training_data: tuple[Mapping[str, str], ...]
    """Each with name, licence, use."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What the box gives the network, without the batch."""
        if self.task == "face":
            return self.preprocessing.shape
        return self.features.shape

    @property
    def affectd_labels(self) -> tuple[str, ...]:
        """The same labels in affectd's order."""
        return LABELS if set(self.labels) == set(LABELS) else VOICE_LABELS


def read_own_model(path: Path) -> OwnModel:
    """Read and check the TOML. Raises ModelError that names the file, the key and what is allowed."""
    try:
        root = Section(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: cannot be read as TOML: {error}") from error
    task = root.text("task", choices=("face", "voice"))
    face = task == "face"
    samples = root.section("samples")
    own = OwnModel(
        task=task,
        name=root.text("name", pattern=FILE_NAME, hint="letters, digits, '.', '_' and '-'"),
        version=root.text("version"),
        architecture=root.text("architecture"),
        maturity=root.text("maturity"),
        model=path.parent / root.text("model"),
        output=root.text("output", choices=("logits", "softmax")),
        labels=_labels(root, task),
        preprocessing=FacePreprocessing.from_manifest(root.mapping("preprocessing") if face else {}, where=root.where),
        features=MfccFeatures() if face else VoiceFeatures.from_manifest(root.mapping("features"), where=root.where),
        representative=path.parent / samples.text("representative"),
        held_out=path.parent / samples.text("held_out"),
        split=samples.text("split"),
        training_data=tuple(_training_data(item) for item in root.sections("training_data")),
    )
    samples.done()
    root.done()
    return own


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
    representative = _samples(own, own.representative, "representative", training=True).inputs
    held_out = _samples(own, own.held_out, own.split)
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary)
        _import(own, run, bounds)
        if (run / NOTES).exists():
            print((run / NOTES).read_text(encoding="utf-8"), end="", flush=True)
        check_output(own, parent_logits(parent_of(run), representative[:64]))
        variants = quantize(parent_of(run), representative, run / "tflite", kinds, bounds=bounds)
        (run / "config.json").write_text(json.dumps(_record(own), indent=2) + "\n", encoding="utf-8")
        return write_bundle(
            folder,
            _describe(own, toml, folder),
            run=run,
            variants=variants,
            held_out=held_out,
            even_so=even_so,
        )


def check_output(own: OwnModel, logits: NDArray[np.float32]) -> None:
    """Raise ConversionError when logits (n, labels) are none."""
    if not np.isfinite(logits).all():
        raise ConversionError(f"{own.model}: gives NaN or infinity on the representative samples")
    if logits.min() >= 0 and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        raise ConversionError(f"{own.model}: gives probabilities, not logits; set output = 'softmax'")


def _labels(root: Section, task: str) -> tuple[str, ...]:
    value = root.take("labels")
    allowed = [LABELS] if task == "face" else [LABELS, VOICE_LABELS]
    if not isinstance(value, list) or sorted(map(str, value)) not in [sorted(labels) for labels in allowed]:
        known = " or ".join(" ".join(labels) for labels in allowed)
        foreign = [str(label) for label in value if label not in VOICE_LABELS] if isinstance(value, list) else []
        hint = f" ({', '.join(foreign)}: not known to affectd; rename or leave it out in training)" if foreign else ""
        raise root.refuse("labels", f"{known}, each once, in the order of the model's outputs{hint}", value)
    return tuple(value)


def _training_data(section: Section) -> dict[str, str]:
    data = {key: section.text(key) for key in ("name", "licence", "use")}
    section.done()
    return data


def _samples(own: OwnModel, path: Path, name: str, *, training: bool = False) -> Split:
    """Read samples as the network sees them, labels in affectd's order, and name those that are left out."""
    split, skipped = _faces(own, path, name, training) if own.task == "face" else _clips(own, path, name)
    for sentence in skipped:
        print(f"left out: {sentence}")
    return split


def _faces(own: OwnModel, path: Path, name: str, training: bool) -> tuple[Split, Sequence[str]]:
    usage = fer2013.read_faces(path).usage
    if not training and np.all(usage == fer2013.TRAINING):
        raise DataError(f"{path}: every face of it is of usage Training; held_out takes faces never trained on")
    # An archive without `usage`, or of one split, is taken as a whole.
    faces = read_labelled_faces(path, "training" if training and np.any(usage == fer2013.TRAINING) else None)
    inputs = np.stack([own.preprocessing.prepare(face) for face in faces.pixels])
    return Split(name, inputs, faces.truth), faces.skipped


def _clips(own: OwnModel, path: Path, name: str) -> tuple[Split, Sequence[str]]:
    clips = read_clip_index(path, own.affectd_labels, own.features)
    windows = [clip_windows(samples, own.features) for samples in clips.samples]
    clip = np.repeat(np.arange(len(windows)), [len(window) for window in windows])
    split = Split(name, np.concatenate(windows), clips.truth[clip], clips=clip, groups=np.array(clips.speakers)[clip])
    return split, clips.skipped


def _import(own: OwnModel, run: Path, bounds: Bounds | None) -> None:
    how = {
        "input": own.input_shape,
        "output": own.output,
        "order": [own.labels.index(label) for label in own.affectd_labels],
    }
    run_module(
        "affectd_convert.conversion.import_model",
        [own.model, run, json.dumps(how)],
        what=f"{own.model}: reading it",
        bounds=bounds,
    )


def _record(own: OwnModel) -> dict[str, Any]:
    """Return what the bundle keeps of the TOML beside its manifest, as training/config.json."""
    return {"task": own.task, "model": own.model.name, "output": own.output, "labels": list(own.labels)}


def _describe(own: OwnModel, toml: Path, folder: Path) -> Description:
    return Description(
        name=own.name,
        version=own.version,
        task=own.task,
        architecture=own.architecture,
        maturity=own.maturity,
        labels=own.affectd_labels,
        parameters=(own.preprocessing if own.task == "face" else own.features).to_manifest(),
        training_data=own.training_data,
        commands=[f"affectd-convert bundle --from {toml.name} --out {folder}"],
    )
