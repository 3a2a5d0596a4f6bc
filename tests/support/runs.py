"""The configuration of a small run, for tests that need one in a run's folder."""

from typing import Any

from affectd.events import LABELS
from affectd.face.preprocess import FacePreprocessing
from affectd_convert.training.plan import Plan, Stage
from affectd_convert.training.run_config import DataUsed, RunConfig


def face_config(**changes: Any) -> RunConfig:
    """A run on FER2013 with seven faces in Training and in PublicTest."""
    given = {
        "plan": Plan(stages=(Stage(epochs=1, size=16),)),
        "task": "face",
        "architecture": "vgg16",
        "labels": LABELS,
        "inputs": FacePreprocessing(),
        "augmentation": {},
        "data": DataUsed(training="FER2013 Training, 7 faces", validation="FER2013 PublicTest, 7 faces"),
    }
    return RunConfig(**{**given, **changes})
