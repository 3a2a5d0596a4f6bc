"""Train the face network, VGG16 on FER2013: what `affectd-convert train face` runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from affectd.events import LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd_convert.architectures import vgg16
from affectd_convert.datasets import fer2013
from affectd_convert.earlier_run import is_bundle, record_of, refuse_itself, with_weights
from affectd_convert.errors import DataError, TrainingError
from affectd_convert.run_data import read_config
from affectd_convert.shipped_weights import restore
from affectd_convert.slimming import slim_down
from affectd_convert.training import engine, face_batches
from affectd_convert.training.loop import Job, train
from affectd_convert.training.plan import Plan, Stage

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
    augmentation: float = 1.0
    """Scales how far faces are moved away from their originals."""
    mixup: float = 0.0
    """Its alpha; 0: none."""
    begin_with: Path | None = None
    """Folder of a finished run, or of a bundle, whose weights this one begins with."""
    slim: bool = False
    """A narrower network, which begins with the most important channels of `begin_with`."""
    taught: bool = False
    """The answers of `begin_with` are learnt besides the labels (Hinton et al. 2015; by a network of the same size,
    Furlanello et al. 2018)."""

    def __post_init__(self) -> None:
        if (self.slim or self.taught) and self.begin_with is None:
            raise TrainingError("--slim and --taught need a trained network: name its run or bundle with --begin-with")

    def faces_augmented(self) -> face_batches.FaceAugmentation:
        """Give what is done to training faces."""
        return replace(face_batches.FaceAugmentation().scaled(self.augmentation), mixup=self.mixup)


def train_face(data: Path, run: Path, recipe: FaceRecipe) -> Path:
    """Train VGG16 on FER2013's Training split, validated on PublicTest; give the finished model.keras.

    Raises DataError or TrainingError: no such data, another run in the folder, nothing to begin with, a full disk.
    """
    refuse_itself(run, recipe.begin_with)
    faces = fer2013.read_fer2013(data)
    training, validation = _training_and_validation(faces, data)
    preprocessing, plan, begin_with = FacePreprocessing(), recipe.plan, recipe.begin_with

    def originals() -> Iterator[Any]:
        return face_batches.originals(training, preprocessing)

    def wide() -> Any:
        if begin_with is not None and is_bundle(begin_with):
            return restore(_network(), begin_with, next(originals()))
        return with_weights(_network(), begin_with)

    return train(
        Job(
            run=run,
            plan=plan,
            describe=_describe(faces, data, recipe),
            build=(lambda: slim_down(wide(), _network(vgg16.SLIM))) if recipe.slim else wide,
            batches=lambda stage, epoch: face_batches.FaceBatches(
                faces=training,
                preprocessing=preprocessing,
                augmentation=recipe.faces_augmented(),
                batch_size=plan.batch_size,
                size=stage.size,
                seed=plan.seed,
                epoch=epoch,
                progress=epoch / max(plan.epochs - 1, 1),
            ),
            validation=face_batches.PreparedFaces.of(validation, preprocessing),
            before=None if begin_with is None else record_of(begin_with),
            teacher=engine.start(plan.engine, wide, plan, None).logits if recipe.taught else None,
            originals=originals,
        )
    )


def face_config(data: Path, recipe: FaceRecipe) -> dict[str, Any]:
    """Give what config.json says of a run of `train_face` with the same arguments. Raises DataError."""
    return {"plan": asdict(recipe.plan), **_describe(fer2013.read_fer2013(data), data, recipe)}


def _describe(faces: fer2013.FaceSet, data: Path, recipe: FaceRecipe) -> dict[str, Any]:
    training, validation = _training_and_validation(faces, data)
    return {
        "task": "face",
        "architecture": "vgg16-slim" if recipe.slim else "vgg16",
        "labels": list(LABELS),
        "preprocessing": FacePreprocessing().to_manifest(),
        "augmentation": asdict(recipe.faces_augmented()),
        "begins_with": None if recipe.begin_with is None else read_config(record_of(recipe.begin_with)),
        "taught": recipe.taught,
        "data": {
            "training": fer2013.describe(training),
            "validation": fer2013.describe(validation),
            "left_out": list(faces.skipped),
        },
    }


def _training_and_validation(faces: fer2013.FaceSet, data: Path) -> tuple[fer2013.FaceSet, fer2013.FaceSet]:
    training, validation = faces.split(fer2013.TRAINING), faces.split(fer2013.PUBLIC_TEST)
    if not len(training.label) or not len(validation.label):
        raise DataError(f"{data}: needs both a Training and a PublicTest split")
    return training, validation


def _network(widths: vgg16.Widths = vgg16.FULL) -> Any:
    return vgg16.build(len(LABELS), size=None, widths=widths)
