"""A bundle on disk: manifest, golden samples and `.tflite` files, each believed only after its checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from affectd.errors import ModelError
from affectd.events import LABELS, VOICE_LABELS
from affectd.inference.golden import Golden
from affectd.inference.manifest import (
    FILE_NAME,
    KINDS,
    SCHEMA,
    SHA256,
    Metrics,
    Section,
    TrainingData,
    Variant,
    read_metrics,
    read_shape,
    read_training_data,
    read_variant,
)

MANIFEST = "manifest.json"
VOCABULARY = {"face": LABELS, "voice": VOICE_LABELS}
"""By task: the labels that a model may have, in the order in which its probabilities are handed on."""
FEWEST_LABELS = 2
MOST_NAMED = 8
"""Files or bundles in a sentence."""
_PARAMETERS = {"face": "preprocessing", "voice": "features"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A model with everything the daemon must know to run it."""

    folder: Path
    name: str
    version: str
    task: str
    """'face' or 'voice'."""
    architecture: str
    maturity: str
    """What to expect of the weights: 'first model', 'released'."""
    outputs: tuple[str | None, ...]
    """What the logits mean, in their order: a label, which several may share; None: no shared one, left out."""
    labels: tuple[str, ...]
    """Those that the model knows, in the order of its task's VOCABULARY; it has no opinion on the others."""
    input_shape: tuple[int, ...]
    """Of the float32 network input, batch of 1 first."""
    preprocessing: Mapping[str, Any]
    """Parameters of the face's way to the input, passed on as they stand; empty for a voice bundle."""
    features: Mapping[str, Any]
    """Parameters of the voice's way to the input, passed on as they stand; empty for a face bundle."""
    variants: Mapping[str, Variant]
    """By kind."""
    temperature: float
    """Probabilities = softmax(logits / temperature) are calibrated (Guo et al. 2017)."""
    skill: tuple[float, ...]
    """Recall of each label on held-out data, 0..1, drawn towards the mean where samples are few; in the order
    of `labels`; what fusion trusts it for."""
    training_data: tuple[TrainingData, ...]
    metrics: tuple[Metrics, ...]
    golden_file: str
    golden_sha256: str
    affectd: str
    """The affectd version that wrote the bundle."""

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read and check `folder/manifest.json`; the files it names are checked when they are opened.

        Raises ModelError when it is missing, unreadable, of another schema, or has a value that is not allowed.
        """
        path = folder / MANIFEST
        root = Section(_read_json(path), str(path))
        schema = root.take("schema")
        if schema != SCHEMA:
            raise ModelError(
                f"{path}: schema is {schema!r} but this affectd reads schema {SCHEMA}; "
                "take a bundle and an affectd of the same release"
            )
        bundle = _read_bundle(folder, root)
        root.done()
        return bundle

    def variant(self, kind: str) -> Variant:
        """Return a variant. Raises ModelError that names those there are."""
        if kind not in self.variants:
            raise ModelError(f"{self.folder}: no variant {kind!r}; this bundle has {', '.join(self.variants)}")
        return self.variants[kind]

    def has_file(self, kind: str) -> bool:
        """Whether a variant's `.tflite` lies there: a box is installed without those that only a GPU runs."""
        return (self.folder / self.variant(kind).file).exists()

    def model_file(self, kind: str) -> Path:
        """Return the path of a variant's `.tflite` after checking it. Raises ModelError if it does not fit."""
        variant = self.variant(kind)
        return _checked(self.folder, variant.file, variant.sha256, variant.bytes)

    def golden(self) -> Golden:
        """Read the golden samples after checking them. Raises ModelError if they do not fit."""
        path = _checked(self.folder, self.golden_file, self.golden_sha256)
        return Golden.load(path, input_shape=self.input_shape[1:], outputs=len(self.outputs))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_constant)
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{path.parent}: {_no_bundle(path.parent)}") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: not valid JSON ({error}); copy the bundle again") from error


def _no_bundle(folder: Path) -> str:
    """Return why a folder is no bundle, and what there is instead."""
    wanted = f"a bundle is a folder with a {MANIFEST}, as `affectd-convert bundle` writes it"
    if folder.is_file():
        return f"is a file; {wanted}"
    if folder.is_dir():
        return f"has no {MANIFEST}, but {_named(folder.iterdir())}; {wanted}"
    if folder.parent.is_dir():
        bundles = (path.parent for path in folder.parent.glob(f"*/{MANIFEST}"))
        return f"is not there; the bundles in {folder.parent}: {_named(bundles)}"
    return f"is not there, and neither is {folder.parent}; {wanted}"


def _named(paths: Iterable[Path]) -> str:
    try:
        names = sorted(path.name for path in paths)
    except OSError as error:
        return f"what cannot be listed ({error.strerror})"
    return ", ".join([*names[:MOST_NAMED], *(["..."] if len(names) > MOST_NAMED else [])]) or "nothing"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _read_bundle(folder: Path, root: Section) -> Bundle:
    task = root.text("task", choices=("face", "voice"))
    labels = _read_labels(root, task)
    outputs = _read_outputs(root, labels) if root.has("outputs") else labels
    empty: Mapping[str, Any] = MappingProxyType({})
    parameters = MappingProxyType(root.mapping(_PARAMETERS[task]))
    golden, calibration = root.section("golden"), root.section("calibration")
    bundle = Bundle(
        folder=folder,
        name=root.text("name", pattern=FILE_NAME, hint="letters, digits, '.', '_' and '-'"),
        version=root.text("version"),
        task=task,
        architecture=root.text("architecture"),
        maturity=root.text("maturity"),
        outputs=outputs,
        labels=labels,
        input_shape=read_shape(root.section("input")),
        preprocessing=parameters if task == "face" else empty,
        features=parameters if task == "voice" else empty,
        variants=_read_variants(root),
        temperature=calibration.number("temperature", 0.01, 100.0),
        skill=root.numbers("skill", len(labels)),
        training_data=tuple(read_training_data(item) for item in root.sections("training_data")),
        metrics=tuple(read_metrics(item) for item in root.sections("metrics")),
        golden_file=golden.text("file", pattern=FILE_NAME, hint="a file name without a folder"),
        golden_sha256=golden.text("sha256", pattern=SHA256, hint="64 hexadecimal digits"),
        affectd=root.text("affectd"),
    )
    golden.done()
    calibration.done()
    return bundle


def _read_labels(root: Section, task: str) -> tuple[str, ...]:
    value, vocabulary = root.take("labels"), VOCABULARY[task]
    known = [label for label in vocabulary if isinstance(value, list) and label in value]
    if value != known or len(known) < FEWEST_LABELS:
        allowed = f"a list of {FEWEST_LABELS} or more of {' '.join(vocabulary)}, each once, in this order"
        raise root.refuse("labels", allowed, value)
    return tuple(known)


def _read_outputs(root: Section, labels: tuple[str, ...]) -> tuple[str | None, ...]:
    value = root.take("outputs")
    if not isinstance(value, list) or not all(label is None or label in labels for label in value):
        raise root.refuse("outputs", "a list with one of the labels or null for each of the network's outputs", value)
    missing = [label for label in labels if label not in value]
    if missing:
        raise root.refuse("outputs", f"a list in which every label is found; {missing[0]} is in labels alone", value)
    return tuple(value)


def _read_variants(root: Section) -> Mapping[str, Variant]:
    variants = root.section("variants")
    kinds = variants.keys()
    if not kinds or not set(kinds) <= set(KINDS):
        raise root.refuse("variants", "one or more of " + ", ".join(KINDS), ", ".join(kinds))
    return MappingProxyType({kind: read_variant(kind, variants.section(kind)) for kind in kinds})


def _checked(folder: Path, name: str, sha256: str, size: int | None = None) -> Path:
    """Return the path of a file in the bundle once size and SHA-256 are those of the manifest."""
    path = folder / name
    digest = hashlib.sha256()
    try:
        # A link could lead out of the bundle to a file that changes after it was checked.
        if path.is_symlink():
            raise ModelError(f"{path}: is a link; a bundle holds plain files, copy the file itself there")
        actual = path.stat().st_size
        if size is not None and actual != size:
            raise ModelError(f"{path}: {actual} bytes but the manifest says {size}; copy the bundle again")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except FileNotFoundError:
        raise ModelError(f"{path}: the manifest names it but it is not there; copy the bundle again") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if digest.hexdigest() != sha256:
        raise ModelError(
            f"{path}: checksum is {digest.hexdigest()[:12]}.. but the manifest says {sha256[:12]}..; "
            "copy the bundle again"
        )
    return path
