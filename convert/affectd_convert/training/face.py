"""Train a face network on FER2013: what `affectd-convert train face` runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from affectd.events import LABELS
from affectd.inference.bundle import Bundle
from affectd_convert.architectures.catalogue import FACE, FaceArchitecture
from affectd_convert.architectures.from_tflite import restore
from affectd_convert.architectures.pruning import slim_down
from affectd_convert.datasets import fer2013
from affectd_convert.errors import DataError, TrainingError
from affectd_convert.training import engine, face_batches
from affectd_convert.training.initial_weights import is_bundle, record_of, refuse_itself, with_weights
from affectd_convert.training.loop import Job, train
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.run_config import DataUsed, RunConfig, read_record
from affectd_convert.training.teachers import Teacher, Teachers, bundle_teacher, network_teacher

SIZES = ("vgg16", "vgg16-slim", "vgg16-fast")
"""From wide to narrow; but for the first, each begins with the most important channels of a wider one, or with its own.
"""
PLAN = Plan(
    stages=(Stage(epochs=12, size=24), Stage(epochs=12, size=32), Stage(epochs=30, size=40), Stage(epochs=10, size=48)),
    batch_size=128,
    warmup=0.05,
)
"""Growing images (Touvron et al. 2019, Tan & Le 2021): no epoch but the last ones at the full cost."""


@dataclass(frozen=True, slots=True)
class FaceRecipe:
    """How a face network is trained, beside the data. Raises TrainingError when its parts do not go together."""

    plan: Plan = PLAN
    architecture: str = "vgg16"
    """Its name in the catalogue."""
    augmentation: float = 1.0
    """Scales how far faces are moved away from their originals."""
    mixup: float = 0.0
    """Its alpha; 0: none."""
    begin_with: Path | None = None
    """Folder of a finished run, or of a bundle, whose weights this one begins with."""
    teachers: tuple[Path, ...] = ()
    """Folders of finished runs, or of bundles, the mean of whose answers is learnt besides the labels (Hinton et al.
    2015; where it is what this run begins with, Furlanello et al. 2018)."""
    command: str = ""
    """As it was typed, for the record."""

    def __post_init__(self) -> None:
        if self.architecture in SIZES[1:] and self.begin_with is None:
            raise TrainingError(
                f"{self.architecture} needs a trained network: name its run or bundle with --begin-with"
            )
        side, sides = self.network.side, {stage.size for stage in self.plan.stages}
        if not self.network.any_side and sides != {side}:
            raise TrainingError(f"{self.architecture} takes faces of {side}x{side} only: --stages {side}xEPOCHS")

    @property
    def network(self) -> FaceArchitecture:
        """What is trained."""
        return FACE[self.architecture]

    def faces_augmented(self) -> face_batches.FaceAugmentation:
        """Return what is done to training faces."""
        return replace(face_batches.FaceAugmentation().scaled(self.augmentation), mixup=self.mixup)


def train_face(data: Path, run: Path, recipe: FaceRecipe) -> Path:
    """Train a network on FER2013's Training split, validated on PublicTest; return the finished model.keras.

    Raises DataError or TrainingError: no such data, another run in the folder, nothing to begin with, a full disk.
    """
    refuse_itself(run, recipe.begin_with)
    engine.load(recipe.plan.engine)
    faces = fer2013.read_fer2013(data)
    training, validation = _training_and_validation(faces, data)
    preprocessing, plan = recipe.network.inputs, recipe.plan

    def originals() -> Iterator[Any]:
        return face_batches.originals(training, preprocessing)

    def finished(folder: Path) -> Any:
        network = FACE[_architecture_of(folder)].network()
        return restore(network, folder, next(originals())) if is_bundle(folder) else with_weights(network, folder)

    def teacher(folder: Path) -> Teacher:
        if is_bundle(folder):
            return bundle_teacher(folder)
        network = engine.start(plan.engine, lambda: finished(folder), plan, None)
        return network_teacher(network.logits, FACE[_architecture_of(folder)].inputs)

    def beginning() -> Any:
        if recipe.begin_with is None:
            return recipe.network.network()
        if _architecture_of(recipe.begin_with) != recipe.architecture:
            return slim_down(finished(recipe.begin_with), recipe.network.network())
        return finished(recipe.begin_with)

    teachers = None if not recipe.teachers else Teachers([teacher(one) for one in recipe.teachers], len(training.label))
    return train(
        Job(
            run=run,
            config=_config(faces, data, recipe),
            build=beginning,
            batches=lambda stage, epoch: face_batches.FaceBatches(
                faces=training,
                preprocessing=preprocessing,
                augmentation=recipe.faces_augmented(),
                batch_size=plan.batch_size,
                size=stage.size,
                seed=plan.seed,
                epoch=epoch,
                progress=epoch / max(plan.epochs - 1, 1),
                teachers=teachers,
            ),
            validation=face_batches.PreparedFaces.of(validation, preprocessing),
            originals=originals,
        )
    )


def face_config(data: Path, recipe: FaceRecipe) -> RunConfig:
    """Return the configuration of a run of `train_face` with the same arguments. Raises DataError."""
    return _config(fer2013.read_fer2013(data), data, recipe)


def _config(faces: fer2013.FaceSet, data: Path, recipe: FaceRecipe) -> RunConfig:
    training, validation = _training_and_validation(faces, data)
    begin_with = recipe.begin_with
    if begin_with is not None:
        there = _architecture_of(begin_with)
        if there != recipe.architecture and recipe.architecture not in _narrower(there):
            raise TrainingError(f"{begin_with}: is {there}; with --architecture {there} it is trained on")
    return RunConfig(
        plan=recipe.plan,
        task="face",
        architecture=recipe.architecture,
        labels=LABELS,
        inputs=recipe.network.inputs,
        augmentation=asdict(recipe.faces_augmented()),
        data=DataUsed(
            training=fer2013.describe(training), validation=fer2013.describe(validation), left_out=tuple(faces.skipped)
        ),
        begins_with=None if begin_with is None else read_record(record_of(begin_with)),
        taught=bool(recipe.teachers),
        # Of a teacher that is what the run begins with, all stands above.
        teachers=tuple(_told(teacher) for teacher in recipe.teachers if teacher != begin_with),
        command=recipe.command,
    )


def _training_and_validation(faces: fer2013.FaceSet, data: Path) -> tuple[fer2013.FaceSet, fer2013.FaceSet]:
    training, validation = faces.split(fer2013.TRAINING), faces.split(fer2013.PUBLIC_TEST)
    for name, split in (("Training", training), ("PublicTest", validation)):
        if not len(split.label):
            raise DataError(f"{data}: no face of {name}; a network is trained on Training, validated on PublicTest")
    return training, validation


def _architecture_of(folder: Path) -> str:
    """Return the name of the network of a run or bundle. Raises DataError when its record cannot be read."""
    name = read_record(record_of(folder)).get("architecture")
    if name not in FACE:
        raise DataError(f"{folder}: its network is {name!r}; those known here are {', '.join(FACE)}")
    return str(name)


def _narrower(architecture: str) -> tuple[str, ...]:
    """Return what a network can be slimmed down to."""
    return SIZES[SIZES.index(architecture) + 1 :] if architecture in SIZES else ()


def _told(teacher: Path) -> dict[str, Any]:
    """Return what the record says of a teacher: name and version of a bundle, all of a run."""
    if not is_bundle(teacher):
        return read_record(teacher)
    bundle = Bundle.load(teacher)
    return {"bundle": bundle.name, "version": bundle.version}
