"""Predictions of a network for labelled faces and clips, through the device's own preprocessing and features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from affectd.face.preprocess import FacePreprocessing, GrayImage
from affectd.voice.features import VoiceFeatures
from affectd_convert.datasets.clip_windows import clip_logits, clip_windows
from affectd_convert.datasets.face_set import SIDE, PictureForm

FloatArray = NDArray[np.float32]
Run = Callable[[FloatArray], FloatArray]
"""Logits (n, labels) for inputs (n, *input), both float32: a device interpreter's `run`."""


def shaped(run: Run, input_shape: Sequence[int]) -> Run:
    """Return `run` for inputs without the axes of one that the network's shape, its batch first, has more."""
    return lambda inputs: run(inputs.reshape(-1, *input_shape[1:]))


def form_for(preprocessing: FacePreprocessing) -> PictureForm:
    """Return what pictures of faces must be read as, so that nothing is lost that the network sees."""
    return PictureForm(max(SIDE, *preprocessing.shape[:2]), preprocessing.wants_colour)


def logits_of_faces(run: Run, preprocessing: FacePreprocessing, crops: Iterable[GrayImage]) -> FloatArray:
    """Return logits (n, labels) for grey crops of any side, as the daemon prepares them."""
    return run(np.stack([preprocessing.prepare_still(crop) for crop in crops]))


def logits_of_clips(run: Run, features: VoiceFeatures, clips: Iterable[NDArray[np.int16]]) -> FloatArray:
    """Return logits (n, labels) for clips, each (samples,) mono at 16 kHz, by `clip_windows`' rule."""
    return np.stack([clip_logits(samples, features, run) for samples in clips])


def logits_of_windows(run: Run, features: VoiceFeatures, clips: Iterable[NDArray[np.int16]]) -> list[FloatArray]:
    """Return the logits (windows, labels) of each clip's windows, whose mean is the clip's prediction."""
    return [run(clip_windows(samples, features)) for samples in clips]
