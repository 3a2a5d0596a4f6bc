"""What the TOML of a custom model says, each key read with an error that names it and what is allowed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from affectd.errors import ModelError
from affectd.face.preprocess import FacePreprocessing
from affectd.inference.manifest import FILE_NAME, Section
from affectd.voice.features import MfccFeatures, VoiceFeatures
from affectd_convert.bundling.output_labels import OutputLabels, read_output_labels

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
    outputs: OutputLabels
    """What each of the model's outputs means."""
    preprocessing: FacePreprocessing
    features: VoiceFeatures
    """How the box makes the input; of the two that of the task counts."""
    normalize: bool
    """Whether mean and deviation of the features are to be fitted on the representative clips."""
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
            return self.preprocessing.input_shape
        return self.features.shape


def read_own_model(path: Path) -> OwnModel:
    """Read and check the TOML. Raises ModelError that names the file, the key and what is allowed."""
    try:
        root = Section(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: cannot be read as TOML: {error}") from error
    task = root.text("task", choices=("face", "voice"))
    face = task == "face"
    samples = root.section("samples")
    features, normalize = (MfccFeatures(), False) if face else _features(root)
    own = OwnModel(
        task=task,
        name=root.text("name", pattern=FILE_NAME, hint="letters, digits, '.', '_' and '-'"),
        version=root.text("version"),
        architecture=root.text("architecture"),
        maturity=root.text("maturity"),
        model=path.parent / root.text("model"),
        output=root.text("output", choices=("logits", "softmax")),
        outputs=read_output_labels(root, task),
        preprocessing=FacePreprocessing.from_manifest(root.mapping("preprocessing") if face else {}, where=root.where),
        features=features,
        normalize=normalize,
        representative=path.parent / samples.text("representative"),
        held_out=path.parent / samples.text("held_out"),
        split=samples.text("split"),
        training_data=tuple(_training_data(item) for item in root.sections("training_data")),
    )
    samples.done()
    root.done()
    return own


def _features(root: Section) -> tuple[VoiceFeatures, bool]:
    """Take the voice's features, and whether mean and deviation are to be fitted.

    `normalize` says that; left out, it is so of the kind that cannot do without them.
    """
    values = root.mapping("features")
    normalize = values.pop("normalize", None)
    if not isinstance(normalize, bool | None):
        raise root.refuse("features.normalize", "true or false", normalize)
    features = VoiceFeatures.from_manifest(values, where=root.where, without_statistics=True)
    if normalize is not None and features.mean:
        raise root.refuse("features.normalize", "left out where mean and std are given", normalize)
    if normalize is False and features.statistics_needed:
        columns = max(features.statistics)
        features = replace(features, mean=(0.0,) * columns, std=(1.0,) * columns)
    return features, features.statistics_needed and not features.mean if normalize is None else normalize


def _training_data(section: Section) -> dict[str, str]:
    data = {key: section.text(key) for key in ("name", "licence", "use")}
    section.done()
    return data
